"""From the event loop to the recommender thread and back.

An endpoint awaits what it asks; results come back in groups, one call into the loop for each, however many were asked.
"""

import asyncio
from time import monotonic
from typing import Any, Final, TypeVar

from stream_rec.core.events import Answer, Forget, Request
from stream_rec.core.events import Event as Click
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.requests.ingest import Receipt
from stream_rec.service.requests.request_queue import Command, Completed, EventsApplied, Query, ReadState

__all__ = ["Bridge"]

T = TypeVar("T")

_PATIENCE_S: Final = 2.0  # for an event of ours to come back from the log


class Bridge:
    """Asks of one service. Used on its loop only, but for what the service calls."""

    def __init__(self, served: ServiceHandle, loop: asyncio.AbstractEventLoop) -> None:
        self.served = served
        self._loop = loop
        served.request_queue.deliver = self._deliver

    def ask(self, ask: Command) -> "asyncio.Future[Any]":
        """Leave *ask* at the desk; the future brings its result, or raises its error. Raises BusyError."""
        future = self._loop.create_future()
        self.served.request_queue.put(ask, future)
        return future

    async def answer(self, request: Request) -> Answer:
        """Answer one request."""
        answers: list[Answer] = await self.ask(Query((request,)))
        return answers[0]

    async def read(self, query: ReadState[T]) -> T:
        """Return what *query* reads of the state; raise what it raises. Raises BusyError."""
        result: T = await self.ask(query)
        return result

    async def take(self, events: list[Click | Forget]) -> Receipt | EventsApplied:
        """Hand events in; returns when they are safe, or applied where nothing keeps them."""
        future = self._loop.create_future()
        self.served.ingest.put(events, future)
        result: Receipt | EventsApplied = await future
        return result

    async def take_and_answer(self, event: Click, request: Request) -> tuple[Receipt | EventsApplied, Answer | None]:
        """Hand *event* in, and answer *request* once it is applied."""
        ask = self.served.ingest.to_command((event,))
        if ask is not None:
            applied: EventsApplied = await self.ask(ask._replace(then=request))
            return applied, applied.answer
        receipt = await self.take([event])
        assert isinstance(receipt, Receipt)
        answers = await self.ask(Query((request,), receipt.offsets, monotonic() + _PATIENCE_S))
        return receipt, answers[0]

    def _deliver(self, done: list[Completed]) -> None:
        """Called by the service, on threads of its own."""
        try:
            self._loop.call_soon_threadsafe(_settle, done)
        except RuntimeError:  # the loop has ended: nobody waits any more
            return


def _settle(done: list[Completed]) -> None:
    for future, result in done:
        if future.done():  # who asked has gone
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
