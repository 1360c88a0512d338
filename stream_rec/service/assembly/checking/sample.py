"""The beginning of a source as plain rows, whatever the settings say of it: what guesses are made of.

Knows nothing of what the fields mean.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from stream_rec.core.events import NULL_TEXTS
from stream_rec.errors import StreamRecError
from stream_rec.service.assembly.checking.times import guess_time, is_number
from stream_rec.transport.files import delimiter_said, open_source
from stream_rec.transport.records import Record

__all__ = ["Row", "Sample", "binary_kind", "sample_of_file", "sample_of_records"]

Row = dict[str, Any]

MOST_ROWS: Final = 2000
_MOST_COLUMNS: Final = 1000
_SHARE: Final = 0.8
DELIMITERS: Final = (",", "\t", ";", "|")
_OTHER_DELIMITERS: Final = ("^", " ")
"""Of tables that have none of the others."""
_LOOKED_AT: Final = 100  # rows
_BOM: Final = "\ufeff"

_KINDS: Final = (
    (b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"), (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"), (b"\xff\x06\x00\x00sNaPpY", "snappy"), (b"PK\x03\x04", "zip"), (b"PAR1", "Parquet"),
    (b"Obj\x01", "an Avro container"),
)  # fmt: skip
FRAMED: Final = "framed"
_FRAME_BYTES: Final = 5


class Sample(NamedTuple):
    """The first rows of a source, and how they are written."""

    rows: list[Row]
    layout: str
    """`jsonl`, `json`, `csv`, `tsv` or `parquet`; empty if it is none of these."""
    delimiter: str | None = None
    """Of a table's columns."""


NOTHING: Final = Sample([], "")


def binary_kind(value: bytes) -> str | None:
    """Return what *value* is if it is no text: how it is compressed, or FRAMED by a schema registry."""
    if value.startswith(b"\0") and len(value) > _FRAME_BYTES:
        return FRAMED
    return next((kind for magic, kind in _KINDS if value.startswith(magic)), None)


def sample_of_file(path: str, given_format: str | None, encoding: str | None = None) -> Sample:
    """Return the beginning of the file *path*, in its *given_format* if there is one; without rows if that fails."""
    try:
        if given_format == "parquet":
            return Sample(list(_parquet_rows(path)), "parquet")
        with closing(open_source(path, file_format="jsonl", encoding=encoding)) as source:
            records = list(islice((each for batch in source.batches(MOST_ROWS) for each in batch), MOST_ROWS))
        if records and records[0].value.startswith(b"PAR1"):
            return Sample(list(_parquet_rows(path)), "parquet")
        if records and records[0].value.lstrip(b"\xef\xbb\xbf \t").startswith(b"[") and not _lines_of_json(records):
            with closing(open_source(path, file_format="json", encoding=encoding)) as source:
                elements = [each for batch in islice(source.batches(MOST_ROWS), 1) for each in batch]
            return Sample(list(_objects(elements)), "json")
    except (StreamRecError, OSError, ValueError):
        return NOTHING
    return sample_of_records(records)


def sample_of_records(records: Sequence[Record]) -> Sample:
    """Return the rows of *records*: of objects, or of the lines of a table."""
    if not records:
        return NOTHING
    rows = [dict(each.row) for each in records if each.row is not None]
    if rows:
        return Sample(rows, "csv")
    objects = list(_objects(records))
    if objects:
        return Sample(objects, "jsonl")
    lines = [each.value.decode(errors="replace") for each in records if each.value and b"\0" not in each.value]
    is_text = lines and binary_kind(records[0].value) is None and not lines[0].lstrip().startswith(("{", "["))
    return _table(lines) if is_text else NOTHING


def _lines_of_json(records: Sequence[Record]) -> bool:
    return len(records) > 1 and _json(records[0].value) is not None


def _json(value: bytes) -> object:
    try:
        return msgspec.json.decode(value)
    except (ValueError, RecursionError):
        return None


