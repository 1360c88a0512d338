"""Records in, verdicts and answers out: whoever calls it owns the engine while it does.

Knows nothing of where records come from or where answers go, and starts no thread: the loop calls it, and so does the
recommender thread behind its mailbox. What it says of a log does not depend on how the log was cut into batches (but
for what coalescing leaves out).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from time import monotonic
from types import NoneType
from typing import Final, NamedTuple

import msgspec
import numpy as np

from stream_rec.core.catalogue import Catalogue
from stream_rec.core.engine import Applied, Engine
from stream_rec.core.events import EXPIRED, Answer, Event, EventDecoder, Forget, Reason, Request, RequestDecoder
from stream_rec.core.outcome import Observation
from stream_rec.core.quality import Quality
from stream_rec.errors import DecodeError, SettingsError
from stream_rec.service.batches import Batch, Decoded, Mask, ProcessedBatch, RejectedRecord
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.format import show_duration
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.transport.decode import decode_records
from stream_rec.transport.records import Record

__all__ = ["Processor"]


class Processor:
    """An engine, what reads records for it, and the count of what became of them.

    *now_ms* is asked once a batch what time it is, to refuse events from the future; None lets them in. With *coalesce*
    only the newest event of each session in a batch is answered. *request_ttl_ms* holds for requests that name none.
    """

    def __init__(
        self,
        engine: Engine,
        decoder: EventDecoder,
        requests: RequestDecoder | None = None,
        *,
        answers_events: bool = True,
        coalesce: bool = False,
        now_ms: Callable[[], int] | None = None,
        request_ttl_ms: int | None = None,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        self.engine = engine
        self.quality: Quality | None = None
        """Judges the answers to what this process answers for; without it no shadow is asked."""
        self.counts = Counters()
        self.metrics = ServiceMetrics()
        self.offsets: dict[str, int] = {}
        """The last position seen of each partition, `topic-partition`: what answers say they know."""
        self.catalogue: Callable[[], Catalogue] | None = None
        """Gives the newest version of what is known of items; asked before each batch."""
        self._decoder = decoder
        self._requests = requests or RequestDecoder()
        self._answers_events = answers_events
        self._coalesce = coalesce
        self._now_ms = now_ms
        self._request_ttl_ms = request_ttl_ms
        self._clock_ms = clock_ms

    def look_at_catalogue(self) -> None:
        """Take up the newest version of the catalogue. Costs next to nothing where there is none."""
        if self.catalogue is not None:
            newest = self.catalogue()
            if newest is not self.engine.catalogue:
                self.engine.set_catalogue(newest)

    @property
    def is_silent(self) -> bool:
        """Whether events are applied and not answered."""
        return not self._answers_events

    def decode(self, records: Sequence[Record]) -> list[Decoded]:
        """What each of *records* says; for an unreadable one, why. Touches no state: another thread may call it."""
        return decode_records(self._decoder, records, None if self._now_ms is None else self._now_ms())

    def take(self, batch: Batch) -> ProcessedBatch:
        """Apply events and answer requests in the order they came in."""
        records, decoded, ours, seen = batch
        if NoneType not in set(map(type, decoded)):
            return self.take_decoded(records, decoded, ours, seen)  # type: ignore[arg-type]  # events only
        parts: list[ProcessedBatch] = []
        for is_request, places in groupby(range(len(records)), lambda i: decoded[i] is None):
            part = list(places)
            run = slice(part[0], part[-1] + 1)
            if is_request:
                parts.append(self.take_requests(records[run]))
            else:
                mine = None if ours is None else ours[run]
                parts.append(self.take_decoded(records[run], decoded[run], mine))  # type: ignore[arg-type]  # events
        return ProcessedBatch.joined(parts)

    def take_events(self, records: Sequence[Record]) -> ProcessedBatch:
        """Decode and apply *records*, and answer right after each if that was asked for."""
        return self.take_decoded(records, self.decode(records))

    def take_decoded(
        self,
        records: Sequence[Record],
        decoded: Sequence[Decoded],
        ours: Mask | None = None,
        seen: Mapping[str, int] | None = None,
    ) -> ProcessedBatch:
        """Apply what `decode` made of *records*, and answer right after each of *ours* if that was asked for.

        *seen* is the last offset of each partition among them, which is looked up without it.
        """
        return self._take(records, decoded, ours, seen, None)[0]

    def take_asked(
        self, records: Sequence[Record], events: Sequence[Event | Forget], asked: Mask
    ) -> tuple[ProcessedBatch, list[Answer | None]]:
        """Apply *events*, and answer right after each of those *asked* for, besides what is answered anyway.

        The answers stand event for event; None where nothing was asked, or applied.
        """
        begun = monotonic()
        taken, answered = self._take(records, events, None, None, asked)
        self.metrics.applied(len(records), begun)
        self.counts.n_asked += int(asked.sum())
        if not self._answers_events:
            self.counts.see_sources([answer for answer in answered if answer is not None])
        return taken, [answer if want else None for answer, want in zip(answered, asked.tolist(), strict=True)]

    def _take(
        self,
        records: Sequence[Record],
        decoded: Sequence[Decoded],
        ours: Mask | None,
        seen: Mapping[str, int] | None,
        asked: Mask | None,
    ) -> tuple[ProcessedBatch, Sequence[Answer | None]]:
        """Apply what is readable, and answer: what was asked for alone, or where events are answered each of ours."""
        self.look_at_catalogue()
        mine = np.ones(len(records), np.bool_) if ours is None else ours
        answering = asked is not None or (self._answers_events and bool(mine.any()))
        kinds = set(map(type, decoded))
        if answering or DecodeError in kinds:  # else nobody may ever look at them
            records = list(records)
        offsets = self._see_each(records) if answering else self._see(seen or _last_of_each(records))
        run = _Run(records, decoded, mine, offsets)  # type: ignore[arg-type]  # the next line sees to the others
        run = _readable(run) if DecodeError in kinds else run
        watermark = self.engine.watermark
        applied, answered = self._apply(run, answering=answering, asked=asked)
        answers = [answer for answer in answered if answer is not None] if self._answers_events else []
        if applied.n_applied < len(run.events) and run.records is records:
            records = list(records)
            run = run._replace(records=records)
        refused = self._refused(records, decoded, run, applied, watermark)
        if refused and not mine.all():
            place = _place_in(records)
            refused = [each for each in refused if mine[place(each)]]
        self._count(mine, run, applied, refused, forgot=Forget in kinds)
        self.counts.n_answers += len(answers)
        self.counts.see_sources(answers)
        return ProcessedBatch(answers, refused, Forget in kinds), answered

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer who asks otherwise than by records. Raises SettingsError for parameters out of range."""
        self.look_at_catalogue()
        begun = monotonic()
        answers = self.engine.answer(requests, self.offsets)
        self.counts.n_asked += len(requests)
        self.shown(requests, answers)
        self.metrics.answered(begun)
        self.counts.see_sources(answers)
        return answers

    def take_requests(self, records: Sequence[Record]) -> ProcessedBatch:
        """Answer the requests in *records* from the present state, all that can be at once."""
        self.look_at_catalogue()
        read = [self._read(record) for record in records]
        found = list(read)
        self._answer([place for place, each in enumerate(found) if type(each) is Request], found)
        answers = [each for each in found if type(each) is Answer]
        refused = [
            RejectedRecord(record, each.reason, each.message)
            for record, each in zip(records, found, strict=True)
            if type(each) is DecodeError
        ]
        asked = [place for place, each in enumerate(found) if type(each) is Answer and type(read[place]) is Request]
        self.shown([read[place] for place in asked], [found[place] for place in asked])  # type: ignore[misc]  # as above
        self.counts.n_requests += len(records)
        self.counts.dead_requests.update(str(each.reason) for each in refused)
        self.counts.n_answers += len(answers)
        self.counts.see_sources(answers)
        return ProcessedBatch(answers, refused)

    def shown(self, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        """Let *answers*, which were just given to *requests*, be judged by what comes, and the shadows' beside them.

        Those to requests that name a model, a preset or its parameters, or want to know why, are no visitor's.
        """
        if self.quality is None:
            return
        judged = [
            (request, answer)
            for request, answer in zip(requests, answers, strict=True)
            if request.session_id is not None and answer.reason is msgspec.UNSET and not _is_a_trial(request)
        ]
        split = self.engine.split
        shadows = [
            msgspec.structs.replace(request, model=model.name)
            for request, _ in judged
            for model in split.models[split.n_served :]
        ]
        self.quality.on_answered([*(answer for _, answer in judged), *self.engine.answer(shadows)])

    def _read(self, record: Record) -> Answer | Request | DecodeError:
        """Return the request, the answer to one that has expired, or what is wrong."""
        try:
            request = self._request(record)
        except DecodeError as error:
            return error.with_traceback(None)
        return self._expired(request) if self._is_expired(request, record) else request

    def _answer(self, places: Sequence[int], found: list[Answer | Request | DecodeError]) -> None:
        """Answer the requests at *places* of *found*, in their places; if one cannot be, each by itself."""
        asked = [each for place in places if type(each := found[place]) is Request]
        try:
            answered: list[Answer] = self.engine.answer(asked, self.offsets)
        except SettingsError as error:
            if len(places) == 1:
                found[places[0]] = DecodeError(Reason.WRONG_TYPE, error.message)
                return
            for place in places:
                self._answer([place], found)
            return
        for place, answer in zip(places, answered, strict=True):
            found[place] = answer

    def _expired(self, request: Request) -> Answer:
        """Return the answer to a request that is too old."""
        self.counts.n_expired += 1
        engine = self.engine
        model = engine.model if request.session_id is None else engine.split.of(request.session_id)
        return Answer(
            request.session_id,
            request.request_id,
            [],
            engine.watermark,
            dict(self.offsets),
            model.name,
            EXPIRED,
        )

    def _is_expired(self, request: Request, record: Record) -> bool:
        """By the broker's time of the request; one from a file has none, and does not expire."""
        ttl = self._request_ttl_ms if request.ttl_ms is None else request.ttl_ms
        if ttl is None or record.timestamp_ms is None or self._clock_ms is None:
            return False
        return self._clock_ms() - record.timestamp_ms > ttl

    def _request(self, record: Record) -> Request:
        if record.fault is not None:
            raise DecodeError(*record.fault)
        return self._requests.decode(record.value)

    def _apply(self, run: "_Run", *, answering: bool, asked: Mask | None) -> tuple[Applied, Sequence[Answer | None]]:
        observation = None if self.quality is None else Observation(self.quality, run.ours.astype(np.uint8))
        if not answering:
            return self.engine.apply(run.events, observation), []
        wanted = run.ours if self._answers_events or asked is None else asked
        if self._coalesce and asked is None:
            newest = _newest_of_each_session(run.events, wanted)
            self.counts.n_coalesced += int(wanted.sum() - newest.sum())
            wanted = newest
        return self.engine.apply_and_answer(run.events, run.offsets, wanted, observation)

    def _see(self, last: Mapping[str, int]) -> list[dict[str, int]]:
        """Note the last positions of a batch that nobody is told of."""
        self.offsets = {**self.offsets, **last}
        return []

    def _see_each(self, records: Sequence[Record]) -> list[dict[str, int]]:
        """Return the positions right after each record."""
        seen: list[dict[str, int]] = []
        before = self.offsets
        topic, partition, label = None, None, ""
        for record in records:
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
        run: "_Run",
        applied: Applied,
        watermark: int | None,
    ) -> list[RejectedRecord]:
        """Why each record that was not applied was not, in the order of the log."""
        refused = []
        if len(run.records) < len(records):
            refused = [
                RejectedRecord(record, each.reason, each.message)
                for record, each in zip(records, decoded, strict=True)
                if type(each) is DecodeError
            ]
        if applied.n_applied < len(run.events):
            refused += self._turned_down(run.records, run.events, applied, watermark)
            refused.sort(key=_place_in(records))
        return refused

    def _turned_down(
        self, readable: Sequence[Record], events: Sequence[Decoded], applied: Applied, watermark: int | None
    ) -> list[RejectedRecord]:
        """What the engine refused; the watermark is followed along, so that messages do not depend on batches."""
        refused = []
        newest = -1 if watermark is None else watermark
        for record, event, reason in zip(readable, events, applied.reasons, strict=True):
            if type(event) is not Event:
                continue
            if reason is None:
                newest = max(newest, event.timestamp)
            else:
                refused.append(RejectedRecord(record, reason, self._why(reason, event, newest)))
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
        self, mine: Mask, run: "_Run", applied: Applied, refused: Sequence[RejectedRecord], *, forgot: bool
    ) -> None:
        counts = self.counts
        n_mine = int(mine.sum())
        counts.n_read += n_mine
        counts.n_followed += len(mine) - n_mine
        counts.n_applied += int(((applied.outcomes == 0) & run.ours).sum())
        if forgot:
            counts.n_forgets += sum(
                type(event) is Forget for event, ours in zip(run.events, run.ours.tolist(), strict=True) if ours
            )
        for each in refused:
            if each.reason == Reason.DUPLICATE:
                counts.n_duplicates += 1
            else:
                counts.dead[str(each.reason)] += 1


