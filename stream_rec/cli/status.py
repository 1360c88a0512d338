"""`stream-rec status`: a health check by the file that a service writes."""

from pathlib import Path

import click

from stream_rec.cli.common import DONE, FAILED, command

__all__ = ["status"]


@command()
@click.argument("file", type=click.Path(path_type=Path))
def status(file: Path) -> int:
    """Show the state of a service, from the FILE that it writes (its setting --status-file).

    Exit code 0 if the service is ready and the file is recent, 1 otherwise: a health check.
    """
    from stream_rec.service.reporting.status import status_lines

    is_well, lines = status_lines(file)
    for line in lines:
        click.echo(line)
    return DONE if is_well else FAILED
