"""How much memory, how many cores and replicas a stream needs, from measured figures: a line, or the table of the page.

python tools/sizing.py --events-a-day 3000000 --retention-days 30
python tools/sizing.py --write      the table of docs/how-to/sizing.md, which `make docs` updates

Memory is counted in the prices of `max_bytes`; rates and times are those of benchmarks/results. Figures of older code
have the mark that they have everywhere (see `figures.py`).
"""

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import figures

from stream_rec.core.index.arrays import EVENT_COST, ITEM_COST, SESSION_COST, STORE_COST

PAGE: Final = Path(__file__).parents[1] / "docs" / "how-to" / "sizing.md"
MARKS: Final = ("<!-- sizes:begin -->", "<!-- sizes:end -->")
PEAK: Final = 4
"""The busiest second of a day, as a multiple of the mean."""
BUSY: Final = 0.5
"""How much of its rate a replica should be asked for at the peak: the rest is for a take-over and for growth."""
INDEX_SHARE: Final = 0.6
"""How much of a process's memory `max_bytes` should be (docs/how-to/operating.md)."""
RUNTIME: Final = 200 << 20
"""Python, libraries and compiled kernels (docs/how-to/operating.md)."""
STREAMS: Final = (
    (100_000, 30),
    (1_000_000, 30),
    (10_000_000, 7),
    (10_000_000, 30),
    (50_000_000, 7),
    (100_000_000, 7),
    (300_000_000, 1),
)
"""Events a day and days of retention, for the table."""
SNAPSHOT_EVENTS: Final = 5_000_000
"""In the snapshot that was measured."""


@dataclass(frozen=True)
class Stream:
    """A stream of clicks."""

    events_a_day: int
    retention_days: float
    events_a_session: float = 5
    items: int = 100_000
    id_bytes: int = 16

    @property
    def retained(self) -> float:
        """Events within the retention."""
        return self.events_a_day * self.retention_days


@dataclass(frozen=True)
class Rates:
    """What one process does, as measured."""

    answers: float
    """A second, each event learned and answered, exactly once, confluent-kafka."""
    replayed: float
    """Events a second, without answers."""
    snapshot_bytes: float
    """An event."""
    loaded: float
    """Events a second, from a snapshot."""
    mark: str
    """Of figures whose code has changed since."""


def rates() -> Rates:
    """Read them from benchmarks/results."""
    results = figures.marked(figures.read_results(figures.RESULTS))
    found = {(name, str(each["what"])): each for name, result in results for each in result["figures"]}
    wanted: list[Mapping[str, Any]] = [
        found["kafka", "the service, confluent, exactly-once"],
        found["kafka", "replay from the topic, confluent"],
        found["snapshot", "size of the file, a retained event"],
        found["snapshot", "recovery in all"],
    ]
    answers, replayed, size, seconds = (float(each["value"]) for each in wanted)
    mark = figures.MARK if any(each["stale"] for each in wanted) else ""
    return Rates(answers, replayed, size, SNAPSHOT_EVENTS / seconds, mark)


def index_bytes(stream: Stream) -> float:
    """Return what `max_bytes` must allow for the whole retention."""
    sessions = stream.retained / stream.events_a_session
    named = sessions * (SESSION_COST + stream.id_bytes) + stream.items * (ITEM_COST + stream.id_bytes)
    return STORE_COST + named + stream.retained * EVENT_COST


def cells(stream: Stream, measured: Rates) -> list[str]:
    """Return a row: the stream, and what it needs."""
    peak = stream.events_a_day / 86_400 * PEAK
    index = index_bytes(stream)
    return [
        f"{stream.events_a_day:,}",
        f"{stream.retention_days:g} d",
        f"{peak:,.0f}/s",
        _size(index),
        _size(index / INDEX_SHARE + RUNTIME),
        str(max(1, math.ceil(peak / (BUSY * measured.answers)))),
        _share(peak / measured.answers),
        _time(stream.retained / measured.loaded),
        _time(stream.retained / measured.replayed),
        _size(stream.retained * measured.snapshot_bytes),
    ]


HEAD: Final = (
    *("events a day", "retention", "at the peak", "`--max-bytes`", "memory of a process"),
    *("processes to answer", "of one's rate", "start, from a snapshot", "start, from the topic", "a snapshot"),
)


def table(measured: Rates) -> str:
    """Return the table of the page."""
    head = [*HEAD[:5], *(name + measured.mark for name in HEAD[5:])]
    rows = [head, ["--:"] * len(head), *(cells(Stream(events, days), measured) for events, days in STREAMS)]
    legend = ["", figures.STALE] if measured.mark else []
    return "\n".join([*("| " + " | ".join(row) + " |" for row in rows), *legend, ""])


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:,.0f} MiB"


def _share(of_one: float) -> str:
    return f"{of_one:.0%}" if of_one >= 0.01 else "< 1%"


def _time(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{max(seconds, 1):,.0f} s"


def main(argv: list[str] | None = None) -> int:
    """Print the needs of one stream, or write the page."""
    parser = argparse.ArgumentParser(description="How much memory, how many processes: from measured figures.")
    parser.add_argument("--events-a-day", type=int)
    parser.add_argument("--retention-days", type=float, default=30)
    parser.add_argument("--events-a-session", type=float, default=Stream.events_a_session)
    parser.add_argument("--items", type=int, default=Stream.items)
    parser.add_argument("--id-bytes", type=int, default=Stream.id_bytes)
    parser.add_argument("--write", action="store_true", help="write the table of docs/how-to/sizing.md")
    given = parser.parse_args(argv)
    measured = rates()
    if given.write:
        PAGE.write_text(figures.filled(PAGE.read_text(encoding="utf-8"), table(measured), MARKS), encoding="utf-8")
        return 0
    if given.events_a_day is None or given.events_a_day <= 0 or given.events_a_session <= 0:
        parser.error("say --events-a-day, with more than 0 of them")
    asked = Stream(
        given.events_a_day, given.retention_days, given.events_a_session, items=given.items, id_bytes=given.id_bytes
    )
    for name, cell in zip(HEAD, cells(asked, measured), strict=True):
        print(f"{name.replace('`', ''):<24}{cell}")
    if measured.mark:
        print(figures.STALE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
