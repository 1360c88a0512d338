"""JSON that is one record to a reader of lines, or none: indented, or a whole table in one object; and what to do."""

import re
from collections.abc import Mapping, Sequence
from json import JSONDecodeError, JSONDecoder
from typing import Final

import msgspec

from stream_rec.transport.records import Record

__all__ = ["layout_advice"]

_PANDAS: Final = "write it with to_json(..., orient='records', lines=True)"
_LEAST_LINES: Final = 3
_ARRAY: Final = re.compile(r'"([A-Za-z_][A-Za-z0-9_]*)"\s*:\s*\[\s*\{')
_SPLIT: Final = frozenset({"columns", "index", "data"})


def layout_advice(first: Sequence[Record]) -> str | None:
    """Return what the *first* records are, and what to do, if they are no records by the way they are laid out."""
    if not first or any(each.row is not None or each.fault is not None for each in first[:_LEAST_LINES]):
        return None
    found = _decoded(first[0].value)
    if isinstance(found, Mapping):
        return _table_in_one(found) if len(first) == 1 else None
    if not first[0].value.lstrip(b"\xef\xbb\xbf \t").startswith((b"{", b"[")) or len(first) < _LEAST_LINES:
        return None
    if all(isinstance(_decoded(each.value.strip().removesuffix(b",")), Mapping) for each in first[:_LEAST_LINES]):
        return "each line ends in a comma: remove them, as `sed 's/,$//'` does, or write [ before and ] behind all"
    return _over_lines(b"\n".join(each.value for each in first))


def _decoded(value: bytes) -> object:
    try:
        return msgspec.json.decode(value.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return None


def _over_lines(value: bytes) -> str | None:
    """Return what to do with JSON that is indented; None if *value*, several lines, is not the beginning of such."""
    text = value.decode(errors="replace").lstrip("\ufeff \t\n\r")
    try:
        whole, _ = JSONDecoder().raw_decode(text)
    except (JSONDecodeError, RecursionError):
        whole = None
        try:
            msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            if "truncated" not in str(error):
                return None
        except (ValueError, RecursionError):
            return None
    if whole is not None and _table_in_one(whole) is not None:
        return _table_in_one(whole)
    name = _array_in(text, whole)
    if name is not None:
        return (
            f"one object spans several lines, around the records in its array {name!r}: write each of them on one "
            f"line, as `jq -c '.{name}[]'` does"
        )
    return "records span several lines: write each on one line, as `jq -c .` does"


def _array_in(text: str, whole: object) -> str | None:
    """Return the name of the array of objects that is all that an object around it is for, if there is one."""
    if whole is None:  # only its beginning is here
        match = _ARRAY.search(text)
        return match[1] if match is not None else None
    if not isinstance(whole, Mapping):
        return None
    arrays = [name for name, each in whole.items() if isinstance(each, list) and each and isinstance(each[0], Mapping)]
    return str(arrays[0]) if len(arrays) == 1 and len(whole[arrays[0]]) > 1 else None


def _table_in_one(found: object) -> str | None:
    """Return what to do with a whole table in one object, as pandas writes it; None for any other object."""
    if not isinstance(found, Mapping):
        return None
    if found.keys() == _SPLIT:
        return f"it is a whole table in one object, as pandas writes it with orient='split': {_PANDAS}"
    schema = found.get("schema")
    if {"schema", "data"} == found.keys() and isinstance(schema, Mapping) and "fields" in schema:
        return (
            f"it is a whole table in one object, as pandas writes it with orient='table': {_PANDAS}, or take its rows "
            "with `jq -c '.data[]'`"
        )
    inner = list(found.values())
    if len(inner) > 1 and all(isinstance(each, Mapping) and each for each in inner):
        if all(key.isdigit() for each in inner for key in each) and len({tuple(each) for each in inner}) == 1:
            return f"it is a whole table by columns in one object, as pandas writes it with to_json(): {_PANDAS}"
        if all(key.isdigit() for key in found) and len({tuple(each) for each in inner}) == 1:
            return f"it is a whole table in one object, as pandas writes it with orient='index': {_PANDAS}"
    return None
