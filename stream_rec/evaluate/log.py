"""A log at rest, in time order, with sessions and items as ordinals: questions are made from it.

Reads with the rules of `run`: a record that a run would reject is rejected here too, and counted. Knows nothing of
models.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import msgspec
import numpy as np

from stream_rec.core.dtypes import I32, I64
from stream_rec.core.events import SURELY_SECONDS, Event, Forget, Reason
from stream_rec.core.sessionizer import Sessionizer
from stream_rec.datasets.ties import TieCounter, Ties, WildTimes, wild_times, without_repeats
from stream_rec.errors import DecodeError, SettingsError, StreamRecError
from stream_rec.service.assembly.checking.reading import with_line
from stream_rec.service.assembly.inputs import build_record_decoder, open_events
from stream_rec.service.metrics.format import show_duration, show_time
from stream_rec.settings import Settings

__all__ = ["EvaluationLog", "Reading", "log_of", "notes_on", "read_events"]


FORGETS: Final = "forget"
_MANY_TIED: Final = 0.01


@dataclass(frozen=True, slots=True)
class EvaluationLog:
    """Events with the ordinals of their sessions and items. `place` counts the events of a session from 0."""

    events: Sequence[Event]
    session: I32
    """[E]"""
    item: I32
    """[E]"""
    place: I32
    """[E] of the event in its session"""
    time: I64
    """[E] ms"""
    session_names: Sequence[str]
    item_names: Sequence[str]

    def __len__(self) -> int:
        """Count its events."""
        return len(self.events)

    def lengths(self) -> I64:
        """Return how many events each session has, [S]."""
        return np.bincount(self.session, minlength=len(self.session_names))


def log_of(events: Sequence[Event]) -> EvaluationLog:
    """Number the sessions and items of *events*, which have the order in which they are asked and learned."""
    session, session_names = _numbered(event.session_id for event in events)
    item, item_names = _numbered(event.item_id for event in events)
    times = np.fromiter((event.timestamp for event in events), np.int64, len(events))
    return EvaluationLog(events, session, item, _places(session, len(session_names)), times, session_names, item_names)


def _numbered(names: Iterable[str]) -> tuple[I32, list[str]]:
    numbers: dict[str, int] = {}
    column = [numbers.setdefault(name, len(numbers)) for name in names]
    return np.array(column, np.int32), list(numbers)


def _places(session: I32, n_sessions: int) -> I32:
    """Return the place of each event in its session."""
    order = np.argsort(session, kind="stable")
    begins = np.concatenate(([0], np.cumsum(np.bincount(session, minlength=n_sessions))))
    places = np.empty(len(session), np.int32)
    places[order] = np.arange(len(session)) - begins[session[order]]
    return places


class Reading(msgspec.Struct):
    """Events that a run would accept, in time order, and what was left out."""

    events: list[Event]
    n_read: int
    rejected: Counter[str]
    """Records by reason. Commands to forget, which an evaluation ignores, count as `forget`."""
    n_out_of_order: int
    """Events that came after a later one; reading sorts them."""
    ties: Ties
    """How many share their time, or repeat another event."""
    wild: WildTimes | None
    """Events whose times are far from all others."""


def read_events(settings: Settings) -> Reading:
    """Read the whole source of events. Raises as `check` does, and StreamRecError for a log without an event."""
    try:
        return _read_events(settings)
    except SettingsError as error:
        raise with_line(error, settings) from None


def _read_events(settings: Settings) -> Reading:
    decode = build_record_decoder(settings)
    gap = settings.session_gap_ms
    sessionizer = None if gap is None else Sessionizer(gap, settings.lateness_ms)
    events: list[Event] = []
    rejected: Counter[str] = Counter()
    n_read = 0
    with closing(open_events(settings)) as source:
        for records in source.batches(settings.batch_events):
            decoded = decode(records).decoded
            n_read += len(decoded)
            for each in decoded:
                if type(each) is Event:
                    events.append(each)
                else:
                    rejected[FORGETS if isinstance(each, Forget) else _reason(each)] += 1
    if not events:
        raise StreamRecError(f"{settings.events}: no event could be read; `stream-rec check` says why")
    times = np.fromiter((event.timestamp for event in events), np.int64, len(events))
    n_out_of_order = int((times < np.maximum.accumulate(times)).sum())
    if n_out_of_order:
        events.sort(key=attrgetter("timestamp"))
    wild = wild_times(np.sort(times).tolist())
    if sessionizer is not None:
        events = [each for each in sessionizer.assign(events) if type(each) is Event]
    counter = TieCounter()
    counter.add_all(events)
    ties = counter.ties()
    if settings.drop_repeats and ties.n_repeats:
        events = without_repeats(events)
        rejected[str(Reason.DUPLICATE)] += ties.n_repeats
    return Reading(events, n_read, rejected, n_out_of_order, ties, wild)


def notes_on(reading: Reading, settings: Settings) -> list[str]:
    """Return what of the log makes the figures say less than they seem to, in sentences."""
    ties, wild = reading.ties, reading.wild
    notes = []
    if ties.n_repeats and not settings.drop_repeats:
        notes.append(
            f"{ties.n_repeats:,} events ({ties.share_repeats:.1%}) repeat another one exactly: if each was written "
            "more than once, say --drop-repeats, here and to run"
        )
    n_distinct = ties.n_events - ties.n_repeats
    if ties.n_tied > _MANY_TIED * n_distinct:
        order = "the ids of their items" if ties.is_by_item else "the log"
        advice = ": the figures judge that order, not visits" if ties.is_by_item else ""
        notes.append(
            f"{ties.n_tied:,} events ({ties.n_tied / n_distinct:.1%}) have the time of another event of their session, "
            f"and stand in the order of {order}{advice}"
        )
    if wild is not None:
        lie = "1 event lies" if wild.n_events == 1 else f"{wild.n_events} events lie"
        where = "after" if wild.is_after else "before"
        notes.append(
            f"{lie} {show_duration(wild.far_ms)} {where} all others, at {show_time(wild.time)}: is that clock right?"
        )
    newest = reading.events[-1].timestamp
    if settings.timestamp_unit == "ms" and 0 < newest < SURELY_SECONDS:
        notes.append(f"the newest event is of {show_time(newest)[:4]}: times in seconds need --timestamp-unit s")
    return notes


def _reason(error: object) -> str:
    assert isinstance(error, DecodeError)
    return str(error.reason)
