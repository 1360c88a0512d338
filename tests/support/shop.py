"""A small log, fresh topics for a service on it, and the expected answers."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest
from kafka_broker import Broker
from serving import serving
from topics import Got, Sent, committed, eventually, is_all_committed, produce

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Request, encode_answer
from stream_rec.simulator.clickstream import Shape, events

THOROUGH = pytest.mark.chaos
"""A slow case that differs from another one in the client only: `make chaos` runs it."""
BOTH_IN_TIME = pytest.mark.parametrize("client", ["kafka-python", pytest.param("confluent", marks=THOROUGH)])
CLIENTS = pytest.mark.parametrize("client", ["kafka-python", "confluent"])
LOG = list(events(Shape(sessions=60, items=30, structure=0.8, users=20, seed=5)))

# Within a second: a log of a day, written at once to several partitions, would be late in one and not in another.
CLOSE = [msgspec.structs.replace(each, timestamp=LOG[0].timestamp + at) for at, each in enumerate(LOG)]


def keyed(log: Sequence[Event]) -> list[Sent]:
    return [Sent(msgspec.json.encode(event), event.session_id.encode()) for event in log]


def one_by_one(log: Sequence[Event], topic: str, engine: Engine, first: int = 0) -> list[tuple[bytes, bytes]]:
    """Return *engine*'s answers, asked by hand after each event, with the key of each record."""
    said = []
    for offset, event in enumerate(log, first):
        engine.apply([event])
        (answer,) = engine.answer([Request(session_id=event.session_id)], {f"{topic}-0": offset})
        said.append((encode_answer(answer), event.session_id.encode()))
    return said


def pairs(found: Sequence[Got]) -> list[tuple[bytes | None, bytes | None]]:
    return [(got.value, got.key) for got in found]


class Shop:
    """Fresh topics, of one partition unless more are asked for, and a group of their own."""

    def __init__(self, broker: Broker, partitions: int = 1) -> None:
        self.address = broker.address
        self.clicks = broker.topic("clicks", partitions=partitions)
        self.recs = broker.topic("recs")
        self.dead = broker.topic("dead")
        self.group = self.clicks

    @property
    def flags(self) -> dict[str, Any]:
        """The settings of a service on them."""
        return {
            "events": self.clicks,
            "recommendations": self.recs,
            "dead_letters": self.dead,
            "group": self.group,
        }

    @property
    def argv(self) -> list[str]:
        """The same for the command line."""
        at = f"kafka://{self.address}/"
        places = {"events": self.clicks, "recommendations": self.recs, "dead-letters": self.dead}
        return [
            *(word for name, topic in places.items() for word in (f"--{name}", at + topic)),
            "--group",
            self.group,
        ]

    def produce(self, *records: Sent) -> None:
        produce(self.address, self.clicks, records)

    def serve(self, topics: Sequence[str] | None = None, **flags: Any) -> None:
        """Run a service until it has committed all records."""
        with serving(self.address, **{**self.flags, **flags}) as service:
            for topic in topics or [self.clicks]:
                done = partial(self.is_all_committed, topic)
                eventually(lambda done=done: service.is_over.is_set() or done(), topic)  # type: ignore[misc]  # the default binds it

    def is_all_committed(self, topic: str | None = None) -> bool:
        return is_all_committed(self.address, topic or self.clicks, self.group)

    def answers(self) -> list[Got]:
        return committed(self.address, self.recs)

    def log(self) -> list[Got]:
        return committed(self.address, self.clicks)

    def letters(self) -> list[Got]:
        return committed(self.address, self.dead)
