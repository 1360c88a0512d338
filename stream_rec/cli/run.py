"""`stream-rec run`: over files, over files with HTTP, or on Kafka."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from stream_rec.cli.common import (
    DONE,
    announce_compilation,
    announce_terminal_input,
    command,
    exit_code,
    naming_the_line,
    print_message,
    require_serve_extra,
    with_settings,
)
from stream_rec.errors import SettingsError
from stream_rec.settings import Settings, is_topic

if TYPE_CHECKING:
    from stream_rec.service.activity import Activity
    from stream_rec.service.handle import ServiceHandle
    from stream_rec.service.metrics.counters import Counters
    from stream_rec.service.running.batch_job import BatchJob
    from stream_rec.service.running.signals import Interrupt
    from stream_rec.transport.files import LastLines
    from stream_rec.web.server import Server

__all__ = ["run"]

_ANSWERS_SHOWN: Final = 3
"""Each takes some twenty lines of a terminal."""


@command()
@with_settings
def run(settings: Settings) -> int:
    """Read a log of events, and write recommendations for each event.

    Each event from --events is applied to the live index, and then answered from it. With a file or a pipe, requests
    are answered after all events. A Kafka topic is followed until Ctrl-C or SIGTERM; records that were read are
    finished first. The summary goes to standard error.

    Exit codes: 0 done; 1 failed, or nothing was applied; 2 a wrong setting; 3 more was refused than --max-refused
    allows.

    \b
      stream-rec run --events clicks.jsonl --recommendations recs.jsonl
      tail -f clicks.jsonl | stream-rec run --events - | jq .
      stream-rec run --events kafka://localhost:9092/clicks --recommendations kafka://localhost:9092/recs
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    from stream_rec.service.running.signals import CutShort, Interrupt

    with Interrupt() as interrupt:
        try:
            if is_topic(settings.events):
                return _serve(settings, interrupt)
            with naming_the_line(settings):
                if settings.http is not None:
                    return _serve_standalone(settings, interrupt)
                return _run_job(settings, interrupt)
        except CutShort:
            print_message("stream-rec: stopped while it compiled the kernels: nothing was applied")
            return DONE


def _run_job(settings: Settings, interrupt: "Interrupt") -> int:
    """Run over files or a pipe, to the end."""
    from stream_rec.service.assembly.batch_job import build_batch_job
    from stream_rec.service.running.signals import CutShort

    shown = _last_answers(settings)
    with closing(build_batch_job(settings, answers=shown)) as job:
        is_file = settings.events != "-"
        if not is_file:  # the first record of a pipe must not wait
            _compile_kernels(settings, interrupt)
        announce_terminal_input(settings)
        was_read = True
        try:
            with _progress_line(settings, shows_last=shown is not None) as draw_progress:
                compile_first = partial(_compile_kernels, settings, interrupt) if is_file else lambda: None
                job.run(lambda: interrupt.asked, draw_progress, compile_first)
        except (SettingsError, CutShort):
            was_read = job.counters.n_read > 0
            raise
        finally:
            if shown is not None:
                _show(shown)
            if was_read:  # no summary of nothing above the one line that says what is wrong
                for line in job.summary():
                    click.echo(line, err=True)
                if settings.dead_letters is None:
                    _say_how_to_keep(job.counters)
    return exit_code(job.counters, settings, is_whole=not job.interrupted)


def _say_how_to_keep(counters: "Counters") -> None:
    """Say how to keep and see what was refused, of a run that has only counted it."""
    is_said = 2 * counters.dead.total() > counters.n_read  # in a hint of the summary
    shows = ", and `stream-rec check` with the same settings shows some" if counters.dead and not is_said else ""
    if counters.dead or counters.dead_requests:
        kind = "records" if counters.dead else "requests"
        click.echo(f"dead-lettered {kind} were only counted: --dead-letters FILE keeps them{shows}", err=True)


def _last_answers(settings: Settings) -> "LastLines | None":
    """Return what shows the last answers only, where all of a file would flood the terminal and be kept nowhere."""
    is_kept = settings.recommendations is not None or not settings.answers_events
    if is_kept or "-" in {settings.events, settings.requests} or not sys.stdout.isatty():
        return None
    from stream_rec.transport.files import LastLines, open_sink

    return LastLines(open_sink("-"), _ANSWERS_SHOWN)


def _show(last: "LastLines") -> None:
    """Write the last answers, and say how to get all."""
    last.show()
    if last.n_left_out:
        click.echo(
            f"the last {_ANSWERS_SHOWN} of {last.n_written:,} answers; --recommendations FILE keeps all, and "
            "--recommendations - writes all here",
            err=True,
        )


