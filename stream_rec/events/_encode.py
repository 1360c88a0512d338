"""What goes out, as JSON lines: answers and dead letters. The same value is the same bytes."""

import base64
from collections.abc import Callable
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

    @property
    def original(self) -> bytes:
        """The record's bytes as they came in."""
        if self.record is not None:
            return self.record.encode()
        return base64.b64decode(self.record_base64 or "")


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")

encode_answer: Final[Callable[[Answer], bytes]] = _ENCODER.encode


def encode_dead_letter(reason: str, message: str, original: bytes, topic: str, partition: int, offset: int) -> bytes:
    """One dead letter as a JSON object, without a newline."""
    record, in_base64 = _as_text(original)
    return _ENCODER.encode(DeadLetter(str(reason), message, topic, partition, offset, record, in_base64))


def _as_text(original: bytes) -> tuple[str | None, str | None]:
    try:
        return original.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(original).decode()
