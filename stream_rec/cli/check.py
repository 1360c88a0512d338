"""`stream-rec check`: what a source holds, and what a run would refuse of it."""

import click

from stream_rec.cli.common import announce_compilation, announce_terminal_input, encodable, with_settings
from stream_rec.settings import Settings

__all__ = ["check"]


@click.command()
@with_settings
def check(settings: Settings) -> None:
    """Report what a source holds, what a run would refuse and why, and which settings would help.

    Takes the settings of `run`, and writes nothing but its report. Of a topic it reads the records that are there now,
    and commits no offsets.

    \b
      stream-rec check --events clicks.jsonl
      stream-rec check --events kafka://localhost:9092/clicks
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    from stream_rec.service.running.signals import Interrupt

    with Interrupt() as interrupt:
        from stream_rec.cli.progress import ReadingLine
        from stream_rec.service.assembly.check import inspect

        announce_compilation(answers_events=False)
        announce_terminal_input(settings)
        with ReadingLine() as draw_progress:
            lines = inspect(settings, lambda: interrupt.asked, draw_progress)
        for line in lines:
            click.echo(encodable(line))
