"""Writes within a turn of the loop are sent together, in order, and none is lost."""

import asyncio
from collections.abc import Iterable
from typing import Any

from stream_rec.web.protocol import JoinedWrites


class Wire(asyncio.Transport):
    """A transport that records what it gets, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed_after: int | None = None

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.sent.append(b"".join(list_of_data))

    def close(self) -> None:
        self.closed_after = len(self.sent)

    def is_closing(self) -> bool:
        return self.closed_after is not None


def sent(*turns: list[bytes], close: bool = False) -> Wire:
    """Return the transport after these writes, turn by turn of an event loop."""
    wire = Wire()

    async def go() -> None:
        joined = JoinedWrites(wire, asyncio.get_running_loop())
        for turn in turns:
            for data in turn:
                joined.write(data)
            if close:
                joined.close()
            await asyncio.sleep(0)
        assert joined.is_closing() == close

    asyncio.run(go())
    return wire


def test_head_and_body_are_sent_at_once() -> None:
    """An answer takes one system call."""
    assert [b"head body"] == sent([b"head ", b"body"]).sent


def test_a_head_alone_is_sent_at_the_end_of_its_turn() -> None:
    """For an answer without a body, or a stream whose first block comes later."""
    assert [b"head", b"data"] == sent([b"head"], [b"data"]).sent


def test_order_is_kept() -> None:
    """However many writes come in one turn, empty ones included."""
    wire = sent([b"1", b"", b"2", b"3", b"4", b"5"], [b"6"])
    assert b"123456" == b"".join(wire.sent)


def test_buffered_data_is_sent_before_the_connection_closes() -> None:
    """Even if it is closed right after its answer."""
    wire = sent([b"head"], close=True)
    assert ([b"head"], 1) == (wire.sent, wire.closed_after)
