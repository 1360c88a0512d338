"""One thread at a time calls a consumer, and no thread waits for another that is in a callback.

While librdkafka's `poll` is in a callback, a call from any other thread waits until the callback ends. Where the
callback waits for that thread, that is a deadlock (findings/librdkafka_callback_holds_all_threads.sh). So calls are
tasks in a queue, and the thread that has the turn runs them; a thread in a callback runs them too, while another thread
does the callback's own work. A call that may call back runs on the thread that asks for it: another thread would be
kept from its own work, which the callback may wait for.
"""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Turns"]

_T = TypeVar("_T")


class _ConsumerCall(Generic[_T]):
    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._results: list[_T] = []
        self._error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 (`result` raises it)
            self._error = error
        self.done.set()

    def result(self) -> _T:
        if self._error is not None:
            raise self._error
        return self._results[0]


class Turns:
    """Which thread may call a consumer. *poll_s* is the time between two looks for waiting tasks."""

    def __init__(self, poll_s: float) -> None:
        self._poll_s = poll_s
        self._turn = threading.RLock()
        self._tasks: queue.SimpleQueue[_ConsumerCall[object]] = queue.SimpleQueue()

    def call(self, work: Callable[[], _T]) -> _T:
        """Return what *work* returns, or raise what it raises; it runs on this thread or on one that has the turn."""
        task = _ConsumerCall(work)
        self._tasks.put(task)  # type: ignore[arg-type]  # of any kind of result
        while not task.done.is_set():
            if self._turn.acquire(timeout=self._poll_s):
                try:
                    self._run_waiting_tasks()
                finally:
                    self._turn.release()
        return task.result()

    def here(self, work: Callable[[], _T]) -> _T:
        """The same, on this thread as soon as it has the turn: for work that may call back."""
        with self._turn:
            return work()

    def elsewhere(self, work: Callable[[], _T]) -> _T:
        """The same for a callback, on a new thread, while this one runs the tasks of others."""
        task = _ConsumerCall(work)
        threading.Thread(target=task.run, name="stream-rec-revoked", daemon=True).start()
        while not task.done.wait(self._poll_s):
            self._run_waiting_tasks()
        return task.result()

    def _run_waiting_tasks(self) -> None:
        while True:
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                return
            task.run()
