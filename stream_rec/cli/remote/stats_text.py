"""The figures of a service as text.

Works with the decoded JSON, so that a service of another version may leave out fields or add some.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stream_rec.cli.remote.columns import in_columns, safe
from stream_rec.service.metrics.format import show_duration, show_lines, show_size, show_time
from stream_rec.service.reporting.order_lines import order_line

__all__ = ["stats_lines"]

Json = Mapping[str, Any]
_MOST_PARTITIONS: Final = 8


def stats_lines(stats: Json) -> Iterator[str]:
    """Yield the lines: single figures, then tables of latency and of quality where there is something to show."""
    yield from show_lines((label, safe(value)) for label, value in _figures(stats))
    latency: Mapping[str, Mapping[str, float]] = stats.get("latency_ms") or {}
    if latency:
        names = list(dict.fromkeys(name for stage in latency.values() for name in stage))
        rows = [[stage, *(_number(found.get(name)) for name in names)] for stage, found in latency.items()]
        yield ""
        yield from in_columns([["ms, last minute", *names], *rows], right=range(1, 1 + len(names)))
    quality = list(_quality(stats))
    if quality:
        yield ""
        yield from in_columns(quality, right=range(2, len(quality[0])))


def _figures(stats: Json) -> Iterator[tuple[str, str]]:
    """Yield labels and values, in the words of the status file where it has the same figures."""
    yield "state", str(stats["state"])
    doing: Json | None = stats.get("doing")
    if doing is not None and doing["phase"] != "ready":
        yield "doing", str(doing["message"])
    uptime = show_duration(int(1000 * stats["uptime_s"]))
    yield "service", f"stream-rec {stats['version']}, process {stats['pid']}, up for {uptime}"
    counts: Mapping[str, int] = stats["counts"]
    rates: Mapping[str, float] = stats["rates"]
    yield "read", f"{counts['read']:,} records, {counts['applied']:,} applied, {counts['duplicates']:,} duplicates"
    answered = f"{counts['answers']:,} answers to events, {counts['asked']:,} to calls"
    yield "answered", f"{answered}, {counts['requests']:,} to requests" if counts["requests"] else answered
    yield (
        "rates",
        (
            f"{rates['events_per_s']:,.4g} events/s, {rates['answers_per_s']:,.4g} answers/s, "
            f"{rates['http_per_s']:,.4g} HTTP calls/s, over ten seconds"
        ),
    )
    dead: Mapping[str, int] = stats.get("dead_letters") or {}
    by_reason = ", ".join(f"{reason} {n:,}" for reason, n in sorted(dead.items(), key=lambda each: -each[1]))
    yield "dead-lettered", f"{sum(dead.values()):,}" + (f" ({by_reason})" if dead else "")
    if counts["forgets"]:
        yield "forgets", f"{counts['forgets']:,}, {counts['forgot_nothing']:,} of them erased no session"
    yield from _retained(stats.get("retained"))
    yield from _place(stats)
    catalogue: Mapping[str, int] | None = stats.get("catalogue")
    if catalogue is not None:
        yield "catalogue", f"{catalogue['items']:,} items, {catalogue['unavailable']:,} unavailable"
    for model in stats.get("models") or ():
        yield (
            "model",
            f"{model['name']}: " + ("a shadow" if model["shadow"] else f"{100 * model['share']:.4g} % of sessions"),
        )
    for order in stats.get("orders") or ():
        yield "order", order_line(order)


def _retained(retained: Json | None) -> Iterator[tuple[str, str]]:
    if retained is None:
        yield "retained", "nothing yet"
        return
    yield (
        "retained",
        (
            f"{retained['sessions']:,} sessions, {retained['events']:,} events, {retained['items']:,} items; "
            f"{retained['evicted']:,} sessions evicted"
        ),
    )
    horizon, newest = retained["horizon_ms"], retained["watermark"]
    if newest is not None:
        reaches = "" if horizon is None else f", and the oldest {show_duration(horizon)} before it"
        yield "newest event", f"{show_time(newest)}{reaches}"
    limit = retained["max_bytes"]
    yield "memory", show_size(retained["bytes"]) + ("" if limit is None else f" of {show_size(limit)}")


def _place(stats: Json) -> Iterator[tuple[str, str]]:
    """Yield where the service is in the log, and what is kept of it."""
    lag: Mapping[str, int] = stats.get("lag") or {}
    owned: list[str] = stats.get("owned") or []
    if lag or owned:
        more = f" and {len(owned) - _MOST_PARTITIONS:,} more" if len(owned) > _MOST_PARTITIONS else ""
        yield "answers for", ", ".join(owned[:_MOST_PARTITIONS]) + more if owned else "nothing"
        yield "lag", f"{sum(lag.values()):,} records"
    yield (
        "events by HTTP",
        "outlive the process" if stats["durable"] else "are lost with it (no topic, no --journal)",
    )
    snapshot: Json | None = stats.get("snapshot")
    if snapshot is not None:
        yield "snapshot", f"{snapshot['name']}, {show_duration(int(1000 * snapshot['age_s']))} ago"
    leap: Json | None = stats.get("largest_leap")
    if leap is not None:
        by = show_duration(leap["after_ms"] - leap["before_ms"])
        yield "watermark", f"{leap['record']} moved it by {by}, to {show_time(leap['after_ms'])}"


def _quality(stats: Json) -> Iterator[list[str]]:
    """Yield the rows of live quality: a model in a window, with half the width of its 95 % interval."""
    quality: Json = stats.get("quality") or {"n": 0, "windows": []}
    n = quality["n"]
    rows = [
        [
            show_duration(int(1000 * window["window_s"])),
            each["model"] + (" (shadow)" if each["shadow"] else ""),
            f"{each['scored']:,}",
            _interval(each, "hr"),
            _interval(each, "mrr"),
            _interval(each, "hr_novel"),
        ]
        for window in quality["windows"]
        for each in window["models"]
        if each["scored"]
    ]
    if rows:
        yield ["quality, last", "model", "scored answers", f"HR@{n}", f"MRR@{n}", f"HR@{n}, new items"]
        yield from rows


def _interval(figures: Json, name: str) -> str:
    value = figures[name]
    if value is None:
        return "-"
    return f"{value:.4f} +-{((figures[f'{name}_high'] or 0.0) - (figures[f'{name}_low'] or 0.0)) / 2:.4f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
