"""From the event loop to the engine's thread and back.

An endpoint awaits a future for each command. Results come back in groups, with one call into the loop for a group.
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

_MAX_WAIT_S: Final = 2.0  # for an event that was just written to come back from the log


class Bridge:
    """Sends commands to one service. All methods run on the loop; only `_deliver` is called from other threads."""

    def __init__(self, service: ServiceHandle, loop: asyncio.AbstractEventLoop) -> None:
        self.service = service
        self._loop = loop

    def submit(self, command: Command) -> "asyncio.Future[Any]":
        """Queue *command*; the future brings its result, or raises its error. Raises BusyError."""
        future = self._loop.create_future()
        self.service.request_queue.put(command, future, self._deliver)
        return future

    async def answer(self, request: Request) -> Answer:
        """Answer one request."""
        answers: list[Answer] = await self.submit(Query((request,)))
        return answers[0]

    async def read(self, query: ReadState[T]) -> T:
        """Return what *query* reads of the state; raise what it raises. Raises BusyError."""
        result: T = await self.submit(query)
        return result

    async def ingest(self, events: list[Click | Forget]) -> Receipt | EventsApplied:
        """Take events in; return when they are written to the topic or journal, or else applied."""
        future = self._loop.create_future()
        self.service.ingest.put(events, future, self._deliver)
        result: Receipt | EventsApplied = await future
        return result

    async def ingest_and_answer(self, event: Click, request: Request) -> tuple[Receipt | EventsApplied, Answer | None]:
        """Take *event* in, and answer *request* once it is applied."""
        command = self.service.ingest.to_command((event,))
        if command is not None:
            applied: EventsApplied = await self.submit(command._replace(then=request))
            return applied, applied.answer
        receipt = await self.ingest([event])
        assert isinstance(receipt, Receipt)
        wait_s = _MAX_WAIT_S if self._reads(receipt) else 0.0
        answers = await self.submit(Query((request,), receipt.offsets, monotonic() + wait_s))
        return receipt, answers[0]

    def _reads(self, receipt: Receipt) -> bool:
        """Whether the service reads the partitions of *receipt*: else it would be waited for in vain.

        It notices a partition that was added to the topic only after a while; a producer may know it at once.
        """
        lag = self.service.status().lag  # of each partition that it reads; empty before it has looked
        return not lag or receipt.offsets.keys() <= lag.keys()

    def _deliver(self, done: list[Completed]) -> None:
        """Pass results into the loop. Called by the service, from its own threads."""
        try:
            self._loop.call_soon_threadsafe(_resolve, done)
        except RuntimeError:  # the loop has ended, and with it all that waited
            return


def _resolve(done: list[Completed]) -> None:
    for future, result in done:
        if future.done():  # the client has disconnected, so its future is cancelled
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
