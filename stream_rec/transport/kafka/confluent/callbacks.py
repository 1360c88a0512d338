"""One thread at a time calls a consumer, and none waits for another that is being called back.

While librdkafka's `poll` is in a callback, a call from any other thread waits for the callback to end: which would be
for ever where the callback waits for that thread. So calls are tasks in a queue, done by whichever thread has the turn;
and the one that is in a callback does them too, while the callback's own work goes on elsewhere. What may call back is
done by the thread that asks for it: another one would be kept from its own work, which the callback may wait for.
"""

import queue
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Turns"]

_LOOK_S: Final = 0.002
_T = TypeVar("_T")


class _Task(Generic[_T]):
    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._results: list[_T] = []
        self._error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 (raised where it was asked for)
            self._error = error
        self.done.set()

    def result(self) -> _T:
        if self._error is not None:
            raise self._error
        return self._results[0]


class Turns:
    """Who may call a consumer."""

    def __init__(self) -> None:
        self._turn = threading.RLock()
        self._tasks: queue.SimpleQueue[_Task[object]] = queue.SimpleQueue()

    def call(self, work: Callable[[], _T]) -> _T:
        """What *work* returns or raises, on this thread or on the one that has the turn."""
        task = _Task(work)
        self._tasks.put(task)  # type: ignore[arg-type]  # of any kind of result
        while not task.done.is_set():
            if self._turn.acquire(timeout=_LOOK_S):
                try:
                    self._do_what_waits()
                finally:
                    self._turn.release()
        return task.result()

    def here(self, work: Callable[[], _T]) -> _T:
        """What *work* returns or raises, on this thread as soon as it has the turn: for what may call back."""
        with self._turn:
            return work()

    def elsewhere(self, work: Callable[[], _T]) -> _T:
        """For a callback: the same, on a thread of its own, while other threads' tasks are done here."""
        task = _Task(work)
        threading.Thread(target=task.run, name="stream-rec-revoked", daemon=True).start()
        while not task.done.wait(_LOOK_S):
            self._do_what_waits()
        return task.result()

    def _do_what_waits(self) -> None:
        while True:
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                return
            task.run()
