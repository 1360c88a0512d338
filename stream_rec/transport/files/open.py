"""Choose the reader of a file: by the format that is set, else by the name's ending.

Knows the names of the formats, not how each is read.
"""

from pathlib import PurePath
from typing import Final

from stream_rec.core.events import DecodeRules
from stream_rec.errors import SettingsError
from stream_rec.transport.files.array import JsonSource
from stream_rec.transport.files.bytes import ByteStream, open_bytes
from stream_rec.transport.files.parquet import ParquetSource
from stream_rec.transport.files.source import FileSource, LinesSource
from stream_rec.transport.files.table import TableSource

__all__ = ["FORMATS", "format_of_name", "open_source"]

FORMATS: Final = ("csv", "tsv", "jsonl", "json", "parquet")
_ENDINGS: Final = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}
_DELIMITERS: Final = {"csv": ",", "tsv": "\t"}


def open_source(
    spec: str,
    rules: DecodeRules | None = None,
    *,
    file_format: str | None = None,
    key: str = "events",
    tables: bool = True,
    start: int = 1,
    delimiter: str | None = None,
    whole: bool = False,
) -> FileSource:
    """A source over the file *spec*, or standard input for `-`; *rules* map columns to fields.

    *start* skips the records numbered below it; *delimiter* separates the columns of a table, in place of the format's
    own. Without *tables* only JSON is read, which is the format of requests. *whole* rows have all columns of the file,
    whatever the rules say. Raises SettingsError for the setting *key*, or for `fields` where the columns are not those
    of the rules (for CSV and TSV, with the first batch).
    """
    rules = rules or DecodeRules()
    chosen = format_of_name(spec, file_format, key)
    if not tables and chosen not in {"jsonl", "json"}:
        raise SettingsError(key, f"expected JSON (.jsonl, .json), found {chosen}")
    stream = open_bytes(spec, key)
    try:
        return _reader(chosen, stream, rules, key, start, delimiter, whole=whole)
    except SettingsError:
        stream.close()
        raise


def _reader(
    chosen: str, stream: ByteStream, rules: DecodeRules, key: str, start: int, delimiter: str | None, *, whole: bool
) -> FileSource:
    if chosen == "jsonl":
        return LinesSource(stream, rules.max_record_bytes, start)
    if chosen == "json":
        return JsonSource(stream, rules.max_record_bytes, start)
    if chosen == "parquet":
        return ParquetSource(stream, rules, key, start, whole=whole)
    return TableSource(stream, rules, delimiter or _DELIMITERS[chosen], key, start, whole=whole)


def format_of_name(spec: str, file_format: str | None, key: str = "events") -> str:
    """Return the format that is set, else that of the name's ending. Raises SettingsError."""
    if "://" in spec:
        raise SettingsError(key, f"expected a path or -, found {spec!r}")
    if file_format is not None:
        chosen = file_format.lower().removesuffix(".gz").removeprefix(".")
        if chosen not in FORMATS:
            raise SettingsError("format", f"expected one of {', '.join(FORMATS)}, found {file_format!r}")
        return chosen
    if spec == "-":
        return "jsonl"
    path = PurePath(spec.lower().removesuffix(".gz"))
    if path.suffix not in _ENDINGS:
        raise SettingsError(
            key,
            f"the name of {spec!r} does not show its format: expected {' '.join(_ENDINGS)} (also "
            f"with .gz){', or --format to say it' if key == 'events' else ''}",
        )
    return _ENDINGS[path.suffix]
