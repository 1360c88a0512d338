"""What goes out, as JSON lines: answers and dead letters. The same value is the same bytes."""

import base64
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from stream_rec.events._types import Answer

__all__ = ["DeadLetter", "encode_answer", "encode_dead_letter"]


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record that was not applied: why, where it stood, and its original bytes.

    `record` holds them where they are text (UTF-8), else `record_base64` does. Where the log is a
    file, `topic` is its name and `offset` the number of the line (or row), from 1.
    """

    reason: str
    message: str
    topic: str
    partition: int
    offset: int
    record: str | None = None
    record_base64: str | None = None
    key: str | None = None
    key_base64: str | None = None
    headers: dict[str, str] | None = None
    """As they came in, each value as text where it is text, else in base64 under its name and `;base64`."""

    @property
    def original(self) -> bytes:
        """The record's bytes as they came in."""
        if self.record is not None:
            return self.record.encode()
        return base64.b64decode(self.record_base64 or "")


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")

encode_answer: Final[Callable[[Answer], bytes]] = _ENCODER.encode


def encode_dead_letter(
    reason: str,
    message: str,
    original: bytes,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None = None,
    headers: Iterable[tuple[str, bytes]] = (),
) -> bytes:
    """One dead letter as a JSON object, without a newline."""
    letter = DeadLetter(
        str(reason),
        message,
        topic,
        partition,
        offset,
        *_as_text(original),
        *((None, None) if key is None else _as_text(key)),
        dict(_header(name, value) for name, value in headers) or None,
    )
    return _ENCODER.encode(letter)


def _header(name: str, value: bytes) -> tuple[str, str]:
    text, in_base64 = _as_text(value)
    return (name, text) if text is not None else (f"{name};base64", in_base64 or "")


def _as_text(original: bytes) -> tuple[str | None, str | None]:
    try:
        return original.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(original).decode()
