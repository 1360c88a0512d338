"""The queue of commands from other threads to the engine, run by the engine's thread between two batches.

A caller queues a command with a token of its own, and goes on. The engine's thread runs all waiting commands in order,
and delivers tokens and results together; adjacent queries are answered in one call. So only its own thread touches the
engine, no lock is needed, and a thousand callers cost no more than their queries.

Knows nothing of HTTP or of event loops.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np

from stream_rec.core.events import Answer, Event, Forget, Request
from stream_rec.errors import StreamRecError
from stream_rec.service.batches import ProcessedBatch, RejectedRecord
from stream_rec.service.processing.processor import Processor
from stream_rec.transport.records import Record, Records

__all__ = [
    "ApplyEvents",
    "BusyError",
    "Command",
    "Completed",
    "Deliver",
    "EventsApplied",
    "NotServedError",
    "NotTakenError",
    "OnApplied",
    "Query",
    "ReadState",
    "RequestQueue",
    "Ticket",
    "deliver_all",
]

_MOST_WAITING: Final = 4096
_MOST_AT_ONCE: Final = 256

T_co = TypeVar("T_co", covariant=True)


class BusyError(StreamRecError):
    """Too many commands wait: try again later, or send fewer."""


class NotServedError(StreamRecError):
    """The queue is not served now: the service is recovering or stopping."""


class NotTakenError(StreamRecError):
    """Events cannot be taken now, and none of these was: send them again later."""


class Query(NamedTuple):
    """Requests, to be answered from the present state, or once the offsets `after` are applied."""

    requests: Sequence[Request]
    after: "dict[str, int] | None" = None
    """By `topic-partition`, the last offset that must be applied first."""
    until: float = 0.0
    """The monotonic time after which it is answered without waiting for `after`."""


class ReadState(Protocol[T_co]):
    """Anything else that reads the state and leaves it as it is: see `state_queries`."""

    def read(self, processor: Processor) -> T_co:
        """Run on the engine's thread. What it raises goes to the caller."""


class ApplyEvents(NamedTuple):
    """Events to apply directly, and a request to answer right after them."""

    records: Sequence[Record]
    events: Sequence[Event | Forget]
    then: Request | None = None


class EventsApplied(NamedTuple):
    """The result of `ApplyEvents`."""

    rejected: Sequence[RejectedRecord]
    """Those that were not applied, late and repeated ones for example."""
    answer: Answer | None
    first_offset: int
    """The offset of the first of its records."""


Command = Query | ReadState[Any] | ApplyEvents


class Completed(NamedTuple):
    """A token and its result: list[Answer], the value that `ReadState` returns, `EventsApplied`, or an error."""

    token: Any
    result: Any


Deliver = Callable[[list[Completed]], None]
"""Called with results, on the thread that made them: it must not wait."""

OnApplied = Callable[[Sequence[ApplyEvents], Sequence[ProcessedBatch]], None]
"""Called with commands that were applied and their outcome, before their results are delivered."""


BeforeApplied = Callable[[Sequence[ApplyEvents]], None]
"""Called with commands that are about to be applied. Where it raises NotTakenError, they are not."""


class Ticket(NamedTuple):
    """Where the result of a command goes: `deliver` is called with the caller's *token* and the result."""

    token: Any
    deliver: Deliver


def deliver_all(done: Sequence[Completed]) -> None:
    """Deliver results that carry a `Ticket` as their token, those for one caller together."""
    for deliver, group in groupby(done, lambda each: each.token.deliver):
        deliver([Completed(ticket.token, result) for ticket, result in group])


