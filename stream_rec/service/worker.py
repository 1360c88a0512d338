"""Records in, verdicts and answers out: whoever calls it owns the engine while it does.

Knows nothing of where records come from or where answers go, and starts no thread: the loop calls it, and so can a
recommender thread behind a mailbox. What it says of a log does not depend on how the log was cut into batches.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from stream_rec.engine import Applied, Engine
from stream_rec.errors import DecodeError, SettingsError
from stream_rec.events import (
    Answer,
    Event,
    EventDecoder,
    Forget,
    Reason,
    Request,
    RequestDecoder,
    encode_dead_letter,
)
from stream_rec.service.counts import Counts, show_duration
from stream_rec.transport.base import Record, decode_records

__all__ = ["Refused", "Taken", "Worker"]

Decoded = Event | Forget | DecodeError


class Refused(NamedTuple):
    """A record that was not applied, and why."""

    record: Record
    reason: str
    message: str

    def letter(self) -> bytes:
        """The dead letter, as JSON."""
        each = self.record
        return encode_dead_letter(self.reason, self.message, each.value, each.topic, each.partition, each.offset)


class Taken(NamedTuple):
    """What came of a batch, in the order of its records."""

    answers: list[Answer]
    refused: list[Refused]


class Worker:
    """An engine, what reads records for it, and the count of what became of them.

    *now_ms* is asked once a batch what time it is, to refuse events from the future; None lets them in.
    """

    def __init__(
        self,
        engine: Engine,
        decoder: EventDecoder,
        requests: RequestDecoder | None = None,
        *,
        answers_events: bool = True,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self.engine = engine
        self.counts = Counts()
        self.offsets: dict[str, int] = {}
        """The last position seen of each partition, `topic-partition`: what answers say they know."""
        self._decoder = decoder
        self._requests = requests or RequestDecoder()
        self._answers_events = answers_events
        self._now_ms = now_ms

    def decode(self, records: Sequence[Record]) -> list[Decoded]:
        """What each of *records* says; for an unreadable one, why."""
        return decode_records(self._decoder, records, None if self._now_ms is None else self._now_ms())

    def take_events(self, records: Sequence[Record]) -> Taken:
        """Decode and apply *records*, and answer right after each if that was asked for."""
        return self.take_decoded(records, self.decode(records))

    def take_decoded(self, records: Sequence[Record], decoded: Sequence[Decoded]) -> Taken:
        """Apply what `decode` made of *records*, and answer right after each if that was asked for."""
        offsets = self._see(records)
        readable, events = records, decoded
        if DecodeError in set(map(type, decoded)):
            places = [place for place, each in enumerate(decoded) if type(each) is not DecodeError]
            readable, events = [records[i] for i in places], [decoded[i] for i in places]
            offsets = [offsets[i] for i in places] if self._answers_events else []
        watermark = self.engine.watermark
        answers: list[Answer] = []
        if self._answers_events:
            applied, answered = self.engine.apply_and_answer(events, offsets)  # type: ignore[arg-type]  # no error left
            answers = [answer for answer in answered if answer is not None]
        else:
            applied = self.engine.apply(events)  # type: ignore[arg-type]  # no error left
        refused = self._refused(records, decoded, readable, events, applied, watermark)
        self._count(records, events, applied, refused)
        self.counts.n_answers += len(answers)
        return Taken(answers, refused)

    def take_requests(self, records: Sequence[Record]) -> Taken:
        """Answer the requests in *records* from the present state."""
        answers: list[Answer] = []
        refused: list[Refused] = []
        for record in records:
            try:
                answers += self.engine.answer([self._request(record)], self.offsets)
            except DecodeError as error:
                refused.append(Refused(record, error.reason, error.message))
            except SettingsError as error:
                refused.append(Refused(record, Reason.WRONG_TYPE, error.message))
        self.counts.n_requests += len(records)
        self.counts.dead_requests.update(str(each.reason) for each in refused)
        self.counts.n_answers += len(answers)
        return Taken(answers, refused)

    def _request(self, record: Record) -> Request:
        if record.fault is not None:
            raise DecodeError(*record.fault)
        return self._requests.decode(record.value)

    def _see(self, records: Sequence[Record]) -> list[dict[str, int]]:
        """Return the positions right after each record; where no event is answered, only note the last."""
        seen: list[dict[str, int]] = []
        before = self.offsets
        topic, partition, label = None, None, ""
        for record in records if self._answers_events else _last_of_each(records):
            if record.partition != partition or record.topic != topic:
                topic, partition = record.topic, record.partition
                label = f"{topic}-{partition}"
            before = {**before, label: record.offset}
            seen.append(before)
        self.offsets = before
        return seen

    def _refused(
        self,
        records: Sequence[Record],
        decoded: Sequence[Decoded],
        readable: Sequence[Record],
        events: Sequence[Decoded],
        applied: Applied,
        watermark: int | None,
    ) -> list[Refused]:
        """Why each record that was not applied was not, in the order of the log."""
        refused = []
        if len(readable) < len(records):
            refused = [
                Refused(record, each.reason, each.message)
                for record, each in zip(records, decoded, strict=True)
                if type(each) is DecodeError
            ]
        if applied.n_applied < len(events):
            refused += self._turned_down(readable, events, applied, watermark)
            refused.sort(key=_place_in(records))
        return refused

    def _turned_down(
        self, readable: Sequence[Record], events: Sequence[Decoded], applied: Applied, watermark: int | None
    ) -> list[Refused]:
        """What the engine refused; the watermark is followed along, so that messages do not depend on batches."""
        refused = []
        newest = -1 if watermark is None else watermark
        for record, event, reason in zip(readable, events, applied.reasons, strict=True):
            if type(event) is not Event:
                continue
            if reason is None:
                newest = max(newest, event.timestamp)
            else:
                refused.append(Refused(record, reason, self._why(reason, event, newest)))
        return refused

    def _why(self, reason: Reason, event: Event, watermark: int) -> str:
        match reason:
            case Reason.LATE:
                behind, allowed = watermark - event.timestamp, self.engine.limits.lateness_ms
                told = f"{event.timestamp} is {show_duration(behind)} behind the watermark"
                return f"timestamp: {told}; the allowed lateness is {show_duration(allowed)}"
            case Reason.DUPLICATE:
                return f"event_id: {event.event_id!r} was seen before"
        return f"type: {event.type!r} is one more than there can be types; name those that matter with --event-type"

    def _count(
        self, records: Sequence[Record], events: Sequence[Decoded], applied: Applied, refused: Sequence[Refused]
    ) -> None:
        counts = self.counts
        counts.n_read += len(records)
        counts.n_applied += applied.n_applied
        if Forget in set(map(type, events)):
            counts.n_forgets += sum(type(event) is Forget for event in events)
        for each in refused:
            if each.reason == Reason.DUPLICATE:
                counts.n_duplicates += 1
            else:
                counts.dead[str(each.reason)] += 1


def _place_in(records: Sequence[Record]) -> Callable[[Refused], int]:
    places = {id(record): place for place, record in enumerate(records)}
    return lambda refused: places[id(refused.record)]


def _last_of_each(records: Sequence[Record]) -> list[Record]:
    """The last record of each partition: all that counts where nobody is told what came between."""
    return list({(record.topic, record.partition): record for record in records}.values())
