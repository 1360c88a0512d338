"""`stream-rec snapshot`: what lies in a folder of snapshots, what one says of itself, whether it is whole.

Changes nothing, and may be used beside a service that writes to the folder.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream_rec.errors import SnapshotError

if TYPE_CHECKING:
    from stream_rec.snapshot import Header

__all__ = ["snapshot"]

VALID, INVALID = 0, 1
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EITHER = click.Path(exists=True, path_type=Path)


@click.group()
def snapshot() -> None:
    """List, inspect and verify the snapshots of a service."""


as_json = click.option("--json", "is_json", is_flag=True, help="As JSON, for programs.")


@snapshot.command("list")
@click.argument("folder", metavar="DIR", type=FOLDER)
@as_json
def list_folder(folder: Path, is_json: bool) -> int:
    """List the snapshots in DIR, the oldest first, by what they say of themselves.

    Reads headers only; `verify` reads everything. Exits with 1 if one cannot be read.
    """
    from stream_rec.snapshot import read_header, snapshots_in

    found = [(path, *_tried(read_header, path)) for path in snapshots_in(folder)]
    if is_json:
        _say_json([_summary(path, header, fault) for path, header, fault in found])
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
    """Say what the snapshot FILE says of itself: when, how far in the log, how much of what, under which settings."""
    import msgspec

    from stream_rec.snapshot import read_header

    header = read_header(file)
    if is_json:
        _say_json({"path": str(file), **msgspec.to_builtins(header, str_keys=True)})
        return
    told = list(_told(file, header))
    width = max(len(name) for name, _ in told)
    for name, value in told:
        click.echo(f"{name:<{width}}  {value}")


@snapshot.command()
@click.argument("place", metavar="DIR|FILE", type=EITHER)
@as_json
def verify(place: Path, is_json: bool) -> int:
    """Compare all checksums of a snapshot, or of all in a folder. Exits with 1 if one is not valid, naming it."""
    from stream_rec.snapshot import snapshots_in
    from stream_rec.snapshot import verify as verify_one

    found = [(path, *_tried(verify_one, path)) for path in (snapshots_in(place) if place.is_dir() else [place])]
    if is_json:
        _say_json([_summary(path, header, fault) for path, header, fault in found])
    elif not found:
        click.echo(f"no snapshots in {click.format_filename(place)}")
    else:
        for path, _, fault in found:
            click.echo(f"{click.format_filename(path)}: valid" if fault is None else fault)
    return INVALID if any(header is None for _, header, _ in found) else VALID


def _tried(read: Any, path: Path) -> "tuple[Header | None, str | None]":  # noqa: ANN401  # either of two readers
    try:
        return read(path), None
    except SnapshotError as error:
        return None, error.message


def _say_json(value: object) -> None:
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
    """Yield lines; figures stand to the right, and a row of other length is a remark."""
    whole = [HEAD, *(row for row in rows if len(row) == len(HEAD))]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    for row in (HEAD, *rows):
        if len(row) == len(HEAD):
            cells = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
            yield "  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), *cells])
        else:
            yield "  ".join(row)


def _told(file: Path, header: "Header") -> Iterator[tuple[str, str]]:
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
            yield f"goes on from {topic}-{partition}", f"{offset:,}"
    yield "settings", header.fingerprint_hash
    for name, value in _leaves(header.fingerprint):
        yield f"  {name}", json.dumps(value)


def _leaves(tree: Mapping[str, Any], place: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value


def _time(ms: int | None) -> str:
    """Return a time as people read it; one that no calendar holds as it is."""
    if ms is None:
        return "-"
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
