"""Decoded records in, answers and rejected records out. The thread that calls a processor owns its engine.

Knows nothing of where records come from or where answers go, and starts no thread. Its outcome does not depend on how
the log was cut into batches (but for what coalescing leaves out).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from time import monotonic
from types import NoneType
from typing import Final, NamedTuple

import msgspec
import numpy as np

from stream_rec.core.catalogue import Catalogue
from stream_rec.core.dtypes import I64
from stream_rec.core.engine import Applied, Engine, ListOrder
from stream_rec.core.engine_state import EngineSnapshot
from stream_rec.core.events import EXPIRED, Answer, Event, Forget, Reason, Request, RequestDecoder
from stream_rec.core.model import mixes_newest
from stream_rec.core.outcome import SHOWN, Observation
from stream_rec.core.quality import Quality
from stream_rec.errors import DecodeError, SettingsError
from stream_rec.service.batches import Batch, Mask, ProcessedBatch, RejectedRecord
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.leap import Leap
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.processing.leaps import LeapFinder
from stream_rec.service.processing.rejections import find_rejections, readable_in
from stream_rec.service.wall_clock import now_ms
from stream_rec.transport.records import Record

__all__ = ["AnswerPolicy", "Processor"]

log = logging.getLogger(__name__)

_TRENDS_HOLD_S: Final = 1.0  # finding them takes the engine's thread some ms for each million of events


class AnswerPolicy(NamedTuple):
    """Which records are answered."""

    answers_events: bool = True
    """Whether events are, besides requests."""

    coalesce: bool = False
    """Whether only the newest event of each session in a batch is."""

    request_ttl_ms: int | None = None
    """How old a request may be that does not name its own; None: there is no limit."""

    uses_log_times: bool = True
    """Whether an event moves the watermark no further than to its log time."""

    clock_ms: Callable[[], int] = now_ms

    one_log: frozenset[str] = frozenset()
    """Topics that are parts of one log in one order: of these, an answer names only the one that was read last."""


class Processor:
    """An engine, and the counters of what became of the records it was given.

    *quality* evaluates the answers to owned records; without it no shadow model is asked. *catalogue* returns the
    newest version of what is known of items, and is asked before each batch.
    """

    def __init__(
        self,
        engine: Engine,
        request_decoder: RequestDecoder | None = None,
        *,
        policy: AnswerPolicy | None = None,
        counters: Counters | None = None,
        metrics: ServiceMetrics | None = None,
        quality: Quality | None = None,
        catalogue: Callable[[], Catalogue] | None = None,
    ) -> None:
        self.engine = engine
        self.quality = quality
        self.counters = counters or Counters()
        self.metrics = metrics or ServiceMetrics()
        self.offsets: dict[str, int] = {}
        """By `topic-partition`, the last offset that was processed: answers say it."""
        self._request_decoder = request_decoder or RequestDecoder()
        self._catalogue = catalogue
        self._lacks_times = False
        self._trends_until_s = 0.0
        self._policy = policy or AnswerPolicy()
        self._answers_events = self._policy.answers_events
        self._leaps = LeapFinder(engine.limits, self._policy.clock_ms)

    @property
    def is_silent(self) -> bool:
        """Whether events are applied and not answered."""
        return not self._answers_events

    @property
    def largest_leap(self) -> Leap | None:
        """The event that moved the watermark the farthest, if by more than the allowed lateness."""
        return self._leaps.largest

    def restore(self, snapshot: EngineSnapshot, offsets: Mapping[str, int]) -> None:
        """Go on from a snapshot, whose last records have these *offsets* by `topic-partition`."""
        self.engine.import_state(snapshot)
        self.offsets = dict(offsets)

    def update_catalogue(self) -> None:
        """Give the newest version of the catalogue to the engine. Costs next to nothing where there is none."""
        if self._catalogue is not None:
            newest = self._catalogue()
            if newest is not self.engine.catalogue:  # planted bug: stale-catalogue
                self.engine.set_catalogue(newest)
                self._say_if_nothing_is_new(newest)

    def _say_if_nothing_is_new(self, catalogue: Catalogue) -> None:
        """Warn once, where a model wants the newest items, while the items do not say when they were listed."""
        if not any(map(mixes_newest, self.engine.split.models)):
            return
        lacks = len(catalogue) > 0 and catalogue.newest.rows.size == 0
        if lacks and not self._lacks_times:
            log.warning(
                "no item of the catalogue has `listed_at`, so answers get no new items: give the items this field"
            )
        self._lacks_times = lacks

    def process(self, batch: Batch) -> ProcessedBatch:
        """Apply events and answer requests in the order they came in."""
        decoded = batch.decoded
        if NoneType not in set(map(type, decoded)):
            return self.process_events(batch)
        parts: list[ProcessedBatch] = []
        for is_request, group in groupby(range(len(decoded)), lambda i: decoded[i] is None):
            indices = list(group)
            part = batch.part(slice(indices[0], indices[-1] + 1))
            parts.append(self.process_requests(part.records) if is_request else self.process_events(part))
        return ProcessedBatch.joined(parts)

    def process_events(self, batch: Batch) -> ProcessedBatch:
        """Apply a *batch* without requests, and answer right after each owned event if events are answered."""
        return self._process_events(batch, None)[0]

    def process_and_answer(
        self, records: Sequence[Record], events: Sequence[Event | Forget], asked: Mask, log_times: I64 | None = None
    ) -> tuple[ProcessedBatch, list[Answer | None]]:
        """Apply *events*, and answer right after each of those *asked* for, besides what is answered anyway.

        The answers stand event for event; None where nothing was asked, or applied. *log_times*, [n] in ms, say when
        the log took each.
        """
        begun = monotonic()
        processed, answered = self._process_events(Batch(records, events, log_times=log_times), asked)
        self.metrics.applied(len(records), begun)
        self.counters.n_asked += int(asked.sum())
        if not self._answers_events:
            self.counters.see_sources([answer for answer in answered if answer is not None])
        return processed, [answer if want else None for answer, want in zip(answered, asked.tolist(), strict=True)]

    def _process_events(self, batch: Batch, asked: Mask | None) -> tuple[ProcessedBatch, Sequence[Answer | None]]:
        """Apply what is readable, and answer: the *asked* events alone, or where events are answered each owned one."""
        self.update_catalogue()
        owned = batch.owned()
        answering = asked is not None or (self._answers_events and bool(owned.any()))
        kinds = set(map(type, batch.decoded))
        offsets = self._advance_by_record(batch.records) if answering else self._advance(batch)
        events: Sequence[Event | Forget] = batch.decoded  # type: ignore[assignment]  # without requests, and see below
        log_times = batch.log_times if self._policy.uses_log_times else None
        readable: Sequence[int] = range(len(events))
        if DecodeError in kinds:
            readable = readable_in(batch)
            events, owned = [events[i] for i in readable], owned[readable]
            offsets = [offsets[i] for i in readable] if offsets else offsets
            log_times = None if log_times is None else log_times[readable]
        watermark = self.engine.watermark
        applied, answered = self._apply(events, owned, offsets, log_times, answering=answering, asked=asked)
        answers = [answer for answer in answered if answer is not None] if self._answers_events else []
        rejected = find_rejections(batch, readable, applied, watermark, self.engine.limits, log_times)
        self._leaps.after(batch, readable, applied, log_times, (watermark, self.engine.watermark))
        self._count(batch, owned, applied, rejected)
        if Forget in kinds:
            self._count_forgets(batch, readable, events, owned, applied)
        self.counters.n_answers += len(answers)
        self.counters.see_sources(answers)
        return ProcessedBatch(answers, rejected, Forget in kinds), answered

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer requests that did not arrive as records (for example over HTTP).

        Raises SettingsError for parameters out of range.
        """
        self.update_catalogue()
        begun = monotonic()
        answers = self.engine.answer(requests, self.offsets)
        self.counters.n_asked += len(requests)
        self._evaluate_later(requests, answers)
        self.metrics.answered(begun)
        self.counters.see_sources(answers)
        return answers

    def list_items(self, order: ListOrder, request: Request) -> Answer:
        """Return the items that are first in *order*, for no session; counted as an answer, and not evaluated.

        What trends is found once a second at most; the answer says as of when.
        Raises SettingsError as `Engine.listed` does.
        """
        self.update_catalogue()
        begun = monotonic()
        fresh = begun >= self._trends_until_s
        if order == "trending" and fresh:
            self._trends_until_s = begun + _TRENDS_HOLD_S
        answer = self.engine.listed(order, request, self.offsets, fresh=fresh)
        self.counters.n_asked += 1
        self.metrics.answered(begun)
        self.counters.see_sources([answer])
        return answer

    def process_requests(self, records: Sequence[Record]) -> ProcessedBatch:
        """Answer the requests in *records* from the present state, all that can be at once."""
        self.update_catalogue()
        read = [self._read_request(record) for record in records]
        found = list(read)
        self._answer([index for index, each in enumerate(found) if type(each) is Request], found)
        answers = [each for each in found if type(each) is Answer]
        rejected = [
            RejectedRecord(record, each.reason, each.message)
            for record, each in zip(records, found, strict=True)
            if type(each) is DecodeError
        ]
        asked = [i for i, each in enumerate(found) if type(each) is Answer and type(read[i]) is Request]
        self._evaluate_later([read[i] for i in asked], [found[i] for i in asked])  # type: ignore[misc]  # as above
        self.counters.n_requests += len(records)
        self.counters.dead_requests.update(str(each.reason) for each in rejected)
        self.counters.n_answers += len(answers)
        self.counters.see_sources(answers)
        return ProcessedBatch(answers, rejected)

    def _evaluate_later(self, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        """Have *answers*, just given to *requests*, evaluated by the events that follow, and the shadows' beside them.

        A request that names a model, a preset or its parameters, or asks for an explanation, is not a visitor's.
        """
        if self.quality is None:
            return
        evaluated = [
            (request, answer)
            for request, answer in zip(requests, answers, strict=True)
            if request.session_id is not None and answer.reason is None and not _is_a_trial(request)
        ]
        split = self.engine.split
        shadows = [
            msgspec.structs.replace(request, model=model.name)
            for request, _ in evaluated
            for model in split.models[split.n_served :]
        ]
        self.quality.on_answered([*(answer for _, answer in evaluated), *self.engine.answer(shadows)])

    def _read_request(self, record: Record) -> Answer | Request | DecodeError:
        """Return the request, the answer to one that has expired, or why it is unreadable."""
        try:
            if record.fault is not None:
                return DecodeError(*record.fault)
            request = self._request_decoder.decode(record.value)
        except DecodeError as error:
            return error.with_traceback(None)
        return self._expired(request) if self._is_expired(request, record) else request

    def _answer(self, indices: Sequence[int], found: list[Answer | Request | DecodeError]) -> None:
        """Put the answers to the requests at *indices* of *found* in their places; if one cannot be, each by itself."""
        asked = [each for index in indices if type(each := found[index]) is Request]
        try:
            answered: list[Answer] = self.engine.answer(asked, self.offsets)
        except SettingsError as error:
            if len(indices) == 1:
                found[indices[0]] = DecodeError(Reason.WRONG_TYPE, error.message)
                return
            for index in indices:
                self._answer([index], found)
            return
        for index, answer in zip(indices, answered, strict=True):
            found[index] = answer

    def _expired(self, request: Request) -> Answer:
        """Return the answer to a request that is too old."""
        self.counters.n_expired += 1
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
        ttl = self._policy.request_ttl_ms if request.ttl_ms is None else request.ttl_ms
        if ttl is None or record.timestamp_ms is None:
            return False
        return self._policy.clock_ms() - record.timestamp_ms > ttl

    def _apply(
        self,
        events: Sequence[Event | Forget],
        owned: Mask,
        offsets: Sequence[dict[str, int]],
        log_times: I64 | None,
        *,
        answering: bool,
        asked: Mask | None,
    ) -> tuple[Applied, Sequence[Answer | None]]:
        observation = None if self.quality is None else Observation(self.quality, owned.astype(np.uint8))
        if not answering:
            return self.engine.apply(events, observation, log_times=log_times), []
        wanted = owned if self._answers_events or asked is None else asked
        if self._policy.coalesce and asked is None:
            newest = _newest_of_each_session(events, wanted)
            self.counters.n_coalesced += int(wanted.sum() - newest.sum())
            wanted = newest
        return self.engine.apply_and_answer(events, offsets, wanted, observation, log_times=log_times)

    def _advance(self, batch: Batch) -> list[dict[str, int]]:
        """Move the offsets behind a batch of which no answer names them."""
        last = batch.last_offsets or _last_offsets(batch.records)
        if self._policy.one_log and batch.records:
            self._go_on_in(batch.records[-1])
            last = _last_offsets(batch.records[-1:])
        self.offsets = {**self.offsets, **last}
        return []

    def _advance_by_record(self, records: Sequence[Record]) -> list[dict[str, int]]:
        """Move the offsets behind *records*; return those right after each."""
        after_each: list[dict[str, int]] = []
        offsets = self.offsets
        topic, partition, label = None, None, ""
        for record in records:
            if record.partition != partition or record.topic != topic:
                topic, partition = record.topic, record.partition
                label = f"{topic}-{partition}"
                if topic in self._policy.one_log:
                    self.offsets = offsets
                    self._go_on_in(record)
                    offsets = self.offsets
            offsets = {**offsets, label: record.offset}
            after_each.append(offsets)
        self.offsets = offsets
        return after_each

    def _go_on_in(self, record: Record) -> None:
        """Name no other part of the one log any more than that of *record*, if it is in one."""
        if record.topic in self._policy.one_log:
            self.offsets = {
                label: offset
                for label, offset in self.offsets.items()
                if label.rpartition("-")[0] not in self._policy.one_log
            }

    def _count(self, batch: Batch, owned: Mask, applied: Applied, rejected: Sequence[RejectedRecord]) -> None:
        """Count a *batch*; *owned* are those of its readable records."""
        counters = self.counters
        n = len(batch.records)
        n_owned = n if batch.is_owned is None else int(batch.is_owned.sum())
        counters.n_read += n_owned
        counters.n_followed += n - n_owned
        counters.n_applied += int(((applied.outcomes == 0) & owned).sum())
        counters.n_shown += int(((applied.outcomes == SHOWN) & owned).sum())
        for each in rejected:
            if each.reason == Reason.DUPLICATE:
                counters.n_duplicates += 1
            else:
                counters.dead[str(each.reason)] += 1

    def _count_forgets(
        self,
        batch: Batch,
        readable: Sequence[int],
        events: Sequence[Event | Forget],
        owned: Mask,
        applied: Applied,
    ) -> None:
        """Count the owned orders to forget; say where one was that erased nothing, and not whom it names.

        Callers send such orders as often as they like, so only the first, the tenth, the hundredth ... is logged.
        *readable* is where the *events* stand in the *batch*.
        """
        places = [place for place, event in enumerate(events) if type(event) is Forget]
        counted = [(place, n) for place, n in zip(places, applied.erased, strict=True) if owned[place]]
        in_vain = [readable[place] for place, n in counted if n == 0]
        self.counters.n_forgets += len(counted)
        before = self.counters.n_forgot_nothing
        n = self.counters.n_forgot_nothing = before + len(in_vain)
        if in_vain and (not before or len(str(n)) > len(str(before))):
            last = batch.records[in_vain[-1]]
            log.info(
                "orders to forget that erased no session: %d so far, the latest at %s-%d, offset %d",
                n,
                last.topic,
                last.partition,
                last.offset,
                extra=fields(n=n, partition=f"{last.topic}-{last.partition}", offset=last.offset),
            )


def _is_a_trial(request: Request) -> bool:
    """Whether *request* asks for another model than its session's, or for an explanation."""
    own = (request.model, request.preset, request.m, request.k, request.last, request.fallbacks, request.rerank)
    return request.explain or any(each is not None for each in own)


def _newest_of_each_session(events: Sequence[Event | Forget], wanted: Mask) -> Mask:
    """Return those of the *wanted* events that no other of their session follows."""
    newest: dict[tuple[str, str | None], int] = {}
    for index in np.flatnonzero(wanted).tolist():
        event = events[index]
        if type(event) is Event:
            # Before sessions are cut from users, an event has no session yet, and its user stands for it.
            newest[event.session_id, None if event.session_id else event.user_id] = index
    kept = np.zeros(len(events), np.bool_)
    kept[list(newest.values())] = True
    return kept


def _last_offsets(records: Sequence[Record]) -> dict[str, int]:
    last = {(record.topic, record.partition): record.offset for record in records}
    return {f"{topic}-{partition}": offset for (topic, partition), offset in last.items()}
