"""`stream-rec stats`: the figures of a running service."""

from typing import TYPE_CHECKING

import click

from stream_rec.cli.common import command, encodable, write_json
from stream_rec.cli.remote.options import with_service

if TYPE_CHECKING:
    from stream_rec.cli.remote.service import Service

__all__ = ["stats"]


@command()
@click.option("--json", "is_json", is_flag=True, help="Print the answer of the HTTP API.")
@with_service
def stats(service: "Service", is_json: bool) -> None:
    """Show the figures of a running service: what it has read, retains, answers, and how well.

    For a health check see `stream-rec status`, or /readyz. Needs the scope `read`.

    \b
      stream-rec stats
      stream-rec stats --url http://recs.internal:8000 --json | jq .rates
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    found = service.get("/v1/stats")
    if is_json:
        write_json(found, "-")
        return
    from stream_rec.cli.remote.stats_text import stats_lines

    for line in stats_lines(found):
        click.echo(encodable(line))
