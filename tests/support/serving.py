"""The whole service on a thread of this process, without the command line and without a process of its own."""

import contextlib
import gc
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from topics import SECONDS, eventually

from stream_rec.service.assembly.kafka import build_kafka_service
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.settings import load


class Serving:
    """A service that runs. `fail` raises what ended it."""

    def __init__(self, kafka_service: KafkaService) -> None:
        self.kafka_service = kafka_service
        self.error: BaseException | None = None
        self.is_over = threading.Event()

    def fail(self) -> None:
        """Raise the error that ended it, if one has."""
        if self.error is not None:
            raise self.error

    def ready(self) -> "Serving":
        """Wait until it answers."""
        eventually(lambda: self.is_over.is_set() or self.kafka_service.is_ready, "ready")
        self.fail()
        return self

    @property
    def loop(self) -> ConsumerLoop:
        """Its consumer loop, once there is one."""
        loop = self.kafka_service.loop
        assert loop is not None
        return loop

    @property
    def owned(self) -> set[str]:
        """The partitions that it owns."""
        loop = self.kafka_service.loop
        return set() if loop is None else set(map(str, loop.assignment.owned))


@contextlib.contextmanager
def serving(
    address: str, *, config: Any = None, ends_with: Any = None, timeouts: Timeouts = TIMEOUTS, **flags: Any
) -> Iterator[Serving]:
    """A service with these settings and those of the file *config*, topics named without their broker.

    It ends in good order with the block, or before that with an error of the type *ends_with*.
    """
    places = ("events", "recommendations", "requests", "dead_letters")
    given = {
        name: f"kafka://{address}/{value}" if name in places and not str(value).startswith(("/", "-")) else value
        for name, value in flags.items()
    }
    stop = threading.Event()
    with ExitStack() as undo:
        service, reporter, _ = build_kafka_service(load(config=config, flags=given), undo, timeouts)
        running = Serving(service)

        def run() -> None:
            try:
                service.run(stop.is_set, reporter)
            except BaseException as error:  # noqa: BLE001  # the test sees it below
                running.error = error
            finally:
                running.is_over.set()

        thread = threading.Thread(target=run, name="service")
        thread.start()
        try:
            yield running
        finally:
            stop.set()
            thread.join(SECONDS)
            gc.collect()  # a socket that was left to the collector is this test's error
        assert not thread.is_alive()
        if ends_with is None:
            running.fail()
        else:
            assert isinstance(running.error, ends_with)
