"""The delivery of a simulated stream to a log: JSON lines, some late, some twice, some broken.

Counts what it writes by the engine's rules (the watermark of an event is the largest timestamp before it in the log),
so that a run over the lines must report exactly the `DeliveryTruth`. Memory is that of a block of sessions and of the
delayed lines.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_rec.errors import SettingsError
from stream_rec.simulator import draws as _draws
from stream_rec.simulator.broken import KINDS, broken_line
from stream_rec.simulator.clickstream import BLOCK_SESSIONS, EVENT_TYPES, Clicks, Shape, blocks

__all__ = ["KINDS", "Delivery", "DeliveryTruth", "write_jsonl"]

_FATE, _DELAY, _BROKEN = range(100, 103)  # streams of the shape's seed, apart from its own
_TYPE_NAMES = tuple(name.encode() for name in EVENT_TYPES)
LINES_AT_ONCE = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The faults of a delivery. Raises SettingsError, naming the field, for an impossible value."""

    out_of_order: float = 0.0
    """Share of events that arrive after newer ones, but within the lateness."""
    late: float = 0.0
    """Share of events delayed by more than the lateness: late, if others overtook them."""
    lateness_ms: int = 3_600_000
    """The allowed lateness of the run under test."""
    duplicates: float = 0.0
    """Share of events sent a second time with the same `event_id`, within the lateness."""
    broken: float = 0.0
    """Unreadable records in between, as a share of the events."""
    kinds: tuple[str, ...] = KINDS
    """Reason codes of the broken records; all are equally likely."""
    too_large_bytes: int = 1 << 20
    """A `too_large` record is one byte longer than this."""
    event_ids: bool = False
    """Write `event_id` also without duplicates."""

    def __post_init__(self) -> None:
        """Refuse impossible values. Raises SettingsError, naming the field."""
        for name in ("out_of_order", "late", "duplicates", "broken"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(name, "must be a share from 0 to 1")
        if self.out_of_order + self.late > 1:
            raise SettingsError("late", "must be at most 1 together with out_of_order")
        if not 1 <= self.lateness_ms < 1 << 40:
            raise SettingsError("lateness_ms", "must be from 1 ms to 34 years")
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown or not self.kinds:
            raise SettingsError("kinds", f"must be some of {', '.join(KINDS)}; not {unknown}")


@dataclass(slots=True)
class DeliveryTruth:
    """The counts of the lines. `lines` = `applied` + `late` + `duplicates` + the sum of `broken`."""

    lines: int = 0
    applied: int = 0
    """Events that a run with this allowed lateness must apply, those out of order included."""
    out_of_order: int = 0
    """Events older than the watermark, but within the lateness."""
    late: int = 0
    duplicates: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    """By reason code."""
    sessions: int = 0
    """Simulated sessions. A session with only late events does not appear in a run."""
    first_timestamp: int | None = None
    last_timestamp: int | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the counts as plain values, with reason codes in order."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {**plain, "broken": dict(sorted(self.broken.items()))}

    def to_json(self) -> str:
        """Return the counts as indented JSON."""
        return json.dumps(self.as_dict(), indent=2)


def write_jsonl(
    shape: Shape,
    write: Callable[[bytes], object],
    delivery: Delivery | None = None,
    *,
    block_sessions: int = BLOCK_SESSIONS,
    lines_at_once: int = LINES_AT_ONCE,
) -> DeliveryTruth:
    """Write the log of *shape* with *write*, some thousand whole lines at a time, and return its counts.

    It is drawn *block_sessions* at a time, and written *lines_at_once*.

    Another `Delivery` of the same shape delivers the same events, with other faults.
    """
    truth = DeliveryTruth(sessions=shape.sessions)
    delivery = delivery or Delivery()
    event_ids = delivery.event_ids or delivery.duplicates > 0
    for number, (arrived, again) in enumerate(_arrivals(shape, delivery, block_sessions)):
        _count(truth, arrived, again, delivery.lateness_ms)
        broken = _broken_after(shape, delivery, number, len(arrived))
        for first in range(0, len(arrived), lines_at_once):
            stop = first + lines_at_once
            lines = _lines(arrived.take(slice(first, stop)), shape, event_ids=event_ids)
            _put_in(broken, first, lines, delivery, truth)
            write(b"".join(lines))
    truth.lines = truth.applied + truth.late + truth.duplicates + truth.broken.total()
    return truth


def _arrivals(shape: Shape, delivery: Delivery, block_sessions: int) -> Iterator[tuple[Clicks, NDArray[np.bool_]]]:
    """Yield events in order of arrival, in pieces, and which of them are second copies."""
    if not (delivery.out_of_order or delivery.late or delivery.duplicates):
        for block in blocks(shape, block_sessions):
            yield block, np.zeros(len(block), np.bool_)
        return
    waiting: list[tuple[Clicks, NDArray[np.int64], NDArray[np.bool_]]] = []
    for number, block in enumerate(blocks(shape, block_sessions)):
        waiting.append(_sent(shape, delivery, number, block))
        # Events of later blocks are newer than this block's last event, and cannot arrive before it.
        ready, waiting = _split(waiting, int(block.timestamp[-1]))
        yield ready
    ready, _ = _split(waiting, None)
    yield ready


def _sent(
    shape: Shape, delivery: Delivery, number: int, block: Clicks
) -> tuple[Clicks, NDArray[np.int64], NDArray[np.bool_]]:
    """Return a block's events with their times of arrival, followed by the second copies."""
    fate = _draws.words(shape.seed, (_FATE, number), len(block))
    low = (fate & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    late_below = _draws.chance(delivery.late, 32)
    is_late = low < late_below
    is_held = ~is_late & (low < late_below + _draws.chance(delivery.out_of_order, 32))
    again = np.flatnonzero(
        ~is_late & ((fate >> np.uint64(32)).astype(np.int64) < _draws.chance(delivery.duplicates, 32))
    )

    delays = _draws.words(shape.seed, (_DELAY, number), len(block))
    share = (delays & np.uint64(0xFFFFF)).astype(np.int64)  # 20 bits, times 40 of lateness
    delay = np.where(is_held, share * delivery.lateness_ms >> 20, 0)
    # At least twice the lateness: by then even a slow stream has moved on.
    delay += np.where(is_late, 2 * delivery.lateness_ms + (share * delivery.lateness_ms >> 20), 0)
    # The second copy comes between the first and the end of the lateness: a duplicate, never late.
    share = (delays[again] >> np.uint64(32) & np.uint64(0xFFFFF)).astype(np.int64)
    delay_again = delay[again] + (share * (delivery.lateness_ms - delay[again]) >> 20)

    arrival = np.concatenate([block.timestamp + delay, block.timestamp[again] + delay_again])
    everything = Clicks.joined([block, block.take(again)])
    return everything, arrival, np.arange(len(arrival)) >= len(block)


def _split(
    waiting: list[tuple[Clicks, NDArray[np.int64], NDArray[np.bool_]]], until: int | None
) -> tuple[tuple[Clicks, NDArray[np.bool_]], list[tuple[Clicks, NDArray[np.int64], NDArray[np.bool_]]]]:
    """Return what arrives by *until* (None: everything), in order of arrival; and the rest."""
    clicks = Clicks.joined([events for events, _, _ in waiting])
    arrival = np.concatenate([times for _, times, _ in waiting])
    again = np.concatenate([marks for _, _, marks in waiting])
    # A copy never comes before its original, even where both arrive in the same millisecond.
    order = np.lexsort((again, arrival))
    n_ready = len(order) if until is None else int(np.searchsorted(arrival[order], until, side="right"))
    now, later = order[:n_ready], order[n_ready:]
    return (clicks.take(now), again[now]), [(clicks.take(later), arrival[later], again[later])]


def _count(truth: DeliveryTruth, arrived: Clicks, again: NDArray[np.bool_], lateness_ms: int) -> None:
    """Count each event by the watermark before it, as the engine does.

    A late event is older than the watermark, so the maximum over all is that over the accepted.
    """
    if not len(arrived):
        return
    times = arrived.timestamp
    before = times[0] if truth.last_timestamp is None else truth.last_timestamp
    watermarks = np.maximum.accumulate(np.concatenate([[before], times]))
    behind = watermarks[:-1] - times
    n_late = int(np.count_nonzero((behind > lateness_ms) & ~again))
    n_again = int(np.count_nonzero(again))
    truth.late += n_late
    truth.duplicates += n_again
    truth.applied += len(arrived) - n_late - n_again
    truth.out_of_order += int(np.count_nonzero((behind > 0) & (behind <= lateness_ms) & ~again))
    truth.last_timestamp = int(watermarks[-1])
    earliest = int(times.min())
    known = truth.first_timestamp
    truth.first_timestamp = earliest if known is None else min(known, earliest)


def _lines(clicks: Clicks, shape: Shape, *, event_ids: bool) -> list[bytes]:
    template = b'{"session_id":"s%d","item_id":"i%d","timestamp":%d,"type":"%b"'
    names = map(_TYPE_NAMES.__getitem__, clicks.type.tolist())
    columns = [clicks.session.tolist(), clicks.item.tolist(), clicks.timestamp.tolist(), names]
    if shape.users:
        template += b',"user_id":"u%d"'
        columns.append(clicks.user.tolist())
    if event_ids:
        template += b',"event_id":"e%d"'
        columns.append(clicks.number.tolist())
    template += b"}\n"
    return [template % row for row in zip(*columns, strict=True)]


def _broken_after(shape: Shape, delivery: Delivery, number: int, n_lines: int) -> list[tuple[int, int]]:
    """Return after which lines broken records come, each with the random word to make it from."""
    if not delivery.broken:
        return []
    draws = _draws.words(shape.seed, (_BROKEN, number), n_lines)
    low = (draws & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    places = np.flatnonzero(low < _draws.chance(delivery.broken, 32))
    high = draws[places] >> np.uint64(32)
    return list(zip(places.tolist(), high.tolist(), strict=True))


def _put_in(
    broken: list[tuple[int, int]], first: int, lines: list[bytes], delivery: Delivery, truth: DeliveryTruth
) -> None:
    """Insert the broken records that fall among *lines*, which start at index *first*."""
    for place, word in broken:
        if first <= place < first + len(lines):
            kind = delivery.kinds[word % len(delivery.kinds)]
            truth.broken[kind] += 1
            lines[place - first] += broken_line(kind, word // len(delivery.kinds), delivery.too_large_bytes)
