"""A log at rest, in order of its events' times.

Reads the whole log first, in parts that fit into memory, each sorted and written to a temporary file; then merges them.
Equal times keep the order of the log, so the order is a function of the log. Knows nothing of files: any source that
ends will do. A small log stays in memory, and one that is in order already is returned as it came.
"""

import marshal
import pickle
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from operator import attrgetter, itemgetter
from typing import IO, Final, NamedTuple

import numpy as np

from stream_rec.core.events import Event
from stream_rec.errors import DecodeError, SettingsError, StreamRecError, TransportError
from stream_rec.service.consuming.ordered_records import NOT_YET, OrderedRecords, place_of
from stream_rec.service.consuming.record_decoder import Decode
from stream_rec.transport.decode import Decoded
from stream_rec.transport.records import Progress, Record, Source

__all__ = ["TimeOrder"]

_RUN_RECORDS: Final = 1 << 16
_RUN_BYTES: Final = 1 << 26
"""Of the records' values. A part of the log is sorted in memory: the smaller, the better it fits into the caches."""
_BLOCK_RECORDS: Final = 1 << 10
"""So many records of each part are in memory while the parts are merged."""
_FIELDS: Final = Event.__struct_fields__
_COLUMNS: Final = tuple(map(attrgetter, _FIELDS))
_TIME_OF: Final = attrgetter("timestamp")
_TOPIC_OF: Final = attrgetter("topic")
_OFFSET_OF: Final = attrgetter("offset")
_VALUE_OF: Final = attrgetter("value")
_NOTHING: Final = Event("", "", 0)


class TimeOrder:
    """The records of *source*, which must end, decoded by *decode*, in order of time.

    *on_read* is called with what the records say, in the order of the log, while it is read.
    What has no time keeps its place: a record that cannot be read stands behind the one before it, and an order to
    forget behind all events that stand before it in the log.
    """

    def __init__(
        self,
        source: Source,
        decode: Decode,
        on_read: Callable[[list[Decoded]], None] = lambda _: None,
        *,
        run_records: int = _RUN_RECORDS,
        run_bytes: int = _RUN_BYTES,
    ) -> None:
        self._source = source
        self._decode = decode
        self._on_read = on_read
        self._run_records = run_records
        self._run_bytes = run_bytes
        self._topics: dict[str, int] = {}
        self._next: dict[tuple[str, int], int] = {}
        self._blocks: Iterator[OrderedRecords] | None = None
        self._block = NOT_YET
        self._at = 0
        self._n_read = 0
        self._n_records: int | None = None

    def batches(self, max_records: int) -> Iterator[Sequence[Record]]:
        """Yield the records, at most *max_records* at a time; `NOT_YET` while they are still read.

        Raises TransportError when the log breaks off, after all records before that were returned.
        """
        self._blocks = self._blocks or self._ordered(max_records)
        while True:
            if self._at >= len(self._block):
                block = next(self._blocks, None)
                if block is None:
                    return
                self._block, self._at = block, 0
            batch = self._block[self._at : self._at + max_records]
            self._at += len(batch)
            if batch:
                last = batch[-1]
                self._next[last.topic, last.partition] = last.offset + 1
            yield batch or NOT_YET

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """For each topic, the offset after that of the last record returned."""
        return dict(self._next)

    @property
    def progress(self) -> Progress:
        """How much of the log is read: all of it, before the first record is returned."""
        return self._source.progress

    @property
    def n_records(self) -> int | None:
        """How many records the log holds; None until all are read."""
        return self._n_records

    def close(self) -> None:
        """Close the log."""
        self._source.close()

    def _ordered(self, max_records: int) -> Iterator[OrderedRecords]:
        failure: StreamRecError | None = None
        run = _Run()
        with tempfile.TemporaryFile() as spool:
            runs: list[_Sorted] = []
            batches = self._source.batches(max_records)
            while True:
                try:
                    records = next(batches, None)
                except StreamRecError as error:
                    if isinstance(error, SettingsError):
                        raise
                    failure, records = error, None  # what stands before the failure is read all the same
                if records is None:
                    break
                self._add(run, records)
                if len(run.values) >= self._run_records or run.n_bytes >= self._run_bytes:
                    runs.append(_spooled(run, spool))
                    run = _Run(run.newest, run.last)
                yield NOT_YET
            self._n_records = self._n_read
            topics = list(self._topics)
            if runs:
                runs += [_spooled(run, spool)] if run.values else []
                for block in _merged(runs, spool):
                    yield OrderedRecords(block.values, block.places, topics, block.decoded)
            else:
                block = run.in_order()
                yield OrderedRecords(block.values, block.places, topics, block.decoded)
        if failure is not None:
            raise failure

    def _add(self, run: "_Run", records: Sequence[Record]) -> None:
        if not records:
            return
        self._n_read += len(records)
        batch = self._decode(records).batch(records)
        decoded: list[Decoded] = batch.decoded  # type: ignore[assignment]  # a log at rest has no requests
        self._on_read(decoded)
        places = list(map(_OFFSET_OF, batch.records))
        names = list(map(_TOPIC_OF, batch.records))
        for name in dict.fromkeys(names):
            self._topics.setdefault(name, len(self._topics))
        if len(self._topics) > 1 or batch.elements is not None:  # else the places are the offsets
            elements = repeat(0) if batch.elements is None else batch.elements.tolist()
            places = list(map(place_of, map(self._topics.__getitem__, names), places, elements))
        run.add(batch.records, places, decoded)