def _serve(settings: Settings, interrupt: "Interrupt") -> int:
    """Run the service on a broker until it is stopped."""
    from contextlib import ExitStack

    from stream_rec.service.assembly.kafka import KafkaRun, build_kafka_service
    from stream_rec.service.metrics.log_setup import log_to_stderr
    from stream_rec.service.running.overtime import Overtime
    from stream_rec.service.running.reporter import summary

    log_to_stderr(settings.log_level, settings.log_format)
    made: KafkaRun | None = None
    with ExitStack() as undo:
        # Entered first, so left last: it also measures the time that closing takes.
        undo.enter_context(Overtime(lambda: interrupt.asked, lambda: made is not None and made.service.was_in_order))
        made = build_kafka_service(settings, undo)
        service, reporter, handle = made
        if handle is not None:
            undo.enter_context(_server(settings, handle))
        _compile_kernels(settings, interrupt, service.activity)
        try:
            service.run(lambda: interrupt.asked, reporter)
        finally:
            # No summary after a setting that only the broker could refuse: the error is one line, as any other is.
            for line in summary(service, reporter) if interrupt.asked or service.loop is not None else ():
                print_message(line)
        return exit_code(service.counters, settings, is_whole=False)


def _serve_standalone(settings: Settings, interrupt: "Interrupt") -> int:
    """Read files to their end, then serve until the service is stopped."""
    from contextlib import ExitStack

    from stream_rec.service.assembly.standalone import build_standalone_service
    from stream_rec.service.metrics.log_setup import log_to_stderr

    log_to_stderr(settings.log_level, settings.log_format)
    with ExitStack() as undo:
        service, handle = build_standalone_service(settings, undo)
        server = undo.enter_context(_server(settings, handle))
        _compile_kernels(settings, interrupt, service.activity)
        print_message(f"open {server.url} in a browser; Ctrl-C ends it")
        try:
            service.run(lambda: interrupt.asked)
        finally:
            for line in service.summary():
                print_message(line)
        return exit_code(service.processor.counters, settings, is_whole=False)


def _progress_line(settings: Settings, *, shows_last: bool) -> "AbstractContextManager[Callable[[BatchJob], None]]":
    """Return a progress line, or plain lines without a terminal; nothing if all answers are written to the terminal."""
    if settings.answers_place == "-" and sys.stdout.isatty() and not shows_last:
        return nullcontext(lambda _: None)
    if not sys.stderr.isatty():
        from stream_rec.cli.progress_text import plain_job_progress

        return nullcontext(plain_job_progress())
    from stream_rec.cli.progress import ProgressLine

    return ProgressLine()


@contextmanager
def _server(settings: Settings, handle: "ServiceHandle") -> Iterator["Server"]:
    """Serve while entered."""
    with require_serve_extra():
        from stream_rec.web.serve import build_server
    # A thread waits this long for its turn at the interpreter. The default of five milliseconds is as long as a slow
    # answer may take.
    sys.setswitchinterval(0.0005)
    with closing(build_server(settings, handle)) as server:
        yield server.start()


def _compile_kernels(settings: Settings, interrupt: "Interrupt", activity: "Activity | None" = None) -> None:
    """Compile the kernels that this run needs, and explain the wait, also by *activity*. Raises CutShort."""
    from stream_rec.service.assembly import warm_up

    # An event over HTTP may ask for its answer at once, even where `answer` says that events are not answered.
    answers_events = settings.answers_events or settings.http is not None
    expected_s = None
    if settings.http is not None and warm_up.is_cold(kernel="ask_many"):
        print_message(warm_up.COMPILING_ANSWERS)
        expected_s = 60.0
    elif warm_up.is_cold(answers_events=answers_events):
        announce_compilation(answers_events=answers_events)
        expected_s = 20.0
    learns = settings.learns_order
    if learns and warm_up.is_cold_to_learn():
        print_message(warm_up.COMPILING_LEARNING)
        expected_s = (expected_s or 0.0) + 30.0
    waiting = nullcontext() if expected_s is None or activity is None else activity.compiling(expected_s)
    with interrupt.cutting_short(), waiting:
        warm_up.warm_up(
            answers_events=answers_events,
            answers_requests=settings.requests is not None or settings.http is not None,
            keeps_snapshots=settings.snapshots is not None,
            replays=is_topic(settings.events),
            learns=learns,
        )
