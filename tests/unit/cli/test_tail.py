"""`tail`: the last answers of a topic, then those that come; committed ones only."""

import json
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest

from stream_rec.cli.main import main
from stream_rec.transport.broker import ProducerRecord
from stream_rec.transport.memory.broker import MemoryBroker

RECS = "kafka://broker:9092/recs"


def answer(number: int, session: str = "ann") -> bytes:
    """An answer as the service writes it, with three items."""
    items = [{"item_id": f"i{number}-{place}", "score": 1.0, "source": "neighbours"} for place in range(3)]
    return json.dumps({"session_id": session, "request_id": None, "items": items, "model": "default"}).encode()


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    """Two partitions with twenty answers each, one a millisecond, and an aborted one; the command connects to it."""
    made = MemoryBroker({"recs": 2})
    for number in range(40):
        made.produce("recs", answer(number), partition=number % 2, timestamp_ms=number)
    writer = made.writer("one")
    writer.begin()
    writer.send([ProducerRecord("recs", answer(99), b"k")])
    writer.abort()
    monkeypatch.setattr("stream_rec.transport.kafka.open_broker", lambda *_, **__: made)
    return made


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    assert 0 == main(["tail", *argv])
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("broker")
def test_the_last_answers_in_order_of_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of all partitions together, the newest last, each with its first items."""
    lines = shown(capsys, RECS, "--no-follow", "--last", "3", "-n", "2")
    assert "1970-01-01T00:00:00.039Z  ann  default  i39-0, i39-1 and 1 more" == lines[-1]
    assert ["i37", "i38", "i39"] == [line.split()[3].partition("-")[0] for line in lines]
    assert [answer(39).decode()] == shown(capsys, RECS, "--no-follow", "--last", "1", "--json")
    assert [] == shown(capsys, RECS, "--no-follow", "--last", "0")


def test_what_comes_is_followed(
    broker: MemoryBroker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for one session only; what is no answer is shown as it is, with a note that names it."""
    turns = count()

    class Interrupt(nullcontext[Any]):
        """Asked at the fourth turn; at the first, records come."""

        @property
        def asked(self) -> bool:
            turn = next(turns)
            if turn == 1:
                broker.produce("recs", answer(40, "ben"), partition=0)
                broker.produce("recs", answer(41), partition=1)
                broker.produce("recs", b"what?", partition=1)
            return turn > 3

        def __enter__(self) -> Self:
            return self

    with monkeypatch.context() as patch:
        patch.setattr("stream_rec.service.running.signals.Interrupt", Interrupt)
        assert 0 == main(["tail", RECS, "--last", "0"])
    out, err = capsys.readouterr()
    assert ["i40-0,", "i41-0,", "what?"] == [(line.split()[3:] or [line])[0] for line in out.splitlines()]
    assert err.startswith("note: recs-1:22 is not an answer of stream-rec: ")
    assert ["ben"] == [line.split()[1] for line in shown(capsys, RECS, "--no-follow", "--for", "ben")]


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A service's own file."""
    path = tmp_path / "service.toml"
    path.write_text(f'events = "kafka://broker:9092/clicks"\nrecommendations = "{RECS}"\ndelivery = "exactly-once"\n')
    return str(path)


@pytest.mark.usefixtures("broker")
def test_the_topic_comes_from_the_settings(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the service's file, or the variable, where no other setting need be given; a topic must be."""
    assert 10 == len(shown(capsys, "--config", config, "--no-follow"))
    monkeypatch.setenv("STREAM_REC_RECOMMENDATIONS", RECS)
    assert 10 == len(shown(capsys, "--no-follow"))
    monkeypatch.delenv("STREAM_REC_RECOMMENDATIONS")
    for argv, message in {
        (): "recommendations: no topic is given: name it",
        ("recs.jsonl",): "'recs.jsonl' is no topic: a file of answers is followed by `tail -f`",
        ("kafka://broker:9092/other",): "recommendations: there is no topic 'other' at this broker: look at its name",
        (RECS, "--recommendations", RECS): "the topic is given twice",
    }.items():
        assert 2 == main(["tail", *argv])
        assert message in capsys.readouterr().err
