"""Records from the broker to batches: read, decoded, merged by time, and marked as owned or not.

An *owned* partition is one that the group has assigned to this process: its records are answered, from the group's
committed offset on. Every other partition of events is a *standby*: it is applied without answers, and never beyond
what its owner has committed, so that its next owner goes on exactly where the last one stopped. Recovery is the same
with no partition owned yet.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import Final, NamedTuple

import numpy as np

from stream_rec.errors import LogChangedError, RegistryUnavailableError
from stream_rec.service.batches import NOT_A_MEMBER, Batch, Mask, Membership, ReadBatch
from stream_rec.service.consuming.partition_merge import NOTHING, MergedRecords, PartitionMerge
from stream_rec.service.consuming.record_decoder import Decode
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Partition, PartitionOffsets, Reader
from stream_rec.transport.records import Record, Records

__all__ = ["AHEAD", "BatchReader", "Reports"]

log = logging.getLogger(__name__)

AHEAD: Final = 128  # batches that are fetched ahead at most ...
_SMALL: Final = 1024  # ... as if none were larger than this: some 50 MB
_ENOUGH: Final = 32  # ... and when fetching goes on: a client drops what it has fetched of a partition that is paused
_NEVER: Final = 1 << 62  # an offset beyond all others


def _nothing_to_say(_: int) -> None:
    """Report nothing."""


class Reports(NamedTuple):
    """What is called for what goes wrong while records are read."""

    lost: Callable[[int], None] = _nothing_to_say
    """With the number of records that were removed before they were read."""
    held: Callable[[str | None], None] | None = None
    """With why records wait for the schema registry, and with None once none do. None: then the error is raised."""


class BatchReader:
    """Reads the partitions of *events*, and those of *requests_topic* that are owned. For one thread.

    Raises LogChangedError where the records to read are gone and retention is not the cause: the topic is gone, or
    another one. Records whose schema the registry does not say are *held*: their partition is paused, and the others
    do not go on without it.
    """

    def __init__(
        self,
        reader: Reader,
        decode: Decode,
        events: PartitionOffsets,
        *,
        requests_topic: str | None = None,
        max_records: int = 1024,
        reports: Reports | None = None,
        clock: Callable[[], float] = monotonic,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self._reader = reader
        self._decode = decode
        self._events = frozenset(events)
        self._requests_topic = requests_topic
        self._max_records = max_records
        self._reports = reports or Reports()
        self._clock = clock
        self._patience_s = timeouts.patience_s
        self._positions_every_s = timeouts.positions_every_s
        self._merge = PartitionMerge(events)
        self._membership = NOT_A_MEMBER
        self._answer_from: dict[Partition, int] = {}
        self._catching_up: set[Partition] = set()
        """Owned partitions that have yet to reach the offset from which on they are answered."""
        self._waiting_since: float | None = None
        self._offsets_before = self.offsets
        """After the last batch that was returned."""
        self._paused: set[Partition] = set()
        self._held: dict[Partition, Records] = {}
        """Records that were fetched and wait for the schema of the first of them."""
        self._said_held = False
        self._passed: dict[Partition, int] = {}
        """Of partitions of which nothing waited here, how far the client had come: no record is left before that."""
        self._look_at = 0.0
        reader.assign(dict(events))

    @property
    def offsets(self) -> dict[Partition, int]:
        """Of all partitions that are read, the offsets after the last batch."""
        return self._merge.offsets

    @property
    def positions(self) -> dict[Partition, int]:
        """The same, behind what readers of committed records never see: lag is counted from here. Any thread may ask.

        `offsets` stay before it: they are committed, and a snapshot must not be ahead of what is.
        """
        passed = self._passed
        return {partition: max(offset, passed.get(partition, 0)) for partition, offset in self.offsets.items()}

    def own(self, answer_from: PartitionOffsets, membership: Membership) -> None:
        """Answer for these partitions from these offsets on, and for no others; read the others no further."""
        before = self.offsets
        requests = {p: offset for p, offset in answer_from.items() if p not in self._events}
        if requests.keys() != before.keys() - self._events:
            events = {p: offset for p, offset in before.items() if p in self._events}
            kept = {p: before.get(p, offset) for p, offset in requests.items()}
            self._merge = PartitionMerge(events | kept, beside=kept)
            self._reader.assign(events | kept)
            self._held.clear()  # they are fetched once more
            self._offsets_before = self.offsets
        self._membership = membership
        self._answer_from = dict(answer_from)
        self._catching_up = {p for p in self._events & answer_from.keys() if before[p] < answer_from[p]}
        self.follow({p: None if p in answer_from else before[p] for p in self._events})

    def follow(self, limits: Mapping[Partition, int | None]) -> None:
        """Read standby partitions up to these offsets; None stands for an owned one, which has no limit."""
        self._merge.limit(limits)

    def reached(self, targets: PartitionOffsets) -> bool:
        """Whether all records before these offsets were returned."""
        return self._merge.reached(targets, self._drained)

    @property
    def _drained(self) -> Collection[Partition]:
        """The partitions of which all records are here."""
        return set(self._reader.drained) - self._held.keys() if self._held else self._reader.drained

    def next(self, timeout_s: float, max_records: int | None = None) -> ReadBatch | None:
        """Return the next batch; None if nothing came within *timeout_s*. A batch never waits to fill."""
        records, decoded, log_times, elements = self._next_merged(timeout_s, max_records or self._max_records)
        if not records:
            return None
        is_owned, looked_at = self._owned(records)
        before, after = self._offsets_before, self.offsets
        self._offsets_before = after
        commit_offsets = {
            p: offset for p, offset in after.items() if offset > max(before[p], self._answer_from.get(p, _NEVER) - 1)
        }
        last_offsets = {str(p): offset - 1 for p, offset in after.items() if offset > before[p]}
        batch = Batch(looked_at, decoded, is_owned, last_offsets, log_times, elements)
        offsets = {p: after[p] for p in self._events}
        return ReadBatch(batch, commit_offsets, offsets, self._membership, monotonic())

    def _next_merged(self, timeout_s: float, n: int) -> MergedRecords:
        merge, reader = self._merge, self._reader
        self._pause_those_ahead(n)
        # Where others wait for a partition, wait for it here: polling without a pause would keep its client from work.
        is_ready = len(merge) >= n and self._waiting_since is None
        fetched = self._poll(n, 0.0 if is_ready else timeout_s)
        for partition, records in (self._with_held(fetched) if self._held else fetched).items():
            if records:
                self._add(partition, records)
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + self._positions_every_s
            self._passed = {
                p: offset for p, offset in reader.positions.items() if merge.is_empty(p) and p not in self._held
            }
        taken = merge.take(n, self._drained)
        if taken.records or not len(merge):
            self._waiting_since = None
            return taken
        return self._take_without_waiting(n)

    def _poll(self, n: int, timeout_s: float) -> Mapping[Partition, Sequence[Record]]:
        """Return what the reader has. Where retention has removed records before, log it, and go on with the rest."""
        try:
            return self._reader.poll(n, timeout_s)
        except LogChangedError as error:
            if error.first is None or not error.is_cut_off:
                raise
            self._skip_to(error, error.first)
        return {}

    def _skip_to(self, error: LogChangedError, first: int) -> None:
        fetched = self._merge.fetched
        partition = next(each for each in fetched if str(each) == error.partition)
        offset = max(error.offset, fetched[partition])
        log.warning(
            "%s: %d records (offsets %d to %d) were removed by the topic's retention before they were read. The state "
            "lacks them, and they are not answered. Going on from %d",
            partition, first - offset, offset, first - 1, first,
        )  # fmt: skip
        self._reports.lost(first - offset)
        self._merge.skip_to(partition, first)
        self._held.clear()  # they are fetched once more
        self._reader.assign(fetched | {partition: first})

    def _pause_those_ahead(self, n: int) -> None:
        """When many records are buffered, pause partitions that are ahead, so that slower ones catch up."""
        n = min(n, _SMALL)
        buffered = len(self._merge)
        if buffered >= AHEAD * n:
            self._paused = self._merge.full(n)
        elif buffered <= _ENOUGH * n:
            self._paused = set()
        elif self._paused:
            # A paused partition may have become the slowest. Keeping it paused would deadlock, so resume it.
            self._paused &= self._merge.full(n)
        self._reader.pause_only(self._paused | self._held.keys() if self._held else self._paused)

    def _take_without_waiting(self, n: int) -> MergedRecords:
        """Return the records that wait for a partition that does not answer, once that has lasted."""
        now = self._clock()
        if self._held:  # going on without them would make them late
            self._waiting_since = now
            return NOTHING
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since < self._patience_s:
            return NOTHING
        log.warning("a partition has not answered for %.0f s: the others go on without it", self._patience_s)
        self._waiting_since = now
        return self._merge.take(n, self.offsets.keys())

    def _with_held(self, fetched: Mapping[Partition, Sequence[Record]]) -> dict[Partition, Sequence[Record]]:
        """Return the records that are held, which are tried again, and behind them what was *fetched*."""
        both: dict[Partition, Sequence[Record]] = dict(self._held)
        for partition, records in fetched.items():
            held = self._held.get(partition)
            both[partition] = records if held is None else Records([*held.raw, *Records.of(records).raw], held.adapter)
        return both

    def _add(self, partition: Partition, records: Sequence[Record]) -> None:
        """Decode *records*, and add them; hold them from the first on whose schema is not known."""
        try:
            self._add_decoded(partition, records)
        except RegistryUnavailableError as error:
            if self._reports.held is None:
                raise
            held = self._held[partition] = Records.of(records)[error.place :]
            names = ", ".join(f"{each} at offset {waiting[0].offset}" for each, waiting in sorted(self._held.items()))
            self._said_held = True
            self._reports.held(f"{error.message}; waiting for it: {names}")
            if len(held) < len(records):
                self._add_decoded(partition, Records.of(records)[: error.place])
            return
        self._held.pop(partition, None)
        if self._said_held and not self._held and self._reports.held is not None:
            self._said_held = False
            self._reports.held(None)

    def _add_decoded(self, partition: Partition, records: Sequence[Record]) -> None:
        if partition.topic == self._requests_topic:
            self._merge.add(partition, records, [None] * len(records))
            return
        read = self._decode(records)
        self._merge.add(partition, read.records_of(records), read.decoded, read.log_times, read.elements)

    def _owned(self, records: Sequence[Record]) -> tuple[Mask | None, Sequence[Record]]:
        """Return which of *records* are owned, None if all are, which is usual and costs nothing; and the records."""
        if not self._catching_up and len(self._answer_from.keys() & self._events) == len(self._events):
            return None, records
        answer_from = self._answer_from
        if not answer_from:
            return np.zeros(len(records), np.bool_), records
        records = list(records)
        is_owned = [record.offset >= answer_from.get((record.topic, record.partition), _NEVER) for record in records]  # type: ignore[call-overload]  # a Partition is such a pair
        offsets = self.offsets
        self._catching_up = {p for p in self._catching_up if offsets[p] < answer_from[p]}
        return np.array(is_owned, np.bool_), records
