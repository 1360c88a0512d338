"""From a batch that was read to its commit.

    consumer thread → mailbox → recommender thread → outbox → publisher thread

The recommender thread owns the engine: it applies and answers batches in the order they were read. The publisher
thread commits all that has come by the time it is free: each batch at once when little happens, many together under
load. Where a queue is full, the thread before it waits: nothing is dropped. A failure of either thread ends both, and
is raised where the consumer thread next puts a batch. Commands of other threads are executed between two batches, and
within large ones: a request over HTTP must not wait for a thousand events.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol

from stream_rec.core.engine import Engine
from stream_rec.service.batches import BatchResult, Membership, ReadBatch
from stream_rec.service.committing.checkpoint import Checkpoint
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Partition, PartitionOffsets

__all__ = [
    "Inline",
    "Pipeline",
    "StateListener",
    "StateListeners",
]


class Pipeline(Protocol):
    """What processes and commits batches, in the order they are put. For the consumer thread."""

    def put(self, read: ReadBatch, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Take *read* as soon as there is room; False if *give_up* says so first. Raises what failed before."""

    def commit_offsets(self, offsets: dict[Partition, int], membership: Membership) -> None:
        """Commit *offsets* for which no record was read."""

    def drain(self, timeout_s: float) -> bool:
        """Wait until all that was put is committed; False if it is not in time, or failed."""

    def raise_failure(self) -> None:
        """Raise what failed, if something has."""

    def close(self, timeout_s: float) -> bool:
        """Drain and end. False if that was not possible in time."""


class StateListener(Protocol):
    """Called on the recommender thread as the state moves on, so that it may read the engine."""

    def after(self, engine: Engine, offsets: PartitionOffsets, *, forgot: bool) -> None:
        """A batch is done, and the state is that of *offsets*."""

    def idle(self, engine: Engine) -> None:
        """No batch has come for a moment."""


class StateListeners:
    """Several listeners as one."""

    def __init__(self, listeners: Sequence[StateListener]) -> None:
        self._listeners = listeners

    def after(self, engine: Engine, offsets: PartitionOffsets, *, forgot: bool) -> None:
        """Call each."""
        for each in self._listeners:
            each.after(engine, offsets, forgot=forgot)

    def idle(self, engine: Engine) -> None:
        """Call each."""
        for each in self._listeners:
            each.idle(engine)


class Inline:
    """Does everything at once, where it is called: for tests that must know what happens when."""

    def __init__(
        self,
        processor: Processor,
        checkpoint: Checkpoint,
        listener: StateListener | None = None,
        request_queue: RequestQueue | None = None,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        del timeouts  # nothing is waited for
        self._processor = processor
        self._checkpoint = checkpoint
        self._listener = listener
        self._request_queue = request_queue

    def put(self, read: ReadBatch, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Apply, answer and commit."""
        started_at = monotonic()
        processed = self._processor.process(read.batch)
        self._checkpoint.commit([BatchResult(read, processed, started_at, monotonic())], give_up)
        if self._listener is not None:
            self._listener.after(self._processor.engine, read.offsets, forgot=processed.forgot)
        if self._request_queue is not None:
            self._request_queue.serve(self._processor)
        return True

    def commit_offsets(self, offsets: dict[Partition, int], membership: Membership) -> None:
        """Commit."""
        self._checkpoint.commit([BatchResult.of_offsets(offsets, membership)])

    def drain(self, timeout_s: float) -> bool:
        """Nothing waits."""
        del timeout_s
        return True

    def raise_failure(self) -> None:
        """Failures were raised at once."""

    def close(self, timeout_s: float) -> bool:
        """Nothing waits."""
        del timeout_s
        return True
