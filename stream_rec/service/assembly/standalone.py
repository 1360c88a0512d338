"""Settings -> a service without a broker, and the handle that it shows to others."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from stream_rec.service.assembly.batch_job import build_batch_job
from stream_rec.service.assembly.handle import build_handle
from stream_rec.service.assembly.tracing import open_tracing
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.requests.journal import Journal
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.requests.state_ingest import TOPIC
from stream_rec.service.running.log_clock import LogClock
from stream_rec.service.running.standalone import StandaloneService
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.settings import Settings

__all__ = ["StandaloneRun", "build_standalone_service"]

log = logging.getLogger(__name__)

_OF_TOPICS: Final = ("snapshots", "status_file", "instance")
"""Settings of a service that reads a topic of events."""


class StandaloneRun(NamedTuple):
    """A service that has not started yet."""

    service: StandaloneService
    handle: ServiceHandle


def build_standalone_service(settings: Settings, undo: ExitStack, timeouts: Timeouts = TIMEOUTS) -> StandaloneRun:
    """Open all that *settings* name; *undo* closes it. Raises SettingsError."""
    for key in _OF_TOPICS:
        if getattr(settings, key) is not None:
            log.warning("%s: has no effect, because the events do not come from a topic", key)
    request_queue = RequestQueue()
    job = build_batch_job(settings, timeouts)
    undo.callback(job.close)
    journal = None
    if settings.journal is not None:
        journal = Journal(Path(settings.journal), TOPIC)
        undo.callback(journal.close)
    tracing = open_tracing(settings, timeouts)
    if tracing is not None:
        undo.callback(tracing.close)
    clock = LogClock(settings.http_clock, settings.retention_ms)
    service = StandaloneService(job, request_queue, journal, clock, timeouts)
    handle = build_handle(
        settings,
        request_queue=request_queue,
        ingest=service.ingest,
        status=lambda: service.status,
        is_ready=lambda: service.is_ready,
        metrics=service.processor.metrics,
        catalogue=job.catalogue,
        tracing=tracing,
        now_ms=clock,
    )
    return StandaloneRun(service, handle)
