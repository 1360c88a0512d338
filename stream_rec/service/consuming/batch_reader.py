"""Records from the broker to batches: read, put in order of arrival, decoded, and marked as ours or others'.

An *owned* partition is one that the group gave to this process: its records are answered, from the group's committed
position on. Every other partition of events is *followed*: applied in silence, and never beyond what its owner has
committed, so that whoever owns it next goes on exactly where the last owner stopped. Recovery is the same thing with
nothing owned yet.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

import numpy as np

from stream_rec.errors import LogChangedError
from stream_rec.service.batches import Batch, Decoded, Mask, ReadBatch
from stream_rec.service.consuming.partition_merge import NOTHING, MergedRecords, PartitionMerge
from stream_rec.transport.broker import Partition, PartitionOffsets, Reader
from stream_rec.transport.records import Record

__all__ = ["BatchReader"]

log = logging.getLogger(__name__)

_AHEAD: Final = 128  # batches that are fetched ahead at most ...
_SMALL: Final = 1024  # ... as if none were larger than this: some 50 MB
_ENOUGH: Final = 32  # ... and when fetching goes on: a client throws away what it has of a partition that is held
_NEVER: Final = 1 << 62  # an offset beyond all others
_PATIENCE_S: Final = 60.0  # for a partition whose leader does not answer: going on without it makes events late


class BatchReader:
    """Reads the partitions of *events*, and those of *requests* that are owned. For one thread.

    *lost* is told how many records were removed before they were read. Raises LogChangedError where it is not retention
    that has removed them: the topic is gone, or another one.
    """

    def __init__(
        self,
        reader: Reader,
        decode: Callable[[Sequence[Record]], list[Decoded]],
        events: PartitionOffsets,
        *,
        requests_topic: str | None = None,
        max_records: int = 1024,
        lost: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._reader = reader
        self._decode = decode
        self._events = frozenset(events)
        self._requests_topic = requests_topic
        self._max_records = max_records
        self._lost = lost
        self._clock = clock
        self._arrivals = PartitionMerge(events)
        self._answer_from: dict[Partition, int] = {}
        self._passing: set[Partition] = set()
        """Owned partitions that have yet to reach the position from which on they are answered."""
        self._waiting_since: float | None = None
        self._handed = self.positions
        self._held: set[Partition] = set()
        reader.assign(dict(events))

    @property
    def positions(self) -> dict[Partition, int]:
        """Of all partitions that are read, the offsets after what was handed out."""
        return self._arrivals.positions

    def own(self, owned: PartitionOffsets) -> None:
        """Answer for these partitions from these positions on, and for no others; follow the rest no further."""
        before = self.positions
        requests = {p: offset for p, offset in owned.items() if p not in self._events}
        if requests.keys() != before.keys() - self._events:
            events = {p: offset for p, offset in before.items() if p in self._events}
            kept = {p: before.get(p, offset) for p, offset in requests.items()}
            self._arrivals = PartitionMerge(events | kept, beside=kept)
            self._reader.assign(events | kept)
            self._handed = self.positions
        self._answer_from = dict(owned)
        self._passing = {p for p in self._events & owned.keys() if before[p] < owned[p]}
        self.follow({p: None if p in owned else before[p] for p in self._events})

    def follow(self, limits: Mapping[Partition, int | None]) -> None:
        """Go no further than these offsets in partitions that others own; None: they are ours."""
        self._arrivals.limit(limits)

    def reached(self, goals: PartitionOffsets) -> bool:
        """Whether all before these offsets was handed out."""
        return self._arrivals.reached(goals, self._reader.drained)

    def next(self, timeout_s: float, max_records: int | None = None) -> ReadBatch | None:
        """The next batch, None if there was nothing for *timeout_s*. A batch never waits to fill."""
        arrived, decoded = self._arrived(timeout_s, max_records or self._max_records)
        if not arrived:
            return None
        ours, records = self._ours(arrived)
        before, after = self._handed, self.positions
        self._handed = after
        settled = {
            p: offset for p, offset in after.items() if offset > max(before[p], self._answer_from.get(p, _NEVER) - 1)
        }
        seen = {str(p): offset - 1 for p, offset in after.items() if offset > before[p]}
        return ReadBatch(Batch(records, decoded, ours, seen), settled, {p: after[p] for p in self._events})

    def _arrived(self, timeout_s: float, n: int) -> MergedRecords:
        arrivals, reader = self._arrivals, self._reader
        self._hold_who_is_ahead(n)
        # A partition that others wait for is waited for: asking again and again would keep its client from its work.
        is_ready = len(arrivals) >= n and self._waiting_since is None
        for partition, records in self._polled(n, 0.0 if is_ready else timeout_s).items():
            if records:
                arrivals.add(partition, records, self._decoded(partition, records))
        taken = arrivals.take(n, reader.drained)
        if taken.records or not len(arrivals):
            self._waiting_since = None
            return taken
        return self._without_waiting(n)

    def _polled(self, n: int, timeout_s: float) -> Mapping[Partition, Sequence[Record]]:
        """What the reader has. Where retention was quicker than we, go on with what it has left, and say so."""
        try:
            return self._reader.poll(n, timeout_s)
        except LogChangedError as error:
            if error.first is None or not error.is_cut_off:
                raise
            self._go_on_behind(error, error.first)
        return {}

    def _go_on_behind(self, error: LogChangedError, first: int) -> None:
        fetched = self._arrivals.fetched
        partition = next(each for each in fetched if str(each) == error.partition)
        position = max(error.offset, fetched[partition])
        log.warning(
            "%s: %d records (offsets %d to %d) were removed by the topic's retention before they were read: the state "
            "lacks them, and nobody answers them; going on from %d",
            partition, first - position, position, first - 1, first,
        )  # fmt: skip
        self._lost(first - position)
        self._arrivals.skip_to(partition, first)
        self._reader.assign(fetched | {partition: first})

    def _hold_who_is_ahead(self, n: int) -> None:
        """Fetch no more of partitions that others are waited for, where much is waiting already."""
        n = min(n, _SMALL)
        waiting = len(self._arrivals)
        if waiting >= _AHEAD * n:
            self._held = self._arrivals.full(n)
        elif waiting <= _ENOUGH * n:
            self._held = set()
        elif self._held:
            # One that was ahead may be the one waited for by now: held, it would be waited for for ever.
            self._held &= self._arrivals.full(n)
        self._reader.pause_only(self._held)

    def _without_waiting(self, n: int) -> MergedRecords:
        """Records that could be had but for a partition that does not answer, once that has lasted."""
        now = self._clock()
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since < _PATIENCE_S:
            return NOTHING
        log.warning("a partition has not answered for %.0f s: the others go on without it", _PATIENCE_S)
        self._waiting_since = now
        return self._arrivals.take(n, self.positions.keys())

    def _decoded(self, partition: Partition, records: Sequence[Record]) -> Sequence[Decoded | None]:
        if partition.topic == self._requests_topic:
            return [None] * len(records)
        return self._decode(records)

    def _ours(self, records: Sequence[Record]) -> tuple[Mask | None, Sequence[Record]]:
        """Which of *records* are ours, None if all are, which is the usual case and costs nothing; and the records."""
        if not self._passing and len(self._answer_from.keys() & self._events) == len(self._events):
            return None, records
        answer_from = self._answer_from
        if not answer_from:
            return np.zeros(len(records), np.bool_), records
        records = list(records)
        ours = [record.offset >= answer_from.get((record.topic, record.partition), _NEVER) for record in records]  # type: ignore[call-overload]  # a Partition is such a pair
        positions = self.positions
        self._passing = {p for p in self._passing if positions[p] < answer_from[p]}
        return np.array(ours, np.bool_), records
