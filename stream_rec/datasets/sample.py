"""The bundled sample: a year of a gift shop's invoices, with product names.

UCI Online Retail (Chen, D., 2015, CC BY 4.0); ONLINE_RETAIL_SAMPLE.md beside this file has the attribution and the
changes. `tools/make_sample.py` writes the files read here.
"""

import gzip
from datetime import UTC, datetime
from importlib.resources import files

from stream_rec.core.events import Event

__all__ = ["ATTRIBUTION", "EVENTS_FILE", "TITLES_FILE", "load_sample"]

EVENTS_FILE = "online_retail_sample.tsv.gz"
"""A line for each invoice, in time order: invoice, time in UTC, its stock codes in order."""
TITLES_FILE = "online_retail_titles.tsv.gz"
"""A line for each item: stock code, title."""
ATTRIBUTION = "Chen, D. (2015), Online Retail, UCI Machine Learning Repository, CC BY 4.0"


def load_sample(longest: int | None = None) -> tuple[list[Event], dict[str, str]]:
    """Return all events in time order, and the title of each item. Takes a fraction of a second, and 60 MB.

    With *longest*, longer invoices are left out: some retailers order hundreds of items at once.
    """
    titles = dict(line.split("\t") for line in _lines(TITLES_FILE))
    # One string object for each item, however often it was sold.
    item_ids = {item_id: item_id for item_id in titles}
    events: list[Event] = []
    for line in _lines(EVENTS_FILE):
        invoice, time, joined = line.split("\t")
        stock_codes = joined.split(" ")
        if longest is not None and len(stock_codes) > longest:
            continue
        timestamp = int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()) * 1000
        events.extend(Event(invoice, item_ids[code], timestamp, "purchase") for code in stock_codes)
    return events, titles


def _lines(name: str) -> list[str]:
    packed = files("stream_rec.datasets").joinpath(name).read_bytes()
    return gzip.decompress(packed).decode("utf-8").splitlines()
