"""The desk: what other threads ask of the engine, done by the thread that owns it, between two batches.

Whoever asks puts an ask on the desk, with a ticket that means something to them, and goes on; the recommender thread
takes all that waits in turn, and hands tickets and results back together. Questions that stand next to each other are
answered in one go. So nobody but its owner touches the engine, there is no lock around it, and a thousand askers cost
it no more than their questions.

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
from stream_rec.transport.records import Record

__all__ = [
    "ApplyEvents",
    "BusyError",
    "Command",
    "Completed",
    "Deliver",
    "EventsApplied",
    "NotServedError",
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
    """More is asked than is answered: ask again later, or less."""


class NotServedError(StreamRecError):
    """Nobody serves the desk now: the service recovers, or stops."""


class Query(NamedTuple):
    """Requests, to be answered from the state as it is, or as it is once all before `after` is applied."""

    requests: Sequence[Request]
    after: "dict[str, int] | None" = None
    """By `topic-partition`, the last offset that must have been seen; waited for until `until`."""
    until: float = 0.0


class ReadState(Protocol[T_co]):
    """Anything else that reads the state and leaves it as it is: see `state_queries`."""

    def read(self, processor: Processor) -> T_co:
        """Run on the engine's thread. What it raises goes to the caller."""


class ApplyEvents(NamedTuple):
    """Events that go nowhere but into the state, and a request that is answered right after them."""

    records: Sequence[Record]
    events: Sequence[Event | Forget]
    then: Request | None = None


class EventsApplied(NamedTuple):
    """What became of an `ApplyEvents`."""

    rejected: Sequence[RejectedRecord]
    """Those that were not applied, late and repeated ones for example."""
    answer: Answer | None
    first_offset: int
    """The offset of the first of its records."""


Command = Query | ReadState[Any] | ApplyEvents


class Completed(NamedTuple):
    """A ticket, and what came of it: list[Answer], whatever a `ReadState` returns, `EventsApplied`, or an error."""

    token: Any
    result: Any


Deliver = Callable[[list[Completed]], None]
"""Called with results, on the thread that made them: it must not wait."""

OnApplied = Callable[[Sequence[ApplyEvents], Sequence[ProcessedBatch]], None]
"""Called with commands that were applied and their outcome, before their results are delivered."""


class Ticket(NamedTuple):
    """Where the result of a command goes: `deliver` is called with the caller's *token* and the result."""

    token: Any
    deliver: Deliver


def deliver_all(done: Sequence[Completed]) -> None:
    """Deliver results that carry a `Ticket` as their token, those for one caller together."""
    for deliver, group in groupby(done, lambda each: each.token.deliver):
        deliver([Completed(ticket.token, result) for ticket, result in group])


