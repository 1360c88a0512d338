"""The page on sizes: its table is of the present figures and prices."""

import figures
import pytest
import sizing


def test_the_page_has_the_table() -> None:
    """`make docs` was run since the results, the prices or the code behind them changed."""
    page = sizing.PAGE.read_text(encoding="utf-8")
    assert page == figures.filled(page, sizing.table(sizing.rates()), sizing.MARKS), "run `make docs`"


def test_memory_is_counted_in_the_prices_of_the_store() -> None:
    """As docs/how-to/memory.md counts a million sessions of five events over 100,000 items: 690 MB and the ids."""
    stream = sizing.Stream(1_000_000, 5, events_a_session=5, items=100_000, id_bytes=0)
    assert 686e6 < sizing.index_bytes(stream) < 690e6


def test_a_stream_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each need; a peak of one and a half times half the rate takes two processes."""
    rates = sizing.Rates(answers=1000, replayed=10_000, snapshot_bytes=20, loaded=100_000, mark="")
    row = dict(zip(sizing.HEAD, sizing.cells(sizing.Stream(16_200_000, 1), rates), strict=True))
    assert ("750/s", "2", "75%") == (
        row["at the peak"],
        row["processes to answer"],
        row["of one's rate"],
    )
    assert ("3 min", "27 min") == (row["start, from a snapshot"], row["start, from the topic"])
    assert 0 == sizing.main(["--events-a-day", "100000", "--retention-days", "7", "--id-bytes", "36"])
    assert "events a day            100,000\nretention               7 d\n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        sizing.main([])
    assert "--events-a-day" in capsys.readouterr().err
