"""Where to begin: the newest snapshot that can be used, then the log in silence up to what the group has committed.

Knows nothing of threads, nor of who will own what: whoever recovers first, and joins the group then, finds the state
that the last owner's answers were computed from.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from time import monotonic
from typing import Final, Literal, NamedTuple

from stream_rec.errors import TransportError
from stream_rec.service.consuming.batch_reader import BatchReader
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.processing.processor import Processor
from stream_rec.transport.broker import Bounds, Broker, Member, Partition, PartitionOffsets, Writer

__all__ = ["Begin", "LogBounds", "abort_dangling_transaction", "first_of", "inspect_log", "replay", "start_offsets"]

log = logging.getLogger(__name__)

Begin = Literal["earliest", "latest"]
"""Where a group that has committed nothing begins to answer: at the first record, or after the last."""

_TELL_EVERY_S: Final = 5.0
_WAIT_S: Final = 0.05
_BATCH: Final = 8192  # nobody waits for an answer: larger batches cost less a record


class LogBounds(NamedTuple):
    """What the broker says, before anything is read."""

    bounds: dict[Partition, Bounds]
    committed: dict[Partition, int]
    goals: dict[Partition, int]
    """For each partition of events, the position that all before was answered of, or need not be."""


def inspect_log(broker: Broker, member: Member, events: str, begin: Begin) -> LogBounds:
    """Ask the broker what there is. Raises TransportError, retriable where the broker is away."""
    partitions = broker.partitions(events)
    if not partitions:
        raise TransportError(f"there is no topic {events!r}: make it first, or run with --create-topics")
    # In this order: others commit meanwhile, and what is committed must not seem to lie beyond the end.
    committed = member.committed(partitions)
    bounds = broker.bounds(partitions)
    return LogBounds(bounds, committed, {p: first_of(p, bounds[p], committed.get(p), begin) for p in partitions})


def first_of(
    partition: Partition, bounds: Bounds, committed: int | None, begin: Begin, level: int = logging.WARNING
) -> int:
    """The first record to be answered, of those that are there; what is not is told at *level*."""
    if committed is None:
        return bounds.end if begin == "latest" else bounds.first
    if committed > bounds.end:
        log.log(
            level,
            "%s: the group's position %d lies beyond its end, %d: the topic was made anew; going on from %d",
            partition, committed, bounds.end, bounds.first,
        )  # fmt: skip
        return bounds.first
    if committed < bounds.first:
        log.log(
            level,
            "%s: %d records (offsets %d to %d) were removed by the topic's retention before they were answered; "
            "going on from %d",
            partition, bounds.first - committed, committed, bounds.first - 1, bounds.first,
        )  # fmt: skip
        return bounds.first
    return committed


def abort_dangling_transaction(broker: Broker, writer: Writer, group: str, events: str, written: Iterable[str]) -> None:
    """Abort once more what earlier transactions of *writer* have left open, in every partition they can have been in.

    A broker that is killed and is the only one (Apache Kafka 4.3.1) may end a transaction, when it starts again,
    without saying so in the partitions: it takes them for deleted, since for a moment nobody leads them. The group's
    positions are undecided then, for ever and for all of its members. The end of any later transaction of the same
    writer in the same partitions is taken for that of the lost one too: so one is begun, touches them all, and is
    aborted.
    """
    try:
        writer.begin()
        writer.write_empty([partition for topic in written for partition in broker.partitions(topic)])
        writer.add_offsets(dict.fromkeys(broker.partitions(events), 0), broker.group_metadata(group))
        writer.abort()
    except TransportError as error:
        log.debug("nothing was swept: %s", error)
    else:
        log.warning("the group's positions are undecided: what a broker that was killed may have left open was aborted")


def start_offsets(situation: LogBounds, known: PartitionOffsets) -> dict[Partition, int]:
    """The positions to read on from, where those *known* are a snapshot's."""
    begin = {}
    for partition, (first, _) in situation.bounds.items():
        wanted = known.get(partition, 0)
        begin[partition] = max(wanted, first)
        if partition in known and wanted < first:
            log.warning(
                "%s: %d records (offsets %d to %d) after the snapshot were removed by the topic's retention: "
                "the state lacks them; going on from %d",
                partition, first - wanted, wanted, first - 1, first,
            )  # fmt: skip
    return begin


def replay(
    batch_reader: BatchReader,
    processor: Processor,
    goals: PartitionOffsets,
    stop: Callable[[], bool],
    alive: Callable[[], None],
) -> bool:
    """Apply all before *goals* in silence; *alive* is called now and then. Returns early if told to *stop*.

    Tells whether something was forgotten: a process that was killed may have left snapshots that hold it.
    """
    batch_reader.own({})
    batch_reader.follow(goals)
    forgot = False
    begun = told = monotonic()
    n_before = processor.counts.n_followed
    while not batch_reader.reached(goals) and not stop():
        handed = batch_reader.next(_WAIT_S, _BATCH)
        if handed is not None:
            forgot |= processor.take(handed.batch).forgot
        alive()
        if monotonic() - told > _TELL_EVERY_S:
            told = monotonic()
            _tell(processor.counts.n_followed - n_before, batch_reader.positions, goals, told - begun)
    n = processor.counts.n_followed - n_before
    if n:
        seconds = monotonic() - begun
        figures = fields(records=n, seconds=round(seconds, 3))
        log.info("recovered: %d records in %.1f s (%.0f/s)", n, seconds, n / max(seconds, 1e-9), extra=figures)
    return forgot


def _tell(n: int, positions: PartitionOffsets, goals: PartitionOffsets, seconds: float) -> None:
    left = _left(positions, goals, goals.keys())
    log.info("recovering: %d records read (%.0f/s), about %d to go", n, n / seconds, left)


def _left(positions: PartitionOffsets, goals: PartitionOffsets, partitions: Collection[Partition]) -> int:
    return sum(max(0, goals[p] - positions[p]) for p in partitions)
