"""The command line: parse, open, call one function.

Options of `run` are made from the settings object, so a new setting is a new option. What a command
needs is imported in its body: `stream-rec --help` must not wait for a compiler. Exit codes: 0 done,
2 wrong settings or usage (naming the key), 1 anything else.
"""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream_rec import __version__
from stream_rec.cli_snapshot import snapshot
from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.settings import Kind, Setting, Settings, is_topic, load, table

if TYPE_CHECKING:
    from stream_rec.service.interrupt import Interrupt
    from stream_rec.service.live import Live
    from stream_rec.service.runner import Job
    from stream_rec.service.served import Served
    from stream_rec.transport.base import Sink
    from stream_rec.web.server import Server

__all__ = ["cli", "main", "with_settings"]

DONE, FAILED, MISUSED = 0, 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stream-rec")
def cli() -> None:
    """Live session-based recommendations from a click stream."""


cli.add_command(snapshot)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors on purpose are one line, no traceback."""
    try:
        result = cli.main(args=argv, prog_name="stream-rec", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return MISUSED if isinstance(error, click.UsageError) else FAILED
    except SettingsError as error:
        return _say(error, MISUSED)
    except StreamRecError as error:
        return _say(error, FAILED)
    except (click.Abort, KeyboardInterrupt):
        return FAILED
    except BrokenPipeError:
        _silence_stdout()
        return FAILED
    return result if isinstance(result, int) else DONE


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* every setting as an option, and call it with the one Settings they make.

    Put it under `@cli.command()`. Options come in the order of the reference page, `--config` last.
    """

    @wraps(command)
    def loaded(*args: Any, config: str | None, **given: object) -> Any:  # noqa: ANN401 (passes on what click and the command exchange)
        names = {setting.name for setting in table()}
        flags = {name: given.pop(name) for name in names & given.keys()}
        if not flags.get("events") and given.get("train"):  # where a log is learned from, no other is needed
            flags["events"] = given["train"]
        settings: Settings = load(config=config, environ=os.environ, flags=flags)
        return command(*args, settings=settings, **given)

    decorated: Callable[..., Any] = click.option(
        "--config",
        metavar="FILE",
        help="A TOML file of settings; flags and STREAM_REC_* are stronger.",
    )(loaded)
    for setting in reversed(table()):
        decorated = _option(setting)(decorated)
    return decorated


def _option(setting: Setting) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Texts are handed on as they are: one parser, and one form of error, for all layers."""
    help_text = setting.doc if setting.required else f"{setting.doc}  {_default(setting)}"
    if setting.kind is Kind.SWITCH:
        switch = f"{setting.flag}/--no-{setting.flag.removeprefix('--')}"
        return click.option(switch, setting.name, default=None, help=help_text)
    return click.option(
        setting.flag,
        setting.name,
        metavar=setting.metavar,
        multiple=setting.kind in {Kind.LIST, Kind.TABLE},
        help=help_text,
    )


def _default(setting: Setting) -> str:
    return f"[default: {setting.shown(setting.default)}]"


def _say(error: StreamRecError, code: int) -> int:
    _tell(f"stream-rec: {error}", is_error=True)
    return code


def _tell(line: str, *, is_error: bool = False) -> None:
    """Write *line* to standard error, as the log is written: where that is JSON, nothing else may be there."""
    logs = sys.modules.get("stream_rec.service.logs")  # not imported: nobody has asked for JSON
    if logs is not None and logs.is_json():
        logging.getLogger("stream_rec").log(logging.ERROR if is_error else logging.INFO, "%s", line)
    else:
        click.echo(line, err=True)


def _silence_stdout() -> None:
    """Whoever read our output has gone; what Python flushes at exit must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@cli.command()
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
    from stream_rec.service.interrupt import Interrupt

    with Interrupt() as interrupt:
        if is_topic(settings.events):
            _serve(settings, interrupt)
            return
        if settings.http is not None:
            _serve_embedded(settings, interrupt)
            return
        from stream_rec.service.runner import Job

        with closing(Job.from_settings(settings)) as job:
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

    from stream_rec.service.build_live import build_live, build_served
    from stream_rec.service.desk import Desk
    from stream_rec.service.logs import log_to_stderr
    from stream_rec.service.status import Overtime, summary

    log_to_stderr(settings.log_level, settings.log_format)
    live: Live | None = None
    with ExitStack() as undo:
        # Entered first, so left last: closing takes its time too.
        undo.enter_context(Overtime(lambda: interrupt.asked, lambda: live is not None and live.was_in_order))
        desk = None if settings.http is None else Desk()
        live, report = build_live(settings, undo, desk)
        if desk is not None:
            undo.enter_context(_server(settings, build_served(settings, undo, live, report, desk)))
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

    from stream_rec.service.build_embedded import build_embedded
    from stream_rec.service.logs import log_to_stderr

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
def _server(settings: Settings, served: "Served") -> Iterator["Server"]:
    """Serve while entered."""
    with _needs_serve():
        from stream_rec.web.serve import build_server
    # Threads that wait for each other's turn at the interpreter wait this long: five milliseconds by default, which is
    # as long as a slow answer may take.
    sys.setswitchinterval(0.0005)
    with closing(build_server(settings, served)) as server:
        yield server.start()


