"""`stream-rec weights`: the learned orders of a running service."""

from typing import TYPE_CHECKING

import click

from stream_rec.cli.common import command, encodable, write_json
from stream_rec.cli.remote.options import with_service

if TYPE_CHECKING:
    from stream_rec.cli.remote.service import Service

__all__ = ["weights"]


@command()
@click.option("--json", "is_json", is_flag=True, help="Print the orders as the HTTP API has them.")
@with_service
def weights(service: "Service", is_json: bool) -> None:
    """Show the learned order of each model of a running service: which is played, how far ahead, and what matters.

    A service learns with `rerank`. Needs the scope `read`.

    \b
      stream-rec weights
      stream-rec weights --json | jq '.orders[].mrr'
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    orders = service.get("/v1/stats").get("orders") or []
    if is_json:
        write_json({"orders": orders}, "-")
        return
    from stream_rec.cli.remote.weights_text import weights_lines

    for line in weights_lines(orders):
        click.echo(encodable(line))
