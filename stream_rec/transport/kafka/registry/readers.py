"""A schema, with those that it refers to -> a reader of what was written with it.

Knows no network: `client` has fetched the schemas.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from stream_rec.core.events import Reason
from stream_rec.errors import DecodeError

__all__ = ["Fetched", "Reader", "make_reader"]


class Reader(NamedTuple):
    """Reads what was written with one schema."""

    read: Callable[[bytes], object]
    """Bytes -> what they say: a dictionary of a record, a text, a number. Raises DecodeError."""
    is_json: bool = False
    """Whether the bytes are JSON as they stand, which its writer has checked."""
    is_plain: bool = False
    """Whether JSON can say all that its records hold: then the decoder reads it from there, in compiled code."""


class Fetched(NamedTuple):
    """A schema as the registry gives it."""

    kind: str
    """AVRO, JSON or PROTOBUF."""
    text: str
    references: Mapping[str, str]
    """By the name that the schema uses, the texts of all that it refers to, also by way of others."""


def _read_json(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise DecodeError(Reason.NOT_JSON, str(error)) from None


def make_reader(fetched: Fetched, label: str) -> Reader:
    """Return the reader of *fetched*, which messages call *label*. Raises DecodeError for a schema that is none."""
    if fetched.kind == "JSON":
        return Reader(_read_json, is_json=True)
    make = _MAKERS.get(fetched.kind)
    if make is None:
        raise DecodeError(Reason.NOT_OF_SCHEMA, f"{label} is {fetched.kind}, which is none of AVRO, JSON and PROTOBUF")
    try:
        read, is_plain = make(fetched)
    except Exception as error:  # noqa: BLE001 (parsers of schemas raise what they like, also AttributeError)
        raise DecodeError(Reason.NOT_OF_SCHEMA, f"{label} cannot be read as {fetched.kind}: {_said(error)}") from None

    def checked(data: bytes) -> object:
        try:
            return read(data)
        except OverflowError as error:
            raise DecodeError(
                Reason.BAD_TIME, f"written with {label}, and a time in it is beyond the calendar: {_said(error)}"
            ) from None
        except Exception as error:  # noqa: BLE001 (bytes of anything: one bad record must not end a batch)
            raise DecodeError(Reason.NOT_OF_SCHEMA, f"does not fit {label}: {_said(error)}") from None

    return Reader(checked, is_plain=is_plain)


def _avro(fetched: Fetched) -> "_Made":
    from stream_rec.transport.kafka.registry.avro import avro_reader  # noqa: PLC0415 (imported only when used)

    return avro_reader(fetched.text, fetched.references)


def _protobuf(fetched: Fetched) -> "_Made":
    from stream_rec.transport.kafka.registry.protobuf import protobuf_reader  # noqa: PLC0415 (imported only when used)

    return protobuf_reader(fetched.text, fetched.references), False


_Made = tuple[Callable[[bytes], object], bool]
"""What reads, and whether JSON can say it."""
_MAKERS: Final[Mapping[str, Callable[[Fetched], _Made]]] = {"AVRO": _avro, "PROTOBUF": _protobuf}
_SAID_CHARS: Final = 200


def _said(error: Exception) -> str:
    text = " ".join(f"{error}".split())[:_SAID_CHARS]
    return text or type(error).__name__
