"""`stream-rec simulate`: a seeded click stream, written to a file or a topic."""

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream_rec.cli.common import OnceCommand
from stream_rec.cli.completion import file_option
from stream_rec.settings import is_topic, load

if TYPE_CHECKING:
    from stream_rec.transport.records import Sink

__all__ = ["simulate"]


class _SimulateCommand(OnceCommand):
    """Has an option for each field of `Shape` and `Delivery`, made only when needed: importing those takes NumPy."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the declared options and one for each field."""
        from stream_rec.simulator.options import OPTIONS

        made = [
            click.Option([each.flag], metavar=each.metavar, help=each.help, default=None, is_flag=each.is_switch)
            for each in OPTIONS
        ]
        declared = super().get_params(ctx)
        return [*made, *declared]


@click.command(cls=_SimulateCommand)
@file_option(
    "--out",
    default="-",
    metavar="DST",
    help="A .jsonl or .jsonl.gz file, - for standard output, or kafka://host/topic.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Lines per second.")
@click.option("--now", is_flag=True, help="Give each event the time at which it is sent; late ones stay as late.")
@click.option("--kafka", multiple=True, metavar="KEY=VALUE", help="A setting of the Kafka client, as for run.")
@click.option("--kafka-client", default=None, metavar="kafka-python|confluent", help="The Kafka client, as for run.")
@file_option("--truth", metavar="FILE", help="File for the counts, as JSON.  [default: standard error]")
def simulate(
    out: str,
    truth: str | None,
    rate: float | None,
    now: bool,
    kafka: tuple[str, ...],
    kafka_client: str | None,
    **options: str | bool | None,
) -> None:
    """Write a seeded click stream as JSON lines, with faults on demand.

    The same options give the same bytes on every machine, except for the times of --now. In a topic, lines are keyed by
    session. The truth holds the counts that a run over the lines must report.

    \b
      stream-rec simulate --sessions 10000 > clicks.jsonl
      stream-rec simulate --sessions 10000 --broken 0.01 --late 0.01 --duplicates 0.02 --out poisoned.jsonl.gz
      stream-rec simulate --sessions 1000000 --rate 100 --now --out kafka://localhost:9092/clicks
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    from stream_rec.simulator.delivery import write_jsonl
    from stream_rec.simulator.options import read_options
    from stream_rec.simulator.pace import Pace

    shape, delivery = read_options(options)
    with closing(_open_output(out, kafka, kafka_client)) as sink:

        def put(lines: Sequence[bytes], keys: Sequence[bytes | None]) -> None:
            sink.write(lines, keys)
            sink.flush()

        def put_whole(lines: bytes) -> None:
            sink.write([lines.removesuffix(b"\n")])

        unpaced = rate is None and not now and not is_topic(out)
        counts = write_jsonl(shape, put_whole if unpaced else Pace(put, rate, now=now), delivery).to_json()
    if truth is None:
        click.echo(counts, err=True)
    else:
        Path(truth).write_text(counts + "\n", encoding="utf-8")


def _open_output(out: str, kafka: tuple[str, ...], kafka_client: str | None) -> "Sink":
    """Open where the lines go. Kafka settings are checked as for a run."""
    if not is_topic(out):
        from stream_rec.transport.files import open_sink

        return open_sink(out, key="out")
    from stream_rec.transport.kafka import KafkaSink, open_broker, parse_address

    settings = load(environ=os.environ, flags={"events": out, "kafka": kafka, "kafka_client": kafka_client})
    topic = parse_address(out, "out").topic
    return KafkaSink(open_broker(out, client=settings.kafka_client, config=settings.kafka, key="out"), topic, "out")
