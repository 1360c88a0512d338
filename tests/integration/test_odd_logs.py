"""Logs as shops, warehouses and trackers write them, read by the settings that a person would find."""

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_rec.core.events import Event, Forget
from stream_rec.errors import DecodeError
from stream_rec.service.assembly.inputs import build_record_decoder, open_events
from stream_rec.settings import Settings

AT = 1_733_000_000_000
TRACKED = b'{"anonymousId":"s0","event":"Viewed","timestamp":"2024-11-30T20:53:20Z","properties":{"product_id":"i0"}}\n'
ROW = {"session_id": "s0", "item_id": "i0", "timestamp": AT}
LINES = b'{"session": 7, "events": [{"aid": 1, "ts": %d, "type": "clicks"}, {"aid": 2, "ts": %d, "type": "carts"}]}\n'
VIEWS = b"session_id;user_id;item_id;timeframe;eventdate\n1;NA;a;1000;2016-05-09\n1;5;b;2000;2016-05-09\n"
OF_USERS = b"user_id,session_id,item_id,timestamp\nu0,1,i3,1733000000000\nu1,1,i8,1733000000001\n"


def changed(op: str, before: object, after: object) -> bytes:
    return msgspec.json.encode({"before": before, "after": after, "op": op, "ts_ms": 5}) + b"\n"


def read(path: Path, **settings: Any) -> list[object]:
    """Return the events, orders to forget, and reasons of what a run with these settings would refuse."""
    made = Settings(events=str(path), recommendations="none", **settings)
    decode = build_record_decoder(made)
    with closing(open_events(made)) as source:
        decoded = [each for records in source.batches(100) for each in decode(records).decoded]
    return [str(each.reason) if isinstance(each, DecodeError) else each for each in decoded]


@pytest.mark.parametrize(
    ("name", "data", "settings", "expected"),
    [
        pytest.param(
            "track.jsonl",
            TRACKED,
            {
                "fields": {"session_id": "anonymousId", "item_id": "properties.product_id", "type": "event"},
                "timestamp_unit": "iso",
            },
            [Event("s0", "i0", AT, "Viewed")],
            id="nested",
        ),
        pytest.param(
            "changes.jsonl",
            changed("c", None, ROW) + changed("d", ROW, None) + b"null\n",
            {
                "fields": {
                    "session_id": "after.session_id|before.session_id",
                    "item_id": "after.item_id",
                    "timestamp": "after.timestamp",
                    "type": "op",
                },
                "forget_types": ("d",),
            },
            [Event("s0", "i0", AT, "c"), Forget("s0"), "missing_field"],
            id="changes",
        ),
        pytest.param(
            "batches.jsonl",
            msgspec.json.encode([ROW, {**ROW, "item_id": 5}]) + b"\n",
            {},
            [Event("s0", "i0", AT), Event("s0", "5", AT)],
            id="batches",
        ),
        pytest.param(
            "undefined.csv",
            b"session_id,item_id,timestamp\nundefined,i0,1733000000000\ns0,null,1733000000000\ns0,i0,1733000000000\n",
            {},
            ["null_id", "null_id", Event("s0", "i0", AT)],
            id="nulls",
        ),
        pytest.param(
            "visits.csv",
            OF_USERS,
            {"fields": {"session_id": "user_id+session_id"}},
            [Event("u0+1", "i3", AT, user_id="u0"), Event("u1+1", "i8", AT + 1, user_id="u1")],
            id="numbers of users",
        ),
        pytest.param(
            "ns.csv",
            b"session_id,item_id,timestamp\ns0,i0,1733000000000000000\n",
            {"timestamp_unit": "auto"},
            [Event("s0", "i0", AT)],
            id="nanoseconds",
        ),
        pytest.param(
            "views.csv",
            VIEWS,
            {"format": "diginetica"},
            [Event("1", "a", 1_462_752_001_000), Event("1", "b", 1_462_752_002_000, user_id="5")],
            id="views with underscores",
        ),
        pytest.param(
            "sessions.jsonl",
            LINES % (AT, AT + 1),
            {
                "fields": {
                    "session_id": "session",
                    "item_id": "events[].aid",
                    "timestamp": "events[].ts",
                    "type": "events[].type",
                }
            },
            [Event("7", "1", AT, "clicks"), Event("7", "2", AT + 1, "carts")],
            id="sessions on lines",
        ),
        pytest.param(
            "json.csv",
            b'sid,at,data\ns0,1733000000000,"{""sku"": 7}"\n',
            {"fields": {"session_id": "sid", "timestamp": "at", "item_id": "data.sku"}},
            [Event("s0", "7", AT)],
            id="JSON in a cell",
        ),
    ],
)
def test_it_is_read(tmp_path: Path, name: str, data: bytes, settings: dict[str, Any], expected: list[object]) -> None:
    """Each of them was refused, or misread, by 0.2.0."""
    path = tmp_path / name
    path.write_bytes(data)
    assert expected == read(path, **settings)


def test_a_table_without_the_column_of_a_path_says_so(tmp_path: Path) -> None:
    """At once, naming the path; the beginning of a path is enough for a table to be read."""
    path = tmp_path / "log.csv"
    path.write_bytes(b"session_id,item,timestamp\n")
    with pytest.raises(Exception, match=r"has no column 'props\.id'"):
        read(path, fields={"item_id": "props.id"})
    assert [] == read(path, fields={"item_id": "item.id"})
