"""The service in this process, on a thread of its own: all of it but the command line, without a program to start."""

import contextlib
import gc
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from topics import SECONDS, eventually

from stream_rec.service.assembly.kafka import build_live
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.settings import load


class Serving:
    """A service that runs. `live` is it; `fail` raises what ended it."""

    def __init__(self, live: KafkaService) -> None:
        self.live = live
        self.error: BaseException | None = None
        self.is_over = threading.Event()

    def fail(self) -> None:
        """Raise what ended it, if something has."""
        if self.error is not None:
            raise self.error

    def ready(self) -> "Serving":
        """Wait until it answers."""
        eventually(lambda: self.is_over.is_set() or self.live.state == "ready", "ready")
        self.fail()
        return self

    @property
    def owned(self) -> set[str]:
        """The partitions that it answers for."""
        life = self.live.life
        return set() if life is None or not hasattr(life, "assignment") else set(map(str, life.assignment.owned))


def let_go_of_sockets() -> None:
    """Collect here, and not in a later test, what kafka-python drops of lost connections instead of closing it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextlib.contextmanager
def serving(address: str, *, config: Any = None, ends_with: Any = None, **flags: Any) -> Iterator[Serving]:
    """A service with these settings and those of the file *config*, topics named without their broker.

    It ends in good order with the block, or before that with an error of the kind that it *ends_with*.
    """
    places = ("events", "recommendations", "requests", "dead_letters")
    given = {
        name: f"kafka://{address}/{value}" if name in places and not str(value).startswith(("/", "-")) else value
        for name, value in flags.items()
    }
    stop = threading.Event()
    with ExitStack() as undo:
        live, report = build_live(load(config=config, flags=given), undo)
        service = Serving(live)

        def run() -> None:
            try:
                live.run(stop.is_set, report)
            except BaseException as error:  # noqa: BLE001  # it is the test's to see
                service.error = error
            finally:
                service.is_over.set()

        thread = threading.Thread(target=run, name="service")
        thread.start()
        try:
            yield service
        finally:
            stop.set()
            thread.join(SECONDS)
            let_go_of_sockets()
        assert not thread.is_alive()
        if ends_with is None:
            service.fail()
        else:
            assert isinstance(service.error, ends_with)
