"""Files with wrong bytes anywhere: a reader refuses them, or records of them, and never fails in another way.

`STREAM_REC_FUZZED_FILES` says how many; `make stress` takes 25,000, which are a million lines.
"""

import bz2
import gzip
import json
import lzma
import os
import random
import zipfile
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
import zstandard

from stream_rec.core.events import Event, Forget
from stream_rec.errors import DecodeError, StreamRecError
from stream_rec.service.assembly.inputs import build_record_decoder, open_events
from stream_rec.settings import load
from stream_rec.tables.reading import read_log

ROWS = pd.DataFrame(
    {
        "session_id": [f"s{n // 4}" for n in range(40)],
        "item_id": [f"i{n % 7}" for n in range(40)],
        "timestamp": [1_714_557_600_000 + 1000 * n for n in range(40)],
    }
)
CSV = ROWS.to_csv(index=False).encode()
JSONL = ROWS.to_json(orient="records", lines=True).encode()


def zipped(data: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clicks.csv", data)
    return buffer.getvalue()


FILES: dict[str, bytes] = {
    "csv": CSV,
    "csv quoted": ROWS.to_csv(index=False, quoting=1).encode(),
    "tsv": ROWS.to_csv(index=False, sep="\t").encode(),
    "utf-16": CSV.decode().encode("utf-16"),
    "jsonl": JSONL,
    "nested": b"".join(json.dumps({"a": {"b": [row]}}).encode() + b"\n" for row in JSONL.decode().splitlines()),
    "json": b"[" + JSONL.rstrip().replace(b"\n", b",\n") + b"]",
    "parquet": ROWS.to_parquet(),
    "gzip": gzip.compress(CSV, mtime=0),
    "zstd": zstandard.compress(JSONL),
    "bzip2": bz2.compress(CSV),
    "xz": lzma.compress(CSV),
    "zip": zipped(CSV),
}
PIECES = [
    b"\0",
    b'"',
    b'""',
    b",",
    b"\t",
    b"\n",
    b"\r\n",
    b"\\",
    b"{",
    b"[" * 200,
    b"]",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"NaN",
]


def flip(chance: random.Random, data: bytearray) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def drop(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randrange(1, 60)]


def put(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    data[at:at] = chance.choice(PIECES)


def twice(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + chance.randrange(1, 200)]


MUTATIONS: list[Callable[[random.Random, bytearray], None]] = [flip, flip, cut, drop, put, twice]


def mutated(chance: random.Random, data: bytes) -> bytes:
    wrong = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        if wrong:
            chance.choice(MUTATIONS)(chance, wrong)
    return bytes(wrong)


def as_a_run_reads(path: Path) -> int:
    """Return how many events it holds; each of its records is an event, an order to forget, or refused."""
    settings = load(flags={"events": str(path)})
    decode, n = build_record_decoder(settings), 0
    with closing(open_events(settings)) as source:
        for records in source.batches(16):
            decoded = decode(records).decoded
            assert all(isinstance(each, Event | Forget | DecodeError) for each in decoded)
            n += sum(isinstance(each, Event) for each in decoded)
    return n


@pytest.mark.parametrize(
    "n_files",
    [
        pytest.param(int(os.environ.get("STREAM_REC_FUZZED_FILES", "650")), id="some"),
        pytest.param(25_000, marks=pytest.mark.stress, id="many"),
    ],
)
def test_wrong_bytes_are_refused(tmp_path: Path, n_files: int) -> None:
    """With a message, by a run and by the library; most files still hold events."""
    chance = random.Random(n_files)
    path, n_read, n_refused = tmp_path / "clicks", 0, 0
    for number in range(n_files):
        name = list(FILES)[number % len(FILES)]
        path.write_bytes(mutated(chance, FILES[name]))
        for read in (as_a_run_reads, lambda path: len(read_log(path))):
            try:
                n_read += read(path)
            except StreamRecError:
                n_refused += 1
            except Exception as error:
                raise AssertionError(f"file {number}, {name}: {path.read_bytes()!r}") from error
    assert n_read > n_files
    assert n_refused > n_files // 20
