"""Statistics of a log, each with its label, as `check` and the pages of an evaluation show them."""

from collections.abc import Iterator

from stream_rec.datasets.statistics import Summary
from stream_rec.service.metrics.format import show_duration, show_time

__all__ = ["log_facts"]

_MOST_TYPES = 10


def log_facts(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield label and text of each statistic; nothing for a log without an event."""
    if not summary.events or summary.first_timestamp is None or summary.last_timestamp is None:
        return
    span = show_duration(summary.last_timestamp - summary.first_timestamp)
    yield "events", f"{summary.events:,} readable, in {summary.sessions:,} sessions"
    yield "items", f"{summary.items:,}; the top 1 % have {summary.head_share:.0%} of the events"
    if summary.users:
        yield "users", f"{summary.users:,}"
    yield "types", ", ".join(f"{kind} {n:,}" for kind, n in list(summary.types.items())[:_MOST_TYPES])
    yield "time", f"{show_time(summary.first_timestamp)} to {show_time(summary.last_timestamp)} ({span})"
    yield "session length", _lengths(summary)
    yield "repeats", f"{summary.repeats_share:.1%} of the events touch an item of their session again"
    yield "out of order", _lateness(summary)


def _lengths(summary: Summary) -> str:
    middle = f"mean {summary.session_length_mean:.1f}, median {summary.session_length_p50}"
    high = f"90 % {summary.session_length_p90}, 99 % {summary.session_length_p99}"
    return f"{middle}, {high}, longest {summary.session_length_max}"


def _lateness(summary: Summary) -> str:
    if not summary.out_of_order_share:
        return "none"
    most = f"99 % of them by at most {show_duration(summary.lateness_ms_p99)}"
    return f"{summary.out_of_order_share:.2%} of the events; {most}, all by {show_duration(summary.lateness_ms_max)}"
