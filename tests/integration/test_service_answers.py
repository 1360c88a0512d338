"""The service on a real broker, in this process: the answer to each record."""

import json
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka_broker import Broker
from serving import serving
from shop import CLIENTS, LOG, Shop, keyed, one_by_one, pairs
from topics import SECONDS, Sent, committed_offsets, delete_before, eventually, is_all_committed, produce

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, Request, encode_answer


@pytest.fixture
def shop(broker: Broker) -> Shop:
    return Shop(broker)


@CLIENTS
def test_answers_are_those_of_the_engine_asked_by_hand(shop: Shop, client: str) -> None:
    """Both clients write one answer for each event, byte for byte, in the log's order, keyed by its session."""
    shop.produce(*keyed(LOG))
    shop.serve(kafka_client=client)
    assert one_by_one(LOG, shop.clicks, Engine()) == pairs(shop.answers())


@CLIENTS
def test_a_dead_letter_is_the_record_and_why(shop: Shop, client: str) -> None:
    """A dead letter has the original bytes, key and headers, and our headers with the reason and the place."""
    broken = Sent(b"\xff\x00 no JSON", b"k\xff", (("trace", b"7"), ("trace", b"8")))
    shop.produce(*keyed(LOG[:2]), broken, Sent(b"{}"), *keyed(LOG[2:3]))
    shop.serve(kafka_client=client)
    first, second = shop.letters()
    assert (broken.value, broken.key) == (first.value, first.key)
    assert (b"{}", None) == (second.value, second.key)
    ours = {name: value for name, value in first.headers.items() if name != "trace"}
    assert b"8" == first.headers["trace"]
    assert ours.pop("stream-rec.message")
    assert {
        "stream-rec.reason": b"not_utf8",
        "stream-rec.topic": shop.clicks.encode(),
        "stream-rec.partition": b"0",
        "stream-rec.offset": b"2",
    } == ours
    assert b"missing_field" == second.headers["stream-rec.reason"]
    assert 3 == len(shop.answers())


def test_what_is_forgotten_is_in_no_later_answer(shop: Shop) -> None:
    """Tombstones and forget orders are committed without an answer, and an engine asked by hand agrees."""
    shop.produce(*keyed(LOG), Sent(None, LOG[0].session_id.encode()))
    shop.produce(Sent(b'{"type":"forget","session_id":"%s"}' % LOG[-1].session_id.encode()))
    more = [msgspec.structs.replace(event, timestamp=LOG[-1].timestamp + 1) for event in LOG[:10]]
    shop.produce(*keyed(more))
    shop.serve()
    engine = Engine()
    expected = one_by_one(LOG, shop.clicks, engine)
    engine.forget(session_id=LOG[0].session_id)
    engine.forget(session_id=LOG[-1].session_id)
    expected += one_by_one(more, shop.clicks, engine, len(LOG) + 2)
    assert expected == pairs(shop.answers())
    assert [] == shop.letters()


