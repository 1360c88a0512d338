"""The consumer thread from a recovery to the loss of its partitions: poll, merge, hand over, commit."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Final

from stream_rec.errors import AssignmentLostError, LogChangedError, SettingsError, TransportError
from stream_rec.service.batches import BatchResult, Work
from stream_rec.service.committing.checkpoint import Checkpoint
from stream_rec.service.consuming.batch_reader import BatchReader
from stream_rec.service.consuming.recovery import (
    LogBounds,
    abort_dangling_transaction,
    inspect_log,
    replay,
    start_offsets,
)
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.running.assignment import PartitionAssignment
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.pipeline import Pipeline
from stream_rec.transport.broker import Partition, PartitionOffsets

__all__ = ["ConsumerLoop"]

log = logging.getLogger(__name__)

_POLL_S: Final = 0.05

_CLOSE_S: Final = 6.0  # of the ten seconds that a stop may take
_LET_GO_S: Final = 1.0  # for a snapshot that is being written; one that waits for commits waits for none that will come


_REFUSALS: Final = 3  # a broker that has just started may not know yet what it holds


class ConsumerLoop:
    """From a recovery to the loss of the seat, or to the end. `step` is one turn of the consumer thread."""

    def __init__(
        self,
        parts: ServiceComponents,
        stop: Callable[[], bool],
        alive: Callable[[], None] = lambda: None,
        counts: Counters | None = None,
        metrics: ServiceMetrics | None = None,
    ) -> None:
        self.lag: dict[Partition, int] = {}
        """Of each partition of events, how many offsets there are that were not handed out, lately."""
        self._gone: TransportError | None = None
        """Why there is nothing to read any more: a client may only fall silent."""
        self._n_refused = 0
        self._parts = parts
        self._counts = counts or Counters()
        self._metrics = metrics or ServiceMetrics()
        self._closing = False
        self._undo = ExitStack()
        try:
            self._open(parts, stop, alive)
        except BaseException:
            self.close(in_order=False)
            raise

    def _open(self, parts: ServiceComponents, stop: Callable[[], bool], alive: Callable[[], None]) -> None:
        broker = parts.broker
        writes = parts.places.answers_topic is not None or parts.places.dead_letters_topic is not None
        # First of all: it ends the transaction that an earlier life of ours may have left open.
        self.writer = broker.writer(parts.transactional_id) if writes or parts.transactional_id else None
        if self.writer is not None:
            self._undo.callback(self.writer.close)
        self.reader = broker.reader()
        self._undo.callback(self.reader.close)
        self.member = broker.member(parts.group, parts.topics, self._revoked, instance=parts.instance)
        self._undo.callback(self.member.leave)
        situation = self._look(parts)
        self.processor = parts.make_processor()
        self.processor.counts = self._counts
        self.processor.metrics = self._metrics
        known = self._load_snapshot(situation.goals)
        self.batch_reader = BatchReader(
            self.reader,
            self.processor.decode,
            start_offsets(situation, known),
            requests_topic=parts.requests,
            max_records=parts.max_records,
            lost=self._lose,
        )
        with self._beginning_anew():
            forgot = replay(self.batch_reader, self.processor, situation.goals, stop, alive)
        if parts.snapshots is not None:
            parts.snapshots.begin(self.batch_reader.positions, forgot=forgot)
        self.checkpoint = Checkpoint(
            parts.places,
            self.member,
            self.writer,
            exactly_once=parts.transactional_id is not None,
            written=lambda: [each for topic in parts.places.topics for each in broker.partitions(topic)],
            observe=self._committed,
            retried=self._metrics.commit_retries.record,
        )
        if parts.snapshots is not None:
            parts.snapshots.committed = lambda: self.checkpoint.committed
        self.assignment = PartitionAssignment(
            parts, self.member, self.batch_reader, situation.goals, rebalanced=self._metrics.rebalances.record
        )
        self.pipeline = parts.pipeline(self.processor, self.checkpoint, parts.watcher, parts.request_queue)
        if not stop():
            self.member.join()

    def _look(self, parts: ServiceComponents) -> LogBounds:
        """See what there is. Where the group's positions are not to be had, mend what may be the cause of it first."""
        try:
            return inspect_log(parts.broker, self.member, parts.events, parts.begin)
        except TransportError as error:
            if error.retriable and self.writer is not None and parts.transactional_id is not None:
                abort_dangling_transaction(parts.broker, self.writer, parts.group, parts.events, parts.places.topics)
            raise

    @contextmanager
    def _beginning_anew(self) -> Iterator[None]:
        """Where the log is another one than it was, have another life recover from it; where there is none, end."""
        try:
            yield
        except LogChangedError as error:
            if not self._parts.broker.partitions(self._parts.events):
                raise
            raise AssignmentLostError(error.message) from error

    def _lose(self, n: int) -> None:
        self._counts.n_lost += n

    def _load_snapshot(self, goals: PartitionOffsets) -> dict[Partition, int]:
        """Go on from a snapshot, if there is one to go on from; return the positions that it stands at."""
        snapshot = None if self._parts.snapshots is None else self._parts.snapshots.find(goals)
        if snapshot is None:
            return {}
        topic = self._parts.events
        known = {Partition(topic, number): offset for number, offset in snapshot.header.offsets.get(topic, {}).items()}
        self.processor.engine.import_state(snapshot.state)
        self.processor.offsets = {str(p): offset - 1 for p, offset in known.items() if offset > 0}
        log.info("recovering from %s", snapshot.path.name)
        return known

    def step(self, timeout_s: float = _POLL_S, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Keep the seat, and hand over what has come; False if nothing had. Raises what failed."""
        self.pipeline.raise_failure()
        if self._gone is not None:
            raise self._gone
        self.assignment.keep(self.pipeline, self.checkpoint)
        with self._beginning_anew():
            handed = self.batch_reader.next(timeout_s)
        if handed is None:
            return False
        return self.pipeline.put(
            Work(handed, self.assignment.generation, self.assignment.identity, monotonic()), give_up
        )

    def look_around(self) -> None:
        """Find out how far the log goes. For a thread of its own."""
        positions = self.batch_reader.positions
        try:
            bounds = self._parts.broker.bounds(positions)
        except TransportError as error:
            self._n_refused += not error.retriable
            if self._n_refused >= _REFUSALS:
                self._gone = error
            raise
        self._n_refused = 0
        self.lag = {partition: max(0, bounds[partition].end - offset) for partition, offset in positions.items()}

    def close(self, *, in_order: bool) -> bool:
        """End it: *in_order*, after committing all that was handed over, with a last snapshot. Tell if it was done."""
        self._closing = True
        pipeline: Pipeline | None = getattr(self, "pipeline", None)
        done = False
        if pipeline is not None:
            done = pipeline.close(_CLOSE_S if in_order else 0.0)
            if in_order and not done:
                log.warning("stopped before all answers were committed: the next start answers them")
            if self._parts.snapshots is not None:
                engine = self.processor.engine if in_order and done else None
                self._parts.snapshots.close(engine, _CLOSE_S if in_order else _LET_GO_S)
        undo, self._undo = self._undo, ExitStack()
        try:
            undo.close()
        except (TransportError, SettingsError) as error:
            # What ended this life is told in its place. A publisher that is still committing is one such reason.
            if in_order:
                raise
            log.debug("closing: %s", error)
        return done

    def _committed(
        self, outputs: Sequence[BatchResult], begun: float, ended: float
    ) -> None:  # as the Checkpoint calls it
        self._metrics.committed(outputs, begun, ended)
        self._parts.observe(outputs, begun, ended)

    def _revoked(self, partitions: frozenset[Partition], lost: bool) -> None:  # as the Member calls it
        if not self._closing:
            self.assignment.revoked(partitions, lost)
