"""Choose the reader of a file: by the format that is set, else by its content, else by the name's ending.

Knows the names of the formats, not how each is read.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final, NamedTuple

from stream_rec.core.events import DecodeRules
from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.transport.files.array import JsonSource
from stream_rec.transport.files.bytes import ByteStream, open_bytes
from stream_rec.transport.files.content import (
    ending_of,
    format_of_content,
    named_delimiter,
    refuse_other_kinds,
    sniff_delimiter,
)
from stream_rec.transport.files.parquet import ParquetSource
from stream_rec.transport.files.remote import is_remote
from stream_rec.transport.files.source import FileSource, LinesSource
from stream_rec.transport.files.table import TableSource
from stream_rec.transport.records import Progress, Record

__all__ = ["FORMATS", "FileForm", "form_of_file", "open_source"]

FORMATS: Final = ("csv", "tsv", "jsonl", "json", "parquet")
_USUAL_DELIMITERS: Final = {"csv": ",", "tsv": "\t"}


def open_source(  # noqa: PLR0913 (each says one thing of the file)
    spec: str,
    rules: DecodeRules | None = None,
    *,
    file_format: str | None = None,
    key: str = "events",
    tables: bool = True,
    start: int = 1,
    delimiter: str | None = None,
    encoding: str | None = None,
    whole: bool = False,
    topic: str | None = None,
) -> FileSource:
    """A source over the file *spec*, or standard input for `-`; *rules* map columns to fields.

    *start* skips the records numbered below it; *delimiter* separates the columns of a table, in place of what its
    first lines show; *encoding* is that of its text, if it is not UTF-8. Without *tables* only JSON is read, which is
    the format of requests. *whole* rows have all columns of the file, whatever the rules say. Offsets call the file
    *topic*, or else by its name without the folder. Raises SettingsError for the setting *key*, or for `fields` where
    the columns are not those of the rules (for CSV and TSV, with the first batch). What a pipe holds is seen when it is
    read.
    """
    rules = rules or DecodeRules()
    chosen = _given_format(spec, file_format, key)
    stream = open_bytes(spec, key, encoding, topic)

    def reader() -> FileSource:
        found = chosen or _found_format(stream, spec, rules, key, whole=whole)
        if not tables and found not in {"jsonl", "json"}:
            raise SettingsError(key, f"expected JSON (.jsonl, .json), found {found}")
        return _reader(found, stream, rules, key, start, delimiter, whole=whole)

    try:
        if chosen is None and stream.may_wait:
            return _LateSource(stream, rules.max_record_bytes, start, reader)
        return reader()
    except StreamRecError:
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
    given = None if delimiter is None else named_delimiter(delimiter)
    usual = _USUAL_DELIMITERS[chosen]
    return TableSource(stream, rules, given, key, start, usual=usual, whole=whole)


def _given_format(spec: str, file_format: str | None, key: str) -> str | None:
    """Return the format that is set, None for none. Raises SettingsError."""
    if "://" in spec and not is_remote(spec):
        raise SettingsError(
            key, f"expected a path, -, or an address that begins with s3, gs, abfss or https, found {spec!r}"
        )
    if file_format is None:
        return None
    chosen = file_format.lower().removesuffix(".gz").removeprefix(".")
    if chosen not in FORMATS:
        raise SettingsError("format", f"expected one of {', '.join(FORMATS)}, found {file_format!r}")
    return chosen


def _found_format(stream: ByteStream, spec: str, rules: DecodeRules, key: str, *, whole: bool) -> str:
    head = stream.peek()
    refuse_other_kinds(head, stream.name, key)
    # Of a stream whose first line is broken, JSON lines are expected, as they come from other programs.
    ending = "jsonl" if spec == "-" else ending_of(spec)
    return format_of_content(head, ending, None if whole else rules)


class FileForm(NamedTuple):
    """How a file is written."""

    format: str
    delimiter: str | None
    """Of a table."""


def form_of_file(
    spec: str,
    rules: DecodeRules,
    *,
    file_format: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    key: str = "events",
) -> FileForm:
    """Return what is given, else what the file's content shows. Raises SettingsError."""
    chosen = _given_format(spec, file_format, key)
    if spec == "-":
        return FileForm(chosen or "jsonl", None)
    with closing(open_bytes(spec, key, encoding)) as stream:
        chosen = chosen or _found_format(stream, spec, rules, key, whole=False)
        if chosen not in _USUAL_DELIMITERS:
            return FileForm(chosen, None)
        if delimiter is not None:
            return FileForm(chosen, named_delimiter(delimiter))
        return FileForm(chosen, sniff_delimiter(stream.peek().split(b"\n"), rules, _USUAL_DELIMITERS[chosen]))


class _LateSource(FileSource):
    """A pipe, of which nothing is known before it is read: its first bytes choose its reader."""

    def __init__(self, stream: ByteStream, max_record_bytes: int, start: int, reader: Callable[[], FileSource]) -> None:
        super().__init__(stream, max_record_bytes, start)
        self._reader = reader
        self._chosen: FileSource | None = None

    def _blocks(self) -> Iterator[list[Record]]:
        wait = False
        while not self.stream.ready(wait=wait):
            yield []
            wait = True
        self._chosen = self._reader()
        yield from self._chosen._blocks()  # noqa: SLF001 (this source has the place of that one)

    @property
    def progress(self) -> Progress:
        """In bytes as they are stored."""
        return super().progress if self._chosen is None else self._chosen.progress

    def close(self) -> None:
        """Close the pipe."""
        if self._chosen is None:
            super().close()
        else:
            self._chosen.close()
