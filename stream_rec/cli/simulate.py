"""`stream-rec simulate`: a seeded click stream, written to a file or a topic."""

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream_rec.settings import is_topic, load

if TYPE_CHECKING:
    from stream_rec.transport.records import Sink

__all__ = ["simulate"]


class _Simulate(click.Command):
    """Its options are the fields of `Shape` and `Delivery`, looked up when they are needed: that takes NumPy."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the declared options and one for each field."""
        from stream_rec.simulator.options import OPTIONS

        made = [
            click.Option([each.flag], metavar=each.metavar, help=each.help, default=None, is_flag=each.is_switch)
            for each in OPTIONS
        ]
        declared = super().get_params(ctx)
        return [*made, *declared]


@click.command(cls=_Simulate)
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
    from stream_rec.simulator.delivery import write_jsonl
    from stream_rec.simulator.options import read_options
    from stream_rec.simulator.pace import Pace

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
