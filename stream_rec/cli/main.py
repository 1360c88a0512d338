"""The command line: joins the commands, and turns errors into exit codes.

Settings make the options of `run`, so a new setting is a new option. Each command imports what it needs in its body:
`stream-rec --help` must not wait for a compiler. Exit codes: 0 done, 2 wrong settings or usage (the error names the
key), 3 done but more was refused than `max_refused` allows, 1 anything else, such as that nothing was applied.
"""

import os
import sys
from collections.abc import Sequence

import click

from stream_rec._version import __version__
from stream_rec.cli.ask import ask
from stream_rec.cli.check import check
from stream_rec.cli.common import DONE, FAILED, MISUSED, print_message
from stream_rec.cli.config import config
from stream_rec.cli.demo import demo
from stream_rec.cli.evaluate import evaluate, tune
from stream_rec.cli.forget import forget
from stream_rec.cli.hints import HelpfulGroup
from stream_rec.cli.run import run
from stream_rec.cli.simulate import simulate
from stream_rec.cli.snapshot import snapshot
from stream_rec.cli.stats import stats
from stream_rec.cli.status import status
from stream_rec.cli.tail import tail
from stream_rec.cli.warm_up import warm_up
from stream_rec.cli.weights import weights
from stream_rec.errors import SettingsError, StreamRecError

__all__ = ["cli", "main"]


@click.group(cls=HelpfulGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stream-rec")
def cli() -> None:
    """Live session-based recommendations from a click stream."""


_COMMANDS = (
    run, demo, simulate, evaluate, tune, snapshot, check, config, status, warm_up, ask, stats, weights, forget, tail,
)  # fmt: skip
for command in _COMMANDS:
    cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. An expected error is one line, without a traceback."""
    try:
        result = cli.main(args=argv, prog_name="stream-rec", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return MISUSED if isinstance(error, click.UsageError) else FAILED
    except StreamRecError as error:
        print_message(f"stream-rec: {error}", is_error=True)
        return MISUSED if isinstance(error, SettingsError) else FAILED
    except (click.Abort, KeyboardInterrupt):
        return FAILED
    except BrokenPipeError:
        _silence_stdout()
        return FAILED
    return result if isinstance(result, int) else DONE


def _silence_stdout() -> None:
    """Send standard output to nowhere: its reader is gone, and Python's flush at exit must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
