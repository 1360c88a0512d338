"""A flood of malformed records: no process ends, each record is settled once, and the counters add up."""

import random
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from kafka_broker import Broker
from malformed import malformed
from running import running
from shop import CLIENTS, Shop
from topics import Sent, eventually, places_of_answers, places_of_letters
from web import Client

N_RECORDS = 1_000_000
N_CALLS = 100_000


def now_ms() -> int:
    """A log that ends now, so that no changed digit makes all that follow late."""
    return int(time.time() * 1000)


def flood(n: int, seed: int) -> "list[Sent]":
    """*n* records with keys; now and then a tombstone, whose key may name a session."""
    chance = random.Random(seed)
    keys = [None, b"", b"s1", b'{"session_id":"s2"}', b'{"user_id":""}', b"\xff\xfe", b"[1]", b"null"]
    return [
        Sent(None if chance.random() < 0.01 else value, keys[chance.randrange(len(keys))])
        for value in malformed(n, seed, now_ms())
    ]


def check_a_flood(shop: Shop, folder: Path, client: str, n: int) -> None:
    """Serve *n* malformed records to their end; compare the counters with the topics, read by another client."""
    records = flood(n, seed=11)
    shop.produce(*records)
    with running(folder, *shop.argv, "--kafka-client", client, "--snapshots", folder / "snapshots") as service:
        service.ready()
        eventually(lambda: service.ended() is not None or shop.is_all_committed(), "all records", seconds=1200)
        assert service.stop() == 0, service.said()[-3000:]
        assert service.status is not None
        counts = service.status.counts
        assert "Traceback" not in service.said()
    dead = sum(counts.dead.values()) + counts.n_duplicates
    assert n == counts.n_read == counts.n_applied + dead
    assert counts.n_answers == counts.n_applied - counts.n_forgets
    letters, reasons = places_of_letters(shop.address, shop.dead)
    answers = places_of_answers(shop.address, shop.recs, shop.clicks)
    assert len(letters) == len(set(letters)) == dead
    assert len(answers) == len(set(answers)) == counts.n_answers > n // 100
    assert not set(answers) & set(letters)
    assert counts.dead + Counter(duplicate=counts.n_duplicates) == reasons
    assert len(reasons) > 8


def test_malformed_records_are_each_settled_once(broker: Broker, tmp_path: Path) -> None:
    """Answered, dead-lettered or taken as an order to forget; none twice."""
    check_a_flood(Shop(broker), tmp_path, "confluent", 5_000)


@pytest.mark.chaos
@CLIENTS
def test_a_million_malformed_records(broker: Broker, client: str, tmp_path: Path) -> None:
    """The same, at length."""
    check_a_flood(Shop(broker), tmp_path, client, N_RECORDS)


def check_calls(folder: Path, n: int) -> None:
    """Send *n* malformed bodies over HTTP: each is taken, or refused with a reason, and the counters add up."""
    argv = ["--events", "http", "--recommendations", "none", "--http", "127.0.0.1:0", "--journal", folder / "journal"]
    with running(folder, *argv) as service:
        service.says("serving HTTP at")
        (port,) = re.findall(r"serving HTTP at http://127\.0\.0\.1:(\d+)/", service.said())[-1:]
        call = Client(int(port))
        eventually(lambda: call("GET", "/readyz").status == 200, "ready", seconds=300)
        replies: Counter[int] = Counter()
        n_accepted = n_rejected = 0
        for value in malformed(n, 12, now_ms()):
            reply = call("POST", "/v1/events", value)
            replies[reply.status] += 1
            assert reply.status == 202 or (400 <= reply.status < 500 and reply.json["error"]["code"]), (value, reply)
            if reply.status == 202:
                n_accepted += reply.json["accepted"]
                n_rejected += len(reply.json["refused"])
        stats = call.get("/v1/stats")
        assert service.stop() == 0, service.said()[-3000:]
        assert "Traceback" not in service.said()
    assert replies.keys() == {202, 400, 422}
    assert replies[202] <= n_accepted + n_rejected < n // 2
    counts = stats["counts"]
    assert (counts["read"], counts["applied"]) == (n_accepted + n_rejected, n_accepted)
    assert counts["duplicates"] + sum(stats["dead_letters"].values()) == n_rejected > 0


def test_malformed_bodies_are_refused_with_a_reason(tmp_path: Path) -> None:
    """None is answered with a 5xx, and none ends the service."""
    check_calls(tmp_path, 2_000)


@pytest.mark.chaos
def test_a_hundred_thousand_malformed_bodies(tmp_path: Path) -> None:
    """The same, at length."""
    check_calls(tmp_path, N_CALLS)
