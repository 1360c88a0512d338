"""`stream-rec check`: what a source holds, and what a run would refuse of it."""

import sys
from contextlib import nullcontext
from functools import partial

import click

from stream_rec.cli.common import (
    announce_compilation,
    announce_terminal_input,
    command,
    encodable,
    exit_code,
    with_settings,
    write_json,
)
from stream_rec.cli.completion import complete_files, file_option
from stream_rec.errors import SettingsError
from stream_rec.settings import Settings

__all__ = ["check"]


@command()
@click.argument("paths", metavar="[SRC]...", nargs=-1, shell_complete=complete_files)
@file_option("--json", metavar="[OUT]", is_flag=False, flag_value="-", help="Write the report as JSON to this .json "
              "file, or to standard output. The report as text then goes to standard error.")  # fmt: skip
@with_settings
def check(settings: Settings, json: str | None) -> int:
    """Report what a source holds, what a run would refuse and why, and which settings would help.

    Takes the settings of `run`, and writes nothing but its report. Of a topic it reads the records that are there now,
    and commits no offsets. Exit codes: 0 fine; 1 nothing would be applied; 2 a wrong setting; 3 more would be refused
    than --max-refused allows.

    \b
      stream-rec check clicks.csv
      stream-rec check clicks.csv --field item_id=sku --json
      stream-rec check --events kafka://localhost:9092/clicks
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    from stream_rec.service.running.signals import Interrupt

    with Interrupt() as interrupt:
        from stream_rec.cli.progress import ReadingLine
        from stream_rec.cli.progress_text import plain_reading_progress
        from stream_rec.service.assembly.check import inspect

        if json is not None and json != "-" and not json.endswith(".json"):
            raise SettingsError("json", f"expected a .json file, or - for standard output, found {json!r}")
        announce_terminal_input(settings)
        with ReadingLine() if sys.stderr.isatty() else nullcontext(plain_reading_progress()) as draw_progress:
            announce = partial(announce_compilation, answers_events=False)
            found = inspect(settings, lambda: interrupt.asked, draw_progress, announce)
        for line in found.lines:
            click.echo(encodable(line), err=json == "-")
        if json is not None:
            write_json(found.report, json)
        return exit_code(found.counters, settings, is_whole=found.is_whole)
