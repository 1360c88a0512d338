"""Records that are broken in many ways, from a seed: mutations of valid clicks, and bytes that were never any."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["malformed"]

_WRONG: Final = [
    None, True, -1, 0, 1.5, 1e308, 2**63, -(2**63), 10**30, "", " ", "\x00", "\ud83d", "x" * 600, [], {}, [1], {"a": 1},
    "2024-05-01T10:00:00Z", "NaN", "-1", "null",
]  # fmt: skip
_PIECES: Final = [
    b"", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u", b"\\ud800", b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"NaN",
    b"Infinity", b"1e999", b"-", b"0" * 400, b"[" * 400, b'{"a":' * 300, b"\xef\xbb\xbf", b"\x00\x00\x00\x00\x07",
    b"\x1f\x8b\x08", b"PK\x03\x04", b"// ", b"\r\n", b"\x80" * 8,
]  # fmt: skip


def malformed(n: int, seed: int, begin_ms: int) -> Iterator[bytes]:
    """Yield *n* values of records, from clicks at *begin_ms* on. About one in twenty is a valid click yet."""
    chance = random.Random(seed)
    ways: list[Callable[[random.Random, int], bytes]] = [
        _cut,
        _flipped,
        _spliced,
        _with_a_wrong_value,
        _renamed,
        _noise,
    ]
    for number in range(n):
        yield chance.choice(ways)(chance, begin_ms + number)


def _click(chance: random.Random, at_ms: int) -> dict[str, object]:
    click: dict[str, object] = {
        "session_id": f"s{chance.randrange(5000)}",
        "item_id": f"i{chance.randrange(1000)}",
        "timestamp": at_ms,
    }
    if chance.random() < 0.3:
        click["type"] = chance.choice(["view", "cart", "forget"])
    if chance.random() < 0.3:
        click["event_id"] = f"e{chance.randrange(100_000)}"
    return click


def _bytes(chance: random.Random, at_ms: int) -> bytes:
    return json.dumps(_click(chance, at_ms)).encode()


def _cut(chance: random.Random, at_ms: int) -> bytes:
    """Cut a click off at any byte."""
    whole = _bytes(chance, at_ms)
    return whole[: chance.randrange(len(whole) + 1)]


def _flipped(chance: random.Random, at_ms: int) -> bytes:
    """Change some bytes of a click."""
    whole = bytearray(_bytes(chance, at_ms))
    for _ in range(chance.randrange(1, 4)):
        whole[chance.randrange(len(whole))] = chance.randrange(256)
    return bytes(whole)


def _spliced(chance: random.Random, at_ms: int) -> bytes:
    """Put a piece that means something elsewhere into a click, or over a part of it."""
    whole, at = _bytes(chance, at_ms), chance.randrange(1, 80)
    return whole[:at] + chance.choice(_PIECES) + whole[at + chance.choice([0, 0, 1, 5, 20]) :]


def _with_a_wrong_value(chance: random.Random, at_ms: int) -> bytes:
    """Give a field a value of another type or out of range."""
    click = _click(chance, at_ms)
    click[chance.choice(["session_id", "item_id", "timestamp", "type", "event_id", "user_id"])] = chance.choice(_WRONG)
    return json.dumps(click).encode()


def _renamed(chance: random.Random, at_ms: int) -> bytes:
    """Leave a field out, or put the click into something else."""
    click = _click(chance, at_ms)
    del click[chance.choice(["session_id", "item_id", "timestamp"])]
    return json.dumps(chance.choice([click, [click], {"payload": click}, str(click)])).encode()


def _noise(chance: random.Random, _: int) -> bytes:
    return chance.randbytes(chance.randrange(1, 200))


_WAYS: Final[list[Callable[[random.Random, int], bytes]]] = [
    _cut, _flipped, _spliced, _with_a_wrong_value, _renamed, _noise
]  # fmt: skip
