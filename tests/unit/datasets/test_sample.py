"""The bundled sample: small, attributed, whole, and made by the committed script."""

import gzip
import zlib
from collections import Counter
from importlib.resources import files
from operator import attrgetter
from pathlib import Path

import pytest
from make_sample import packed, texts

from stream_rec.datasets.logs import online_retail
from stream_rec.datasets.sample import ATTRIBUTION, EVENTS_FILE, TITLES_FILE, load_sample

NAMES = (EVENTS_FILE, TITLES_FILE)
MADE_WITH_ZLIB = "1.2.13"
FOLDER = files("stream_rec.datasets")


def test_the_sample_is_small() -> None:
    """Two megabytes are the most that a package may carry for a demo."""
    assert sum(len(FOLDER.joinpath(name).read_bytes()) for name in NAMES) <= 2_000_000


def test_the_attribution_is_in_the_package() -> None:
    """Who made the data, its licence, and what was changed, stands beside it."""
    note = FOLDER.joinpath("ONLINE_RETAIL_SAMPLE.md").read_text(encoding="utf-8")
    assert ATTRIBUTION in note
    for words in ("creativecommons.org/licenses/by/4.0", "What we changed", *NAMES):
        assert words in note


def test_the_sample_loads() -> None:
    """A year of baskets, in time order, each item with a name that is not its code."""
    events, titles = load_sample()
    assert (527_765, 19_773, 3801) == (
        len(events),
        len({event.session_id for event in events}),
        len(titles),
    )
    assert sorted(events, key=attrgetter("timestamp")) == events
    assert {event.item_id for event in events} == set(titles)
    assert not [code for code, title in titles.items() if not title or title == code]
    assert titles[events[0].item_id] == "WHITE HANGING HEART T-LIGHT HOLDER"


def test_long_invoices_can_be_left_out() -> None:
    """What is left are the baskets of people, whole."""
    events, titles = load_sample(longest=50)
    lengths = Counter(event.session_id for event in events)
    assert (275_915, 17_528) == (len(events), len(lengths))
    assert max(lengths.values()) == 50
    assert {event.item_id for event in events} <= set(titles)


def test_the_files_carry_no_time() -> None:
    """The header's time is zero and names no file, so that the same log gives the same bytes."""
    for name in NAMES:
        header = FOLDER.joinpath(name).read_bytes()[:8]
        assert (b"\x1f\x8b\x08\x00", b"\0\0\0\0") == (header[:4], header[4:])


@pytest.mark.slow
def test_the_sample_is_the_log(data: Path) -> None:
    """The sample is all that the reader takes of the published log."""
    log = online_retail(data / "online-retail")
    assert (log.events, log.titles) == load_sample()


@pytest.mark.slow
def test_the_script_writes_the_sample(data: Path) -> None:
    """Run again, it writes the same text, and packs it to the same bytes.

    Held to the bundled bytes only where zlib is the one they were made with: others pack otherwise.
    """
    for name, text in texts(data / "online-retail").items():
        bundled = FOLDER.joinpath(name).read_bytes()
        assert text.encode() == gzip.decompress(bundled)
        assert packed(text) == packed(text)
        if zlib.ZLIB_RUNTIME_VERSION == MADE_WITH_ZLIB:
            assert bundled == packed(text)
