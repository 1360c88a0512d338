"""Times, durations and sizes as text for people."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["show_duration", "show_lines", "show_size", "show_time"]

_KIB: Final = 1024
_LABEL_CHARS: Final = 15
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def show_time(millis: int) -> str:
    """Return *millis* since 1970 as ISO 8601 in UTC."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show_duration(millis: int) -> str:
    """Return *millis* in its two largest units: `3d 4h`."""
    for i, (unit, length) in enumerate(_UNITS[:-1]):
        if millis >= length:
            smaller_unit, smaller = _UNITS[i + 1]
            rest = millis % length // smaller
            return f"{millis // length}{unit}" + (f" {rest}{smaller_unit}" if rest else "")
    return f"{millis}ms"


def show_size(n_bytes: int) -> str:
    """Return *n_bytes* with about three digits and a unit."""
    size = float(n_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < _KIB:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= _KIB
    return f"{size:.2f} GiB"


def show_lines(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each label and value, the values one below the other."""
    return [f"{label:<{_LABEL_CHARS}}{value}" for label, value in rows]
