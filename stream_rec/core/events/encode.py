"""JSON lines: answers, dead letters, and events on their way in. Equal values give equal bytes."""

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import msgspec

from stream_rec.core.events.paths import chains_of_names
from stream_rec.core.events.rules import DecodeRules
from stream_rec.core.events.times import time_zone_of
from stream_rec.core.events.types import FORGET, VIEW, Answer, Event, Forget

__all__ = ["DeadLetter", "EventEncoder", "encode_answer", "encode_dead_letter"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record that was not applied: the reason, its place in the log, and its original bytes.

    `record` holds the bytes if they are text (UTF-8), else `record_base64` does. If the log is a file, `topic` is its
    name and `offset` the number of the line (or row), from 1.
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
    """The original headers: each value as text if it is text, else in base64 under its name and `;base64`."""
    element: int | None = None
    """Of a record that makes several events, which of them it is, from 1.

    Its first dead letter has the bytes of the record; they are left out of the others.
    """

    @property
    def original(self) -> bytes:
        """The original bytes of the record; none if another dead letter of the record has them."""
        if self.record is not None:
            return self.record.encode()
        return base64.b64decode(self.record_base64 or "")


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")

encode_answer: Final[Callable[[Answer], bytes]] = _ENCODER.encode


def encode_dead_letter(  # noqa: PLR0913 (one for each field of the letter)
    reason: str,
    message: str,
    original: bytes | None,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None = None,
    headers: Iterable[tuple[str, bytes]] = (),
    *,
    element: int | None = None,
) -> bytes:
    """Return a dead letter as a JSON object, without a newline."""
    letter = DeadLetter(
        str(reason),
        message,
        topic,
        partition,
        offset,
        *((None, None) if original is None else _as_text(original)),
        *((None, None) if key is None else _as_text(key)),
        dict(_header(name, value) for name, value in headers) or None,
        element,
    )
    return _ENCODER.encode(letter)


class EventEncoder:
    """Writes events in the form of a log with these rules, so that an `EventDecoder` of the same rules reads them.

    A time has the precision of the log's unit or format.
    """

    def __init__(self, rules: DecodeRules | None = None) -> None:
        rules = rules or DecodeRules()
        self._chains = _chains(rules.fields.as_dict())
        self._by_user = rules.session_from_user
        zone = time_zone_of(rules.time_zone)
        self._time = _time_writer(rules.timestamp_unit, rules.timestamp_format, zone)

    def encode(self, event: Event | Forget) -> tuple[bytes, bytes | None]:
        """Return value and key of a record: the key is the session, or the user if sessions are cut from users."""
        whose = event.user_id if self._by_user or not event.session_id else event.session_id
        fields: dict[str, object] = {}
        if event.session_id:
            self._put(fields, "session_id", event.session_id)
        if event.user_id is not None:
            self._put(fields, "user_id", event.user_id)
        if isinstance(event, Forget):
            self._put(fields, "type", FORGET)
        else:
            self._put(fields, "item_id", event.item_id)
            self._put(fields, "timestamp", self._time(event.timestamp))
            if event.type != VIEW:
                self._put(fields, "type", event.type)
            if event.event_id is not None:
                self._put(fields, "event_id", event.event_id)
        return _ENCODER.encode(fields), None if whose is None else whose.encode()

    def _put(self, record: dict[str, object], field: str, value: object) -> None:
        *objects, key = self._chains[field]
        for each in objects:
            record = record.setdefault(each, {})  # type: ignore[assignment]  # no chain ends where another goes on
        record[key] = value


def _chains(names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the keys that lead to each field: through objects, as others write the log, where that is possible.

    Else it is one key with the whole text of the path, which readers take literally.
    """
    found = {}
    for field, text in names.items():
        chains = chains_of_names(text)
        found[field] = chains[0] if chains is not None and len(chains) == 1 else (text,)
    for field, chain in found.items():
        if any(other != chain and other[: len(chain)] == chain[: len(other)] for other in found.values()):
            return {field: (text,) for field, text in names.items()}
    return found


def _time_writer(unit: str, time_format: str | None, zone: tzinfo) -> Callable[[int], object]:
    if time_format is not None:
        return lambda millis: (_EPOCH + timedelta(milliseconds=millis)).astimezone(zone).strftime(time_format)
    writers: dict[str, Callable[[int], object]] = {
        "ms": lambda millis: millis,
        "s": lambda millis: millis / 1000 if millis % 1000 else millis // 1000,
        "us": lambda millis: millis * 1000,
        "ns": lambda millis: millis * 1_000_000,
        "iso": lambda millis: (_EPOCH + timedelta(milliseconds=millis)).isoformat(timespec="milliseconds"),
    }
    # ISO 8601, which readers of the other units take too, has no doubt about a unit.
    return writers.get(unit, writers["iso"])


def _header(name: str, value: bytes) -> tuple[str, str]:
    text, in_base64 = _as_text(value)
    return (name, text) if text is not None else (f"{name};base64", in_base64 or "")


def _as_text(original: bytes) -> tuple[str | None, str | None]:
    try:
        return original.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(original).decode()
