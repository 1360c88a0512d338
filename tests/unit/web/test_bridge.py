"""An event and its answer over a topic: how long the answer waits for the event to come back."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from stream_rec.core.events import Answer, Event, Forget, Request
from stream_rec.service.requests.ingest import Receipt
from stream_rec.service.requests.request_queue import Command, Completed, Deliver, Query
from stream_rec.web.bridge import Bridge

ANSWER = Answer("s", None, [], 1, {}, "default")


class Topic:
    """Acknowledges each event at one offset."""

    is_durable = True

    def __init__(self, label: str) -> None:
        self._label = label

    def to_command(self, events: Sequence[Event | Forget]) -> None:
        """Nothing is applied directly."""

    def put(self, events: Sequence[Event | Forget], token: object, deliver: Deliver) -> None:
        del events
        deliver([Completed(token, Receipt({self._label: 7}))])


class Queue:
    """Answers at once, and keeps the commands."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def put(self, command: Command, token: object, deliver: Deliver) -> None:
        self.commands.append(command)
        deliver([Completed(token, [ANSWER])])


@pytest.mark.parametrize(
    ("lag", "waits"),
    [({"clicks-0": 0}, False), ({"clicks-0": 0, "clicks-1": 5}, True), ({}, True)],
)
def test_an_event_of_a_partition_that_is_not_read_yet_is_not_waited_for(lag: dict[str, int], waits: bool) -> None:
    """A producer may know an added partition before the service does: each call would wait two seconds in vain."""
    queue = Queue()
    service: Any = SimpleNamespace(
        request_queue=queue, ingest=Topic("clicks-1"), status=lambda: SimpleNamespace(lag=lag)
    )

    async def go() -> Answer | None:
        bridge = Bridge(service, asyncio.get_running_loop())
        return (await bridge.ingest_and_answer(Event("s", "i", 1), Request(session_id="s")))[1]

    begun = monotonic()
    assert ANSWER == asyncio.run(go())
    (query,) = queue.commands
    assert isinstance(query, Query)
    assert {"clicks-1": 7} == query.after
    assert waits == (query.until > begun + 1)
