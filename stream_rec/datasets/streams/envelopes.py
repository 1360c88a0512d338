"""CloudEvents, change data of Debezium, and Kafka Connect's JSON: what stands around the fields of an event.

Each function returns the object inside; its fields have the names that your producers gave them.
"""

import base64
from collections.abc import Mapping
from typing import Final

from stream_rec.core.events import Reason
from stream_rec.datasets.streams.rows import ForgetError, NoEventError, Row, read_object, text_in, within
from stream_rec.errors import DecodeError

__all__ = ["cloudevents", "connect", "debezium"]

_ATTRIBUTES: Final = ("id", "source", "subject", "time", "type")
_BINARY: Final = "ce_specversion"
_ENVELOPE: Final = frozenset({"schema", "payload"})
_CHANGES: Final = frozenset({"c", "u", "r"})
_DELETION: Final = "d"

Headers = tuple[tuple[str, bytes], ...]


def cloudevents(row: Row, headers: Headers) -> Row:
    """Return the data of an event, and its attributes as `ce_id`, `ce_time`, `ce_type`, `ce_source`, `ce_subject`.

    In binary mode the attributes are *headers*. Raises NoEventError and DecodeError.
    """
    found = dict(headers)
    if _BINARY in found:
        attributes = {
            name: found[f"ce_{name}"].decode(errors="replace") for name in _ATTRIBUTES if f"ce_{name}" in found
        }
        data = row
    elif "specversion" in row:
        attributes = {name: text_in(row, name) for name in _ATTRIBUTES if name in row}
        data = _data(row)
    elif "ce_time" in row:  # an event that the service itself has written
        return row
    else:
        raise NoEventError("no CloudEvent: it has neither specversion nor a header ce_specversion")
    return {**{f"ce_{name}": value for name, value in attributes.items()}, **data}


def _data(row: Row) -> Row:
    data = row.get("data")
    if data is None and "data_base64" in row:
        try:
            data = base64.b64decode(text_in(row, "data_base64"), validate=True)
        except ValueError:
            raise DecodeError(Reason.WRONG_TYPE, "data_base64: expected base64") from None
    if data is not None and not isinstance(data, Mapping) and not (data := read_object(data)):
        raise DecodeError(Reason.WRONG_TYPE, "data: expected an object, or JSON with one")
    return within({"data": data}, "data")


def connect(row: Row) -> Row:
    """Return the payload of an envelope of Kafka Connect's JsonConverter; a record without one is left as it is.

    Raises ForgetError for an empty one.
    """
    if "payload" in row and row.keys() <= _ENVELOPE:
        payload = row["payload"]
        if payload is None:
            raise ForgetError(None)
        if not isinstance(payload, Mapping):
            raise DecodeError(Reason.WRONG_TYPE, "payload: expected an object")
        return payload
    return row


def debezium(row: Row) -> Row:
    """Return the row after a change. Raises ForgetError for a deletion, NoEventError for what changes no row.

    Reads the envelope, in Kafka Connect's around it or not, and rows that ExtractNewRecordState has made flat.
    """
    row = connect(row)
    if "op" not in row or not {"before", "after"} & row.keys():
        if text_in(row, "__deleted") == "true" or text_in(row, "__op") == _DELETION:
            raise ForgetError(row)
        return row
    op = text_in(row, "op")
    if op == _DELETION:
        raise ForgetError(within(row, "before"))
    after = within(row, "after")
    if op not in _CHANGES or not after:
        raise NoEventError(f"a change of the kind {op!r}, which leaves no row")
    return after
