"""Readers of public logs: what they take, what they skip, and the order they give."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from stream_rec.core.events import Event
from stream_rec.datasets.logs import most_frequent, movielens_100k, online_retail, serenade_toy
from stream_rec.errors import StreamRecError

RETAIL = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE  HANGING HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,71053,"LANTERN, WHITE",6,2010-12-01 08:27:00,3.39,17850.0,United Kingdom
C536379,71053,"LANTERN, WHITE",-1,2010-12-01 09:41:00,3.39,14527.0,United Kingdom
536366,post,POSTAGE,1,2010-12-01 08:26:00,18.0,12583.0,France
536366,C2,CARRIAGE,1,2010-12-01 08:26:00,50.0,12583.0,France
536367,21777,,-10,2010-12-01 08:28:00,0.0,,United Kingdom
536368,22423,damages,-13,2010-12-01 08:28:00,0.0,,United Kingdom
536369,22423,found,5,2010-12-01 08:28:00,0.0,,United Kingdom
536370,85123a,WHITE HANGING HEART,1,2010-12-01 08:26:00,2.55,,United Kingdom
"""


def retail(folder: Path) -> Path:
    (folder / "online_retail.csv.gz").write_bytes(gzip.compress(RETAIL.encode()))
    return folder


def test_online_retail_reads_sales(tmp_path: Path) -> None:
    """An invoice has one time, stock codes are in upper case, and lines keep their order."""
    start = 1_291_191_960_000  # 2010-12-01 08:26 UTC
    assert [
        Event("536365", "85123A", start, "purchase"),
        Event("536365", "71053", start, "purchase"),
        Event("536370", "85123A", start, "purchase"),
    ] == online_retail(retail(tmp_path)).events


def test_online_retail_counts_skipped_lines(tmp_path: Path) -> None:
    """Every line is an event or is counted under a reason."""
    log = online_retail(retail(tmp_path))
    assert Counter(cancelled=1, no_item=3, not_sold=2) == log.skipped
    assert RETAIL.count("\n") - 1 == len(log.events) + log.skipped.total()


def test_online_retail_titles(tmp_path: Path) -> None:
    """An item is called what its lines call it, spaces made one."""
    titles = online_retail(retail(tmp_path)).titles
    assert {"85123A": "WHITE HANGING HEART", "71053": "LANTERN, WHITE"} == titles


def test_most_frequent_has_no_ties() -> None:
    """Of texts counted alike, the first by code points, however they came."""
    assert most_frequent(Counter(["b", "a", "c"])) == "a"
    assert most_frequent(Counter(["b", "a", "b"])) == "b"


def test_movielens(tmp_path: Path) -> None:
    """A user is a session; ratings come in time order; a quote in a title is a character."""
    (tmp_path / "u.data").write_text("7\t11\t3\t880000001\n8\t12\t5\t880000000\n")
    (tmp_path / "u.item").write_bytes('11|The "Café"|x\n12|Elsewhere|x\n'.encode("latin-1"))
    log = movielens_100k(tmp_path)
    assert [
        Event("8", "12", 880000000000, "rating"),
        Event("7", "11", 880000001000, "rating"),
    ] == log.events
    assert {"11": 'The "Café"', "12": "Elsewhere"} == log.titles


def test_serenade_toy(tmp_path: Path) -> None:
    """Plain or gz; sessions that stand newest first come in time order."""
    text = "SessionId\tItemId\tTime\n3\t21\t1590000030.0\n3\t22\t1590000000.0\n"
    (tmp_path / "test.txt").write_text(text)
    (tmp_path / "train.txt.gz").write_bytes(gzip.compress(text.encode()))
    expected = [Event("3", "22", 1590000000000), Event("3", "21", 1590000030000)]
    assert expected == serenade_toy(tmp_path, "test").events
    assert expected == serenade_toy(tmp_path).events


def test_a_missing_log_says_which_file(tmp_path: Path) -> None:
    """The error names the file and what to do."""
    with pytest.raises(StreamRecError, match=r"u\.data does not exist: put"):
        movielens_100k(tmp_path)


def test_the_published_logs(data: Path) -> None:
    """The real logs have the sizes they are known by."""
    movies = movielens_100k(data / "ml-100k")
    assert (100_000, 943, 1682) == (
        len(movies.events),
        len({event.session_id for event in movies.events}),
        len({event.item_id for event in movies.events}),
    )
    train, test = (serenade_toy(data / "serenade-toy", part) for part in ("train", "test"))
    assert (113_601, 1233) == (len(train.events), len(test.events))
    assert (23_753, 302) == tuple(len({event.session_id for event in log.events}) for log in (train, test))
    assert len(test.events) - 302 == 931
