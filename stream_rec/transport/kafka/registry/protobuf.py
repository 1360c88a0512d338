"""Protobuf, by Google's library: messages read with the descriptors that the registry keeps.

A field that is not in the message is not in the row, its default neither: proto3 writes no zeros and no empty texts,
so a 0 would be the id of everybody without one.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC
from importlib import import_module
from io import BytesIO
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass

__all__ = ["protobuf_reader"]

_FILE: Final = "default"  # a schema in a registry has no file name of its own
_BUILT_IN: Final = {
    "google/protobuf/": "google.protobuf.",
    "google/type/": "google.type.",
    "confluent/": "confluent_kafka.schema_registry.confluent.",
}
"""Files that no registry keeps, and the packages that have them."""
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
_MOST_INDEXES: Final = 100


def protobuf_reader(text: str, references: Mapping[str, str]) -> Callable[[bytes], object]:
    """Return the reader of the messages of a file, given as text or as its descriptor in base64. Raises anything."""
    pool = DescriptorPool()
    files = _descriptors({**references, _FILE: text})
    added: set[str] = set()
    _add(pool, _FILE, files, added)
    file = pool.FindFileByName(_FILE)
    classes: dict[bytes, Any] = {}

    def read(data: bytes) -> object:
        indexes, begin = _indexes(data)
        key = data[:begin]
        made = classes.get(key)
        if made is None:
            made = classes[key] = GetMessageClass(_message(file, indexes))
        return _plain(made.FromString(data[begin:]))

    return read


def _descriptors(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the descriptors of files by name."""
    found = {}
    for name, text in texts.items():
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:  # the text of a file has characters that base64 has not
            return {each.name: each for each in _compiled(texts)}
        found[name] = FileDescriptorProto.FromString(data)
        found[name].name = name
    return found


def _compiled(texts: Mapping[str, str]) -> list[Any]:
    from stream_rec.transport.kafka.registry.proto_text import compiled  # noqa: PLC0415 (imported only when used)

    return compiled(texts)


def _add(pool: Any, name: str, files: Mapping[str, Any], added: set[str]) -> None:  # noqa: ANN401 (protobuf's)
    """Add the file of that *name*, after those that it imports."""
    if name in added:
        return
    added.add(name)
    found = files.get(name) or _built_in(name)
    for each in found.dependency:
        _add(pool, each, files, added)
    pool.Add(found)


def _built_in(name: str) -> Any:  # noqa: ANN401 (protobuf's)
    for folder, package in _BUILT_IN.items():
        if name.startswith(folder) and name.endswith(".proto"):
            module = import_module(
                package + name.removeprefix(folder).removesuffix(".proto").replace("/", ".") + "_pb2"
            )
            found = FileDescriptorProto()
            module.DESCRIPTOR.CopyToProto(found)
            found.name = name
            return found
    raise ValueError(f"it imports {name!r}, which is not among its references")


def _indexes(data: bytes) -> tuple[list[int], int]:
    """Return the place of the message in its file, one index for each level, and where the message begins."""
    stream = BytesIO(data)
    n = _zigzag(stream)
    if not 0 <= n <= _MOST_INDEXES:
        raise ValueError(f"{n} message indexes")
    return ([_zigzag(stream) for _ in range(n)] or [0]), stream.tell()


def _zigzag(stream: BytesIO) -> int:
    number = shift = 0
    while True:
        byte = stream.read(1)
        if not byte:
            raise ValueError("it ends within the message indexes")
        number |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 1 << 7:
            return (number >> 1) ^ -(number & 1)


def _message(file: Any, indexes: list[int]) -> Any:  # noqa: ANN401 (protobuf's)
    if min(indexes) < 0:
        raise ValueError(f"message indexes {indexes}")
    found = list(file.message_types_by_name.values())[indexes[0]]
    for each in indexes[1:]:
        found = found.nested_types[each]
    return found


def _plain(message: Any) -> Any:  # noqa: ANN401 (protobuf's, and Python's own)
    """Return the fields that *message* has; times as datetimes, members of enums by name."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        try:
            return message.ToDatetime(UTC)
        except ValueError as error:
            raise OverflowError(str(error)) from None
    if name in _WRAPPERS:
        return message.value
    if name.startswith("google.protobuf."):
        return MessageToDict(message)
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: Any, value: Any) -> Any:  # noqa: ANN401 (protobuf's, and Python's own)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        return {key: _single(of, each) for key, each in value.items()}
    if hasattr(value, "append") or hasattr(value, "add"):  # a repeated field
        return [_single(field, each) for each in value]
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:  # noqa: ANN401 (protobuf's, and Python's own)
    if field.message_type is not None:
        return _plain(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return value