class _Run(NamedTuple):
    """The readable records of a batch."""

    records: Sequence[Record]
    events: Sequence[Event | Forget]
    ours: Mask
    offsets: Sequence[dict[str, int]]
    """The log positions right after each; empty where none is answered."""


_ERRORS: Final = frozenset({DecodeError})


def _readable(run: _Run) -> _Run:
    """What of *run* is no error."""
    records, decoded, ours, offsets = run
    places = [place for place, kind in enumerate(map(type, decoded)) if kind not in _ERRORS]
    return _Run(
        [records[i] for i in places],
        [decoded[i] for i in places],
        ours[places],
        [offsets[i] for i in places] if len(offsets) == len(records) else [],
    )


def _is_a_trial(request: Request) -> bool:
    """Whether *request* is asked with something else than its session's model, or by somebody who looks into it."""
    own = (request.model, request.preset, request.m, request.k, request.last, request.fallbacks)
    return request.explain or any(each is not None for each in own)


def _newest_of_each_session(events: Sequence[Event | Forget], wanted: Mask) -> Mask:
    """Of the *wanted* events, those that no other of their session follows."""
    newest: dict[tuple[str, str | None], int] = {}
    for place in np.flatnonzero(wanted).tolist():
        event = events[place]
        if type(event) is Event:
            # Before sessions are cut from users, an event has no session yet, and its user stands for it.
            newest[event.session_id, None if event.session_id else event.user_id] = place
    kept = np.zeros(len(events), np.bool_)
    kept[list(newest.values())] = True
    return kept


def _place_in(records: Sequence[Record]) -> Callable[[RejectedRecord], int]:
    places = {id(record): place for place, record in enumerate(records)}
    return lambda refused: places[id(refused.record)]


def _last_of_each(records: Sequence[Record]) -> dict[str, int]:
    ends = {(record.topic, record.partition): record.offset for record in records}
    return {f"{topic}-{partition}": offset for (topic, partition), offset in ends.items()}
