"""Each line of the page "your log" reads what its producer writes."""

import gzip
import json
import re
import shlex
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_rec.cli.main import main

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "your-log.md"
ROW: Final = re.compile(r"\| (?P<producer>[^|]*) \|[^|]*\| `(?P<line>stream-rec check (?P<file>\S+)[^`]*)` \|")
START: Final = datetime(2024, 5, 14, 10, tzinfo=UTC)
N: Final = 9

Row = tuple[str, str, datetime]
ROWS: Final[list[Row]] = [
    (f"s{place // 3}", f"i{place % 4}", START + timedelta(seconds=61 * place, microseconds=120_000 * (place % 2)))
    for place in range(N)
]


def jsonl(make: Callable[[str, str, datetime], Any]) -> bytes:
    return b"".join(json.dumps(make(*row)).encode() + b"\n" for row in ROWS)


def table(header: str, delimiter: str, make: Callable[[str, str, datetime], Iterable[str]]) -> bytes:
    return "\n".join([header, *(delimiter.join(make(*row)) for row in ROWS)]).encode() + b"\n"


def plain(time: Callable[[datetime], object]) -> bytes:
    return jsonl(lambda s, i, at: {"session_id": s, "item_id": i, "timestamp": time(at)})


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def digits(n: int, zone: str = "") -> Callable[[datetime], str]:
    """A time with a space and *n* digits."""
    return lambda at: f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond:06d}"[: 20 + n] + zone


def trimmed(at: datetime) -> str:
    """A time with as many digits as it needs."""
    return at.replace(tzinfo=None).isoformat(sep=" ").rstrip("0") if at.microsecond else f"{at:%Y-%m-%d %H:%M:%S}"