class _Block(NamedTuple):
    """Some records, in order of time."""

    times: list[int]
    values: list[bytes | Record]
    places: list[int]
    decoded: list[Decoded]

    def part(self, where: slice) -> "_Block":
        return _Block(self.times[where], self.values[where], self.places[where], self.decoded[where])


class _Run:
    """A part of the log, in the order of the log; *newest* and *last* are of the events before it."""

    def __init__(self, newest: int = 0, last: int = 0) -> None:
        self.times: list[int] = []
        self.values: list[bytes | Record] = []
        self.places: list[int] = []
        self.decoded: list[Decoded] = []
        self.n_bytes = 0
        self.newest = newest
        self.last = last

    def add(self, records: Sequence[Record], places: list[int], decoded: list[Decoded]) -> None:
        """Append *records*, one or more, which say what is *decoded*."""
        values: list[bytes] = list(map(_VALUE_OF, records))
        self.n_bytes += sum(map(len, values))
        self.places += places
        self.decoded += decoded
        if set(map(type, decoded)) == {Event}:
            times = list(map(_TIME_OF, decoded))
            self.times += times
            self.values += values
            self.newest = max(self.newest, *times)
            self.last = times[-1]
        else:
            for record, each in zip(records, decoded, strict=True):
                self._add(record, each)

    def _add(self, record: Record, decoded: Decoded) -> None:
        if type(decoded) is Event:
            self.last = decoded.timestamp
            self.newest = max(self.newest, self.last)
        is_error = isinstance(decoded, DecodeError)
        self.times.append(self.last if is_error or type(decoded) is Event else self.newest)
        self.values.append(record.value if type(decoded) is Event else record)

    def in_order(self) -> _Block:
        """Return its records in order of time."""
        return _in_order(_Block(self.times, self.values, self.places, self.decoded))


def _in_order(block: _Block) -> _Block:
    times = np.array(block.times, np.int64)
    if len(times) < 2 or bool((times[1:] >= times[:-1]).all()):  # noqa: PLR2004 (there is nothing to sort)
        return block
    order = np.argsort(times, kind="stable")
    picked = itemgetter(*order.tolist())
    return _Block(*(list(picked(column)) for column in block))


# --- in a temporary file


class _Sorted(NamedTuple):
    """A run in the file: where its blocks are, and the time of each one's first record."""

    begins: list[int]
    ends: list[int]
    first: list[int]


def _spooled(run: _Run, spool: IO[bytes]) -> _Sorted:
    """Write *run* in order of time. Raises TransportError where the disk is full, or the like."""
    whole = run.in_order()
    found = _Sorted([], [], [])
    try:
        at = spool.seek(0, 2)
        for start in range(0, len(whole.times), _BLOCK_RECORDS):
            data = _packed(whole.part(slice(start, start + _BLOCK_RECORDS)))
            spool.write(data)
            found.begins.append(at)
            at += len(data)
            found.ends.append(at)
            found.first.append(whole.times[start])
        spool.flush()
    except OSError as error:
        raise TransportError(
            f"{tempfile.gettempdir()}: the log cannot be sorted there: {error.strerror}: free about its size, set "
            "TMPDIR to another folder, or say --in-order if it is in order of time"
        ) from error
    return found


