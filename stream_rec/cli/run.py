"""`stream-rec run`: over files, over files with HTTP, or on Kafka."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from stream_rec.errors import SettingsError
from stream_rec.settings import Settings, is_topic

if TYPE_CHECKING:
    from stream_rec.service.handle import ServiceHandle
    from stream_rec.service.running.kafka_service import KafkaService
    from stream_rec.service.running.signals import Interrupt
    from stream_rec.web.server import Server
from stream_rec.cli.common import _announce, _progress, _say_what_is_awaited, _tell, with_settings

__all__ = ["run"]


@click.command()
@with_settings
def run(settings: Settings) -> None:
    """Read a log of events, and write recommendations for each.

    Events come from --events; each is applied to the live index, and answered from it. Of a file or a pipe, requests
    are answered after the events. A topic of Kafka is followed until Ctrl-C or SIGTERM, which finish what was read. The
    summary goes to standard error.

    \b
      stream-rec run --events clicks.jsonl --recommendations recs.jsonl
      tail -f clicks.jsonl | stream-rec run --events - | jq .
      stream-rec run --events kafka://localhost:9092/clicks --recommendations kafka://localhost:9092/recs
    """  # noqa: D301 (click knows a paragraph to leave alone by this very character)
    from stream_rec.service.running.signals import Interrupt

    with Interrupt() as interrupt:
        if is_topic(settings.events):
            _serve(settings, interrupt)
            return
        if settings.http is not None:
            _serve_embedded(settings, interrupt)
            return
        from stream_rec.service.assembly.batch_job import build_job

        with closing(build_job(settings)) as job:
            _warm_up(settings)
            _say_what_is_awaited(settings)
            try:
                with _progress(settings) as watch:
                    job.run(lambda: interrupt.asked, watch)
            finally:
                for line in job.summary():
                    click.echo(line, err=True)


def _serve(settings: Settings, interrupt: "Interrupt") -> None:
    """Run the service on a broker until it is told to stop."""
    from contextlib import ExitStack

    from stream_rec.service.assembly.kafka import build_live, build_served
    from stream_rec.service.metrics.log_setup import log_to_stderr
    from stream_rec.service.requests.request_queue import RequestQueue
    from stream_rec.service.running.overtime import Overtime
    from stream_rec.service.running.reporter import summary

    log_to_stderr(settings.log_level, settings.log_format)
    live: KafkaService | None = None
    with ExitStack() as undo:
        # Entered first, so left last: closing takes its time too.
        undo.enter_context(Overtime(lambda: interrupt.asked, lambda: live is not None and live.was_in_order))
        request_queue = None if settings.http is None else RequestQueue()
        live, report = build_live(settings, undo, request_queue)
        if request_queue is not None:
            undo.enter_context(_server(settings, build_served(settings, undo, live, report, request_queue)))
        _warm_up(settings)
        try:
            live.run(lambda: interrupt.asked, report)
        finally:
            # A wrong setting that only the broker could see is one line, as any other is.
            for line in summary(live, report) if interrupt.asked or live.life is not None else ():
                _tell(line)


def _serve_embedded(settings: Settings, interrupt: "Interrupt") -> None:
    """Read files to their end, and then serve until told to stop."""
    from contextlib import ExitStack

    from stream_rec.service.assembly.standalone import build_embedded
    from stream_rec.service.metrics.log_setup import log_to_stderr

    log_to_stderr(settings.log_level, settings.log_format)
    with ExitStack() as undo:
        embedded, served = build_embedded(settings, undo)
        server = undo.enter_context(_server(settings, served))
        _warm_up(settings)
        _tell(f"open {server.url} in a browser; Ctrl-C ends it")
        try:
            embedded.run(lambda: interrupt.asked)
        finally:
            for line in embedded.summary():
                _tell(line)


@contextmanager
def _needs_serve() -> Iterator[None]:
    """Say which extra is missing, if one is."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "stream_rec":
            raise
        message = f"needs {error.name}, which is not installed: pip install 'stream-rec[serve]'"
        raise SettingsError("http", message) from None


@contextmanager
def _server(settings: Settings, served: "ServiceHandle") -> Iterator["Server"]:
    """Serve while entered."""
    with _needs_serve():
        from stream_rec.web.serve import build_server
    # Threads that wait for each other's turn at the interpreter wait this long: five milliseconds by default, which is
    # as long as a slow answer may take.
    sys.setswitchinterval(0.0005)
    with closing(build_server(settings, served)) as server:
        yield server.start()


def _warm_up(settings: Settings) -> None:
    from stream_rec.service.assembly import warm_up

    # An event that comes over HTTP may want its answer at once, whatever those of the source want.
    answers_events = settings.answers_events or settings.http is not None
    if settings.http is not None and warm_up.is_cold(kernel="ask_many"):
        _tell(warm_up.COMPILING_ANSWERS)
    else:
        _announce(answers_events=answers_events)
    warm_up.warm_up(
        answers_events=answers_events,
        answers_requests=settings.requests is not None or settings.http is not None,
        keeps_snapshots=settings.snapshots is not None,
        replays=is_topic(settings.events),
    )
