"""What a schema registry's serialisers put around a value: which schema wrote it.

    00 0000002a ..              the schema's id in front, then the value (JSON as text, Avro, Protobuf)
    01 and 16 bytes, ..         its GUID in front
    __value_schema_id           either of the two in a header of that name (`__key_schema_id` for the key)

Knows no registry: here a frame is recognised, and what can be read without one is.
"""

from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from stream_rec.core.events import Reason
from stream_rec.transport.records import Record

__all__ = ["KEY_HEADER", "VALUE_HEADER", "Frame", "frame_of", "is_framed", "without_registry"]

VALUE_HEADER: Final = "__value_schema_id"
KEY_HEADER: Final = "__key_schema_id"

_ID: Final = 0  # the first byte; no JSON begins with either
_GUID: Final = 1
_ID_BYTES: Final = 5
_GUID_BYTES: Final = 17


class Frame(NamedTuple):
    """Which schema wrote a value, and where the value begins."""

    schema: int | str
    """The schema's id, or its GUID."""
    begin: int

    @property
    def label(self) -> str:
        """The schema as messages name it."""
        return f"schema {self.schema}"


def is_framed(data: bytes) -> bool:
    """Whether *data* begins with the id of a schema, and more follows."""
    return data[:1] == b"\0" and len(data) > _ID_BYTES


def frame_of(data: bytes, headers: tuple[tuple[str, bytes], ...] = (), name: str = VALUE_HEADER) -> Frame | None:
    """Return the frame of *data*, from the header of that *name* or from its first bytes; None if it has none."""
    if headers:
        for key, value in headers:
            if key == name and (found := _read(value)) is not None:
                return Frame(found.schema, 0)
    if data[:1] == b"\0" and len(data) > _ID_BYTES:  # by far the most common one
        return Frame(int.from_bytes(data[1:_ID_BYTES], "big"), _ID_BYTES)
    return _read(data)


def without_registry(record: Record) -> Record:
    """Return *record* with the JSON behind its frame as the value, or with a fault that says what is needed."""
    frame = frame_of(record.value, record.headers)
    if frame is None:
        return record
    bare = record.value[frame.begin :]
    if _is_object(bare):
        return msgspec.structs.replace(record, value=bare)
    message = (
        f"written with {frame.label} of a schema registry, in Avro or Protobuf: name the registry with "
        "--registry http://HOST:PORT, which needs pip install 'stream-rec[registry]'"
    )
    return msgspec.structs.replace(record, fault=(Reason.NEEDS_REGISTRY, message))


def _read(data: bytes) -> Frame | None:
    if not data:
        return None
    if data[0] == _ID and len(data) >= _ID_BYTES:
        return Frame(int.from_bytes(data[1:_ID_BYTES], "big"), _ID_BYTES)
    if data[0] == _GUID and len(data) >= _GUID_BYTES:
        return Frame(str(UUID(bytes=data[1:_GUID_BYTES])), _GUID_BYTES)
    return None


def _is_object(data: bytes) -> bool:
    """Whether *data* may be JSON: it begins as an object, an array or a null does, maybe after white space."""
    start = data.lstrip(b" \t\r\n")
    return start[:1] in {b"{", b"["} or start == b"null"