def _warm_up(settings: Settings) -> None:
    from stream_rec.service import warmup

    # An event that comes over HTTP may want its answer at once, whatever those of the source want.
    answers_events = settings.answers_events or settings.http is not None
    if settings.http is not None and warmup.is_cold(kernel="ask_many"):
        _tell(warmup.COMPILING_ANSWERS)
    else:
        _announce(answers_events=answers_events)
    warmup.warm_up(
        answers_events=answers_events,
        answers_requests=settings.requests is not None or settings.http is not None,
        keeps_snapshots=settings.snapshots is not None,
        replays=is_topic(settings.events),
    )


def _announce(*, answers_events: bool = True) -> None:
    """Say what the silence of a first run is."""
    from stream_rec.service import warmup

    if warmup.is_cold(answers_events=answers_events):
        _tell(warmup.COMPILING if warmup.can_keep() else warmup.COMPILING_AGAIN)


def _say_what_is_awaited(settings: Settings) -> None:
    """To whoever sits before a prompt that does nothing."""
    if "-" in {settings.events, settings.requests} and sys.stdin.isatty():
        click.echo("reading from this terminal: a record is a line, and Ctrl-D ends it", err=True)


def _writable(line: str) -> str:
    """*line* without what the terminal has no bytes for: examples hold whatever a log holds."""
    encoding = sys.stdout.encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _progress(settings: Settings) -> "AbstractContextManager[Callable[[Job], None]]":
    """A progress line for whoever watches, unless answers come by in the same place."""
    shares = settings.answers_place == "-" and sys.stdout.isatty()
    if shares or not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    from stream_rec.service.progress import ProgressLine

    return ProgressLine()


@cli.command()
@with_settings
def check(settings: Settings) -> None:
    """Say what a source holds, what of it a run would refuse and why, and which settings would help.

    Reads with the settings that `run` takes, and writes nothing but its report. Of a topic it reads what is there now,
    and commits nothing.

    \b
      stream-rec check --events clicks.jsonl
      stream-rec check --events kafka://localhost:9092/clicks
    """  # noqa: D301 (click knows a paragraph to leave alone by this very character)
    from stream_rec.service.interrupt import Interrupt

    with Interrupt() as interrupt:
        from stream_rec.service.check import inspect
        from stream_rec.service.progress import ReadingLine

        _announce(answers_events=False)
        _say_what_is_awaited(settings)
        with ReadingLine() as watch:
            lines = inspect(settings, lambda: interrupt.asked, watch)
        for line in lines:
            click.echo(_writable(line))