def parquet(columns: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def sessions() -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in ROWS:
        found.setdefault(row[0], []).append(row)
    return found


def ga4(session: str, item: str, at: datetime) -> Any:
    params = [{"key": "page", "value": {"string_value": "/"}}, {"key": "ga_session_id", "value": {"int_value": "17"}}]
    return {
        "event_name": "view_item",
        "event_timestamp": str(ms(at) * 1000),
        "user_pseudo_id": session,
        "event_params": params,
        "items": [{"item_id": item}],
    }


def sheet(delimiter: str) -> bytes:
    header = delimiter.join(("session_id", "item_id", "timestamp"))
    rows = table(header, delimiter, lambda s, i, at: (s, i, f"{at:%d.%m.%Y %H:%M}"))
    return rows.replace(b"\n", b"\r\n")


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def segment(session: str, item: str, at: datetime) -> Any:
    return {
        "type": "track",
        "event": "Product Viewed",
        "messageId": f"{session}{item}{ms(at)}",
        "anonymousId": session,
        "properties": {"product_id": item, "price": 18.99},
        "timestamp": iso(at),
        "sentAt": iso(at),
    }


def snowplow(session: str, item: str, at: datetime) -> Any:
    ecommerce = "com_snowplowanalytics_snowplow_ecommerce"
    return {
        "app_id": "shop",
        "event": "unstruct",
        "event_id": f"{session}{item}{ms(at)}",
        "domain_sessionid": session,
        "event_name": "snowplow_ecommerce_action",
        "collector_tstamp": iso(at),
        "derived_tstamp": iso(at),
        f"contexts_{ecommerce}_product_1": [{"id": item}],
        f"unstruct_event_{ecommerce}_snowplow_ecommerce_action_1": {"type": "product_view"},
    }


LOGS: Final[dict[str, Callable[[], bytes]]] = {
    "pandas.csv": lambda: table("session_id,item_id,timestamp", ",", lambda s, i, at: (s, i, trimmed(at))),
    "pandas.jsonl": lambda: plain(ms),
    "clicks.parquet": lambda: parquet(
        {
            "session_id": [s for s, _, _ in ROWS],
            "item_id": list(range(N)),
            "timestamp": pa.array([at for _, _, at in ROWS], pa.timestamp("us", "UTC")),
        }
    ),
    "polars.jsonl": lambda: plain(digits(6)),
    "duckdb.json": lambda: plain(lambda at: trimmed(at) + "+00"),
    "clickhouse.jsonl": lambda: plain(digits(3)),
    "clickhouse.tsv": lambda: table("session_id\titem_id\ttimestamp", "\t", lambda s, i, at: (s, i, digits(3)(at))),
    "part-00000.json": lambda: plain(iso),
    "flink.jsonl": lambda: plain(digits(3)),
    "protobuf.jsonl": lambda: jsonl(lambda s, i, at: {"sessionId": s, "itemId": i[1:], "eventTime": iso(at)}),
    "bigquery.json": lambda: jsonl(
        lambda s, i, at: {"session_id": s, "item_id": i[1:], "timestamp": digits(6, " UTC")(at)}
    ),
    "ga4.json": lambda: jsonl(ga4),
    "segment.jsonl": lambda: jsonl(segment),
    "rudderstack.jsonl": lambda: jsonl(lambda *row: segment(*row) | {"rudderId": "r", "context": {"sessionId": 17}}),
    "snowplow.jsonl": lambda: jsonl(snowplow),
    "ubi.jsonl": lambda: jsonl(
        lambda s, i, at: {
            "client_id": "ann",
            "session_id": s,
            "action_name": "item_click",
            "timestamp": iso(at),
            "query_id": "q",
            "event_attributes": {"object": {"object_id": i, "object_id_field": "sku"}},
        }
    ),
    "cloudevents.jsonl": lambda: jsonl(
        lambda s, i, at: {
            "specversion": "1.0",
            "id": f"{s}{i}{ms(at)}",
            "source": "/shop",
            "type": "click",
            "time": iso(at),
            "data": {"session_id": s, "item_id": i},
        }
    ),
    "debezium.jsonl": lambda: jsonl(
        lambda s, i, at: {"before": None, "op": "c", "after": {"session_id": s, "item_id": i, "ts": ms(at)}}
    ),
    "connect.jsonl": lambda: jsonl(
        lambda s, i, at: {"schema": {"type": "struct"}, "payload": {"session_id": s, "item_id": i, "timestamp": ms(at)}}
    ),
    "sessions.jsonl": lambda: b"".join(
        json.dumps({"session": s, "events": [{"aid": i, "ts": ms(at)} for _, i, at in rows]}).encode() + b"\n"
        for s, rows in sessions().items()
    ),
    "lists.parquet": lambda: parquet(
        {
            "session_id": list(sessions()),
            "items": [[i for _, i, _ in rows] for rows in sessions().values()],
            "times": [[ms(at) for _, _, at in rows] for rows in sessions().values()],
        }
    ),
    "numbers.csv": lambda: table(
        "user_id,session_id,item_id,timestamp", ",", lambda s, i, at: (f"u{s}", "1", i, str(ms(at)))
    ),
    "sheet.csv": lambda: b"\xef\xbb\xbf" + sheet(";"),
    "sheet.txt": lambda: sheet("\t").decode().encode("utf-16"),
    "spark/": lambda: plain(iso),
    "otto.jsonl": lambda: b"".join(
        json.dumps({"session": s, "events": [{"aid": i, "ts": ms(at), "type": "clicks"} for _, i, at in rows]}).encode()
        + b"\n"
        for s, rows in sessions().items()
    ),
    "train.tsv": lambda: table("SessionId\tItemId\tTime", "\t", lambda s, i, at: (s, i, str(at.timestamp()))),
}

LINES: Final = {found["file"]: found["line"].replace("\\|", "|") for found in ROW.finditer(PAGE.read_text())}


def test_every_row_has_a_log() -> None:
    """No line of the page goes unchecked, and no log is left over."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "stream-rec" in line]
    assert len(rows) == len(LINES)
    assert LOGS.keys() == LINES.keys()


def _write(name: str, content: bytes) -> None:
    if not name.endswith("/"):
        Path(name).write_bytes(content)
        return
    Path(name).mkdir()
    (Path(name) / "_SUCCESS").touch()
    lines = content.splitlines(keepends=True)
    for place, part in enumerate((lines[:4], lines[4:])):
        (Path(name) / f"part-0000{place}.json.gz").write_bytes(gzip.compress(b"".join(part)))


@pytest.mark.parametrize("name", LOGS)
def test_the_line_reads_the_log(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All events are accepted, and check knows no better line."""
    monkeypatch.chdir(tmp_path)
    _write(name, LOGS[name]())
    _, *argv = shlex.split(LINES[name])
    assert 0 == main([*argv, "--json", "-"])
    report = json.loads(capsys.readouterr().out)
    assert (N, {}) == (report["accepted"], report["refused"])
    assert report["line"] is None
