"""The key of a record without a value -> the id that it names, in the forms that producers' serializers give it.

    anna                                       text
    "anna", 7                                  JSON
    {"session_id": "anna"}                     a JSON object with the field of that name
    {"schema": {..}, "payload": ..}            Kafka Connect's JsonConverter, around any of these
    00 0000002a ..                             a schema registry's five bytes, before any of these or an Avro text

Knows nothing of topics or of which field is wanted.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

__all__ = ["is_empty_envelope", "key_value", "named_in"]

_FRAME: Final = 5  # bytes: a zero, and the schema's number
_ENVELOPE: Final = frozenset({"schema", "payload"})
_PAYLOAD: Final = "payload"
_DEEPEST: Final = 4  # a longer chain of envelopes is no key


def is_empty_envelope(value: bytes) -> bool:
    """Whether *value* says in JSON that there is none: `null`, or an envelope of Kafka Connect around `null`."""
    bare = _unframed(value)
    if bare == b"null":
        return True
    if b'"payload"' not in bare:
        return False
    found = _from_json(bare)
    return isinstance(found, dict) and _is_envelope(found) and found[_PAYLOAD] is None


def key_value(key: bytes) -> object:
    """Return what *key* says: a text, a number, or an object. Raises UnicodeDecodeError."""
    bare = _unframed(key)
    if bare is not key and (text := _avro_text(bare)) is not None:
        return text
    found: Any = bare.decode()
    for _ in range(_DEEPEST):
        if isinstance(found, str) and found[:1] in {'"', "{"}:
            read = _from_json(found.encode())
            found = found if read is None else read
        if not (isinstance(found, dict) and _is_envelope(found)):
            break
        found = found[_PAYLOAD]
        if isinstance(found, str):
            break
    return found


def named_in(value: object, names: Iterable[str]) -> object:
    """Return *value* itself; of an object, its first field of *names* that is there, None if it has none."""
    if not isinstance(value, dict):
        return value
    return next((value[name] for name in names if value.get(name) is not None), None)


def _is_envelope(found: dict[str, Any]) -> bool:
    return _PAYLOAD in found and found.keys() <= _ENVELOPE


def _unframed(data: bytes) -> bytes:
    return data[_FRAME:] if data[:1] == b"\0" and len(data) > _FRAME else data


def _avro_text(data: bytes) -> str | None:
    """Return the text that is the whole of *data* in Avro: its length as a zigzag varint, then its UTF-8."""
    number = shift = 0
    for place, byte in enumerate(data[:_FRAME]):
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 1 << 7:
            text = data[place + 1 :]
            return text.decode() if number == 2 * len(text) and text else None
    return None


def _from_json(data: bytes) -> object:
    """Return what *data* says in JSON; None if it is none, and then it is a text."""
    try:
        found: object = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return None
    return found
