"""Work on a thread of its own, which touches nothing that others do."""

from collections.abc import Callable
from threading import Thread

__all__ = ["on_a_thread"]


def on_a_thread(work: Callable[[], None]) -> Callable[[], None]:
    """Start *work* on a thread; return what waits for its end, and raises what it raised.

    It raises RuntimeError in a process that was forked meanwhile: the thread is not there.
    """
    ends: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised by who waits
            ends.append(error)
        else:
            ends.append(None)

    thread = Thread(target=run, name="learning", daemon=True)
    thread.start()

    def wait() -> None:
        thread.join()
        if not ends:
            raise RuntimeError("the process was forked while an order was learned: make the engine after the fork")
        if ends[0] is not None:
            raise ends[0]

    return wait
