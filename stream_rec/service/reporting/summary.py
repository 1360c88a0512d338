"""The lines at the end of a run: what was read, what became of it, and hints if something looks wrong."""

from collections import Counter
from collections.abc import Iterator, Sequence

from stream_rec.core.engine import LearnedOrder, Stats
from stream_rec.core.events import SURELY_SECONDS, Reason
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.format import show_duration, show_lines, show_size, show_time
from stream_rec.service.metrics.leap import Leap
from stream_rec.service.reporting.list_names import UnknownNames, unknown_name_lines
from stream_rec.service.reporting.order_lines import order_line

__all__ = ["summary_lines"]


def summary_lines(
    counts: Counters,
    stats: Stats,
    seconds: float,
    *,
    quality: Sequence[str] = (),
    orders: Sequence[LearnedOrder] = (),
    unknown: UnknownNames | None = None,
    leap: Leap | None = None,
    interrupted: bool = False,
) -> list[str]:
    """Return the summary of a run as lines of text. Each starts with its label, so that it is easy to grep."""
    forgets = f", {counts.n_forgets:,} forgets among them" if counts.n_forgets else ""
    if counts.n_forgot_nothing:
        forgets += f" ({counts.n_forgot_nothing:,} erased no session)"
    dead = f"{counts.dead.total():,}{_by_reason(counts.dead)}"
    lines = [
        ("read", f"{counts.n_read:,} records" + (" (stopped before the end)" if interrupted else "")),
        ("applied", f"{counts.n_applied:,}{forgets}"),
        ("dead-lettered", dead),
        *([("shown", f"{counts.n_shown:,} events of what was shown")] if counts.n_shown else []),
        ("duplicates", f"{counts.n_duplicates:,}"),
        ("answers", f"{counts.n_answers:,}"),
    ]
    if counts.n_requests:
        rejected = f"{counts.dead_requests.total():,} dead-lettered{_by_reason(counts.dead_requests)}"
        expired = f", {counts.n_expired:,} expired" if counts.n_expired else ""
        lines.append(("requests", f"{counts.n_requests:,} read, {rejected}{expired}"))
    if counts.n_followed:
        lines.append(("followed", f"{counts.n_followed:,} records, answered by others or before"))
    if counts.n_lost:
        lines.append(("lost", f"{counts.n_lost:,} records, removed by the topic's retention before they were read"))
    lines += [("quality", line) for line in quality]
    lines += [("order", order_line(each)) for each in orders]
    retained = f"{stats.n_sessions:,} sessions, {stats.n_events:,} events, {stats.n_items:,} items"
    lines += [
        ("retained", f"{retained}; {stats.n_evicted:,} sessions evicted"),
        ("memory", f"{show_size(stats.n_bytes)}, estimated"),
        ("watermark", "none" if stats.watermark is None else show_time(stats.watermark)),
        ("horizon", "none" if stats.horizon_ms is None else show_duration(stats.horizon_ms)),
        ("took", _rates(counts, seconds)),
        *(("hint", hint) for hint in (*_hints(counts, stats, leap), *unknown_name_lines(unknown or {}))),
    ]
    return show_lines(lines)


def _hints(counts: Counters, stats: Stats, leap: Leap | None) -> Iterator[str]:
    """Yield hints at mistakes that a run does not fail for."""
    if leap is not None and counts.dead[Reason.LATE]:
        yield f"events were late after the watermark leapt: {leap}; was its clock right?"
    if 2 * counts.dead.total() > counts.n_read:
        yield "most records were refused: `stream-rec check` with the same settings shows why, and what would help"
    if stats.watermark is not None and 0 < stats.watermark < SURELY_SECONDS:
        yield f"the newest event is of {show_time(stats.watermark)[:4]}: times in seconds need --timestamp-unit s"
    if counts.n_forgets and counts.n_forgot_nothing == counts.n_forgets:
        yield "no order to forget erased a session: do they name sessions as the events do?"


def _by_reason(dead: Counter[str]) -> str:
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(dead.items()))
    return f" ({reasons})" if reasons else ""


def _rates(counts: Counters, seconds: float) -> str:
    if seconds <= 0:
        return "no time"
    answered = f", {counts.n_answers / seconds:,.0f} answers/s" if counts.n_answers else ""
    return f"{seconds:.1f} s: {counts.n_read / seconds:,.0f} records/s{answered}"
