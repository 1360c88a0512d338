"""Settings -> a run that stays, and what it shows to those who serve it."""

from contextlib import ExitStack
from pathlib import Path

from stream_rec.service.assembly.batch_job import build_job
from stream_rec.service.assembly.handle import build_handle
from stream_rec.service.assembly.tracing import open_tracing
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.requests.journal import Journal
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.running.standalone import TOPIC, LogClock, StandaloneService
from stream_rec.settings import Settings

__all__ = ["build_embedded"]


def build_embedded(settings: Settings, undo: ExitStack) -> tuple[StandaloneService, ServiceHandle]:
    """Open all that *settings* name; *undo* closes it. Raises SettingsError."""
    request_queue = RequestQueue()
    job = build_job(settings)
    undo.callback(job.close)
    journal = None
    if settings.journal is not None:
        journal = Journal(Path(settings.journal), TOPIC)
        undo.callback(journal.close)
    embedded = StandaloneService(
        job, request_queue, journal, clock=LogClock(settings.http_clock, settings.retention_ms)
    )
    tracing = open_tracing(settings)
    if tracing is not None:
        undo.callback(tracing.close)
    served = build_handle(
        settings,
        request_queue,
        embedded.ingest,
        lambda: embedded.status,
        lambda: embedded.state == "ready",
        embedded.processor.metrics,
    )
    served = served._replace(now_ms=embedded.clock, tracing=tracing)
    return embedded, served if job.catalogue is None else served._replace(catalogue=job.catalogue.current)
