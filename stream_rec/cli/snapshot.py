"""`stream-rec snapshot`: list the snapshots in a folder, show the header of one, verify checksums.

Only reads, so it may run while a service writes to the folder.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream_rec.cli.common import OnceCommand
from stream_rec.cli.hints import HelpfulGroup
from stream_rec.errors import SnapshotError

if TYPE_CHECKING:
    from stream_rec.snapshot import Header

__all__ = ["snapshot"]

VALID, INVALID = 0, 1
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EITHER = click.Path(exists=True, path_type=Path)


class _Group(HelpfulGroup):
    command_class = OnceCommand


@click.group(cls=_Group)
def snapshot() -> None:
    """List, inspect and verify the snapshots of a service."""


as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


@snapshot.command("list")
@click.argument("folder", metavar="DIR", type=FOLDER)
@as_json
def list_folder(folder: Path, is_json: bool) -> int:
    """List the snapshots in DIR, the oldest first.

    Reads headers only; `verify` reads everything. Exit code 1 if a header cannot be read.
    """
    from stream_rec.snapshot import read_header, snapshots_in

    found = [(path, *_read_or_fault(read_header, path)) for path in snapshots_in(folder)]
    if is_json:
        _print_json([_summary(path, header, fault) for path, header, fault in found])
    elif not found:
        click.echo(f"no snapshots in {click.format_filename(folder)}")
    else:
        for line in _table([_row(path, header, fault) for path, header, fault in found]):
            click.echo(line)
    return INVALID if any(header is None for _, header, _ in found) else VALID


@snapshot.command()
@click.argument("file", metavar="FILE", type=FILE)
@as_json
def inspect(file: Path, is_json: bool) -> None:
    """Show the header of the snapshot FILE: when it was taken, its offsets, its counts, its settings."""
    import msgspec

    from stream_rec.snapshot import read_header

    header = read_header(file)
    if is_json:
        _print_json({"path": str(file), **msgspec.to_builtins(header, str_keys=True)})
        return
    rows = list(_header_rows(file, header))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


@snapshot.command()
@click.argument("path", metavar="DIR|FILE", type=EITHER)
@as_json
def verify(path: Path, is_json: bool) -> int:
    """Compare all checksums of a snapshot, or of all in a folder. Exit code 1, and its name, if one is invalid."""
    from stream_rec.snapshot import snapshots_in
    from stream_rec.snapshot import verify as verify_one

    files = snapshots_in(path) if path.is_dir() else [path]
    found = [(file, *_read_or_fault(verify_one, file)) for file in files]
    if is_json:
        _print_json([_summary(file, header, fault) for file, header, fault in found])
    elif not found:
        click.echo(f"no snapshots in {click.format_filename(path)}")
    else:
        for file, _, fault in found:
            click.echo(f"{click.format_filename(file)}: valid" if fault is None else fault)
    return INVALID if any(header is None for _, header, _ in found) else VALID


def _read_or_fault(read: Any, path: Path) -> "tuple[Header | None, str | None]":  # noqa: ANN401  # read_header or verify
    try:
        return read(path), None
    except SnapshotError as error:
        return None, error.message


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _summary(path: Path, header: "Header | None", fault: str | None) -> dict[str, Any]:
    if header is None:
        return {"path": str(path), "valid": False, "fault": fault}
    return {
        "path": str(path),
        "valid": True,
        "created_at": header.created_at,
        "n_bytes": path.stat().st_size,
        "watermark": header.watermark,
        "counts": header.counts,
        "offsets": header.offsets,
        "fingerprint_hash": header.fingerprint_hash,
        "stream_rec": header.stream_rec,
    }


HEAD = ("snapshot", "taken (UTC)", "sessions", "events", "MiB", "sum of offsets", "stream-rec")


def _row(path: Path, header: "Header | None", fault: str | None) -> tuple[str, ...]:
    if header is None:
        return (str(fault),)
    return (
        path.name,
        _time(header.created_at),
        f"{header.counts['sessions']:,}",
        f"{header.counts['events']:,}",
        f"{path.stat().st_size / 2**20:.1f}",
        f"{sum(sum(of_topic.values()) for of_topic in header.offsets.values()):,}",
        header.stream_rec,
    )


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield lines with figures aligned to the right. A row of another length is a remark, printed as it is."""
    full_rows = [HEAD, *(row for row in rows if len(row) == len(HEAD))]
    widths = [max(map(len, column)) for column in zip(*full_rows, strict=True)]
    for row in (HEAD, *rows):
        if len(row) == len(HEAD):
            cells = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
            yield "  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), *cells])
        else:
            yield "  ".join(row)


def _header_rows(file: Path, header: "Header") -> Iterator[tuple[str, str]]:
    yield "file", click.format_filename(file)
    yield "written by", f"stream-rec {header.stream_rec}"
    yield "taken (UTC)", _time(header.created_at)
    yield "size", f"{file.stat().st_size:,} bytes"
    yield "newest event (UTC)", _time(header.watermark)
    for name, count in header.counts.items():
        yield name.replace("_", " "), f"{count:,}"
    yield "evicted so far", f"{header.n_evicted:,}"
    for topic, of_topic in sorted(header.offsets.items()):
        for partition, offset in sorted(of_topic.items()):
            yield f"next offset of {topic}-{partition}", f"{offset:,}"
    yield "settings", header.fingerprint_hash
    for name, value in _leaves(header.fingerprint):
        yield f"  {name}", json.dumps(value)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _time(ms: int | None) -> str:
    """Return a readable time, or the number of milliseconds if no calendar holds it."""
    if ms is None:
        return "-"
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
