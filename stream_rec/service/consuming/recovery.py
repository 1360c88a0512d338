"""Where to begin: the newest snapshot that can be used, then the log without answers up to the committed offsets.

Knows nothing of threads, nor of which partitions this process will own: after a recovery, the state is the one that
the last owner's answers were computed from.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from time import monotonic
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from stream_rec.errors import MissingTopicError, TransportError
from stream_rec.service.batches import NOT_A_MEMBER
from stream_rec.service.consuming.batch_reader import BatchReader
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.processing.processor import Processor
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Bounds, Broker, Member, Partition, PartitionOffsets, Writer

__all__ = [
    "Begin",
    "LogBounds",
    "abort_dangling_transaction",
    "begin_of",
    "first_to_answer",
    "inspect_log",
    "offset_of",
    "replay",
    "start_offsets",
]

log = logging.getLogger(__name__)

Begin = Literal["earliest", "latest"]
"""Where a group that has committed nothing begins to answer: at the first record, or after the last."""

_BATCH: Final = 8192  # larger batches cost less a record, and no answer waits for them


class LogBounds(NamedTuple):
    """What the broker says of the topic of events before anything is read."""

    bounds: dict[Partition, Bounds]
    committed: dict[Partition, int]
    targets: dict[Partition, int]
    """For each partition, the offset up to which a recovery reads: all before it is answered, or need not be."""


def inspect_log(
    broker: Broker, member: Member, events: str, begin: Begin, seen: Mapping[Partition, int] = MappingProxyType({})
) -> LogBounds:
    """Ask the broker what there is. Raises TransportError, retriable where the broker is away.

    *seen* are the partitions that this process has found before: see `begin_of` and `offset_of`.
    """
    partitions = broker.partitions(events)
    if not partitions:
        raise MissingTopicError(f"there is no topic {events!r}: make it, or run with --create-topics")
    # In this order: others commit meanwhile, and a committed offset must not seem to lie beyond the end.
    committed = member.committed(partitions)
    bounds = broker.bounds(partitions)
    targets = {
        p: first_to_answer(p, bounds[p], offset_of(p, committed, begin, seen), begin_of(p, begin, seen))
        for p in partitions
    }
    return LogBounds(bounds, committed, targets)


def begin_of(partition: Partition, begin: Begin, seen: Collection[Partition]) -> Begin:
    """Return where to begin in *partition*, if nothing is committed.

    One that was added to a topic while this process ran is answered from its first record: `latest` is about what was
    there before the group.
    """
    was_added = partition not in seen and any(each.topic == partition.topic for each in seen)
    return "earliest" if was_added else begin  # planted bug: added-from-the-end


def offset_of(
    partition: Partition, committed: PartitionOffsets, begin: Begin, seen: Mapping[Partition, int]
) -> int | None:
    """Return the offset to answer from in *partition*, if there is one.

    It is the group's; else, with `latest`, the end that *seen* says this process found first: what has come since is
    answered, whichever process reads it.
    """
    offset = committed.get(partition)
    return seen.get(partition) if offset is None and begin == "latest" else offset


def first_to_answer(
    partition: Partition, bounds: Bounds, committed: int | None, begin: Begin, level: int = logging.WARNING
) -> int:
    """Return the offset of the first record to answer. What is not in the log any more is logged at *level*."""
    if committed is None:
        return bounds.end if begin == "latest" else bounds.first
    if committed > bounds.end:
        log.log(
            level,
            "%s: the group's committed offset %d lies beyond its end, %d: the topic was made again. Going on from %d",
            partition, committed, bounds.end, bounds.first,
        )  # fmt: skip
        return bounds.first
    if committed < bounds.first:
        log.log(
            level,
            "%s: %d records (offsets %d to %d) were removed by the topic's retention before they were answered. "
            "Going on from %d",
            partition, bounds.first - committed, committed, bounds.first - 1, bounds.first,
        )  # fmt: skip
        return bounds.first
    return committed


def abort_dangling_transaction(broker: Broker, writer: Writer, group: str, events: str, written: Iterable[str]) -> None:
    """Abort once more what earlier transactions of *writer* left open, in every partition that they can have been in.

    A broker that is killed and is the only one (Apache Kafka 4.3.1) may end a transaction, when it starts again,
    without saying so in the partitions: it takes them for deleted, since for a moment they have no leader. The group's
    committed offsets are then undecided for ever, for all of its members. The end of any later transaction of the same
    writer in the same partitions is taken for the end of the lost one too. So this begins one, writes to all of the
    partitions, and aborts it.
    """
    try:
        writer.begin()
        writer.write_empty([partition for topic in written for partition in broker.partitions(topic)])
        writer.add_offsets(dict.fromkeys(broker.partitions(events), 0), broker.group_metadata(group))
        writer.abort()
    except TransportError as error:
        log.debug("no dangling transaction was aborted: %s", error)
    else:
        log.warning("committed offsets were blocked by a transaction that a killed broker left open: aborted it")


def start_offsets(found: LogBounds, known: PartitionOffsets) -> dict[Partition, int]:
    """Return the offsets to read from, where a snapshot stands at the *known* ones."""
    begin = {}
    for partition, (first, _) in found.bounds.items():
        wanted = known.get(partition, 0)
        begin[partition] = max(wanted, first)
        if partition in known and wanted < first:
            log.warning(
                "%s: %d records (offsets %d to %d) after the snapshot were removed by the topic's retention. "
                "The state lacks them. Going on from %d",
                partition, first - wanted, wanted, first - 1, first,
            )  # fmt: skip
    return begin


def replay(
    batch_reader: BatchReader,
    processor: Processor,
    targets: PartitionOffsets,
    stop: Callable[[], bool],
    on_progress: Callable[[int, int], None],
    timeouts: Timeouts = TIMEOUTS,
) -> bool:
    """Apply all records before *targets* without answers.

    After each turn *on_progress* is called with how many offsets are read, and of how many. Returns early once *stop*
    says so. Returns whether something was forgotten: a process that was killed may have left snapshots that still hold
    it.
    """
    batch_reader.own({}, NOT_A_MEMBER)
    batch_reader.follow(targets)
    forgot = False
    begun = monotonic()
    n_all = _n_left(batch_reader, targets)
    n_before = processor.counters.n_followed
    while not batch_reader.reached(targets) and not stop():
        read = batch_reader.next(timeouts.replay_poll_s, _BATCH)
        if read is not None:
            forgot |= processor.process(read.batch).forgot
        on_progress(n_all - _n_left(batch_reader, targets), n_all)
    n = processor.counters.n_followed - n_before
    if n:
        seconds = monotonic() - begun
        figures = fields(records=n, seconds=round(seconds, 3))
        log.info("recovered: %d records in %.1f s (%.0f/s)", n, seconds, n / max(seconds, 1e-9), extra=figures)
    return forgot


def _n_left(batch_reader: BatchReader, targets: PartitionOffsets) -> int:
    offsets = batch_reader.offsets
    return sum(max(0, target - offsets[partition]) for partition, target in targets.items())
