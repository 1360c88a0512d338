"""How an engine shows itself: one line, and a table for notebooks.

Knows nothing of engines.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

from stream_rec.core.outcome import Stats
from stream_rec.units import format_duration, format_size

__all__ = ["as_html", "as_line"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS_MS: Final = (86_400_000, 3_600_000, 60_000, 1_000)


def as_line(kind: str, model: str, stats: Stats) -> str:
    """Return one line, such as `Engine(vmis-knn: 4 sessions, 10 events, 5 items, horizon 2h)`."""
    counts = f"{stats.n_sessions:,} sessions, {stats.n_events:,} events, {stats.n_items:,} items"
    horizon = "" if stats.horizon_ms is None else f", horizon {_rounded(stats.horizon_ms)}"
    return f"{kind}({model}: {counts}{horizon})"


def as_html(kind: str, model: str, stats: Stats) -> str:
    """Return a table."""
    rows = [
        ("model", model),
        ("sessions", f"{stats.n_sessions:,}"),
        ("events", f"{stats.n_events:,}"),
        ("items", f"{stats.n_items:,}"),
        ("newest event", "none yet" if stats.watermark is None else _time(stats.watermark)),
        ("horizon", "none yet" if stats.horizon_ms is None else _rounded(stats.horizon_ms)),
        ("memory", format_size(stats.n_bytes // 1_000_000 * 1_000_000) if stats.n_bytes > 10**6 else "below 1MB"),
        ("evicted", f"{stats.n_evicted:,} sessions"),
    ]
    return f"<table><caption>{escape(kind)}</caption><tbody>{''.join(_row(*row) for row in rows)}</tbody></table>"


def _row(*cells: str) -> str:
    name, value = map(escape, cells)
    return f'<tr><th scope="row" style="text-align:left">{name}</th><td style="text-align:left">{value}</td></tr>'


def _rounded(millis: int, steps: Iterable[int] = _STEPS_MS) -> str:
    """Return a duration in its largest unit that it has at least two of, rounded down."""
    unit = next((step for step in steps if millis >= 2 * step), 1)
    return format_duration(millis // unit * unit)


def _time(millis: int) -> str:
    try:
        return f"{_EPOCH + timedelta(milliseconds=millis):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:  # beyond the year 9999
        return f"{millis:,} ms since 1970"
