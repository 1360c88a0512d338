"""CSV and TSV: lines -> rows, each with the line it was, as bytes.

Does not know what the columns mean. A cell in double quotes may contain delimiters, doubled quotes
and line ends. A line that does not fit is one bad record, and the next line is a new row: a quote
that is never closed must not swallow the lines after it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Final

from stream_rec.core.events import DecodeRules, Reason
from stream_rec.errors import NoColumnError, SettingsError
from stream_rec.transport.files.bytes import ByteStream
from stream_rec.transport.files.content import DELIMITERS, delimiter_said, sniff_delimiter
from stream_rec.transport.files.lines import line_blocks
from stream_rec.transport.files.source import FileSource, columns_said, too_long
from stream_rec.transport.records import Record

__all__ = ["TableSource"]

# With more lines in one cell, the quote was probably not meant as one.
_MAX_LINES: Final = 1000
_TYPED: Final = re.compile(r"[^:]+:(token|float)(_seq)?")
# Of the others, such as that of \N, which is nothing, the backslash stays.
_ESCAPE: Final = re.compile(r"\\([tnr\\'])")
_ESCAPED: Final = {"t": "\t", "n": "\n", "r": "\r"}


class TableSource(FileSource):
    """One record in each row that is not blank; its number is that of the row's first line.

    The first row names the columns, unless the fields that must be there are mapped to whole
    numbers, which are then columns counted from 0. Without a *delimiter*, the first lines show it, and say nothing
    where it is *usual*.
    """

    def __init__(
        self,
        stream: ByteStream,
        rules: DecodeRules,
        delimiter: str | None,
        key: str,
        start: int = 1,
        *,
        usual: str = ",",
        whole: bool = False,
    ) -> None:
        super().__init__(stream, rules.max_record_bytes, start)
        self._rules = rules
        self._given = delimiter
        self._delimiter = delimiter or usual
        self._spaced = False
        self._key = key
        self._columns: tuple[str, ...] = ()
        self._width: int | None = None
        self._has_columns = False
        self._whole = whole
        if not whole and all(map(_is_index, rules.required())):
            indices = [int(n) for n in rules.fields.as_dict().values() if _is_index(n)]
            self._columns = tuple(map(str, range(max(indices) + 1)))
            self._has_columns = True
        self._line = 1
        self._is_slow = not self._has_columns
        """Whether each row needs a careful look: before the columns are known, and where spaces follow delimiters."""
        self._open: list[bytes] = []

    def _blocks(self) -> Iterator[list[Record]]:
        is_first = True
        for lines in line_blocks(self.stream, self.max_record_bytes, keep_cr=True):
            if lines and is_first:
                is_first = False
                lines = self._without_delimiter(lines)  # noqa: PLW2901 (the rows begin behind it)
            if lines and self._given is None:
                rules = None if self._whole else self._rules
                self._given = self._delimiter = sniff_delimiter(lines, rules, self._delimiter)
            records = self._take(lines, final=False) if lines else []
            if records or not lines:
                yield records
        if self._open:
            yield self._take([], final=True)
        if not self._has_columns:
            self._refuse_header("it is empty")

    def _without_delimiter(self, lines: list[bytes]) -> list[bytes]:
        """Return the first *lines* without the one that says the delimiter, if there is one."""
        said = delimiter_said(lines[0])
        if said is None:
            return lines
        if self._given is None:
            self._given = self._delimiter = said
        self._line += 1
        return lines[1:]

    def _take(self, lines: list[bytes], *, final: bool) -> list[Record]:
        """The records that are whole now; an open row waits for its other lines."""
        lines = [*self._open, *lines]
        records = self._plain_rows(lines)
        if records is not None:
            self._open = []
            self._line += len(lines)
            return records
        records = []
        i = 0
        while i < len(lines):
            line = lines[i]
            if self._is_slow or b'"' in line or len(line) > self.max_record_bytes:
                used, record = self._careful(lines, i, final=final)
                if not used:
                    break
            else:
                used, record = 1, self._plain(line, self._line + i)
            if record is not None:
                records.append(record)
            i += used
        self._open = lines[i:]
        self._line += i
        return records

    def _plain_rows(self, lines: list[bytes]) -> list[Record] | None:
        """Return the rows of *lines*, if each is one without quotes, and as wide as a header says; None else."""
        if self._is_slow or not lines or max(map(len, lines)) > self.max_record_bytes:
            return None
        whole = b"\n".join(lines)
        if b'"' in whole or (b"\\" in whole and self._delimiter == "\t"):
            return None
        if b"\r" in whole:
            lines = [line.rstrip(b"\r") for line in lines]
            whole = b"\n".join(lines)
        try:
            texts = whole.decode().split("\n")
        except UnicodeDecodeError:
            return None
        cells = [text.split(self._delimiter) for text in texts]
        if self._width is not None and set(map(len, cells)) != {self._width}:
            return None
        # Its width does not tell a blank line where there is one column, or a tab between them, or any width will do.
        if (self._width in {None, 1} or self._delimiter.isspace()) and any(
            not each or each.isspace() for each in lines
        ):
            return None
        rows = map(dict, map(zip, repeat(self._columns), cells))
        numbers = count(self._line)
        return list(
            map(Record, lines, repeat(self.topic), repeat(0), numbers, repeat(None), repeat(()), repeat(None), rows)
        )

    def _plain(self, line: bytes, number: int) -> Record | None:
        """A line without quotes, as nearly all are."""
        line = line.rstrip(b"\r")
        if not line or line.isspace():
            return None
        try:
            cells = line.decode().split(self._delimiter)
        except UnicodeDecodeError as error:
            return self._bad(line, number, *_not_utf8(error))
        if len(cells) != self._width:
            return self._row(line, number, cells)
        if b"\\" in line and self._delimiter == "\t":
            cells = list(map(_unescaped, cells))
        row = dict(zip(self._columns, cells))  # noqa: B905 (just compared)
        return Record(line, self.topic, 0, number, None, (), None, row)

    def _careful(self, lines: list[bytes], i: int, *, final: bool) -> tuple[int, Record | None]:
        """The row that begins at line *i*, and how many lines it has: 0 if more must come."""
        number = self._line + i
        first = lines[i].rstrip(b"\r")
        if len(first) > self.max_record_bytes:
            if not self._has_columns:
                self._refuse_header(f"it is longer than {self.max_record_bytes} bytes (max_record_bytes)")
            return 1, too_long(Record(first, self.topic, 0, number), self.max_record_bytes)
        if not first or first.isspace():
            return 1, None
        try:
            used, cells = self._cells(lines, i, final=final)
        except UnicodeDecodeError as error:
            return 1, self._bad_row(first, number, *_not_utf8(error))
        except _NotARow as error:
            return 1, self._bad_row(first, number, Reason.NOT_A_ROW, str(error))
        if not used:
            return 0, None
        if not self._has_columns:
            self._name_columns(cells)
            return used, None
        if self._width is not None and len(cells) > self._width and used > 1:
            # Two stray quotes have met: what they enclose is not one row.
            return 1, self._bad(first, number, Reason.NOT_A_ROW, "a quote that is not closed")
        value = b"\n".join(lines[i : i + used]).rstrip(b"\r")
        return used, self._row(value, number, cells)

    def _cells(self, lines: list[bytes], i: int, *, final: bool) -> tuple[int, list[str]]:
        size = 0
        for used in range(1, _MAX_LINES + 1):
            if i + used > len(lines):
                if final:
                    break
                return 0, []
            line = lines[i + used - 1]
            size += len(line) + 1
            if size > self.max_record_bytes + 1:
                break
            if used > 1 and b'"' not in line:  # cannot be the end
                continue
            text = b"\n".join(lines[i : i + used]).rstrip(b"\r").decode()
            cells = _split_quoted(text, self._delimiter, spaced=self._spaced)
            if cells is not None:
                return used, cells
        raise _NotARow("a quote that is not closed")

    def _row(self, value: bytes, number: int, cells: list[str]) -> Record:
        if self._width is not None and len(cells) > self._width:
            return self._bad(
                value,
                number,
                Reason.NOT_A_ROW,
                f"expected {self._width} columns, as the first line has, found {len(cells)}",
            )
        if b"\\" in value and self._delimiter == "\t":
            cells = list(map(_unescaped, cells))
        row = dict(zip(self._columns, cells, strict=False))  # missing cells are missing fields
        return Record(value, self.topic, 0, number, None, (), None, row)

    def _bad(self, value: bytes, number: int, reason: str, message: str) -> Record:
        return Record(value, self.topic, 0, number, fault=(reason, message))

    def _bad_row(self, value: bytes, number: int, reason: str, message: str) -> Record:
        if not self._has_columns:
            self._refuse_header(message)
        return self._bad(value, number, reason, message)

    def _name_columns(self, cells: Sequence[str]) -> None:
        names = _tidied(cells, self._rules.columns_in(cells))
        fields = self._rules.columns_in(names)
        twice = sorted({name for name in names if names.count(name) > 1 and (self._whole or name in fields)})
        if twice:
            raise SettingsError("fields", f"{self.stream.name} has two columns {twice[0]!r}")
        missing = [] if self._whole else self._rules.missing_in(names)
        other = next((each for each in reversed(DELIMITERS) if len(names) == 1 and each in names[0]), None)
        if missing and other is not None:
            raise SettingsError(
                "delimiter",
                f"{self.stream.name} has {other!r} between its columns, where {self._delimiter!r} is read: "
                "leave the delimiter out, or correct it",
            )
        if missing:
            seen = f"{self.stream.name} has no column {missing[0]!r}, but {columns_said(names, self._rules)}"
            way_out = "say which is which with --field, by name, or by index (from 0) without a header"
            raise NoColumnError(self._rules.field_of(missing[0]), seen, way_out)
        self._columns = tuple(names)
        self._width = len(names)
        self._has_columns = True
        self._is_slow = self._spaced = len(cells) > 1 and all(cell.startswith(" ") for cell in cells[1:])

    def _refuse_header(self, why: str) -> None:
        raise SettingsError(self._key, f"the first line of {self.stream.name} does not name its columns: {why}")


def _unescaped(cell: str) -> str:
    """Return what databases mean by a cell between tabs: a backslash stands before what would end it."""
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), cell)


class _NotARow(Exception):  # noqa: N818 (a verdict, caught in this file)
    """The text is no row, whatever may follow."""


def _tidied(cells: Sequence[str], fields: Iterable[str]) -> list[str]:
    """Return the names of columns without spaces around them and RecBole's types behind; names of *fields* stay."""
    known = set(fields)
    names = [cell if cell in known else cell.strip() for cell in cells]
    if all(_TYPED.fullmatch(name) for name in names):
        return [name if name in known else name.partition(":")[0] for name in names]
    return names


def _split_quoted(text: str, delimiter: str, *, spaced: bool = False) -> list[str] | None:
    """The cells of *text* (RFC 4180); None if it ends inside quotes. Raises _NotARow.

    *spaced*: a space after a delimiter belongs to it.
    """
    cells: list[str] = []
    at = 0
    while True:
        while spaced and at and text.startswith(" ", at):
            at += 1
        if text.startswith('"', at):
            end = _closing_quote(text, at + 1)
            if end < 0:
                return None
            cells.append(text[at + 1 : end].replace('""', '"'))
            end += 1
            if end < len(text) and not text.startswith(delimiter, end):
                raise _NotARow(f"text after the closing quote of column {len(cells) - 1}")
        else:
            end = text.find(delimiter, at)
            end = len(text) if end < 0 else end
            cells.append(text[at:end])
        if end >= len(text):
            return cells
        at = end + len(delimiter)


def _closing_quote(text: str, at: int) -> int:
    while True:
        at = text.find('"', at)
        if at < 0 or not text.startswith('""', at):
            return at
        at += 2


def _not_utf8(error: UnicodeDecodeError) -> tuple[str, str]:
    return Reason.NOT_UTF8, f"byte {error.start} is not UTF-8 ({error.reason})"


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit()