def _packed(block: _Block) -> bytes:
    values, events, odd = block.values, block.decoded, b""
    if set(map(type, values)) != {bytes}:
        others = {i: (value, events[i]) for i, value in enumerate(values) if type(value) is not bytes}
        values = [b"" if i in others else value for i, value in enumerate(values)]
        events = [_NOTHING if i in others else event for i, event in enumerate(events)]
        odd = pickle.dumps(others)
    columns = [list(map(column, events)) for column in _COLUMNS]
    # Version 2 looks for no object that comes twice.
    return marshal.dumps((block.times, values, block.places, columns, odd), 2)


def _unpacked(data: bytes) -> _Block:
    times, values, places, columns, odd = marshal.loads(data)  # noqa: S302 (written by this process)
    decoded: list[Decoded] = list(map(Event, *columns))
    if odd:
        for i, (record, other) in pickle.loads(odd).items():  # noqa: S301 (written by this process)
            values[i], decoded[i] = record, other
    return _Block(times, values, places, decoded)


class _Cursor:
    """Goes through a run in the file, block by block; *number* is its place among the runs."""

    def __init__(self, run: _Sorted, number: int, spool: IO[bytes]) -> None:
        self.number = number
        self._run = run
        self._spool = spool
        self._n_read = 0
        self.block = _Block([], [], [], [])
        self.at = 0

    @property
    def first(self) -> int | None:
        """The time of the next block; None if there is none."""
        return self._run.first[self._n_read] if self._n_read < len(self._run.first) else None

    @property
    def is_over(self) -> bool:
        """Whether all that was read of it is taken."""
        return self.at >= len(self.block.times)

    def read(self) -> None:
        """Read the next block."""
        begin, end = self._run.begins[self._n_read], self._run.ends[self._n_read]
        self._spool.seek(begin)
        self.block = _unpacked(self._spool.read(end - begin))
        self.at = 0
        self._n_read += 1

    def take(self, time: int, *, equal: bool) -> _Block:
        """Return what is before *time*, or of that time if *equal*."""
        cut = bisect_right if equal else bisect_left
        end = cut(self.block.times, time, self.at)
        part = self.block.part(slice(self.at, end))
        self.at = end
        return part


def _merged(runs: Sequence[_Sorted], spool: IO[bytes]) -> Iterator[_Block]:
    """Yield the records of all *runs* in order of time; of equal times, those of earlier runs first."""
    waiting = sorted((_Cursor(run, number, spool) for number, run in enumerate(runs)), key=_first_of, reverse=True)
    active: list[_Cursor] = []
    while active or waiting:
        for cursor in active:
            if cursor.is_over and cursor.first is not None:
                cursor.read()
        active = [cursor for cursor in active if not cursor.is_over]
        # The first block to end bounds what can be returned now: all else in memory up to there.
        bound, number = min(((each.block.times[-1], each.number) for each in active), default=(None, 0))
        while waiting and (bound is None or _first_of(waiting[-1]) <= (bound, number)):
            cursor = waiting.pop()
            cursor.read()
            active.append(cursor)
            last = (cursor.block.times[-1], cursor.number)
            bound, number = last if bound is None else min((bound, number), last)
        if bound is None:
            return
        active.sort(key=attrgetter("number"))
        parts = [each.take(bound, equal=each.number <= number) for each in active]
        yield _in_order(_joined([part for part in parts if part.times]))


def _first_of(cursor: _Cursor) -> tuple[int, int]:
    assert cursor.first is not None
    return cursor.first, cursor.number


def _joined(parts: Sequence[_Block]) -> _Block:
    if len(parts) == 1:
        return parts[0]
    joined = _Block([], [], [], [])
    for part in parts:
        joined.times.extend(part.times)
        joined.values.extend(part.values)
        joined.places.extend(part.places)
        joined.decoded.extend(part.decoded)
    return joined
