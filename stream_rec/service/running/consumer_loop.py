"""The consumer thread from a recovery to the loss of its partitions: poll, merge, hand over, commit."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from stream_rec.errors import (
    AssignmentLostError,
    FencedError,
    LogChangedError,
    MissingTopicError,
    SettingsError,
    TransportError,
)
from stream_rec.service.activity import Activity, Phase
from stream_rec.service.batches import BatchResult
from stream_rec.service.committing.checkpoint import Backoff, Checkpoint
from stream_rec.service.consuming.batch_reader import BatchReader, Reports
from stream_rec.service.consuming.recovery import (
    LogBounds,
    abort_dangling_transaction,
    inspect_log,
    replay,
    start_offsets,
)
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.problems import ProblemKind, Problems
from stream_rec.service.running.assignment import PartitionAssignment
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.output_watch import OutputWatch
from stream_rec.service.running.partition_watch import PartitionWatch
from stream_rec.transport.broker import Broker, Partition, PartitionOffsets, Writer

__all__ = ["ConsumerLoop"]

log = logging.getLogger(__name__)

_REFUSALS: Final = 3  # a broker that has just started may not know yet what it holds


class ConsumerLoop:
    """From a recovery to the loss of the partitions, or to the end. `step` is one turn of the consumer thread.

    Making one recovers, and joins the group unless *stop* says so first; *on_progress* is called meanwhile. Raises
    what failed, and leaves nothing open then. `close` undoes what was done here, in the reverse order.
    """

    def __init__(
        self,
        components: ServiceComponents,
        stop: Callable[[], bool],
        on_progress: Callable[[], None] = lambda: None,
        counters: Counters | None = None,
        metrics: ServiceMetrics | None = None,
        *,
        problems: Problems | None = None,
        seen: dict[Partition, int] | None = None,
        activity: Activity | None = None,
    ) -> None:
        self.lag: dict[Partition, int] = {}
        """Of each partition that is read, how many offsets lie between what was read and its end, a moment ago.

        Of one that was added, and that the group has not assigned yet: all its records.
        """
        self._components = components
        self._counters = counters or Counters()
        self._metrics = metrics or ServiceMetrics()
        self._problems = problems or Problems()
        self._seen = {} if seen is None else seen
        self._activity = activity or Activity()
        self._log_error: TransportError | None = None
        """Why nothing can be read any more: a client may only fall silent."""
        self._n_refused = 0
        self._is_closing = self._ends_in_order = self._is_done = False
        self._undo = ExitStack()
        try:
            self._open_clients(components.broker)
            found = self._inspect_log()
            forgot = self._recover(found, stop, on_progress)
            self._start_committing(found, forgot=forgot)
            self._watch_output()
            self._activity.begin(Phase.PARTITIONS)
            if not stop():
                self.member.join()
        except BaseException:
            self.close(in_order=False)
            raise

    def _open_clients(self, broker: Broker) -> None:
        parts = self._components
        # First of all: it ends the transaction that an earlier process of the same name may have left open.
        self.writer: Writer | None = None
        if parts.destinations.topics or parts.transactional_id:
            self.writer = broker.writer(parts.transactional_id)
            self._undo.callback(self.writer.close)
        self._reader = broker.reader()
        self._undo.callback(self._reader.close)
        # The group calls back only after the loop has joined it.
        self.member = broker.member(parts.group, parts.topics, self._on_revoked, instance=parts.instance)
        self._undo.callback(self.member.leave)

    def _inspect_log(self) -> LogBounds:
        """See what there is. Where the committed offsets cannot be read, first abort what may block them."""
        parts = self._components
        try:
            return inspect_log(parts.broker, self.member, parts.events, parts.begin, self._seen)
        except MissingTopicError:
            raise
        except TransportError as error:
            if error.retriable and self.writer is not None and parts.transactional_id is not None:
                topics = parts.destinations.topics
                abort_dangling_transaction(parts.broker, self.writer, parts.group, parts.events, topics)
            raise

    def _recover(self, found: LogBounds, stop: Callable[[], bool], on_progress: Callable[[], None]) -> bool:
        """Make the state that the group's answers go on from. Return whether something was forgotten on the way."""
        parts = self._components
        self.processor = parts.make_processor(self._counters, self._metrics)
        known = self._load_snapshot(found.targets)
        self.batch_reader = BatchReader(
            self._reader,
            parts.decode,
            start_offsets(found, known),
            requests_topic=parts.requests,
            max_records=parts.max_records,
            reports=Reports(self._count_lost, self._report_held),
            timeouts=parts.timeouts,
        )

        def advance(n_read: int, n_all: int) -> None:
            self._activity.advance(n_read, n_all)
            on_progress()

        self._activity.begin(Phase.READING)
        with self._recovering_from_another_log():
            return replay(self.batch_reader, self.processor, found.targets, stop, advance, parts.timeouts)

    def _load_snapshot(self, targets: PartitionOffsets) -> dict[Partition, int]:
        """Load the newest snapshot that can be used, if there is one; return the offsets that it stands at."""
        parts = self._components
        if parts.snapshots is None:
            return {}
        self._activity.begin(Phase.SNAPSHOT)
        snapshot = parts.snapshots.find(targets)
        if snapshot is None:
            return {}
        offsets = snapshot.header.offsets.get(parts.events, {})
        known = {Partition(parts.events, number): offset for number, offset in offsets.items()}
        self.processor.restore(snapshot.state, {str(p): offset - 1 for p, offset in known.items() if offset > 0})
        log.info("recovering from %s", snapshot.path.name)
        return known

    def _start_committing(self, found: LogBounds, *, forgot: bool) -> None:
        parts = self._components
        broker, topics = parts.broker, parts.destinations.topics
        self.checkpoint = checkpoint = Checkpoint(
            parts.destinations,
            self.member,
            self.writer,
            exactly_once=parts.transactional_id is not None,
            written=lambda: [each for topic in topics for each in broker.partitions(topic)],
            on_committed=self._on_committed,
            on_retry=self._metrics.commit_retries.record,
            backoff=Backoff(parts.timeouts.commit_first_wait_s, parts.timeouts.commit_longest_wait_s),
            problems=self._problems,
            note="" if parts.note is None else parts.note.text,
        )
        if parts.snapshots is not None:
            parts.snapshots.begin(self.batch_reader.offsets, forgot=forgot, committed=lambda: checkpoint.committed)
        self._pipeline = parts.make_pipeline(
            self.processor, checkpoint, parts.listener, parts.request_queue, parts.timeouts
        )
        self._undo.callback(self._end_pipeline)
        self.assignment = PartitionAssignment(
            parts,
            self.member,
            self.batch_reader,
            checkpoint,
            self._pipeline,
            found.targets,
            seen=self._seen,
            on_rebalance=self._metrics.rebalances.record,
        )
        self._partitions = PartitionWatch(parts, self.assignment, self._problems, lambda: self._is_closing)

    def _watch_output(self) -> None:
        """See whether another group writes into the topic of answers too."""
        parts = self._components
        output = parts.destinations.answers_topic
        if parts.note is not None and output is not None:
            watch = OutputWatch(parts.broker, output, parts.group, parts.events, self._problems, parts.timeouts)
            watch.start()
            self._undo.callback(watch.close)

    def step(self, timeout_s: float | None = None, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Take part in the group, and hand over what has come; False if nothing had. Raises what failed."""
        self._pipeline.raise_failure()
        if self._log_error is not None:
            raise self._log_error
        self.assignment.update()
        with self._recovering_from_another_log():
            read = self.batch_reader.next(self._components.timeouts.poll_s if timeout_s is None else timeout_s)
        return read is not None and self._pipeline.put(read, give_up)

    def measure_lag(self) -> None:
        """Find out how far the log goes. For a thread of its own."""
        offsets = self.batch_reader.positions
        try:
            added = self._partitions.find_added()
            bounds = self._components.broker.bounds([*offsets, *added])
        except TransportError as error:
            self._n_refused += not error.retriable
            if self._n_refused >= _REFUSALS:
                self._log_error = self._other_log(error)
            raise
        self._n_refused = 0
        offsets |= {partition: bounds[partition].first for partition in added}
        self.lag = {partition: max(0, bounds[partition].end - offset) for partition, offset in offsets.items()}
        self._partitions.look()

    def close(self, *, in_order: bool) -> bool:
        """End the loop: *in_order*, after committing all that was handed over, with a last snapshot.

        Returns whether all of it was committed.
        """
        self._is_closing, self._ends_in_order = True, in_order
        undo, self._undo = self._undo, ExitStack()
        try:
            undo.close()
        except (TransportError, SettingsError) as error:
            # The failure that ended the loop is raised in its place: it may be the cause, as where a commit stalls.
            if in_order:
                raise
            log.debug("closing: %s", error)
        return self._is_done

    def _end_pipeline(self) -> None:
        in_order, timeouts = self._ends_in_order, self._components.timeouts
        self._is_done = done = self._pipeline.close(timeouts.close_s if in_order else 0.0)
        if in_order and not done:
            log.warning("stopped before all answers were committed: the next start answers them")
        if self._components.snapshots is not None:
            engine = self.processor.engine if in_order and done else None
            self._components.snapshots.close(engine, timeouts.close_s if in_order else timeouts.snapshot_close_s)

    @contextmanager
    def _recovering_from_another_log(self) -> Iterator[None]:
        """Where the topic was made again, raise what leads to a recovery; where it is gone, what leads to a wait."""
        try:
            yield
        except (FencedError, AssignmentLostError):
            raise
        except TransportError as error:
            if error.retriable:
                raise
            other = self._other_log(error)
            if isinstance(error, LogChangedError) or isinstance(other, MissingTopicError):
                raise other from error
            raise

    def _other_log(self, error: TransportError) -> TransportError:
        """Return what to raise where the log is not the one that was read any more."""
        parts = self._components
        gone = [topic for topic in parts.topics if not parts.broker.partitions(topic)]
        if gone:
            return MissingTopicError(f"there is no topic {gone[0]!r} any more ({error.message})")
        return AssignmentLostError(error.message)

    def _report_held(self, why: str | None) -> None:
        if why is None:
            self._problems.end(ProblemKind.REGISTRY)
        else:
            self._problems.begin(ProblemKind.REGISTRY, why)

    def _count_lost(self, n: int) -> None:
        self._counters.n_lost += n

    def _on_committed(self, results: Sequence[BatchResult], begun: float, ended: float) -> None:
        self._metrics.committed(results, begun, ended)
        self._components.on_committed(results, begun, ended)

    def _on_revoked(self, partitions: frozenset[Partition], lost: bool) -> None:  # as the Member calls it
        if not self._is_closing:
            self.assignment.revoked(partitions, lost)
