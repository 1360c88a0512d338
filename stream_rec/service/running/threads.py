"""The recommender thread and the publisher thread, each with a bounded queue before it: see `pipeline`."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from time import monotonic
from typing import Final, NamedTuple, TypeVar

from stream_rec.service.batches import Batch, BatchResult, Membership, ProcessedBatch, ReadBatch
from stream_rec.service.committing.checkpoint import Checkpoint
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.running.pipeline import StateListener
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Partition

__all__ = ["Threads"]

Item = TypeVar("Item")

_MAILBOX: Final = 4  # batches
_OUTBOX: Final = 16
_SLICE: Final = 64  # records between two looks at the request queue: some 3 ms
_SILENT_SLICE: Final = 1024  # the same, where no event is answered
_LARGEST_COMMIT: Final = 20_000  # answers: some 20 MB


class _Marker(NamedTuple):
    """Goes through both queues behind all that was put before; *passed* is set when it has."""

    passed: Event
    is_last: bool = False


class _Wake(NamedTuple):
    """A command waits in the request queue."""


_WAKE: Final = _Wake()


class Threads:
    """The two threads. `close` it, also after a failure."""

    def __init__(
        self,
        processor: Processor,
        checkpoint: Checkpoint,
        listener: StateListener | None = None,
        request_queue: RequestQueue | None = None,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self._processor = processor
        self._checkpoint = checkpoint
        self._listener = listener
        self._request_queue = request_queue
        self._timeouts = timeouts
        self._mailbox: Queue[ReadBatch | BatchResult | _Marker | _Wake] = Queue(_MAILBOX)
        self._outbox: Queue[BatchResult | _Marker] = Queue(_OUTBOX)
        self._failure: BaseException | None = None
        self._abandoned = False
        self._listening = Lock()
        """Held while the listener is called, and to abandon the threads: the listener outlives them, and is not called
        by abandoned ones."""
        self._undo = ExitStack()
        if request_queue is not None:
            self._undo.enter_context(request_queue.serving(self._wake))
        self._threads = [
            Thread(target=self._guarded, args=(self._recommend,), name="recommender", daemon=True),
            Thread(target=self._guarded, args=(self._publish,), name="publisher", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def put(self, read: ReadBatch, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Put *read* into the mailbox, as soon as there is room."""
        return self._put(self._mailbox, read, give_up)

    def commit_offsets(self, offsets: dict[Partition, int], membership: Membership) -> None:
        """Commit behind the batches that were put before."""
        self._put(self._mailbox, BatchResult.of_offsets(offsets, membership), lambda: False)

    def drain(self, timeout_s: float) -> bool:
        """Send a marker after the batches, and wait for it."""
        return self._send_marker(timeout_s, is_last=False)

    def raise_failure(self) -> None:
        """Raise what ended a thread, once for each call."""
        if self._failure is not None:
            raise self._failure

    def close(self, timeout_s: float) -> bool:
        """End both threads when all is committed, or abandon them when the time is over."""
        done = self._failure is None and self._send_marker(timeout_s, is_last=True)
        with self._listening:
            self._abandoned = True
        self._undo.close()
        self.join(0.0 if self._failure is None and not done else self._timeouts.queue_tick_s * 2)
        return done

    def join(self, timeout_s: float) -> None:
        """Wait for the end of each thread."""
        for thread in self._threads:
            thread.join(timeout_s)

    def _send_marker(self, timeout_s: float, *, is_last: bool) -> bool:
        until = monotonic() + timeout_s
        marker = _Marker(Event(), is_last)
        try:
            if not self._put(self._mailbox, marker, lambda: monotonic() > until):
                return False
            while monotonic() < until and self._failure is None:
                if marker.passed.wait(min(self._timeouts.queue_tick_s, max(0.0, until - monotonic()))):
                    return True
        except BaseException:  # noqa: BLE001  # what failed is raised elsewhere: here it only was not drained
            return False
        return False

    def _put(
        self, queue: Queue[Item], item: Item, give_up: Callable[[], bool], meanwhile: Callable[[], None] | None = None
    ) -> bool:
        """Wait for room in *queue*, and call *meanwhile* a hundred times a second."""
        tick_s = self._timeouts.queue_tick_s if meanwhile is None else self._timeouts.outbox_tick_s
        while not self._abandoned:
            self.raise_failure()
            try:
                queue.put(item, timeout=tick_s)
            except Full:
                if give_up():
                    return False
                if meanwhile is not None:
                    meanwhile()
            else:
                return True
        return False

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001  # kept for the consumer thread, which raises it
            self._failure = self._failure or error

    def _recommend(self) -> None:
        while (item := self._get(self._mailbox, self._idle)) is not None:
            self._serve_requests()
            if isinstance(item, _Wake):
                continue
            if isinstance(item, ReadBatch):
                item = self._processed(item)
            # Commits may stall, where the broker is away; requests are answered all the same.
            if not self._put(self._outbox, item, lambda: self._abandoned, self._serve_requests):
                return
            if isinstance(item, _Marker) and item.is_last:
                return

    def _processed(self, read: ReadBatch) -> BatchResult:
        started_at = monotonic()
        processed = self._process(read.batch)
        result = BatchResult(read, processed, started_at, monotonic())
        with self._listening:
            if self._listener is not None and not self._abandoned:
                self._listener.after(self._processor.engine, read.offsets, forgot=processed.forgot)
        return result

    def _process(self, batch: Batch) -> ProcessedBatch:
        """Process *batch*, serving requests in between."""
        size = _SILENT_SLICE if self._processor.is_silent else _SLICE
        if self._request_queue is None or len(batch.records) <= size:
            return self._processor.process(batch)
        parts: list[ProcessedBatch] = []
        for part in batch.slices(size):
            parts.append(self._processor.process(part))
            self._serve_requests()
        return ProcessedBatch.joined(parts)

    def _serve_requests(self) -> None:
        """Serve none once the threads are abandoned: their successor's state is newer."""
        if self._request_queue is not None and not self._abandoned:
            self._request_queue.serve(self._processor)

    def _wake(self) -> None:
        """Wake the recommender thread; where its mailbox is full, it serves requests soon anyway."""
        with suppress(Full):
            self._mailbox.put_nowait(_WAKE)

    def _publish(self) -> None:
        while (item := self._get(self._outbox)) is not None:
            results, marker = self._next_commit(item)
            self._commit(results)
            if marker is not None:
                marker.passed.set()
                if marker.is_last:
                    return

    def _next_commit(self, first: BatchResult | _Marker) -> tuple[list[BatchResult], _Marker | None]:
        """Return what one commit can hold, and the marker behind it, if one came.

        A commit without records to send is not urgent, so it waits for more: a transaction costs as much as some
        hundred records.
        """
        results: list[BatchResult] = []
        n = 0
        until = monotonic() + self._timeouts.silent_commit_s
        item: BatchResult | _Marker | None = first
        while item is not None:
            if isinstance(item, _Marker):
                return results, item
            results.append(item)
            n += len(item.processed.answers) + len(item.processed.rejected)
            left_s = 0.0 if n else max(0.0, until - monotonic())
            item = None if n >= _LARGEST_COMMIT else _get_within(self._outbox, left_s)
        return results, None

    def _commit(self, results: Sequence[BatchResult]) -> None:
        """Commit *results*, those of one generation at a time."""
        while results:
            generation = results[0].read.membership.generation
            same = [each for each in results if each.read.membership.generation == generation]
            self._checkpoint.commit(same, lambda: self._abandoned)
            results = results[len(same) :]

    def _idle(self) -> None:
        self._serve_requests()
        with self._listening:
            if self._listener is not None and not self._abandoned:
                self._listener.idle(self._processor.engine)

    def _get(self, queue: Queue[Item], idle: Callable[[], None] = lambda: None) -> Item | None:
        """Wait for the next in *queue*, and return it; None when the threads end."""
        while self._failure is None and not self._abandoned:
            try:
                return queue.get(timeout=self._timeouts.queue_tick_s)
            except Empty:
                idle()
        return None


def _get_within(queue: Queue[Item], timeout_s: float) -> Item | None:
    try:
        return queue.get(timeout=timeout_s)
    except Empty:
        return None