def _objects(records: Sequence[Record]) -> Iterator[Row]:
    """Yield the JSON objects in *records*, those of arrays too; what stands behind a registry's frame as well."""
    for record in records:
        value = record.value.removeprefix(b"\xef\xbb\xbf")
        start = value.find(b"{") if value.startswith(b"\0") else 0
        found = _json(value[start:] if 0 <= start <= 2 * _FRAME_BYTES else value)
        for each in found if isinstance(found, list) else [found]:
            if isinstance(each, dict):
                yield each


def _table(lines: Sequence[str]) -> Sample:
    """Return *lines* as a table, if most of them have the same number of columns, two or more."""
    lines = [lines[0].removeprefix(_BOM), *lines[1:]]
    said = delimiter_said(lines[0].encode())
    if said is not None:
        lines = lines[1:]
    best = _best_cut(lines, DELIMITERS if said is None else (said,))
    if not best[-1]:
        best = _best_cut(lines, _OTHER_DELIMITERS)
    _, delimiter, rows = best
    if not rows:
        return NOTHING
    header = [cell.strip() for cell in rows[0]]
    if _is_header(header, rows[1:]):
        named = {name for name in header if name and header.count(name) == 1}
        found = [{name: cell for name, cell in zip(header, row, strict=False) if name in named} for row in rows[1:]]
        found = found or [dict.fromkeys(named, "")]
    else:
        found = [{str(place): cell for place, cell in enumerate(row)} for row in rows]
    return Sample(found, "tsv" if delimiter == "\t" else "csv", None if said is not None else delimiter)


def _best_cut(lines: Sequence[str], delimiters: Sequence[str]) -> tuple[int, str, list[list[str]]]:
    """Return how many rows of *lines* are as wide as most, with the delimiter for which they are the most; those."""
    best: tuple[int, str, list[list[str]]] = (0, "", [])
    for delimiter in delimiters:
        rows = [row for row in _cut(lines, delimiter) if row]
        widths = [len(row) for row in rows]
        usual = max(set(widths), key=widths.count, default=0)
        if 1 < usual < _MOST_COLUMNS and widths.count(usual) > max(_SHARE * len(rows) - 1, best[0]):
            # The first row may name more columns than the others have: a delimiter at its end.
            whole = [row for place, row in enumerate(rows) if len(row) == usual or (not place and len(row) > usual)]
            best = (widths.count(usual), delimiter, whole)
    return best


def _cut(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    """Yield the rows of *lines*, without those that have a cell longer than Python's csv takes."""
    rows = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            yield next(rows)
        except csv.Error:  # the next line is a new row
            continue
        except StopIteration:
            return


def _is_header(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether *cells* are names, and not a row like those *below*: judged by all columns together.

    A name stands over times or numbers, and is none. Without a time or number below, different words are names.
    """
    n_for = n_against = 0
    for place, cell in enumerate(cells):
        under = [row[place] for row in below[:_LOOKED_AT] if place < len(row) and row[place] not in NULL_TEXTS]
        is_time = guess_time(under) is not None
        if not under or not cell or cell in NULL_TEXTS:
            continue
        if is_time and guess_time([cell]) is not None:
            return False
        n_numbers = sum(map(is_number, under))
        if is_number(cell):
            n_against += 1
        elif is_time or 2 * n_numbers > len(under):
            n_for += 1
    if n_for or n_against:
        return n_for > n_against
    return len(set(cells)) == len(cells) and not any(not cell or is_number(cell) for cell in cells)


def _parquet_rows(path: str) -> Iterator[Row]:
    import pyarrow.parquet  # noqa: PLC0415  # takes a while, and only Parquet needs it

    with pyarrow.parquet.ParquetFile(path) as file:
        batch = next(file.iter_batches(batch_size=MOST_ROWS), None)
        yield from () if batch is None else batch.to_pylist()