class RequestQueue:
    """Asks wait here. `put` and `refuse_all` are for any thread, `serve` for the one that owns the engine."""

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
        """Within, *wake* is called when a command waits. Any thread may call it, so it must not wait itself."""
        self._wake = wake
        try:
            yield
        finally:
            self._wake = None

    def put(self, ask: Command, token: object, deliver: Deliver) -> None:
        """Queue *ask*; *deliver* gets *token* and the result. Raises BusyError where too much waits already."""
        if len(self._waiting) >= self._most_waiting:
            raise BusyError(f"{self._most_waiting:,} questions wait already")
        self._waiting.append((ask, Ticket(token, deliver)))
        if not self._is_woken:
            self._wake_server()

    def _wake_server(self) -> None:
        self._is_woken = True
        wake = self._wake
        if wake is not None:
            wake()

    def serve(self, processor: Processor, on_applied: OnApplied = lambda _commands, _outcome: None) -> bool:
        """Execute what waits, and deliver the results; return whether there was anything.

        What *on_applied* raises ends the serving: the results of those commands are not delivered.
        """
        self._is_woken = False
        if not self._waiting and not self._ahead:
            return False
        processor.update_catalogue()
        asks: list[tuple[Command, Ticket]] = [*self._ahead]
        self._ahead = []
        asks += self._take_waiting(_MOST_AT_ONCE)
        if self._waiting:
            self._wake_server()
        done: list[Completed] = []
        try:
            self._serve(processor, asks, done, on_applied)
        except BaseException:
            # The engine's owner is at its end; nobody shall wait for it.
            told = {id(each.token) for each in done}
            error = NotServedError("the service has failed: its log says why")
            deliver_all([*done, *(Completed(token, error) for _, token in asks if id(token) not in told)])
            raise
        deliver_all(done)
        return bool(done)

    def _serve(
        self, processor: Processor, asks: list[tuple[Command, Ticket]], done: list[Completed], on_applied: OnApplied
    ) -> None:
        ready = [(ask, token) for ask, token in asks if self._is_due(ask, token, processor)]
        for kind, group in groupby(ready, lambda each: type(each[0])):
            if kind is Query:
                done += self._answered(processor, list(group))  # type: ignore[arg-type]  # of one kind
            elif kind is ApplyEvents:
                done += self._applied(processor, list(group), on_applied)  # type: ignore[arg-type]  # of one kind
            else:
                done += [Completed(token, self._of_one(processor, ask)) for ask, token in group]  # type: ignore[arg-type]

    def refuse_all(self) -> None:
        """Tell all that wait that nobody serves. One that somebody serves after all may be told twice."""
        ahead, self._ahead = self._ahead, []
        self._is_woken = False
        tokens = [token for _, token in ahead]
        while taken := self._take_waiting(self._most_waiting):
            tokens += [token for _, token in taken]
        if tokens:
            error = NotServedError("the service does not answer now: it recovers, or stops")
            deliver_all([Completed(token, error) for token in tokens])

    def _take_waiting(self, most: int) -> list[tuple[Command, Ticket]]:
        """Take those that wait, until they ask *most* questions."""
        taken: list[tuple[Command, Ticket]] = []
        with suppress(IndexError):  # two threads may take at once
            n = 0
            while n < most:
                taken.append(self._waiting.popleft())
                ask = taken[-1][0]
                n += len(ask.requests) if isinstance(ask, Query) else 1
        return taken

    def _is_due(self, ask: Command, token: Ticket, processor: Processor) -> bool:
        """Whether *ask* can be done now; one that is ahead of the log is kept."""
        if type(ask) is not Query or ask.after is None:
            return True
        offsets = processor.offsets
        if all(offsets.get(label, -1) >= offset for label, offset in ask.after.items()) or monotonic() >= ask.until:
            return True
        self._ahead.append((ask, token))
        return False

    def _answered(self, processor: Processor, questions: list[tuple[Query, Ticket]]) -> list[Completed]:
        """Answer all at once; where one of them is wrong, each for itself."""
        requests = [request for question, _ in questions for request in question.requests]
        try:
            answers = iter(processor.answer(requests))
        except Exception:  # noqa: BLE001  # each is told its own
            return [Completed(token, self._of_one(processor, question)) for question, token in questions]
        return [Completed(token, [next(answers) for _ in question.requests]) for question, token in questions]

    def _of_one(self, processor: Processor, ask: Query | ReadState[Any]) -> object:
        try:
            return processor.answer(ask.requests) if isinstance(ask, Query) else ask.read(processor)
        except Exception as error:  # noqa: BLE001  # whoever asked is told; the engine's owner goes on
            return error

    def _applied(
        self, processor: Processor, applies: list[tuple[ApplyEvents, Ticket]], on_applied: OnApplied
    ) -> list[Completed]:
        """Apply all, in order, as few batches as can be; then let them be written down, and then tell.

        An `ApplyEvents` whose request is about something else than its event ends a batch, and is answered behind it.
        """
        results: list[EventsApplied | Exception] = []
        taken: list[ProcessedBatch] = []
        for group in _batches(ask for ask, _ in applies):
            took, made = self._applied_together(processor, group)
            taken.append(took)
            results += made
        on_applied([ask for ask, _ in applies], taken)
        return [Completed(token, result) for (_, token), result in zip(applies, results, strict=True)]

    def _applied_together(
        self, processor: Processor, group: list[ApplyEvents]
    ) -> tuple[ProcessedBatch, list[EventsApplied | Exception]]:
        records = [record for ask in group for record in ask.records]
        events = [event for ask in group for event in ask.events]
        ends = np.cumsum([len(ask.events) for ask in group])
        asked = np.zeros(len(events), np.bool_)
        asked[[end - 1 for end, ask in zip(ends.tolist(), group, strict=True) if _is_plain(ask)]] = True
        taken, answers = processor.process_and_answer(records, events, asked)
        refused: dict[int, list[RejectedRecord]] = {}
        for each in taken.rejected:
            refused.setdefault(id(each.record), []).append(each)
        results: list[EventsApplied | Exception] = []
        for end, ask in zip(ends.tolist(), group, strict=True):
            answer = answers[end - 1]
            if ask.then is not None and answer is None:
                result = self._of_one(processor, Query([ask.then]))
                if isinstance(result, Exception):
                    results.append(result)
                    continue
                (answer,) = result  # type: ignore[misc]  # one for each request
            of_it = [each for record in ask.records for each in refused.get(id(record), ())]
            results.append(EventsApplied(of_it, answer, ask.records[0].offset))
        return taken, results


def _is_plain(ask: ApplyEvents) -> bool:
    """Whether its request asks for the session of its event, and nothing else: then it is answered on the way."""
    last = ask.events[-1]
    return ask.then is not None and isinstance(last, Event) and ask.then == Request(session_id=last.session_id)


def _batches(asks: Iterable[ApplyEvents]) -> Iterator[list[ApplyEvents]]:
    """Cut *asks* behind each whose request must see the state right after it."""
    batch: list[ApplyEvents] = []
    for ask in asks:
        batch.append(ask)
        if ask.then is not None and not _is_plain(ask):
            yield batch
            batch = []
    if batch:
        yield batch
