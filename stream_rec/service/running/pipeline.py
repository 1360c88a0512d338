"""The recommender thread and the publisher behind it, each with a bounded queue before it.

    consumer thread → mailbox → recommender thread → outbox → publisher

The recommender thread owns the engine: it applies and answers batches in the order they were read. The publisher
commits all that has come by the time it is free: when little happens each batch at once, under load many together.
Where the next in line is busy, the one before waits: nothing is dropped. A failure of either ends both, and is raised
where the consumer next hands something over. Who asks at the desk is answered between two batches, and within large
ones: a question over HTTP must not wait for a thousand events.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from time import monotonic
from typing import Final, NamedTuple, Protocol, TypeVar

from stream_rec.core.engine import Engine
from stream_rec.service.batches import BatchResult, BatchTimings, ProcessedBatch, Work
from stream_rec.service.committing.checkpoint import Checkpoint
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.transport.broker import Partition

__all__ = [
    "Inline",
    "Pipeline",
    "StateListener",
    "StateListeners",
]

log = logging.getLogger(__name__)

Item = TypeVar("Item")

_MAILBOX: Final = 4  # batches
_OUTBOX: Final = 16
_TICK_S: Final = 0.2
_SHORT_TICK_S: Final = 0.01
_SILENT_S: Final = 0.1
_SLICE: Final = 64  # records between two looks at the desk: some 3 ms
_SILENT_SLICE: Final = 1024  # the same, where none is answered
_LARGEST_COMMIT: Final = 20_000  # answers: some 20 MB


class _Marker(NamedTuple):
    """Goes through both queues behind all that was handed over before; *passed* says that it has."""

    passed: Event
    is_last: bool = False


class Pipeline(Protocol):
    """What becomes of batches, in the order they are handed over."""

    def put(self, work: Work, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Take *work*, as soon as there is room; False if told to give up first. Raises what failed before."""

    def settle(self, positions: dict[Partition, int], generation: int, identity: object) -> None:
        """Commit *positions* that nothing was read for."""

    def drain(self, timeout_s: float) -> bool:
        """Wait until all that was put is committed; False if it is not in time, or failed."""

    def raise_failure(self) -> None:
        """Raise what failed, if something has."""

    def close(self, timeout_s: float) -> bool:
        """Drain and end. False if that was not possible in time."""


class StateListener(Protocol):
    """Told on the recommender thread how the state moves on, so that it may look at it."""

    def after(self, engine: Engine, positions: Mapping[Partition, int], *, forgot: bool) -> None:
        """A batch is done, and the state is that of *positions*."""

    def idle(self, engine: Engine) -> None:
        """Nothing has happened for a moment."""


class StateListeners:
    """Several watchers as one."""

    def __init__(self, watchers: Sequence[StateListener]) -> None:
        self._watchers = watchers

    def after(self, engine: Engine, positions: Mapping[Partition, int], *, forgot: bool) -> None:
        """Tell each."""
        for each in self._watchers:
            each.after(engine, positions, forgot=forgot)

    def idle(self, engine: Engine) -> None:
        """Tell each."""
        for each in self._watchers:
            each.idle(engine)


def _output(work: Work, taken: ProcessedBatch, taken_at: float) -> BatchResult:
    batch = work.handed.batch
    passage = BatchTimings(work.read_at, taken_at, monotonic(), batch.records, batch.ours)
    return BatchResult(taken.answers, taken.refused, work.handed.settled, work.generation, work.identity, passage)


class Inline:
    """Does everything at once, where it is called: for tests that must know what happens when."""

    def __init__(
        self,
        processor: Processor,
        checkpoint: Checkpoint,
        watcher: StateListener | None = None,
        request_queue: RequestQueue | None = None,
    ) -> None:
        self._processor = processor
        self._checkpoint = checkpoint
        self._watcher = watcher
        self._request_queue = request_queue

    def put(self, work: Work, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Apply, answer and commit."""
        begun = monotonic()
        taken = self._processor.take(work.handed.batch)
        self._checkpoint.commit([_output(work, taken, begun)], give_up)
        if self._watcher is not None:
            self._watcher.after(self._processor.engine, work.handed.positions, forgot=taken.forgot)
        if self._request_queue is not None:
            self._request_queue.serve(self._processor)
        return True

    def settle(self, positions: dict[Partition, int], generation: int, identity: object) -> None:
        """Commit."""
        self._checkpoint.commit([BatchResult((), (), positions, generation, identity)])

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
