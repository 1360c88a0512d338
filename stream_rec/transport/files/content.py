"""What a file holds, by its first bytes: its format, the delimiter of its columns, or what it is instead of a log.

Does not read the file, and does not know what its columns mean: it knows the names of those that must be there. An
ending of the name decides only what the content leaves open.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Final

import msgspec

from stream_rec.core.events import DecodeRules
from stream_rec.errors import SettingsError

__all__ = [
    "DELIMITERS",
    "delimiter_said",
    "ending_of",
    "format_of_content",
    "named_delimiter",
    "refuse_other_kinds",
    "sniff_delimiter",
]

_ENDINGS: Final = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PACKED_ENDINGS: Final = (".gz", ".gzip", ".bgz", ".zst", ".zstd", ".bz2", ".xz", ".lz4", ".snappy", ".sz", ".zip")
DELIMITERS: Final = (",", "\t", ";", "|", "::")
"""What may stand between columns, without being said."""
_NAMES: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"
_SAMPLE_LINES: Final = 20
_SAID: Final = re.compile(r'"?sep=(.)"?', re.IGNORECASE)

_OTHER_KINDS: Final = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`",
    ),
    (b"Obj\x01", "an Avro container: write it as Parquet or JSON lines"),
    (b"ORC", "an ORC file: write it as Parquet"),
    (b"ARROW1", "an Arrow (Feather) file: write it as Parquet"),
    (b"PARE", "an encrypted Parquet file: write it without encryption"),
    (b"SQLite format 3\0", "an SQLite database: export its table as CSV"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook or Office document: save its sheet as CSV (UTF-8)"),
    (b"%PDF-", "a PDF"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it, and name the file, or the folder"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it, and name the file, or the folder"),
)
_HTML: Final = re.compile(rb"<(!doctype html|html|head|body)\b", re.IGNORECASE)
_TAR_PLACE: Final = 257
_DUCKDB_PLACE: Final = 8


def ending_of(spec: str) -> str | None:
    """Return the format that the name's ending says, whatever it is packed with; None if it says none."""
    path = PurePath(spec.lower())
    while path.suffix in _PACKED_ENDINGS:
        path = path.with_suffix("")
    return _ENDINGS.get(path.suffix)


def named_delimiter(text: str) -> str:
    """Return the delimiter that *text* is, or names, as `tab` does."""
    return _NAMES.get(text.lower(), text)


def refuse_other_kinds(head: bytes, name: str, key: str) -> None:
    """Raise SettingsError for the setting *key* if the file *name*, which begins with *head*, is none that is read."""
    for magic, what in _OTHER_KINDS:
        if head.startswith(magic):
            raise SettingsError(key, f"{name} is {what}")
    if head[_TAR_PLACE : _TAR_PLACE + 5] == b"ustar":
        raise SettingsError(key, f"{name} is a tar archive: unpack it into a folder, and name that folder")
    if head[_DUCKDB_PLACE : _DUCKDB_PLACE + 4] == b"DUCK":
        raise SettingsError(key, f"{name} is a DuckDB database: export its table as Parquet or CSV")
    text = head.removeprefix(_BOM).lstrip(_SPACE)
    if _HTML.match(text):
        raise SettingsError(key, f"{name} is an HTML page, such as a login or an error: fetch the log itself")
    if text.startswith(b"<?xml"):
        raise SettingsError(key, f"{name} is XML: write it as CSV or JSON lines")


def format_of_content(head: bytes, ending: str | None, rules: DecodeRules | None) -> str:
    """Return the format of a file that begins with *head*; *rules* say which columns must be there, None: any.

    *ending* is what its name says. Raises nothing: a broken file has the format of its ending.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    text = head.removeprefix(_BOM).lstrip(_SPACE)
    if not text:
        return ending or "jsonl"
    lines = text.split(b"\n", 1)
    first = lines[0].strip()
    if first[:1] in b"{[":
        return _kind_of_json(text, first, ending)
    if ending in {None, "jsonl", "json", "parquet"}:
        is_table = ending is None and b"\0" not in text
        if is_table or (rules is not None and _delimiter_of_header(_decoded(first), DELIMITERS, rules) is not None):
            return "csv"
    return ending or "jsonl"


def _kind_of_json(text: bytes, first: bytes, ending: str | None) -> str:
    """Return which JSON begins with *text*, whose line *first* opens with a brace or a bracket."""
    if first.startswith(b"{"):
        if ending in {"jsonl", "json"}:
            return ending
        # A table may open with a brace, and JSON may be broken: the ending decides, unless the line is sure.
        return "jsonl" if _is_json(first) or ending is None else ending
    if ending in {"csv", "tsv"} and not re.match(rb"\[\s*[\[{\]]", text):
        return ending
    # An array of records, or arrays of records line by line.
    rest = text.partition(b"\n")[2].lstrip(_SPACE)
    by_line = first != b"[" if ending == "jsonl" else _is_json(first) and rest.startswith(b"[")
    return "jsonl" if by_line else "json"


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


# --- delimiters


def delimiter_said(line: bytes) -> str | None:
    """Return the delimiter that *line*, the first of a table, says, as Excel reads `sep=;`; None for any other line."""
    match = _SAID.fullmatch(_decoded(line)) if b"sep=" in line[:8].lower() else None
    return None if match is None else match[1]


def sniff_delimiter(lines: Sequence[bytes], rules: DecodeRules | None, usual: str) -> str:
    """Return what separates the columns of a table that begins with *lines*.

    That is what finds the columns in the header that must be there by the *rules*; without a header, where they are
    indices, what cuts most lines into the same number of cells, with all indices among them. Nothing fits: *usual*.
    """
    sample = [line for line in map(_decoded, lines[:_SAMPLE_LINES]) if line and not line.isspace()]
    if not sample:
        return usual
    if (said := delimiter_said(lines[0])) is not None:
        return said
    order = [usual, *(each for each in DELIMITERS if each != usual)]
    required = () if rules is None else rules.required()
    if required and all(name.isascii() and name.isdigit() for name in required):
        least = max(map(int, required)) + 1
        return _steadiest(sample, order, least) or usual
    found = _delimiter_of_header(sample[0], order, rules)
    if found is not None:
        return found
    return _steadiest(sample, order, 2) or usual


def _delimiter_of_header(header: str, delimiters: Iterable[str], rules: DecodeRules | None) -> str | None:
    """Return the delimiter that makes the names that must be there cells of *header*."""
    for delimiter in delimiters:
        cells = {cell.strip().strip('"').strip() for cell in header.split(delimiter)}
        missing = [] if rules is None else rules.missing_in(cells) and rules.missing_in({_untyped(c) for c in cells})
        if len(cells) > 1 and not missing:
            return delimiter
    return None


def _untyped(cell: str) -> str:
    return cell.partition(":")[0]


def _steadiest(sample: Sequence[str], delimiters: Iterable[str], least: int) -> str | None:
    """Return the delimiter that cuts most lines of *sample* as it cuts the first, into *least* cells or more."""
    best, most = None, 0
    for delimiter in delimiters:
        counts = [line.count(delimiter) + 1 for line in sample]
        n_same = counts.count(counts[0])
        if counts[0] >= least and n_same > most:
            best, most = delimiter, n_same
    return best


def _decoded(line: bytes) -> str:
    return line.removeprefix(_BOM).rstrip(b"\r\n").decode(errors="replace")
