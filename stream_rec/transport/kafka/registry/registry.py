"""Records as they are in the topic -> records that any decoder reads: what a schema's writer meant.

Each schema is asked for once, and its reader kept. While the registry is away, known schemas go on.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

import msgspec

from stream_rec.core.events import Reason
from stream_rec.errors import DecodeError, RegistryUnavailableError
from stream_rec.transport.frames import KEY_HEADER, Frame, frame_of
from stream_rec.transport.kafka.registry.client import check_registry, fetch_schema
from stream_rec.transport.kafka.registry.config import RegistryConfig
from stream_rec.transport.kafka.registry.readers import Reader, make_reader
from stream_rec.transport.records import AS_RECORDS, Record, RecordAdapter, Records

__all__ = ["SchemaRegistry"]

_UNKNOWN_FOR_S: Final = 60.0
"""How long an id counts as unknown before it is asked for again: a registry's replica may be behind."""
_FIRST_WAIT_S: Final = 0.5
"""After a failure nothing is asked for so long; after each further one twice as long, ..."""
_LONGEST_WAIT_S: Final = 10.0
"""... up to this."""


_FRAME: Final = 5
_encode: Final = msgspec.json.Encoder().encode

_Opened = tuple[bytes | None, Any, Record | None]
"""The value, the client's message, and the Record of it, if one was made."""


def _as_json(found: dict[str, Any]) -> bytes:
    """Return *found* as JSON, without fields that are null: a union makes them, and the fastest reader knows none."""
    if None in found.values():
        found = {name: value for name, value in found.items() if value is not None}
    return _encode(found)


def _adapter_of_opened(adapter: RecordAdapter) -> RecordAdapter:
    """Return the adapter for opened messages of *adapter*'s client."""
    return RecordAdapter(
        lambda item: item[0],
        lambda item: adapter.offset(item[1]),
        lambda item: adapter.log_time(item[1]),
        lambda item: item[2] or msgspec.structs.replace(adapter.record(item[1]), value=item[0]),
        lambda item: adapter.has_headers(item[1]),
    )


class SchemaRegistry:
    """Opens records. For one thread. Keeps no connection open.

    With *opens_keys*, keys are opened too; those of tombstones always are.
    """

    def __init__(
        self,
        config: RegistryConfig,
        *,
        max_record_bytes: int,
        opens_keys: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._config = config
        self._max_bytes = max_record_bytes
        self._opens_keys = opens_keys
        self._clock = clock
        self._readers: dict[int | str, Reader] = {}
        self._refused: dict[int | str, tuple[DecodeError, float]] = {}
        """Schemas that are not known or not readable, and until when they count as that."""
        self._has_answered = False
        self._failure: str | None = None
        self._ask_at = 0.0
        self._wait_s = _FIRST_WAIT_S

    def check(self) -> None:
        """See whether the registry answers, unless it once has. Raises as `check_registry` does."""
        if not self._has_answered:
            check_registry(self._config)
            self._has_answered = True

    def opened(self, records: Sequence[Record]) -> Records:
        """Return *records* with what their schemas make of the values: a row, or JSON; one that is bad has a fault.

        Raises RegistryUnavailableError, with the place of the first record whose schema is not known yet.
        """
        records = Records.of(records)
        adapter = records.adapter
        opened: list[_Opened] = []
        for place, raw in enumerate(records.raw):
            value = None if self._opens_keys else self._plain(adapter, raw)
            if value is not None:
                opened.append((value, raw, None))
                continue
            try:
                record = self._opened(adapter.record(raw))
            except RegistryUnavailableError as error:
                raise RegistryUnavailableError(error.message, place=place) from None
            opened.append((AS_RECORDS.value(record), raw, record))
        return Records(opened, _adapter_of_opened(adapter))

    def _plain(self, adapter: RecordAdapter, raw: object) -> bytes | None:
        """Return what the usual message says, in JSON: no Record of it is made. None for any other."""
        value = adapter.value(raw)
        if value is None or value[:1] != b"\0" or len(value) > self._max_bytes:
            return None
        reader = self._readers.get(int.from_bytes(value[1:_FRAME], "big"))
        if reader is None or adapter.has_headers(raw):
            return None
        if reader.is_json:
            return value[_FRAME:]
        if not reader.is_plain:
            return None
        try:
            found = reader.read(value[_FRAME:])
        except DecodeError:
            return None
        return _as_json(found) if type(found) is dict else None

    def _opened(self, record: Record) -> Record:
        key = self._key(record) if record.key and (record.tombstone or self._opens_keys) else record.key
        if record.fault is not None or record.tombstone or len(record.value) > self._max_bytes:
            return record if key is record.key else msgspec.structs.replace(record, key=key)
        frame = frame_of(record.value, record.headers)
        if frame is None:
            return record if key is record.key else msgspec.structs.replace(record, key=key)
        data = record.value[frame.begin :]
        value, row, fault, tombstone = record.value, None, None, False
        try:
            reader = self._reader(frame)
            if reader.is_json:
                value = data
            else:
                found = reader.read(data)
                if type(found) is dict:
                    if reader.is_plain:
                        value = _as_json(found)
                    else:
                        row = found
                elif found is None:
                    tombstone = True
                else:
                    message = f"{frame.label} makes a {type(found).__name__} of it; expected a record with fields"
                    fault = (str(Reason.WRONG_TYPE), message)
        except DecodeError as error:
            fault = (error.reason, error.message)
        return Record(
            value, record.topic, record.partition, record.offset, key, record.headers, record.timestamp_ms, row, fault,
            tombstone,
        )  # fmt: skip

    def _key(self, record: Record) -> bytes | None:
        """Return the key as JSON, where a schema wrote it; else, and where it cannot be read, as it is."""
        key = record.key or b""
        frame = frame_of(key, record.headers, KEY_HEADER)
        if frame is None:
            return record.key
        try:
            return msgspec.json.encode(self._reader(frame).read(key[frame.begin :]), enc_hook=str)
        except DecodeError:
            return record.key

    def _reader(self, frame: Frame) -> Reader:
        reader = self._readers.get(frame.schema)
        return self._asked(frame) if reader is None else reader

    def _asked(self, frame: Frame) -> Reader:
        """Ask for a schema that is not known here. Raises DecodeError and RegistryUnavailableError."""
        error, until = self._refused.get(frame.schema, (None, 0.0))
        now = self._clock()
        if error is not None and now < until:
            raise error
        if self._failure is not None and now < self._ask_at:
            raise RegistryUnavailableError(self._failure)
        try:
            fetched = fetch_schema(self._config, frame.schema)
        except RegistryUnavailableError as failure:
            self._failure = failure.message
            self._ask_at = self._clock() + self._wait_s
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
            raise
        except DecodeError as refused:
            self._answered()
            self._refused[frame.schema] = (refused.with_traceback(None), self._clock() + _UNKNOWN_FOR_S)
            raise
        self._answered()
        try:
            reader = make_reader(fetched, frame.label)
        except DecodeError as refused:  # for good: the schema of an id never changes
            self._refused[frame.schema] = (refused.with_traceback(None), float("inf"))
            raise
        self._readers[frame.schema] = reader
        return reader

    def _answered(self) -> None:
        self._has_answered, self._failure, self._wait_s = True, None, _FIRST_WAIT_S
