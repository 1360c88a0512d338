"""A log at rest in order of time: every record once, equal times in the log's order, whatever the parts."""

import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_rec.core.events import Event, EventDecoder, Forget
from stream_rec.errors import DecodeError, SettingsError, TransportError
from stream_rec.service.consuming import time_order
from stream_rec.service.consuming.ordered_records import NOT_YET, OrderedRecords
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.consuming.time_order import TimeOrder
from stream_rec.transport.decode import Decoded
from stream_rec.transport.files import open_source
from stream_rec.transport.records import NoSource, Record

DECODE = RecordDecoder(EventDecoder())


def line(session: object, time: int) -> bytes:
    return b'{"session_id":"%s","item_id":"i","timestamp":%d}' % (str(session).encode(), time)


class Log(NoSource):
    """A source that ends, or breaks off with *error*."""

    def __init__(self, records: list[Record], error: Exception | None = None) -> None:
        self._records = records
        self._error = error

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        for start in range(0, len(self._records), max_records):
            yield self._records[start : start + max_records]
        if self._error is not None:
            raise self._error


def read(order: TimeOrder, n: int = 3) -> Iterator[tuple[Record, Decoded]]:
    for records in order.batches(n):
        assert len(records) <= n
        assert bool(records) == (records is not NOT_YET)
        assert isinstance(records, OrderedRecords)
        yield from zip(records, DECODE(records).decoded, strict=True)


@given(
    st.lists(st.tuples(st.sampled_from("eeeebf"), st.integers(0, 9), st.sampled_from("xyz")), max_size=60),
    st.integers(1, 9),
    st.integers(1, 5),
)
def test_order(log: list[tuple[str, int, str]], run_records: int, block: int) -> None:
    """As a stable sort of the whole log, whatever the size of parts and blocks; nothing is lost or comes twice."""
    records = [
        Record({"e": line(n, time), "b": b"bad", "f": b'{"type":"forget","session_id":"s"}'}[kind], topic, 0, n)
        for n, (kind, time, topic) in enumerate(log)
    ]
    expected: list[tuple[int, Record]] = []
    last = newest = 0
    for record, (kind, time, _) in zip(records, log, strict=True):
        if kind == "e":
            last, newest = time, max(newest, time)
        expected.append((newest if kind == "f" else last, record))
    expected.sort(key=lambda pair: pair[0])
    seen: list[Decoded] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_order, "_BLOCK_RECORDS", block)
        found = list(read(TimeOrder(Log(records), DECODE, seen.extend, run_records=run_records)))
    assert [record for _, record in expected] == [record for record, _ in found]
    for record, decoded in found:
        (again,) = DECODE([record]).decoded
        assert type(again) is type(decoded)
        assert str(again) == str(decoded)
    assert [type(each) for each in DECODE(records).decoded] == [type(each) for each in seen]


def test_a_part_ends_by_its_bytes_too(tmp_path: Path) -> None:
    """Records may be long."""
    records = [Record(line("s" * 100, 9 - n), "x", 0, n) for n in range(9)]
    order = TimeOrder(Log(records), DECODE, run_bytes=1)
    assert list(range(9)) == [decoded.timestamp - 1 for _, decoded in read(order) if isinstance(decoded, Event)]
    assert {("x", 0): 1} == order.next_offsets


def test_rows_and_what_is_no_event(tmp_path: Path) -> None:
    """Rows keep their bytes and numbers; a rejected one keeps its columns, for those who look what was wrong."""
    path = tmp_path / "a.csv"
    path.write_text("session_id,item_id,timestamp,type\ns,i,9,\n,j,8,\ns,k,7,\nt,,,forget\n", encoding="utf-8")
    source = open_source(str(path))
    order = TimeOrder(source, DECODE, run_records=1)
    (k, third), (i, first), (bad, error), (forget, order_to_forget) = read(order)
    assert [(4, b"s,k,7,"), (2, b"s,i,9,"), (3, b",j,8,")] == [(each.offset, each.value) for each in (k, i, bad)]
    assert (Event("s", "k", 7), Event("s", "i", 9)) == (third, first)
    assert isinstance(error, DecodeError)
    assert {"session_id": "", "item_id": "j", "timestamp": "8", "type": ""} == bad.row
    assert (5, Forget("t")) == (forget.offset, order_to_forget)
    assert (path.stat().st_size, path.stat().st_size) == order.progress
    order.close()


@pytest.mark.parametrize("run_records", [1, 9])
def test_a_log_that_breaks_off(run_records: int) -> None:
    """What stands before the failure comes first, in order; a wrong setting is said at once."""
    records = [Record(line("s", 9), "x", 0, 1), Record(line("s", 5), "x", 0, 2)]
    order = TimeOrder(Log(records, TransportError("cut off")), DECODE, run_records=run_records)
    got: list[int] = []
    with pytest.raises(TransportError, match="cut off"):
        got.extend(record.offset for record, _ in read(order))
    assert [2, 1] == got
    wrong = TimeOrder(Log(records, SettingsError("fields", "wrong")), DECODE)
    with pytest.raises(SettingsError):
        list(read(wrong))


@pytest.mark.parametrize("run_records", [1, 9])
def test_the_events_of_one_record(run_records: int) -> None:
    """Each stands at its own time, and keeps its number in the record."""
    two = b"[" + line("a", 9) + b"," + line("b", 2) + b"]"
    order = TimeOrder(Log([Record(two, "x", 0, 1), Record(line("c", 5), "x", 0, 2)]), DECODE, run_records=run_records)
    found = []
    for records in order.batches(9):
        batch = DECODE(records).batch(records)
        elements = np.zeros(len(records)) if batch.elements is None else batch.elements
        found += [
            (record.offset, int(element), decoded.timestamp)
            for record, element, decoded in zip(batch.records, elements, batch.decoded, strict=True)
            if isinstance(decoded, Event)
        ]
    assert [(1, 2, 2), (2, 0, 5), (1, 1, 9)] == found


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder and what to do."""

    class Full:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def seek(self, *_: object) -> int:
            return 0

        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    order = TimeOrder(Log([Record(line("s", 9), "x", 0, 1)]), DECODE, run_records=1)
    with pytest.raises(TransportError, match=r"cannot be sorted there: No space left .*TMPDIR.*--in-order"):
        list(read(order))
