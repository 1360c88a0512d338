"""The command line: parse, open, call one function.

Options of `run` are made from the settings object, so a new setting is a new option. What a command
needs is imported in its body: `stream-rec --help` must not wait for a compiler. Exit codes: 0 done,
2 wrong settings or usage (naming the key), 1 anything else.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from stream_rec._version import __version__
from stream_rec.cli.common import _announce, _say, _say_what_is_awaited, _writable, with_settings
from stream_rec.cli.demo import demo
from stream_rec.cli.evaluate import evaluate, tune
from stream_rec.cli.run import run
from stream_rec.cli.simulate import simulate
from stream_rec.cli.snapshot import snapshot
from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.settings import Settings

__all__ = [
    "cli",
    "main",
]

DONE, FAILED, MISUSED = 0, 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stream-rec")
def cli() -> None:
    """Live session-based recommendations from a click stream."""


for command in (run, demo, simulate, evaluate, tune, snapshot):
    cli.add_command(command)


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


def _silence_stdout() -> None:
    """Whoever read our output has gone; what Python flushes at exit must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    from stream_rec.service.running.signals import Interrupt

    with Interrupt() as interrupt:
        from stream_rec.cli.progress import ReadingLine
        from stream_rec.service.assembly.check import inspect

        _announce(answers_events=False)
        _say_what_is_awaited(settings)
        with ReadingLine() as watch:
            lines = inspect(settings, lambda: interrupt.asked, watch)
        for line in lines:
            click.echo(_writable(line))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
def status(file: Path) -> int:
    """Say how a service does, by the FILE that it was given as --status-file.

    Exit code 0 if it is ready and has written lately, 1 if not: a health check.
    """
    from stream_rec.service.reporting.status import status_lines

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
    from stream_rec.service.assembly import warm_up as warmup

    if not warmup.can_keep():
        click.echo("stream-rec: no folder to keep kernels in: NUMBA_CACHE_DIR may name one", err=True)
        return FAILED
    _announce()
    warmup.warm_up_all()
    click.echo(f"compiled, and kept in {warmup.kept_in()}")
    return DONE
