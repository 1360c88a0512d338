"""The engine for an event loop: what waits is answered together, in a thread, and the loop goes on meanwhile.

Knows nothing of HTTP.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Never, Self

from stream_rec.core.engine import Applied, Stats
from stream_rec.core.events import Answer, Event, Forget, Recommendation, Request
from stream_rec.errors import StreamRecError
from stream_rec.guard import Engine
from stream_rec.guard.arguments import no_argument_of_forget, no_argument_of_recommend
from stream_rec.guard.forks import watch
from stream_rec.guard.values import Id, checked_id, checked_ids, checked_request

__all__ = ["AsyncEngine"]

_MOST: Final = 512
"""Questions answered in one call: some ms, so that a write does not wait long."""

_Act = Callable[[], Any]
_Job = tuple[Request | _Act, "asyncio.Future[Any]"]


class AsyncEngine:
    """An *engine* whose calls can be awaited. For one event loop; other threads may use the engine itself meanwhile.

    Calls take effect in the order in which they were made. Questions that wait are answered in one call of the engine,
    at less cost each. A call that is cancelled before its turn is left out.

    >>> import asyncio
    >>> from stream_rec import AsyncEngine, Engine, Event
    >>> async def main():
    ...     async with AsyncEngine(Engine()) as shop:
    ...         await shop.apply([Event("ann", "tent", 0), Event("ann", "stove", 60_000), Event("ben", "tent", 90_000)])
    ...         return [item.item_id for item in await shop.recommend("ben")]
    >>> asyncio.run(main())
    ['stove']
    """

    def __init__(self, engine: Engine) -> None:
        if isinstance(getattr(engine, "engine", None), Engine):
            raise TypeError(f"expected an Engine, found a {type(engine).__name__}: pass its .engine")
        self.engine = engine
        self._start()
        watch(self)

    def _start(self) -> None:
        self._waiting: deque[_Job] = deque()
        self._is_busy = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    def __repr__(self) -> str:
        return f"AsyncEngine({self.engine!r})"

    # --- questions

    async def recommend(
        self,
        session_id: Id | None = None,
        *,
        items: Sequence[Id] | None = None,
        n: int | None = None,
        exclude: Iterable[Id] = (),
        explain: bool = False,
        **unknown: Never,
    ) -> list[Recommendation]:
        """Return what is recommended next for a session, or after *items*; with *explain*, also why."""
        if unknown:
            raise no_argument_of_recommend(unknown, awaited=True)
        asked = None if items is None else checked_ids("items", items)
        excluded = checked_ids("exclude", exclude)
        session = None if session_id is None else checked_id("session_id", session_id)
        request = Request(session_id=session, items=asked, n=n, exclude=excluded, explain=explain)
        return (await self.answer(request)).items

    async def answer(self, request: Request) -> Answer:
        """Answer one request; it may carry parameters and rules. Raises SettingsError, naming the parameter."""
        return await self._in_turn(checked_request(request))  # type: ignore[no-any-return]  # an answer to a request

    # --- events

    async def apply(self, events: Sequence[Event | Forget]) -> Applied:
        """Apply *events* in order, and return the outcome of each."""
        return await self._in_turn(partial(self.engine.apply, events))  # type: ignore[no-any-return]

    async def forget(self, *, session_id: Id | None = None, user_id: Id | None = None, **unknown: Never) -> int:
        """Erase a session, a user's sessions, or both; return how many sessions."""
        if unknown:
            raise no_argument_of_forget(unknown)
        return await self._in_turn(partial(self.engine.forget, session_id=session_id, user_id=user_id))  # type: ignore[no-any-return]

    async def stats(self) -> Stats:
        """Return counts, memory and horizon."""
        return await self._in_turn(self.engine.stats)  # type: ignore[no-any-return]

    # --- the end

    async def aclose(self) -> None:
        """End the thread once all that waits is done. The engine stays."""
        while self._is_busy:
            await self._in_turn(int)
        self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def after_fork(self) -> None:
        """Start with a thread of the child's own; what waited belongs to the parent's loop."""
        self._start()

    # --- turns

    async def _in_turn(self, job: Request | _Act) -> Any:  # noqa: ANN401  # whatever the job returns
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            if not self._loop.is_closed():
                raise RuntimeError("an AsyncEngine belongs to one event loop: make another over the same engine")
            self._start()
            self._loop = loop
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((job, future))
        if not self._is_busy:
            self._next(loop)
        return await future

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start what is first in line: one write, or all questions before the next write."""
        jobs: list[_Job] = []
        while self._waiting and len(jobs) < _MOST:
            job, future = self._waiting[0]
            if jobs and not isinstance(job, Request):
                break
            self._waiting.popleft()
            if not future.cancelled():
                jobs.append((job, future))
                if not isinstance(job, Request):
                    break
        self._is_busy = bool(jobs)
        if jobs:
            done = loop.run_in_executor(self._thread, self._run, [job for job, _ in jobs])
            done.add_done_callback(partial(self._deliver, loop, [future for _, future in jobs]))

    def _run(self, jobs: Sequence[Request | _Act]) -> list[Any]:
        """In the thread: return the result of each job, or what it raised."""
        requests = [job for job in jobs if isinstance(job, Request)]
        if len(requests) > 1:
            try:
                return list(self.engine.answer(requests))
            except StreamRecError:  # one of them is wrong: each is answered alone, so that the others do not suffer
                pass
        return [self._outcome(job) for job in jobs]

    def _outcome(self, job: Request | _Act) -> Any:  # noqa: ANN401  # whatever the job returns
        try:
            return self.engine.answer([job])[0] if isinstance(job, Request) else job()
        except Exception as error:  # noqa: BLE001  # raised where it is awaited
            return error

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        futures: Sequence["asyncio.Future[Any]"],
        done: "asyncio.Future[list[Any]]",
    ) -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        outcomes = [error] * len(futures) if error is not None else done.result()
        for future, outcome in zip(futures, outcomes, strict=True):
            if future.done():  # cancelled meanwhile
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        self._next(loop)