class RequestQueue:
    """Holds commands until they are run. `put` and `refuse_all` are for any thread, `serve` for the engine's."""

    def __init__(self, most_waiting: int = _MOST_WAITING) -> None:
        self._wake: Callable[[], None] | None = None
        self._most_waiting = most_waiting
        self._waiting: deque[tuple[Command, Ticket]] = deque()
        self._ahead: list[tuple[Query, Ticket]] = []
        self._is_woken = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._ahead)

    @contextmanager
    def serving(self, wake: Callable[[], None]) -> Iterator[None]:
        """Within, *wake* is called when a command waits. Any thread may call it, so it must not block."""
        self._wake = wake
        try:
            yield
        finally:
            self._wake = None

    def put(self, command: Command, token: object, deliver: Deliver) -> None:
        """Queue *command*; *deliver* gets *token* and the result. Raises BusyError if too many wait already."""
        if len(self._waiting) >= self._most_waiting:
            raise BusyError(f"{self._most_waiting:,} requests wait already")
        self._waiting.append((command, Ticket(token, deliver)))
        if not self._is_woken:
            self._wake_server()

    def _wake_server(self) -> None:
        self._is_woken = True
        wake = self._wake
        if wake is not None:
            wake()

    def serve(
        self,
        processor: Processor,
        on_applied: OnApplied = lambda _commands, _outcome: None,
        before_applied: BeforeApplied = lambda _commands: None,
    ) -> bool:
        """Run the waiting commands and deliver their results; return whether there were any.

        If *on_applied* raises, the commands fail: what could not be written must not be acknowledged.
        """
        self._is_woken = False
        if not self._waiting and not self._ahead:
            return False
        processor.update_catalogue()
        commands: list[tuple[Command, Ticket]] = [*self._ahead]
        self._ahead = []
        commands += self._take_waiting(_MOST_AT_ONCE)
        if self._waiting:
            self._wake_server()
        done: list[Completed] = []
        try:
            self._serve(processor, commands, done, on_applied, before_applied)
        except BaseException:
            # The engine's thread is about to end: no caller may go on waiting for it.
            completed = {id(each.token) for each in done}
            error = NotServedError("the service has failed: its log says why")
            deliver_all([*done, *(Completed(token, error) for _, token in commands if id(token) not in completed)])
            raise
        deliver_all(done)
        return bool(done)

    def _serve(
        self,
        processor: Processor,
        commands: list[tuple[Command, Ticket]],
        done: list[Completed],
        on_applied: OnApplied,
        before_applied: BeforeApplied,
    ) -> None:
        ready = [(command, token) for command, token in commands if self._is_due(command, token, processor)]
        for kind, group in groupby(ready, lambda each: type(each[0])):
            if kind is Query:
                done += self._answered(processor, list(group))  # type: ignore[arg-type]  # of one kind
            elif kind is ApplyEvents:
                done += self._applied(processor, list(group), on_applied, before_applied)  # type: ignore[arg-type]  # of one kind
            else:
                done += [Completed(token, self._run_one(processor, command)) for command, token in group]  # type: ignore[arg-type]

    def refuse_all(self) -> None:
        """Fail all waiting commands with NotServedError. A command that is being served may complete a second time."""
        ahead, self._ahead = self._ahead, []
        self._is_woken = False
        tokens = [token for _, token in ahead]
        while taken := self._take_waiting(self._most_waiting):
            tokens += [token for _, token in taken]
        if tokens:
            error = NotServedError("the service does not answer now: it is recovering or stopping")
            deliver_all([Completed(token, error) for token in tokens])

    def _take_waiting(self, most: int) -> list[tuple[Command, Ticket]]:
        """Remove waiting commands from the queue, until they hold *most* requests."""
        taken: list[tuple[Command, Ticket]] = []
        with suppress(IndexError):  # two threads may take at once
            n = 0
            while n < most:
                taken.append(self._waiting.popleft())
                command = taken[-1][0]
                n += len(command.requests) if isinstance(command, Query) else 1
        return taken

    def _is_due(self, command: Command, token: Ticket, processor: Processor) -> bool:
        """Whether *command* can run now; a query that is ahead of the log is put aside until a later call."""
        if type(command) is not Query or command.after is None:
            return True
        offsets = processor.offsets
        if (
            all(offsets.get(label, -1) >= offset for label, offset in command.after.items())
            or monotonic() >= command.until
        ):
            return True
        self._ahead.append((command, token))
        return False

    def _answered(self, processor: Processor, queries: list[tuple[Query, Ticket]]) -> list[Completed]:
        """Answer all queries in one call; if one of them fails, each in a call of its own."""
        requests = [request for query, _ in queries for request in query.requests]
        try:
            answers = iter(processor.answer(requests))
        except Exception:  # noqa: BLE001  # each query then gets its own error
            return [Completed(token, self._run_one(processor, query)) for query, token in queries]
        return [Completed(token, [next(answers) for _ in query.requests]) for query, token in queries]

    def _run_one(self, processor: Processor, command: Query | ReadState[Any]) -> object:
        try:
            return processor.answer(command.requests) if isinstance(command, Query) else command.read(processor)
        except Exception as error:  # noqa: BLE001  # the caller gets the error; the engine's thread goes on
            return error

    def _applied(
        self,
        processor: Processor,
        commands: list[tuple[ApplyEvents, Ticket]],
        on_applied: OnApplied,
        before_applied: BeforeApplied,
    ) -> list[Completed]:
        """Apply all events in order, in as few batches as possible; call *on_applied*, then return the results.

        A command whose request does not ask for the session of its event ends a batch, and is answered after it.
        """
        try:
            before_applied([command for command, _ in commands])  # planted bug: applied-before-journal
        except NotTakenError as error:
            return [Completed(token, error) for _, token in commands]
        results: list[EventsApplied | Exception] = []
        taken: list[ProcessedBatch] = []
        for group in _batches(command for command, _ in commands):
            took, made = self._applied_together(processor, group)
            taken.append(took)
            results += made
        on_applied([command for command, _ in commands], taken)
        return [Completed(token, result) for (_, token), result in zip(commands, results, strict=True)]

    def _applied_together(
        self, processor: Processor, group: list[ApplyEvents]
    ) -> tuple[ProcessedBatch, list[EventsApplied | Exception]]:
        records = [record for command in group for record in command.records]
        events = [event for command in group for event in command.events]
        ends = np.cumsum([len(command.events) for command in group])
        is_asked = np.zeros(len(events), np.bool_)
        is_asked[[end - 1 for end, command in zip(ends.tolist(), group, strict=True) if _is_plain(command)]] = True
        log_times = Records.of(records).log_times
        taken, answers = processor.process_and_answer(records, events, is_asked, log_times)
        rejected: dict[int, list[RejectedRecord]] = {}
        for each in taken.rejected:
            rejected.setdefault(id(each.record), []).append(each)
        results: list[EventsApplied | Exception] = []
        for end, command in zip(ends.tolist(), group, strict=True):
            answer = answers[end - 1]
            if command.then is not None and answer is None:
                result = self._run_one(processor, Query([command.then]))
                if isinstance(result, Exception):
                    results.append(result)
                    continue
                (answer,) = result  # type: ignore[misc]  # one for each request
            of_command = [each for record in command.records for each in rejected.get(id(record), ())]
            results.append(EventsApplied(of_command, answer, command.records[0].offset))
        return taken, results


def _is_plain(command: ApplyEvents) -> bool:
    """Whether its request asks for the session of its event and nothing else: it can then be answered in the batch."""
    last = command.events[-1]
    return command.then is not None and isinstance(last, Event) and command.then == Request(session_id=last.session_id)


def _batches(commands: Iterable[ApplyEvents]) -> Iterator[list[ApplyEvents]]:
    """Cut *commands* after each whose request must see the state right after its events."""
    batch: list[ApplyEvents] = []
    for command in commands:
        batch.append(command)
        if command.then is not None and not _is_plain(command):
            yield batch
            batch = []
    if batch:
        yield batch
