"""Folders and types as DuckDB writes them: a run and the library read them alike."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from stream_rec.core.events import Event
from stream_rec.service.assembly.inputs import build_record_decoder, open_events
from stream_rec.settings import load
from stream_rec.tables.reading import read_log

CLICKS = """
SELECT 's' || n // 4 AS session_id, 'i' || n % 7 AS item_id, 1714557600000 + n * 1000 AS timestamp, 't' || n % 3 AS type
FROM range(20) AS numbers(n)
"""


def copy(query: str, path: Path, options: str) -> None:
    duckdb.execute(f"COPY ({query}) TO '{path}' ({options})")


def read(path: Path, **flags: object) -> list[Event]:
    """Read as a run does; every record must be an event."""
    settings = load(flags={"events": str(path), **flags})
    decode = build_record_decoder(settings)
    with closing(open_events(settings)) as source:
        decoded = [each for records in source.batches(100) for each in decode(records).decoded]
    assert all(isinstance(each, Event) for each in decoded), decoded
    return [each for each in decoded if isinstance(each, Event)]


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
@pytest.mark.parametrize("column", ["session_id", "item_id", "type"])
def test_partitions_hold_any_field(tmp_path: Path, form: str, column: str) -> None:
    """Also one that an event must have."""
    copy(CLICKS, tmp_path / "log", f"FORMAT {form}, PARTITION_BY ({column})")
    expected = Counter(duckdb.execute(CLICKS).fetchall())
    found = Counter((each.session_id, each.item_id, each.timestamp, each.type) for each in read(tmp_path / "log"))
    assert expected == found
    log = read_log(tmp_path / "log")
    assert expected == Counter(
        (each.session_id, each.item_id, each.timestamp, each.type) for events in log.events() for each in events
    )


def test_a_session_of_a_user_and_a_partition(tmp_path: Path) -> None:
    """A key of two fields, of which one is a folder's name."""
    query = "SELECT 'ann' AS who, 'tent' AS item_id, 1714557600000 AS timestamp, DATE '2024-05-01' AS day"
    copy(query, tmp_path / "log", "FORMAT parquet, PARTITION_BY (day)")
    (event,) = read(tmp_path / "log", fields=("session_id=who+day",))
    assert "ann+2024-05-01" == event.session_id


def test_types(tmp_path: Path) -> None:
    """UUIDs, enums and times of nanoseconds."""
    query = """
    SELECT uuid() AS session_id, 'tent'::ENUM ('tent', 'mat') AS item_id,
    '2024-05-01 10:00:00.5'::TIMESTAMP_NS AS timestamp FROM range(3)
    """
    copy(query, tmp_path / "log.parquet", "FORMAT parquet")
    events = read(tmp_path / "log.parquet")
    assert {("tent", 1_714_557_600_500)} == {(each.item_id, each.timestamp) for each in events}
    assert 3 == len({each.session_id for each in events})


def test_a_list_for_each_session(tmp_path: Path) -> None:
    """Each element is an event; so is each struct in a list."""
    lists = """
    SELECT session_id, list(item_id ORDER BY timestamp) AS item_id, list(timestamp ORDER BY timestamp) AS timestamp
    FROM clicks GROUP BY 1
    """
    structs = """
    SELECT session_id, list({'sku': item_id, 'at': timestamp} ORDER BY timestamp) AS clicks FROM clicks GROUP BY 1
    """
    expected = [row[:3] for row in duckdb.execute(CLICKS).fetchall()]
    for query, fields in ((lists, ()), (structs, ("item_id=clicks[].sku", "timestamp=clicks[].at"))):
        copy(f"WITH clicks AS ({CLICKS}) {query} ORDER BY 1", tmp_path / "log.parquet", "FORMAT parquet")
        events = read(tmp_path / "log.parquet", fields=fields)
        assert expected == [(each.session_id, each.item_id, each.timestamp) for each in events]
