"""Readers of three public logs: MovieLens 100k, Serenade's toy log and UCI Online Retail.

Each takes the folder with the log's files as published, and returns all events in time order; equal times keep the
order of the file. Knows nothing of where the folders come from, or of the bundled sample.
"""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import IO, NamedTuple

from stream_rec.core.events import Event
from stream_rec.errors import StreamRecError

__all__ = [
    "Log",
    "Sale",
    "movielens_100k",
    "online_retail",
    "online_retail_sales",
    "serenade_toy",
    "why_no_sale",
]


@dataclass(frozen=True, slots=True)
class Log:
    """A log in memory."""

    name: str
    events: list[Event]
    titles: dict[str, str] = field(default_factory=dict)
    """Titles of items; empty if the log has none."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Lines that are not events, by reason."""


class Sale(NamedTuple):
    """A line of an invoice: one purchase."""

    invoice: str
    stock_code: str
    description: str
    sold_at: str
    """As in the file: `2010-12-01 08:26:00`."""


def movielens_100k(folder: Path) -> Log:
    """Return ratings as events: a user is a session, and a rating is an event."""
    events = [
        Event(session_id=user, item_id=item, timestamp=int(seconds) * 1000, type="rating")
        for user, item, _, seconds in _rows(folder / "u.data", "\t")
    ]
    titles = {row[0]: row[1] for row in _rows(folder / "u.item", "|", encoding="iso-8859-1")}
    return Log("ml-100k", _in_time_order(events), titles)


def serenade_toy(folder: Path, part: str = "train") -> Log:
    """Return one of the parts `train`, `valid`, `test`. The file has the newest sessions first."""
    path = folder / f"{part}.txt"
    path = path if path.exists() else folder / f"{part}.txt.gz"
    rows = _rows(path, "\t")
    next(rows)  # SessionId, ItemId, Time
    events = [
        Event(session_id=session, item_id=item, timestamp=round(float(seconds) * 1000))
        for session, item, seconds in rows
    ]
    return Log(f"serenade-toy {part}", _in_time_order(events))


def online_retail(folder: Path) -> Log:
    """Return sold lines as events: an invoice is a session, and its first line gives the time of all."""
    skipped: Counter[str] = Counter()
    titles: defaultdict[str, Counter[str]] = defaultdict(Counter)
    times: dict[str, int] = {}
    events = []
    for sale in online_retail_sales(folder, skipped):
        item_id = sale.stock_code
        titles[item_id][sale.description] += 1
        timestamp = times.setdefault(sale.invoice, _millis(sale.sold_at))
        events.append(Event(sale.invoice, item_id, timestamp, "purchase"))
    named = {item: most_frequent(counts) for item, counts in titles.items()}
    return Log("online-retail", _in_time_order(events), named, skipped)


def online_retail_sales(folder: Path, skipped: Counter[str]) -> Iterator[Sale]:
    """Yield the lines that sold an item, in the order of the file; count the others in *skipped*.

    `cancelled`: a credit note (`C...`). `no_item`: postage, fees and the like, without a number in the
    code, or without a description. `not_sold`: no quantity or no price: a correction of the stock.
    """
    rows = _rows(folder / "online_retail.csv.gz", ",")
    next(rows)
    for invoice, code, description, quantity, time, price, _, _ in rows:
        stock_code, title = code.strip().upper(), " ".join(description.split())
        reason = why_no_sale(invoice, stock_code, title, float(quantity), float(price))
        if reason is None:
            yield Sale(invoice, stock_code, title, time)
        else:
            skipped[reason] += 1


def why_no_sale(invoice: str, stock_code: str, title: str, quantity: float, price: float) -> str | None:
    """Return why a line of an invoice is not a sale, None if it is one; see `online_retail_sales`."""
    if invoice.startswith("C"):
        return "cancelled"
    if not title.strip() or sum(map(str.isdigit, stock_code)) < 2:  # noqa: PLR2004 - `C2` is carriage
        return "no_item"
    return "not_sold" if quantity <= 0 or price <= 0 else None


def most_frequent(counts: Counter[str]) -> str:
    """Return the text with the highest count; of equals the first by code points."""
    return min(counts, key=lambda text: (-counts[text], text))


def _in_time_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=attrgetter("timestamp"))


def _millis(time: str) -> int:
    """Return *time* in ms, as UTC: the log names no time zone, and only the order matters."""
    return int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()) * 1000


def _rows(path: Path, delimiter: str, encoding: str = "utf-8") -> Iterator[list[str]]:
    with _open(path, encoding) as lines:
        if delimiter == ",":
            yield from csv.reader(lines)
        else:  # quotes have no meaning there
            yield from csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)


def _open(path: Path, encoding: str) -> IO[str]:
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding=encoding, newline="")
        return path.open(encoding=encoding, newline="")
    except FileNotFoundError:
        raise StreamRecError(f"{path} does not exist: put the log's published files into this folder") from None
