"""Files of web servers and object stores are read as others are; what fails says why."""

import contextlib
import gzip
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import polars as pl
import pytest

from stream_rec import read_log
from stream_rec.core.events import DecodeRules, Event, EventDecoder, FieldMap
from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.decode import Decoded, decode_records
from stream_rec.transport.files import FilesSource, find_files, open_source

ROWS = {"session_id": ["s", "s"], "item_id": ["i", "j"], "timestamp": [5, 6]}
EVENTS = [Event("s", "i", 5), Event("s", "j", 6)]
CSV = pl.DataFrame(ROWS).write_csv().encode()


class Server(BaseHTTPRequestHandler):
    """Objects by their paths, in the dialect of S3 where that is spoken."""

    protocol_version = "HTTP/1.1"
    objects: ClassVar[dict[str, bytes]] = {}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (as the base class)
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if "list-type" in query:
            self.answer(200, self.listed(unquote(url.path).strip("/"), query.get("prefix", "")))
            return
        found = self.objects.get(unquote(url.path).strip("/"))
        if found is None:
            self.answer(404)
        elif url.path.endswith("cut.csv"):
            self.answer(200, found[:30], Content_Length=str(len(found)), Connection="close")
            self.close_connection = True
        elif "Range" in self.headers:
            begin, end = self.headers["Range"].removeprefix("bytes=").split("-")
            part = found[int(begin) : int(end) + 1]
            span = f"bytes {begin}-{int(begin) + len(part) - 1}/{len(found)}"
            self.answer(206, part, Content_Range=span)
        else:
            self.answer(200, found)

    do_HEAD = do_GET  # noqa: N815 (as the base class)

    def listed(self, bucket: str, prefix: str) -> bytes:
        keys = [key.removeprefix(f"{bucket}/") for key in self.objects if key.startswith(f"{bucket}/{prefix}")]
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[f'{bucket}/{key}'])}</Size></Contents>"
            for key in sorted(keys)
        )
        return (
            f"<ListBucketResult><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(keys)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        ).encode()


@pytest.fixture
def server() -> Iterator[str]:
    Server.objects.clear()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return Server.objects


def read(*specs: str, rules: DecodeRules | None = None) -> list[Decoded]:
    rules = rules or DecodeRules()
    source = FilesSource(find_files(specs), lambda file: open_source(file.path, rules, topic=file.name), rules)
    assert source.is_at_rest
    with contextlib.closing(source):
        return [each for part in source.batches(9) for each in decode_records(EventDecoder(rules), part).decoded]


def parquet(folder: Path, rows: Mapping[str, object]) -> bytes:
    pl.DataFrame(rows).write_parquet(folder / "x")
    return (folder / "x").read_bytes()


def test_a_web_server(server: str, tmp_path: Path) -> None:
    """Packed or not, and Parquet, which is copied first."""
    Server.objects.update({"a.csv": CSV, "b": gzip.compress(CSV), "c.parquet": parquet(tmp_path, ROWS)})
    for name in ("a.csv", "b", "c.parquet", "a.csv?token=x"):
        assert EVENTS == read(f"{server}/{name}")
        assert 2 == len(read_log(f"{server}/{name}"))
    source = open_source(f"{server}/a.csv?token=x")
    with contextlib.closing(source):
        assert "a.csv" == next(source.batches(1))[0].topic
        assert (len(CSV), len(CSV)) == source.progress


def test_what_a_web_server_refuses(server: str) -> None:
    """Its status is told; a body that ends early is no end of the file; a password is not repeated."""
    Server.objects["cut.csv"] = CSV
    with pytest.raises(SettingsError, match="the server answers 404"):
        open_source(f"{server}/none.csv")
    with pytest.raises(SettingsError, match=r"cannot read 'http://127.0.0.1:1/a.csv': .*refused"):
        open_source("http://127.0.0.1:1/a.csv")
    with pytest.raises(TransportError, match="broken off"), contextlib.closing(open_source(f"{server}/cut.csv")) as cut:
        list(cut.batches(9))
    with pytest.raises(SettingsError, match="has a password in its address") as error:
        open_source("https://anna:secret@example.com/a.csv")
    assert "secret" not in str(error.value)


def test_an_object_store(s3: dict[str, bytes], tmp_path: Path) -> None:
    """Files, folders with partitions and patterns, by the credentials of the environment."""
    s3["shop/a.csv"] = CSV
    s3["shop/clicks/kind=cart/part-0.parquet"] = parquet(tmp_path, ROWS)
    s3["shop/clicks/kind=cart/_SUCCESS"] = b""
    assert EVENTS == read("s3://shop/a.csv")
    rules = DecodeRules(fields=FieldMap(type="kind"))
    carts = [Event("s", "i", 5, "cart"), Event("s", "j", 6, "cart")]
    assert carts == read("s3://shop/clicks", rules=rules)
    assert carts == read("s3://shop/clicks/*/part-*.parquet", rules=rules)
    with pytest.raises(SettingsError, match="no file is called 's3://shop/x/"):
        read("s3://shop/x/*.csv")
    with pytest.raises(SettingsError, match=r"cannot read 's3://shop/none.csv'"):
        read("s3://shop/none.csv")


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"pip install 'stream-rec\[remote\]'"):
        open_source("s3://shop/a.csv")
