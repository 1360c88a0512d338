"""What the formats share: looking into records whose shape may be another one, and saying what a record is not."""

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["ForgetError", "NoEventError", "Row", "objects_in", "read_object", "text_in", "within"]

Row = Mapping[str, object]


class NoEventError(Exception):
    """A valid record that is no event; the text says what it is."""


class ForgetError(Exception):
    """A record that takes a row back: the session in the row is to be forgotten. None: the one that its key names."""

    def __init__(self, row: Row | None) -> None:
        super().__init__()
        self.row = row


def within(row: object, *names: str) -> Row:
    """Return the object under these *names*, one inside the other; an empty one if there is none."""
    for name in names:
        row = row.get(name) if isinstance(row, Mapping) else None
    return row if isinstance(row, Mapping) else {}


def objects_in(value: object) -> list[Row]:
    """Return the objects in an array; none if *value* is something else."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []


def text_in(row: Row, *names: str) -> str:
    """Return the first text or number under one of *names* that is not empty, as text; else an empty text."""
    for name in names:
        value = row.get(name)
        if value is not None and value != "" and not isinstance(value, Mapping | list):
            return str(value)
    return ""


def read_object(value: Any) -> Row:  # noqa: ANN401 (whatever a record holds)
    """Return *value*, or what it says in JSON, if that is an object; else an empty one."""
    if isinstance(value, str | bytes):
        try:
            value = msgspec.json.decode(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}
