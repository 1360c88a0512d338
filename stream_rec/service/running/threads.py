"""The recommender thread and the publisher thread, each with a bounded queue before it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from time import monotonic
from typing import Final, NamedTuple

from stream_rec.service.batches import Batch, BatchResult, ProcessedBatch, Work
from stream_rec.service.committing.checkpoint import Checkpoint
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.running.pipeline import (
    _LARGEST_COMMIT,
    _MAILBOX,
    _OUTBOX,
    _SHORT_TICK_S,
    _SILENT_S,
    _SILENT_SLICE,
    _SLICE,
    _TICK_S,
    Item,
    StateListener,
    _Marker,
    _output,
)
from stream_rec.transport.broker import Partition

__all__ = ["Threads"]


class _Wake(NamedTuple):
    """Somebody has put something on the desk."""


_WAKE: Final = _Wake()


class Threads:
    """The two threads. `close` it, also after a failure."""

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
        self._mailbox: Queue[Work | BatchResult | _Marker | _Wake] = Queue(_MAILBOX)
        self._outbox: Queue[BatchResult | _Marker] = Queue(_OUTBOX)
        self._failure: BaseException | None = None
        self._abandoned = False
        self._telling = Lock()
        """Held while the watcher is told, and to abandon this: the watcher outlives it, and is told no more then."""
        self._threads = [
            Thread(target=self._guarded, args=(self._recommend,), name="recommender", daemon=True),
            Thread(target=self._guarded, args=(self._publish,), name="publisher", daemon=True),
        ]
        if request_queue is not None:
            request_queue.wake = self._wake
        for thread in self._threads:
            thread.start()

    def put(self, work: Work, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Wait for room in the mailbox."""
        return self._put(self._mailbox, work, give_up)

    def settle(self, positions: dict[Partition, int], generation: int, identity: object) -> None:
        """Go through the mailbox, behind what was read before."""
        self._put(self._mailbox, BatchResult((), (), positions, generation, identity), lambda: False)

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
        with self._telling:
            self._abandoned = True
        if self._request_queue is not None:
            self._request_queue.wake = lambda: None
        for thread in self._threads:
            thread.join(0.0 if self._failure is None and not done else _TICK_S * 2)
        return done

    def _send_marker(self, timeout_s: float, *, is_last: bool) -> bool:
        until = monotonic() + timeout_s
        marker = _Marker(Event(), is_last)
        try:
            if not self._put(self._mailbox, marker, lambda: monotonic() > until):
                return False
            while monotonic() < until and self._failure is None:
                if marker.passed.wait(min(_TICK_S, max(0.0, until - monotonic()))):
                    return True
        except BaseException:  # noqa: BLE001  # what failed is raised elsewhere: here it only was not drained
            return False
        return False

    def _put(
        self, queue: Queue[Item], item: Item, give_up: Callable[[], bool], meanwhile: Callable[[], None] | None = None
    ) -> bool:
        """Wait for room in *queue*, and do something *meanwhile*, a hundred times a second."""
        while not self._abandoned:
            self.raise_failure()
            try:
                queue.put(item, timeout=_TICK_S if meanwhile is None else _SHORT_TICK_S)
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
            self._serve_desk()
            if isinstance(item, _Wake):
                continue
            if isinstance(item, Work):
                begun = monotonic()
                taken = self._take(item.handed.batch)
                output = _output(item, taken, begun)
                with self._telling:
                    if self._watcher is not None and not self._abandoned:
                        self._watcher.after(self._processor.engine, item.handed.positions, forgot=taken.forgot)
                item = output
            # Commits may stall, where the broker is away; who asks is answered all the same.
            if not self._put(self._outbox, item, lambda: self._abandoned, self._serve_desk):
                return
            if isinstance(item, _Marker) and item.is_last:
                return

    def _take(self, batch: Batch) -> ProcessedBatch:
        """Have the worker take the batch, serving the desk in between."""
        size = _SILENT_SLICE if self._processor.is_silent else _SLICE
        if self._request_queue is None or len(batch.records) <= size:
            return self._processor.take(batch)
        parts: list[ProcessedBatch] = []
        for part in batch.slices(size):
            parts.append(self._processor.take(part))
            self._serve_desk()
        return ProcessedBatch.joined(parts)

    def _serve_desk(self) -> None:
        """Once it is abandoned, the desk is its successor's, whose state is newer."""
        if self._request_queue is not None and not self._abandoned:
            self._request_queue.serve(self._processor)

    def _wake(self) -> None:
        """Wake the recommender; where its mailbox is full, it comes by anyway."""
        with suppress(Full):
            self._mailbox.put_nowait(_WAKE)

    def _publish(self) -> None:
        while (item := self._get(self._outbox)) is not None:
            outputs, marker = self._all_that_waits(item)
            self._commit(outputs)
            if marker is not None:
                marker.passed.set()
                if marker.is_last:
                    return

    def _all_that_waits(self, first: BatchResult | _Marker) -> tuple[list[BatchResult], _Marker | None]:
        """What one commit can hold, and the marker behind it, if one came.

        Where there is nothing to be sent nobody waits for the commit, and more is waited for: a transaction costs as
        much as some hundred records.
        """
        outputs: list[BatchResult] = []
        n = 0
        until = monotonic() + _SILENT_S
        item: BatchResult | _Marker | None = first
        while item is not None:
            if isinstance(item, _Marker):
                return outputs, item
            outputs.append(item)
            n += len(item.answers) + len(item.refused)
            left_s = 0.0 if n else max(0.0, until - monotonic())
            item = None if n >= _LARGEST_COMMIT else _get_within(self._outbox, left_s)
        return outputs, None

    def _commit(self, outputs: Sequence[BatchResult]) -> None:
        """Commit *outputs*, one seat's at a time."""
        while outputs:
            same = [each for each in outputs if each.generation == outputs[0].generation]
            self._checkpoint.commit(same, lambda: self._abandoned)
            outputs = outputs[len(same) :]

    def _idle(self) -> None:
        self._serve_desk()
        with self._telling:
            if self._watcher is not None and not self._abandoned:
                self._watcher.idle(self._processor.engine)

    def _get(self, queue: Queue[Item], idle: Callable[[], None] = lambda: None) -> Item | None:
        """The next in *queue*, waited for; None when it is over."""
        while self._failure is None and not self._abandoned:
            try:
                return queue.get(timeout=_TICK_S)
            except Empty:
                idle()
        return None


def _get_within(queue: Queue[Item], timeout_s: float) -> Item | None:
    try:
        return queue.get(timeout=timeout_s)
    except Empty:
        return None
