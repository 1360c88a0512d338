"""`stream-rec tail`: the recommendations that a service writes to a topic, as they come."""

import os
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import click

from stream_rec.cli.common import command, encodable, print_message
from stream_rec.cli.completion import file_option
from stream_rec.errors import DecodeError, SettingsError
from stream_rec.settings import Settings, is_topic, load

if TYPE_CHECKING:
    from stream_rec.transport.records import Record

__all__ = ["tail"]

_VARIABLE: Final = "STREAM_REC_RECOMMENDATIONS"


@command()
@click.argument("topic", metavar="[TOPIC]", required=False)
@click.option(
    "--recommendations",
    metavar="DST",
    help=f"The same address, by the name of the setting of `run`.  [env: {_VARIABLE}]",
)
@file_option(
    "--config", metavar="FILE", help="The service's own TOML file: the topic and the Kafka settings are read from it."
)
@click.option("--kafka", multiple=True, metavar="KEY=VALUE", help="A setting of the Kafka client, as for run.")
@click.option("--kafka-client", default=None, metavar="kafka-python|confluent", help="The Kafka client, as for run.")
@click.option("--for", "sessions", multiple=True, metavar="ID", help="Only answers for this session. May be repeated.")
@click.option(
    "--last",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    metavar="N",
    help="Begin with the last N answers that are there.",
)
@click.option("--follow/--no-follow", default=True, show_default=True, help="Whether to wait for further answers.")
@click.option(
    "-n",
    "--n",
    "n",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="How many items of an answer to show.",
)
@click.option("--json", "is_json", is_flag=True, help="Print each record as it is.")
def tail(topic: str | None, sessions: tuple[str, ...], last: int, follow: bool, n: int, is_json: bool,
         **source: object) -> None:  # fmt: skip
    """Follow the recommendations that a service writes to its topic (`run --recommendations`), until Ctrl-C.

    Shows committed answers only, and commits no offsets. A line holds the time at which the broker got the answer, the
    session, the model, and the first items. Answers to calls over HTTP are in no topic; a file of answers is followed
    by `tail -f`.

    \b
      stream-rec tail kafka://localhost:9092/recommendations
      stream-rec tail --config service.toml --for anna
      stream-rec tail kafka://localhost:9092/recommendations --json | jq -c .items
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    if topic and source["recommendations"]:
        raise click.UsageError(f"the topic is given twice: as {topic}, and with --recommendations")
    settings = _settings(topic, **source)
    place = settings.recommendations
    if place is None:
        raise SettingsError(
            "recommendations", f"no topic is given: name it, or set {_VARIABLE}; such as kafka://localhost:9092/recs"
        )
    if not is_topic(place):
        raise SettingsError("recommendations", f"{place!r} is no topic: a file of answers is followed by `tail -f`")
    from stream_rec.cli.remote.topic import TopicTail
    from stream_rec.service.running.signals import Interrupt
    from stream_rec.transport.kafka import open_broker, parse_address

    show = _as_it_is if is_json else _as_line(n)
    wanted = frozenset(sessions)
    address = parse_address(place, "recommendations")
    with Interrupt() as interrupt:
        broker = open_broker(place, client=settings.kafka_client, config=settings.kafka, key="recommendations")
        with closing(TopicTail(broker, address.topic, last)) as read:
            for record in read.records(lambda: interrupt.asked, follow=follow):
                if wanted and _session_of(record) not in wanted:
                    continue
                click.echo(encodable(show(record)))


def _settings(topic: str | None, config: Any, **flags: object) -> Settings:  # noqa: ANN401 (a path, or None)
    """Return the settings, of which only the topic and those of Kafka count here; so events need not be given."""
    flags = {**flags, "recommendations": topic or flags["recommendations"]}
    try:
        return load(config=config, environ=os.environ, flags=flags)
    except SettingsError as error:
        if error.key != "events":
            raise
        return load(config=config, environ=os.environ, flags={**flags, "events": "-"})


def _session_of(record: "Record") -> str | None:
    from stream_rec.cli.remote.topic import read_answer

    try:
        return read_answer(record).session_id
    except DecodeError:
        return None


def _as_it_is(record: "Record") -> str:
    return record.value.decode("utf-8", "backslashreplace")


def _as_line(n: int) -> "Callable[[Record], str]":
    """Return a function that writes an answer with its first *n* items in a line."""
    from stream_rec.cli.remote.columns import safe
    from stream_rec.cli.remote.topic import read_answer
    from stream_rec.service.metrics.format import show_time

    def line(record: "Record") -> str:
        try:
            answer = read_answer(record)
        except DecodeError as error:
            print_message(f"note: {error.message}")
            return _as_it_is(record)
        whose = answer.session_id if answer.session_id is not None else f"(request {answer.request_id})"
        items = ", ".join(safe(item.item_id) for item in answer.items[:n]) or f"nothing ({answer.reason or 'no items'})"
        more = f" and {len(answer.items) - n} more" if len(answer.items) > n else ""
        came = "-" if record.timestamp_ms is None else show_time(record.timestamp_ms)
        return f"{came}  {safe(whose)}  {safe(answer.model)}  {items}{more}"

    return line
