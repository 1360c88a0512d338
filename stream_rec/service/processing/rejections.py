"""Why records of a batch were not applied: unreadable ones, and events that the engine rejected."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final

from stream_rec.core.dtypes import I64
from stream_rec.core.engine import Applied
from stream_rec.core.events import NO_LOG_TIME, Event, Forget, Reason
from stream_rec.core.limits import Limits
from stream_rec.core.outcome import SHOWN
from stream_rec.core.shown import MOST_PLACES
from stream_rec.errors import DecodeError
from stream_rec.service.batches import Batch, RejectedRecord
from stream_rec.service.metrics.format import show_duration

__all__ = ["find_rejections", "readable_in"]

_Found = tuple[int, str, str]
"""Where the record stands in its batch, the reason, and the message."""

_NONE_YET: Final = -1


def readable_in(batch: Batch) -> list[int]:
    """Return where in *batch* the records stand that could be decoded."""
    return [index for index, kind in enumerate(map(type, batch.decoded)) if kind is not DecodeError]


def find_rejections(
    batch: Batch,
    readable: Sequence[int],
    applied: Applied,
    watermark: int | None,
    limits: Limits,
    log_times: I64 | None = None,
) -> list[RejectedRecord]:
    """Return the owned records of *batch* that were not applied, in the order of the log.

    *readable* is where the events stand that were given to the engine, with *log_times*, and *watermark* the engine's
    before them.
    """
    found: list[_Found] = []
    if len(readable) < len(batch.decoded):
        found += _unreadable(batch)
    if applied.n_applied < len(readable):
        events = [batch.decoded[index] for index in readable]
        times = repeat(NO_LOG_TIME) if log_times is None else log_times.tolist()
        given = zip(readable, events, times, strict=False)
        found += _rejected_by_engine(given, applied, watermark, limits)  # type: ignore[arg-type]  # decoded
        found.sort()
    if found and batch.is_owned is not None:
        found = [each for each in found if batch.is_owned[each[0]]]
    if batch.elements is None:
        return [RejectedRecord(batch.records[index], reason, message) for index, reason, message in found]
    return list(_elements(batch, found, batch.elements.tolist()))


def _elements(batch: Batch, found: Iterable[_Found], elements: Sequence[int]) -> Iterator[RejectedRecord]:
    """Return what was *found*, with the number of each event in its record."""
    last = None
    for index, reason, message in found:
        record = batch.records[index]
        place = record.topic, record.partition, record.offset  # in order of time, its events need not be neighbours
        yield RejectedRecord(record, reason, message, elements[index], place != last)
        last = place


def _unreadable(batch: Batch) -> Iterator[_Found]:
    for index, each in enumerate(batch.decoded):
        if type(each) is DecodeError:
            yield index, each.reason, each.message


def _rejected_by_engine(
    given: Iterable[tuple[int, Event | Forget, int]], applied: Applied, watermark: int | None, limits: Limits
) -> Iterator[_Found]:
    """Return what the engine rejected. The watermark is followed, so that messages do not depend on batches."""
    newest = _NONE_YET if watermark is None else watermark
    shown = (applied.outcomes == SHOWN).tolist()  # they move no watermark
    for (index, event, log_time), reason, is_shown in zip(given, applied.reasons, shown, strict=True):
        if type(event) is not Event:
            continue
        if reason is None and not is_shown:
            newest = max(newest, limits.reach(event.timestamp, log_time))
        elif reason is not None:
            yield index, reason, _message(reason, event, newest, limits.lateness_ms)


def _message(reason: Reason, event: Event, watermark: int, lateness_ms: int) -> str:
    match reason:
        case Reason.LATE:
            behind = f"{event.timestamp} is {show_duration(watermark - event.timestamp)} behind the watermark"
            return f"timestamp: {behind}; the allowed lateness is {show_duration(lateness_ms)}"
        case Reason.DUPLICATE:
            return f"event_id: {event.event_id!r} was seen before"
    if ":" in event.type:
        return (
            f"type: {event.type!r} is no form of a shown event (shown, shown:PLACE or shown:PLACE:SOURCE, the place "
            f"from 1 to {MOST_PLACES}, the source of an item of an answer), or one more than there can be types"
        )
    return (
        f"type: {event.type!r} is one more than there can be types; a type makes room some hours after its last event "
        "has left; name those that matter with --event-type"
    )
