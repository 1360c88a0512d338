"""The demo in a browser: the bundled sample replayed live, with the HTTP API and the dashboard.

Four fifths of the year are learned at once. The rest is replayed at some days a minute, and people at the dashboard can
be visitors too. Each event is answered, so that the dashboard can show how good the answers are.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from threading import Event as Flag
from typing import Final

import msgspec

from stream_rec.core.catalogue import Catalogue, CatalogueItem
from stream_rec.core.events import Event, EventDecoder
from stream_rec.core.limits import DAY_MS
from stream_rec.core.quality import Quality
from stream_rec.datasets.sample import load_sample
from stream_rec.demo.bundled import demo_engine
from stream_rec.service.assembly.warm_up import warm_up_all
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.running.batch_job import BatchJob
from stream_rec.service.running.standalone import StandaloneService
from stream_rec.transport.records import Progress, Record
from stream_rec.web.server import Server

__all__ = ["PacedSource", "serve_bundled"]

PAST: Final = 0.8
EVENTS_A_SECOND: Final = 25
WINDOWS_MS: Final = (DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
"""Of event time, of which a day takes some tens of seconds here: within an hour there are too few lists to judge."""
TOPIC: Final = "sample"
_STEP_S: Final = 0.2
_AT_ONCE: Final = 4096


class PacedSource:
    """A `Source` that gives *events* at a rate per second."""

    def __init__(self, events: Sequence[Event], a_second: float) -> None:
        self._events = events
        self._a_second = a_second
        self._at = 0
        self._over = Flag()

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """Yield an empty batch, and then a few events at a time."""
        yield []
        n = min(max_records, max(1, int(self._a_second * _STEP_S)))
        while self._at < len(self._events) and not self._over.wait(n / self._a_second):
            yield self._next(n)

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """The offset after the last event."""
        return {(TOPIC, 0): self._at}

    @property
    def progress(self) -> Progress:
        """Not known in bytes."""
        return Progress(0, None)

    def close(self) -> None:
        """End the batches."""
        self._over.set()

    def _next(self, n: int) -> list[Record]:
        part = self._events[self._at : self._at + n]
        records = [Record(msgspec.json.encode(event), TOPIC, 0, number) for number, event in enumerate(part, self._at)]
        self._at += len(part)
        return records


def serve_bundled(
    address: str, stop: Callable[[], bool], ready: Callable[[str], None], *, a_second: float = EVENTS_A_SECOND
) -> None:
    """Serve at *address* until *stop* returns True; call *ready* with the URL once there is something to see.

    Raises SettingsError for an address that cannot be used.
    """
    warm_up_all()  # the page must not wait for a compiler
    events, titles = load_sample()
    n_past = int(len(events) * PAST)
    source = PacedSource(events[n_past:], a_second)
    # A day of the sample takes seconds: an event of a person gets the newest time, and may be days late when applied.
    engine = demo_engine(allowed_lateness_ms=30 * DAY_MS)
    for begin in range(0, n_past, _AT_ONCE):
        engine.apply(events[begin : min(begin + _AT_ONCE, n_past)])
    catalogue = Catalogue([CatalogueItem(item_id, title) for item_id, title in titles.items()])
    processor = Processor(engine, quality=Quality(engine.split, windows_ms=WINDOWS_MS), catalogue=lambda: catalogue)
    request_queue = RequestQueue()
    with ExitStack() as undo:
        undo.callback(source.close)
        run = StandaloneService(BatchJob(processor, RecordDecoder(EventDecoder()), source), request_queue)
        served = ServiceHandle(
            request_queue,
            run.ingest,
            lambda: run.status,
            lambda: run.is_ready,
            processor.metrics,
            catalogue=lambda: catalogue,
            now_ms=lambda: engine.watermark or 0,
        )
        server = undo.enter_context(closing(Server(served, address)))
        server.start()
        is_announced = False

        def watch(_: StandaloneService) -> None:
            nonlocal is_announced
            if run.is_ready and not is_announced:
                is_announced = True
                ready(server.url)

        run.run(stop, watch)
