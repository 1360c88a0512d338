"""Which files a source means: a path, a pattern, a folder with part files, or several of them.

Reads no file. Knows the habits of those who write folders: partitions in their names (`year=2024/month=05/`), and files
that are no part of the data (`_SUCCESS`, `.part-0.crc`).
"""

import glob
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import Final, NamedTuple
from urllib.parse import unquote

from stream_rec.errors import SettingsError
from stream_rec.transport.files.remote import is_remote, name_in, paths_below

__all__ = ["FoundFile", "find_files", "size_of", "with_data"]

_PARTITION: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=(.*)")
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
_DIGITS: Final = re.compile(r"(\d+)")


class FoundFile(NamedTuple):
    """A file of a source."""

    path: str
    name: str
    """What offsets and messages call it: its path below the folder that was named, the same on each machine."""
    partition: Mapping[str, str | None]
    """The values that its folders' names say, by column."""


def find_files(specs: Sequence[str], key: str = "events", *, folders: bool = True) -> list[FoundFile]:
    """Return the files that *specs* mean, in their order; those of a folder or a pattern by their names.

    Numbers in names count as numbers: `part-10` comes after `part-9`. Without *folders* a folder stays itself. Raises
    SettingsError for the setting *key* where a pattern or a folder has none, and where two mean the same file.
    """
    found = [file for spec in specs for file in _found(spec, key, folders=folders)]
    paths = Counter(file.path if is_remote(file.path) else str(Path(file.path).absolute()) for file in found)
    twice = next((path for path, n in paths.items() if n > 1), None)
    if twice is not None:
        raise SettingsError(key, f"{twice!r} is named twice, which would count its events twice: name it once")
    return _with_names_of_their_own(found)


def with_data(files: Sequence[FoundFile]) -> list[FoundFile]:
    """Return *files* without those of 0 bytes, which hold not even names of columns; all, if none has one."""
    return [file for file in files if size_of(file.path) != 0] or list(files)


def size_of(path: str) -> int | None:
    """Return the size in bytes of a file; None of what is none, such as a pipe or an address."""
    file = Path(path)
    return file.stat().st_size if file.is_file() else None


def _found(spec: str, key: str, *, folders: bool) -> Iterator[FoundFile]:
    path = Path(spec)
    if is_remote(spec):
        yield from _elsewhere(spec, key)
    elif spec == "-" or "://" in spec:
        yield FoundFile(spec, spec, {})
    elif path.is_dir() and folders:
        yield from _in_folder(path, key)
    elif glob.has_magic(spec) and not path.exists():
        matches = sorted(map(Path, glob.glob(spec, recursive=True)), key=_by_number)  # noqa: PTH207 (of absolute paths, too)
        if not matches:
            raise SettingsError(key, f"no file is called {spec!r}")
        for match in matches:
            if match.is_dir():
                yield from _in_folder(match, key) if "**" not in spec else ()
            else:
                yield FoundFile(str(match), match.name, _partition(match))
    else:
        yield FoundFile(spec, path.name, _partition(path))


def _in_folder(folder: Path, key: str) -> Iterator[FoundFile]:
    if (folder / "_delta_log").is_dir():
        message = f"{str(folder)!r} is a Delta Lake table, whose old files are no part of it: export it as Parquet"
        raise SettingsError(key, message)
    files = [path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder))]
    if not files:
        raise SettingsError(key, f"the folder {str(folder)!r} holds no file")
    for path in sorted(files, key=_by_number):
        yield FoundFile(str(path), path.relative_to(folder).as_posix(), _partition(path))


def _elsewhere(uri: str, key: str) -> Iterator[FoundFile]:
    """Return the file, or those of a folder or a pattern, in an object store."""
    root, pattern = uri, "*"
    if not uri.startswith("http") and glob.has_magic(uri):
        root = uri[: re.search(r"[*?[]", uri).start()].rpartition("/")[0]  # type: ignore[union-attr]  # it has magic
        pattern = uri[len(root) + 1 :]
    below = [(path, PurePath(path[len(root.rstrip("/")) + 1 :])) for path in paths_below(root, key)]
    found = [(path, name) for path, name in below if not _is_hidden(name) and fnmatch(name.as_posix(), pattern)]
    if not found and root != uri:
        raise SettingsError(key, f"no file is called {uri!r}")
    for path, name in sorted(found, key=lambda each: _by_number(each[1])):
        yield FoundFile(path, name.as_posix(), _partition(PurePath(path)))
    if not found:
        yield FoundFile(uri, name_in(uri), _partition(PurePath(uri)))


def _is_hidden(path: PurePath) -> bool:
    """Whether *path* is none of the data: `_SUCCESS`, `_temporary/`, `.part-0.crc`; a partition may begin so, too."""
    return any(part.startswith(("_", ".")) and "=" not in part for part in path.parts)


def _by_number(path: PurePath) -> list[tuple[bool, int, str]]:
    pieces = _DIGITS.split(path.as_posix())
    return [(place % 2 == 1, int(piece) if place % 2 else 0, piece) for place, piece in enumerate(pieces)]


def _partition(path: PurePath) -> dict[str, str | None]:
    matches = map(_PARTITION.fullmatch, path.parent.parts)
    pairs = [(match[1], unquote(match[2])) for match in matches if match is not None]
    return {column: None if value == _NO_VALUE else value for column, value in pairs}


def _with_names_of_their_own(files: Sequence[FoundFile]) -> list[FoundFile]:
    """Return *files* with names that differ: those that are called alike get the folders above them, too."""
    counts = Counter(file.name for file in files)
    named = []
    for file in files:
        parts = Path(file.path).parts
        name, n = file.name, len(PurePath(file.name).parts)
        alike = [Path(other.path).parts for other in files if other.name == name] if counts[name] > 1 else []
        while n < len(parts) and sum(other[-n:] == parts[-n:] for other in alike) > 1:
            n += 1
            name = PurePath(*parts[-n:]).as_posix()
        named.append(file._replace(name=name))
    return named
