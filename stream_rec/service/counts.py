"""What became of every record, counted so that it adds up (law 4), and the summary that says so."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from stream_rec.engine import Stats
from stream_rec.events import Answer

__all__ = ["SURELY_SECONDS", "Counts", "show_duration", "show_size", "show_time", "summary_lines"]

_KIB: Final = 1024
_LABEL_CHARS: Final = 15
# What a timestamp in seconds looks like when it is read as milliseconds: the spring of 1973 at the latest.
SURELY_SECONDS: Final = 100_000_000_000
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


class Counts(msgspec.Struct):
    """Counters of one run. `n_read` = `n_applied` + the sum of `dead` + `n_duplicates`.

    Of a broker's records, those that this process answers for are counted, and of the others only how many there were:
    so the counters of all replicas add up to what is in the log.
    """

    n_read: int = 0
    """Records of the event source, none left out."""

    n_applied: int = 0
    """Events that joined a session, and orders to forget."""

    n_forgets: int = 0
    """Of `n_applied`, the orders to forget."""

    n_duplicates: int = 0
    dead: Counter[str] = msgspec.field(default_factory=Counter)
    """Dead-lettered records of the event source by reason, duplicates apart."""

    n_answers: int = 0
    """Answers to events and to requests."""

    n_requests: int = 0
    """Records of the request source; each is answered or dead-lettered."""

    n_asked: int = 0
    """Requests that came otherwise than as records: over HTTP. Their answers are counted nowhere else."""

    dead_requests: Counter[str] = msgspec.field(default_factory=Counter)

    n_expired: int = 0
    """Of the requests, those that were too old to be answered with items."""

    n_followed: int = 0
    """Records that others answer for, or that a recovery passed again: applied in silence, counted nowhere else."""

    n_lost: int = 0
    """Records of either source that the topic's retention removed before they were read, while this process ran."""

    n_coalesced: int = 0
    """Of `n_applied`, the events that a newer one of their session was answered in place of."""

    sources: Counter[str] = msgspec.field(default_factory=Counter)
    """Answers, however they were asked for, by the source of their first item; `nothing` where there is none."""

    @property
    def n_dead_lettered(self) -> int:
        """Records of both sources that went to the dead letters."""
        return self.dead.total() + self.n_duplicates + self.dead_requests.total()

    def see_sources(self, answers: Sequence[Answer]) -> None:
        """Count *answers* in `sources`. A tenth of a microsecond for each."""
        self.sources.update([answer.items[0].source if answer.items else "nothing" for answer in answers])

    def check(self) -> None:
        """Raise AssertionError if a record was lost on the way: a bug of ours, whoever's data it is."""
        accounted = self.n_applied + self.dead.total() + self.n_duplicates
        if self.n_read != accounted:
            raise AssertionError(f"{self.n_read} records read, but {accounted} accounted for: please report it")


def summary_lines(
    counts: Counts, stats: Stats, seconds: float, *, quality: Sequence[str] = (), interrupted: bool = False
) -> list[str]:
    """The end of a run in a few lines, for people. Figures are plain, names come first: easy to grep."""
    forgets = f", {counts.n_forgets:,} forgets among them" if counts.n_forgets else ""
    dead = f"{counts.dead.total():,}{_by_reason(counts.dead)}"
    lines = [
        ("read", f"{counts.n_read:,} records" + (" (stopped before the end)" if interrupted else "")),
        ("applied", f"{counts.n_applied:,}{forgets}"),
        ("dead-lettered", dead),
        ("duplicates", f"{counts.n_duplicates:,}"),
        ("answers", f"{counts.n_answers:,}"),
    ]
    if counts.n_requests:
        refused = f"{counts.dead_requests.total():,} dead-lettered{_by_reason(counts.dead_requests)}"
        expired = f", {counts.n_expired:,} expired" if counts.n_expired else ""
        lines.append(("requests", f"{counts.n_requests:,} read, {refused}{expired}"))
    if counts.n_followed:
        lines.append(("followed", f"{counts.n_followed:,} records, answered by others or before"))
    if counts.n_lost:
        lines.append(("lost", f"{counts.n_lost:,} records, removed by the topic's retention before they were read"))
    lines += [("quality", told) for told in quality]
    kept = f"{stats.n_sessions:,} sessions, {stats.n_events:,} events, {stats.n_items:,} items"
    lines += [
        ("retained", f"{kept}; {stats.n_evicted:,} sessions evicted"),
        ("memory", f"{show_size(stats.n_bytes)} by the store's prices"),
        ("watermark", "none" if stats.watermark is None else show_time(stats.watermark)),
        ("horizon", "none" if stats.horizon_ms is None else show_duration(stats.horizon_ms)),
        ("took", _rates(counts, seconds)),
        *(("hint", hint) for hint in _hints(counts, stats)),
    ]
    return [f"{name:<{_LABEL_CHARS}}{value}" for name, value in lines]


def _hints(counts: Counts, stats: Stats) -> Iterator[str]:
    """What a person should know who would take this for a run that went well."""
    if 2 * counts.dead.total() > counts.n_read:
        yield "most records were refused: `stream-rec check` with the same settings says why, and what would help"
    if stats.watermark is not None and 0 < stats.watermark < SURELY_SECONDS:
        yield f"the newest event is of {show_time(stats.watermark)[:4]}: times in seconds need --timestamp-unit s"


def show_time(millis: int) -> str:
    """*millis* since 1970 as ISO 8601 in UTC."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show_duration(millis: int) -> str:
    """*millis* in its two largest units: `3d 4h`."""
    for i, (unit, length) in enumerate(_UNITS[:-1]):
        if millis >= length:
            smaller_unit, smaller = _UNITS[i + 1]
            rest = millis % length // smaller
            return f"{millis // length}{unit}" + (f" {rest}{smaller_unit}" if rest else "")
    return f"{millis}ms"


def show_size(n_bytes: int) -> str:
    """*n_bytes* with three digits or so."""
    size = float(n_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < _KIB:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= _KIB
    return f"{size:.2f} GiB"


def _by_reason(dead: Counter[str]) -> str:
    told = ", ".join(f"{reason} {n:,}" for reason, n in sorted(dead.items()))
    return f" ({told})" if told else ""


def _rates(counts: Counts, seconds: float) -> str:
    if seconds <= 0:
        return "no time"
    answered = f", {counts.n_answers / seconds:,.0f} answers/s" if counts.n_answers else ""
    return f"{seconds:.1f} s: {counts.n_read / seconds:,.0f} records/s{answered}"
