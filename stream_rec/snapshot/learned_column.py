"""What was learned of the order of items, as one column of bytes, and back: numbers and arrays in MessagePack.

A file has it only if a model learns an order. It names no session and no item.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

__all__ = ["LEARNED_DTYPES", "learned_bytes", "learned_of"]

LEARNED_DTYPES: Final[Mapping[str, str]] = {"learned": "bytes"}

_DTYPES: Final = ("<i2", "<i4", "<i8", "<u8", "<f4", "<f8")


class _Array(msgspec.Struct, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    values: bytes


def learned_bytes(orders: Sequence[Mapping[str, Any]]) -> bytes:
    """Return *orders*, each a tree of numbers, arrays and mappings by name, as bytes."""
    return msgspec.msgpack.encode([_encoded(each) for each in orders])


def _encoded(value: Any) -> Any:  # noqa: ANN401  # a tree
    if isinstance(value, Mapping):
        return {key: _encoded(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return {"array": _Array(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())}
    return value


def learned_of(encoded: bytes) -> list[Mapping[str, Any]]:
    """Return what was encoded. Raises ValueError for bytes that `learned_bytes` does not write."""
    try:
        orders = msgspec.msgpack.decode(encoded, type=list[dict[str, Any]])
        return [_decoded(each) for each in orders]
    except (msgspec.MsgspecError, TypeError) as error:
        raise ValueError(f"what was learned cannot be read: {error}") from error


def _decoded(value: Any) -> Any:  # noqa: ANN401  # as above
    if not isinstance(value, dict):
        return value
    if value.keys() == {"array"}:
        array = msgspec.convert(value["array"], _Array)
        if array.dtype not in _DTYPES:
            raise ValueError(f"what was learned has an array of {array.dtype}")
        return np.frombuffer(array.values, array.dtype).reshape(array.shape).copy()
    return {key: _decoded(each) for key, each in value.items()}