def _evaluation(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options of how a log is split and asked."""
    for option in reversed(_EVALUATION):
        command = option(command)
    return command


_EVALUATION = (
    click.option("--train", metavar="SRC", help="Hold-out: a log that is learned once, in place of --events."),
    click.option("--test", metavar="SRC", help="Hold-out: a log that is asked, and not learned."),
    click.option("--hold-out-since", "since", metavar="TIME", help="Hold out the sessions that begin then or later."),
    click.option("--hold-out-days", "last_days", type=float, metavar="N", help="Hold out those of the last days."),
    click.option("--hold-out-share", "share", type=float, metavar="X", help="Hold out a share of them, by --seed."),
    click.option("--questions", type=click.Choice(["next", "last"]), default="next", show_default=True,
                 help="Ask for each next item of a session, or for its last only."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn by chance."),
    click.option("--threads", type=click.IntRange(1), help="How many ask side by side; by default as many as there "
                 "are processors, at most 4. Each holds an index of its own."),
    click.option("--json", metavar="OUT", help="Write all figures there as JSON."),
    click.option("--plot", metavar="OUT", help="Draw them there, as .png or .html (needs stream-rec[evaluate])."),
)  # fmt: skip


@cli.command()
@_evaluation
@click.option("--window", metavar="DURATION", help="Ask through a window of time with what was known before it.")
@click.option("--refresh", type=click.Choice(["live", "window", "both"]), default="both", show_default=True,
              help="With --window: learn each event at once, or each window at its end; both compares.")  # fmt: skip
@click.option("--cutoffs", default="5,10,20", show_default=True, help="How many items of an answer count.")
@click.option("--compare", metavar="NAME", multiple=True, help="Also ask this preset, the model of this TOML file, or "
              "all presets. May be repeated.")  # fmt: skip
@click.option("--baselines/--no-baselines", default=True, help="Also ask the simple models.  [default: baselines]")
@click.option("--most-questions", type=click.IntRange(1), help="Ask at most so many, of sessions drawn by --seed; the "
              "whole log is learned.  [default: all]")  # fmt: skip
@click.option("--draws", type=click.IntRange(1), default=1000, show_default=True, help="Of the bootstrap.")
@with_settings
def evaluate(settings: Settings, **given: Any) -> None:  # noqa: ANN401 (whatever click made of the options)
    """Tell how good the recommendations are on a log, beside simple baselines.

    Asks before each event which item comes next, then learns it (prequential): what a live service would have
    answered. With --train and --test, or --hold-out-..., learns one part once and asks the other.

    \b
      stream-rec evaluate --events clicks.csv --plot report.html
      stream-rec evaluate --events clicks.csv --hold-out-days 7 --compare all
      stream-rec evaluate --events clicks.csv --window 1d
    """  # noqa: D301 (click knows a paragraph to leave alone by this very character)
    from stream_rec.evaluate.command import Options
    from stream_rec.evaluate.command import evaluate as run_evaluation

    _announce_evaluation()
    run_evaluation(settings, Options(**given))


@cli.command()
@click.option("--out", required=True, metavar="FILE", help="The .toml file to write, for `run --config`.")
@click.option("--train", metavar="SRC", help="A log that is learned once, in place of --events.")
@click.option("--valid", metavar="SRC", help="With --train: the log that sets are chosen by, and that is not learned.")
@click.option("--test-share", type=float, default=0.2, show_default=True, help="The last share of --events, which no "
              "set is chosen by, and the best is judged by; 0 leaves none.")  # fmt: skip
@click.option("--metric", type=click.Choice(["MRR", "HR", "NDCG"]), default="MRR", show_default=True,
              help="What is best, at the 20 first items or the --n, if that is more.")  # fmt: skip
@click.option("--trials", type=click.IntRange(1), default=96, show_default=True, help="Sets of parameters to try.")
@click.option("--most-questions", type=click.IntRange(1), default=20_000, show_default=True,
              help="Ask at most so many, of sessions drawn by --seed.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn by chance.")
@click.option("--threads", type=click.IntRange(1), help="How many ask side by side; by default as many as there are "
              "processors, at most 4.")  # fmt: skip
@click.option("--json", metavar="OUT", help="Write all sets and figures there as JSON.")
@click.option("--plot", metavar="OUT", help="Draw what mattered there, as .png or .html.")
@with_settings
def tune(settings: Settings, **given: Any) -> None:  # noqa: ANN401 (whatever click made of the options)
    """Find the parameters that answer best on a log, and write them as a file for `run --config`.

    Chooses on the first part of the log, asking before it learns, and judges the best on the rest, which the search
    never sees. Starts from --preset. Needs stream-rec[evaluate].

    \b
      stream-rec tune --events clicks.csv --out tuned.toml --plot tuned.html
      stream-rec run --config tuned.toml
    """  # noqa: D301 (click knows a paragraph to leave alone by this very character)
    from stream_rec.evaluate.tune import TuneOptions
    from stream_rec.evaluate.tune import tune as run_tuning

    _announce_evaluation()
    run_tuning(settings, TuneOptions(**given))


def _announce_evaluation() -> None:
    """Say what the silence of a first evaluation is: it has kernels of its own."""
    from stream_rec.service import warmup

    if warmup.is_cold(kernel="ask_and_apply"):
        click.echo(warmup.COMPILING_MANY, err=True)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
def status(file: Path) -> int:
    """Say how a service does, by the FILE that it was given as --status-file.

    Exit code 0 if it is ready and has written lately, 1 if not: a health check.
    """
    from stream_rec.service.status import status_lines

    is_well, lines = status_lines(file)
    for line in lines:
        click.echo(line)
    return DONE if is_well else FAILED


@cli.command("warm-up")
def warm_up() -> int:
    """Compile the kernels now, and keep them, so that no start has to: for an image, or a new machine.

    They are kept beside the program, or in the folder that NUMBA_CACHE_DIR names. Exit code 1 if neither can be
    written to.
    """
    from stream_rec.service import warmup

    if not warmup.can_keep():
        click.echo("stream-rec: no folder to keep kernels in: NUMBA_CACHE_DIR may name one", err=True)
        return FAILED
    _announce()
    warmup.warm_up_all()
    click.echo(f"compiled, and kept in {warmup.kept_in()}")
    return DONE


@cli.command()
@click.option("--fast", is_flag=True, help="Leave out the part that takes its time to be read.")
@click.option("--http", metavar="HOST:PORT", help="Show it in a browser instead: the dashboard over the sample, live.")
def demo(fast: bool, http: str | None) -> None:
    """Watch it learn from a year of a real shop, and recommend live."""
    if http is not None:
        _demo_in_browser(http)
        return
    from stream_rec.demo.bundled import play_bundled

    _announce()
    play_bundled(fast=fast, program=_program())


def _demo_in_browser(address: str) -> None:
    from stream_rec.service import warmup
    from stream_rec.service.interrupt import Interrupt

    if warmup.is_cold(kernel="ask_many"):
        _tell(warmup.COMPILING_ANSWERS)
    with Interrupt() as interrupt, _needs_serve():
        from stream_rec.demo.served import serve_bundled

        serve_bundled(
            address,
            lambda: interrupt.asked,
            lambda url: click.echo(f"open {url} in a browser: a year of a real shop, live; Ctrl-C ends it", err=True),
        )


def _program() -> str:
    """What to type to call this program again: its name, or its path where the shell does not find it."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "stream-rec" and shutil.which("stream-rec") is None else "stream-rec"


class _Simulate(click.Command):
    """Its options are the fields of `Shape` and `Delivery`, looked up when they are needed: that takes NumPy."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the declared options and one for each field."""
        from stream_rec.datasets.options import OPTIONS

        made = [
            click.Option([each.flag], metavar=each.metavar, help=each.help, default=None, is_flag=each.is_switch)
            for each in OPTIONS
        ]
        declared = super().get_params(ctx)
        return [*made, *declared]


@cli.command(cls=_Simulate)
@click.option(
    "--out",
    default="-",
    metavar="DST",
    help="A .jsonl or .jsonl.gz file, - for standard output, or kafka://host/topic.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="So many lines a second.")
@click.option("--now", is_flag=True, help="Let each event tell the time when it is sent; late ones stay as late.")
@click.option("--kafka", multiple=True, metavar="KEY=VALUE", help="As for run: a setting of the Kafka client.")
@click.option("--kafka-client", default=None, metavar="kafka-python|confluent", help="As for run.")
@click.option("--truth", metavar="FILE", help="Where the count of what was written goes, as JSON; else standard error.")
def simulate(
    out: str,
    truth: str | None,
    rate: float | None,
    now: bool,
    kafka: tuple[str, ...],
    kafka_client: str | None,
    **given: str | bool | None,
) -> None:
    """Write a seeded click stream as JSON lines, with faults on demand.

    The same options give the same bytes on every machine, but for the times of --now. In a topic, lines are keyed by
    session. The truth tells what a run must report.

    \b
      stream-rec simulate --sessions 10000 > clicks.jsonl
      stream-rec simulate --sessions 10000 --broken 0.01 --late 0.01 --duplicates 0.02 --out poisoned.jsonl.gz
      stream-rec simulate --sessions 1000000 --rate 100 --now --out kafka://localhost:9092/clicks
    """  # noqa: D301 (click knows a paragraph to leave alone by this very character)
    from stream_rec.datasets.delivery import write_jsonl
    from stream_rec.datasets.options import read_options
    from stream_rec.datasets.pace import Pace

    shape, delivery = read_options(given)
    with closing(_open_simulated(out, kafka, kafka_client)) as sink:

        def put(lines: Sequence[bytes], keys: Sequence[bytes | None]) -> None:
            sink.write(lines, keys)
            sink.flush()

        def put_whole(lines: bytes) -> None:
            sink.write([lines.removesuffix(b"\n")])

        at_once = rate is None and not now and not is_topic(out)
        told = write_jsonl(shape, put_whole if at_once else Pace(put, rate, now=now), delivery).to_json()
    if truth is None:
        click.echo(told, err=True)
    else:
        Path(truth).write_text(told + "\n", encoding="utf-8")


def _open_simulated(out: str, kafka: tuple[str, ...], kafka_client: str | None) -> "Sink":
    """The place for simulated lines. What is given of Kafka is checked as it is for a run."""
    if not is_topic(out):
        from stream_rec.transport.files import open_sink

        return open_sink(out, key="out")
    from stream_rec.transport.kafka import KafkaSink, open_broker, parse_address

    settings = load(environ=os.environ, flags={"events": out, "kafka": kafka, "kafka_client": kafka_client})
    topic = parse_address(out, "out").topic
    return KafkaSink(open_broker(out, client=settings.kafka_client, config=settings.kafka, key="out"), topic, "out")
