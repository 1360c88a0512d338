"""A learned order as text: on the command line the same words as in the status file, and sums that add up."""

import re

import msgspec
import pytest
from fake_orders import BOUNDARY, FEATURES, in_order, order, unlearned

from stream_rec.cli.remote.answers import answer_lines
from stream_rec.cli.remote.stats_text import stats_lines
from stream_rec.cli.remote.weights_text import weights_lines
from stream_rec.core.engine import LearnedOrder
from stream_rec.service.reporting.order_lines import order_line

STATS = {
    "state": "ready", "version": "0", "pid": 1, "uptime_s": 1.0, "durable": True,
    "counts": dict.fromkeys(("read", "applied", "duplicates", "answers", "asked", "requests", "forgets"), 0),
    "rates": dict.fromkeys(("events_per_s", "answers_per_s", "http_per_s"), 0.0),
}  # fmt: skip
NEIGHBOURS = {
    "kind": "neighbours", "total": 8.0, "idf": 1.0, "parts": [],
    "neighbours": [{"session_id": "s1", "age_ms": 60_000, "shared": [{"item_id": "a"}], "distance": 1, "share": 8.0}],
}  # fmt: skip


@pytest.mark.parametrize("found", [order(), unlearned(), order(playing=None, phase="newer", done=0.4)])
def test_one_wording(found: dict[str, object]) -> None:
    """`stats` says of an order what the log and the status file say; a service of another version may say less."""
    line = order_line(msgspec.convert(found, LearnedOrder))
    assert f"{'order':15}{line}" in list(stats_lines({**STATS, "orders": [found]}))
    assert re.match(r"default: (hidden weights|its own order)[;,]", line)
    assert (
        order_line({"model": "b", "unheard": 1})
        == "b: its own order, as nothing is learned yet; learns after 0 more events"
    )


def test_weights_of_each_model() -> None:
    """What is played and since when, each form beside the model's own, and bars of what matters."""
    text = "\n".join(weights_lines([order(), unlearned(model="b\x1b[2J", phase="older", done=0.25)]))
    first, _, second = text.partition("\n\nmodel ")
    assert "played         hidden weights of 2011-12-04T12:00:00.000Z" in first
    assert "next           learns again after 4,321 more events" in first
    assert re.search(r"^its own +0\.2000$", first, re.MULTILINE)
    assert re.search(r"^linear +0\.2200 +\+0\.0200 \(\+10\.0%\)$", first, re.MULTILINE)
    assert re.search(r"^hidden +0\.2500 +\+0\.0500 \(\+25\.0%\) +played$", first, re.MULTILINE)
    bars = re.findall(r"^(.+?)  +[\d.]+  (#+)$", first, re.MULTILINE)
    assert [(meaning, True) for _, meaning in FEATURES[:-1]] == [(name, 0 < len(bar) <= 24) for name, bar in bars]
    assert (24, 12) == (len(bars[0][1]), len(bars[1][1]))
    assert "b\\x1b[2J" in second
    assert "its own order, as nothing is learned yet" in second
    assert "learning, 25% of the questions put" in second
    assert ["no model of this service learns an order: start it with --rerank auto"] == list(weights_lines([]))


def test_a_learned_score_is_explained_whole() -> None:
    """The lines add up to the score; below them stands what made the item a candidate, with shares of its own."""
    items = [{"item_id": "a", "score": 8.0, "source": "neighbours", "why": NEIGHBOURS}]
    answer = in_order({"items": items, "as_of": BOUNDARY, "model": "default"}, f"hidden@{BOUNDARY}")
    _, row, *lines, last = answer_lines(answer)
    end = next(at for at, line in enumerate(lines) if "a candidate" in line)
    assert lines[0].split() == ["-2.40", "the", "typical", "candidate"]
    assert sum(float(line.split()[0]) for line in lines[:end]) == pytest.approx(answer["items"][0]["score"], abs=0.03)
    assert "5 more features" in lines[end - 2]
    assert "+0.41 a boost of 1.5" in lines[end - 1]
    assert lines[end].endswith("as the model's own score is 8:")
    assert lines[end + 1 :] == ["     100 % s1, 1m old: a 1 place after a"]
    assert row.startswith("1  a")
    assert "in the order of hidden weights of 2011-12-04T12:00:00.000Z;" in last