class TestRequests:
    """A topic of requests beside the events."""

    @pytest.fixture
    def asked(self, broker: Broker) -> str:
        return broker.topic("asked")

    @CLIENTS
    def test_each_is_answered_with_its_own_parameters(self, shop: Shop, asked: str, client: str) -> None:
        """The whole log counts for each answer; a request without an answer is a dead letter, and the rest go on."""
        shop.produce(*keyed(LOG))
        session = LOG[-1].session_id
        requests = [
            {"request_id": "a", "session_id": session},
            {"request_id": "b", "items": ["i1", "i2"], "n": 3},
            {"request_id": "c", "session_id": session, "preset": "sknn", "k": 5, "fallbacks": False},
            {"request_id": "d"},
            {"request_id": "e", "session_id": session, "preset": "no-such"},
        ]
        with serving(shop.address, **shop.flags, answer="requests", requests=asked, kafka_client=client):
            eventually(shop.is_all_committed, "the events")
            produce(shop.address, asked, [Sent(msgspec.json.encode(each), b"k") for each in requests])
            eventually(lambda: shop.is_all_committed(asked), "the requests")
        engine = Engine()
        engine.apply(LOG)
        good = [msgspec.convert(each, Request) for each in requests[:3]]
        said = [json.loads(got.value or b"") for got in shop.answers()]
        expected = [json.loads(encode_answer(each)) for each in engine.answer(good, {f"{shop.clicks}-0": len(LOG) - 1})]
        assert expected == said
        letters = shop.letters()
        assert [b"missing_field", b"wrong_type"] == [each.headers["stream-rec.reason"] for each in letters]
        assert {asked.encode()} == {each.headers["stream-rec.topic"] for each in letters}
        assert [msgspec.json.encode(each) for each in requests[3:]] == [each.value for each in letters]

    def test_one_that_is_too_old_is_answered_with_the_reason(self, shop: Shop, asked: str) -> None:
        """The caller no longer needs recommendations, but without an answer it could not know why none came."""
        shop.produce(*keyed(LOG))
        produce(shop.address, asked, [Sent(b'{"request_id":"a","items":["i1"],"ttl_ms":1}')])
        produce(shop.address, asked, [Sent(b'{"request_id":"b","items":["i1"],"ttl_ms":3600000}')])
        shop.serve([shop.clicks, asked], answer="requests", requests=asked)
        said = {json.loads(got.value or b"")["request_id"]: json.loads(got.value or b"") for got in shop.answers()}
        assert ("expired", []) == (said["a"]["reason"], said["a"]["items"])
        assert "reason" not in said["b"]

    def test_requests_that_retention_removed(
        self, shop: Shop, asked: str, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The service logs the removed requests, and answers the others."""
        shop.produce(*keyed(LOG[:20]))
        produce(shop.address, asked, [Sent(b'{"request_id":"r%d","items":["i1"]}' % number) for number in range(9)])
        shop.serve([shop.clicks, asked], answer="requests", requests=asked)
        produce(shop.address, asked, [Sent(b'{"request_id":"r%d","items":["i1"]}' % number) for number in range(9, 20)])
        delete_before(broker, asked, 15)
        shop.serve([shop.clicks, asked], answer="requests", requests=asked)
        assert f"{asked}-0: 6 records (offsets 9 to 14) were removed" in caplog.text
        said = [json.loads(got.value or b"")["request_id"] for got in shop.answers()]
        assert [f"r{number}" for number in [*range(9), *range(15, 20)]] == said

    def test_events_and_requests_both(self, shop: Shop, asked: str) -> None:
        """Each event has its answer, and each request too."""
        shop.produce(*keyed(LOG[:20]))
        produce(shop.address, asked, [Sent(b'{"request_id":"r%d","items":["i1"]}' % number) for number in range(9)])
        shop.serve([shop.clicks, asked], requests=asked)
        said = [msgspec.json.decode(got.value or b"", type=Answer) for got in shop.answers()]
        assert {f"r{number}" for number in range(9)} == {each.request_id for each in said} - {None}
        assert 20 == sum(each.request_id is None for each in said)


def test_answer_none_writes_no_answer(shop: Shop) -> None:
    """`--answer none` feeds the index; offsets and dead letters are committed as always."""
    shop.produce(*keyed(LOG), Sent(b"broken"))
    shop.serve(answer="none")
    assert [] == shop.answers()
    assert 1 == len(shop.letters())
    assert {0: len(LOG) + 1} == committed_offsets(shop.address, shop.clicks, shop.group)


def test_coalescing_answers_the_newest_of_each_session(shop: Shop) -> None:
    """All events are applied: each session's last answer is there, the same as without coalescing."""
    shop.produce(*keyed(LOG))
    shop.serve(coalesce=True)
    said = pairs(shop.answers())
    assert len(said) < len(LOG)
    whole = one_by_one(LOG, shop.clicks, Engine())
    assert {key: value for value, key in whole} == {key: value for value, key in said}


def test_a_new_group_can_begin_at_the_end(shop: Shop) -> None:
    """The service learns earlier events without answering, and answers the new ones."""
    shop.produce(*keyed(LOG))
    with serving(shop.address, **shop.flags, begin="latest") as service:
        service.ready()
        eventually(shop.is_all_committed, "the end is where it begins, and is committed")
        new = [msgspec.structs.replace(LOG[-1], event_id=None)]
        shop.produce(*keyed(new))
        eventually(shop.is_all_committed, "the new one")
    engine = Engine()
    engine.apply(LOG)
    assert one_by_one(new, shop.clicks, engine, len(LOG)) == pairs(shop.answers())


@CLIENTS
def test_at_least_once(shop: Shop, client: str) -> None:
    """At least once, without a crash, writes each answer once."""
    shop.produce(*keyed(LOG), Sent(b"broken"))
    shop.serve(kafka_client=client, delivery="at-least-once")
    assert one_by_one(LOG, shop.clicks, Engine()) == pairs(shop.answers())
    assert [b"broken"] == [got.value for got in shop.letters()]


def test_answers_into_a_file(shop: Shop, tmp_path: Path) -> None:
    """The service writes lines, as a run over files does, and commits the group's offsets."""
    out = tmp_path / "recs.jsonl"
    shop.produce(*keyed(LOG))
    shop.serve(recommendations=str(out))
    assert [value for value, _ in one_by_one(LOG, shop.clicks, Engine())] == out.read_bytes().splitlines()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
@CLIENTS
def test_every_compression(shop: Shop, codec: str, client: str) -> None:
    """The service reads events of every compression, and writes with every compression."""
    produce(shop.address, shop.clicks, keyed(LOG[:50]), **{"compression.type": codec})
    shop.serve(kafka_client=client, kafka=(f"compression.type={codec}",))
    assert one_by_one(LOG[:50], shop.clicks, Engine()) == pairs(shop.answers())


@CLIENTS
def test_any_bytes_are_an_event_or_a_dead_letter(shop: Shop, client: str) -> None:
    """Ten thousand random strings: none stops the service, none is lost, each arrives unchanged."""
    chance = random.Random(client)
    strings = [chance.randbytes(chance.randrange(1, 60)) for _ in range(10_000)]
    shop.produce(*(Sent(value, value[:4]) for value in strings), *keyed(LOG[:1]))
    shop.serve(kafka_client=client)
    assert Counter(strings) == Counter(got.value for got in shop.letters())
    assert one_by_one(LOG[:1], shop.clicks, Engine(), 10_000) == pairs(shop.answers())


@CLIENTS
def test_a_record_whose_dead_letter_would_be_too_large(broker: Broker, client: str) -> None:
    """The added headers exceed the topic's limit: the dead letter has no value, and a header says so."""
    shop = Shop(broker)
    limit = 1_048_588  # a topic's default
    huge = b"x" * (limit - 200)
    shop.produce(Sent(huge, b"k", (("trace", b"7"),)), *keyed(LOG[:2]))
    shop.serve(kafka_client=client)
    (letter,) = shop.letters()
    assert b"" == letter.value
    assert b"k" == letter.key
    assert str(len(huge)).encode() == letter.headers["stream-rec.value-bytes-left-out"]
    assert (shop.clicks.encode(), b"0", b"0", b"not_json") == tuple(
        letter.headers[f"stream-rec.{name}"] for name in ("topic", "partition", "offset", "reason")
    )
    assert one_by_one(LOG[:2], shop.clicks, Engine(), 1) == pairs(shop.answers())


def test_a_third_client(shop: Shop) -> None:
    """Kcat writes clicks and reads recommendations."""
    kcat = shutil.which("kcat")
    if kcat is None:
        pytest.skip("there is no kcat here (the package is called kcat on Debian)")
    lines = b"".join(b"%s\t%s\n" % (sent.key, sent.value) for sent in keyed(LOG[:30]))
    at: list[Any] = [kcat, "-b", shop.address]
    with serving(shop.address, **shop.flags):
        subprocess.run([*at, "-P", "-t", shop.clicks, "-K", "\t"], input=lines, check=True, timeout=SECONDS)
        eventually(lambda: is_all_committed(shop.address, shop.clicks, shop.group), "all committed")
        read = subprocess.run(
            [*at, "-C", "-e", "-q", "-t", shop.recs, "-X", "isolation.level=read_committed", "-f", "%k\t%s\n"],
            capture_output=True, check=True, timeout=SECONDS,
        )  # fmt: skip
    expected = [b"%s\t%s" % (key, value) for value, key in one_by_one(LOG[:30], shop.clicks, Engine())]
    assert expected == read.stdout.splitlines()
