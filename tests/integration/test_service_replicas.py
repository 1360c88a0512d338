"""Several services of one group on a real broker: each one's share, and what happens when one is gone."""

import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from kafka_broker import Broker
from running import running
from serving import Serving, serving
from shop import BOTH_IN_TIME, CLIENTS, THOROUGH, Shop, keyed
from shop import CLOSE as LOG
from topics import Sent, eventually

from stream_rec.core.events import Answer, Event
from stream_rec.errors import FencedError

SESSION = ("consumer.session.timeout.ms=4000",)
PARTITIONS = 4


@pytest.fixture
def shop(broker: Broker) -> Shop:
    return Shop(broker, PARTITIONS)


def everything(shop: Shop) -> set[str]:
    return {f"{shop.clicks}-{number}" for number in range(PARTITIONS)}


def each_answered_once(shop: Shop, log: list[Event]) -> bool:
    said = [msgspec.json.decode(got.value or b"", type=Answer) for got in shop.answers()]
    return Counter(event.session_id for event in log) == Counter(each.session_id for each in said)


def event(session: str, item: str, time: int) -> Event:
    return Event(session_id=session, item_id=item, timestamp=1_733_000_000_000 + time)


@CLIENTS
def test_each_answers_for_its_share_and_knows_the_whole(shop: Shop, client: str) -> None:
    """Replicas share the partitions, and learn from the events that others answered."""
    with ExitStack() as stack:
        flags = {**shop.flags, "kafka_client": client}
        three = [stack.enter_context(serving(shop.address, **flags)) for _ in range(3)]
        eventually(lambda: is_shared(shop, three), "each has a share")
        homes = [int(min(each.owned).rpartition("-")[2]) for each in three]
        first = [event("a", "x", 0), event("a", "y", 1), event("b", "x", 2), event("b", "y", 3)]
        shop.produce(*(Sent(sent.value, sent.key, partition=homes[0]) for sent in keyed(first)))
        eventually(lambda: all(n_seen(each) == 4 for each in three), "the first is known to all")
        asked = event("c", "x", 10)
        shop.produce(*(Sent(sent.value, sent.key, partition=homes[1]) for sent in keyed([asked])))
        eventually(shop.is_all_committed, "the second")
        assert [4, 1, 0] == [each.kafka_service.counters.n_answers for each in three]
    said = [msgspec.json.decode(got.value or b"", type=Answer) for got in shop.answers()]
    (answer,) = [each for each in said if each.session_id == "c"]
    assert [("y", "neighbours")] == [(item.item_id, item.source) for item in answer.items]
    assert answer.offsets[f"{shop.clicks}-{homes[0]}"] == 3


@CLIENTS
def test_replicas_with_other_settings_notice_each_other(shop: Shop, client: str) -> None:
    """Both say which settings differ; once one of them has left, and the other answers for all, it is over."""
    flags = {**shop.flags, "kafka_client": client}
    with serving(shop.address, **flags) as one:
        with serving(shop.address, **flags, m="7", retention_ms="12h") as two:
            eventually(lambda: is_shared(shop, [one, two]), "each has a share")
            shop.produce(*keyed(LOG))
            for service in (one, two):
                eventually(lambda service=service: problems(service), "a problem")  # type: ignore[misc]  # the default binds it
                assert ["settings"] == [kind for kind, _ in problems(service)]
                assert "with other settings: m, retention_ms:" in problems(service)[0][1]
        eventually(lambda: one.owned == everything(shop) and not problems(one), "no problem")
    assert each_answered_once(shop, LOG)


@CLIENTS
def test_two_groups_with_one_topic_of_answers_notice_each_other(shop: Shop, client: str) -> None:
    """Every event is answered twice: each group names the other one."""
    flags = {**shop.flags, "kafka_client": client}
    other = f"{shop.group}-other"
    with serving(shop.address, **flags) as one, serving(shop.address, **{**flags, "group": other}) as two:
        one.ready()
        two.ready()
        for sent in keyed(LOG):  # until both have looked at the topic twice
            shop.produce(sent)
            if problems(one) and problems(two):
                break
            time.sleep(0.2)
        assert ["output"] == [kind for kind, _ in problems(one)] == [kind for kind, _ in problems(two)]
        assert f"the group {other!r} writes answers for {shop.clicks} into {shop.recs} too" in problems(one)[0][1]
        assert f"the group {shop.group!r} writes" in problems(two)[0][1]
    groups = Counter(got.headers["stream-rec.group"].decode() for got in shop.answers())
    assert {shop.group, other} == set(groups)


def problems(service: Serving) -> list[tuple[str, str]]:
    return [(each.kind, each.message) for each in service.kafka_service.problems.now]


def n_seen(service: Serving) -> int:
    """Return how many records it has applied, of its own or of others."""
    return service.kafka_service.counters.n_followed + service.kafka_service.counters.n_read


def is_shared(shop: Shop, services: list[Serving]) -> bool:
    owned = [each.owned for each in services]
    return all(owned) and sum(map(len, owned)) == PARTITIONS and set().union(*owned) == everything(shop)


@CLIENTS
def test_one_that_is_added_has_its_share_at_once(shop: Shop, client: str) -> None:
    """A rebalance takes a heartbeat and the drain of running work; no replica waits for a timeout."""
    quick = ("consumer.session.timeout.ms=12000", "consumer.heartbeat.interval.ms=300")
    flags = {**shop.flags, "kafka": quick, "kafka_client": client}
    with serving(shop.address, **flags) as first:
        first.ready()
        eventually(lambda: first.owned == everything(shop), "all is the first one's")
        shop.produce(*keyed(LOG))
        eventually(shop.is_all_committed, "work")
        with serving(shop.address, **flags) as second:
            eventually(lambda: second.is_over.is_set() or is_joining(second), "it joins")
            begun = time.monotonic()
            eventually(lambda: second.is_over.is_set() or is_shared(shop, [first, second]), "two shares")
            assert time.monotonic() - begun < 9, "a session lasts 12 s"
    assert each_answered_once(shop, LOG)


def test_the_share_of_one_that_is_killed_goes_to_the_others(shop: Shop, tmp_path: Path) -> None:
    """The others have it within the session and transaction timeouts; nothing is lost or doubled."""
    argv = [*shop.argv, "--kafka", *SESSION]
    with running(tmp_path, *argv) as victim, serving(shop.address, **shop.flags, kafka=SESSION) as other:
        eventually(lambda: len(victim.owned) == len(other.owned) == PARTITIONS // 2, "two shares")
        shop.produce(*keyed(LOG[:200]))
        eventually(shop.is_all_committed, "the first")
        victim.kill()
        shop.produce(*keyed(LOG[200:]))
        eventually(lambda: other.is_over.is_set() or other.owned == everything(shop), "all is the other's")
        eventually(shop.is_all_committed, "the rest")
    assert each_answered_once(shop, LOG)


@pytest.mark.slow
@BOTH_IN_TIME
def test_one_that_was_frozen(shop: Shop, tmp_path: Path, client: str) -> None:
    """A frozen replica loses its share; when it goes on it recovers and rejoins, and doubles nothing."""
    argv = [*shop.argv, "--kafka", *SESSION, "--kafka-client", client]
    flags = {**shop.flags, "kafka": SESSION, "kafka_client": client}
    with running(tmp_path, *argv) as frozen, serving(shop.address, **flags) as other:
        eventually(lambda: len(frozen.owned) == len(other.owned) == PARTITIONS // 2, "two shares")
        shop.produce(*keyed(LOG[:200]))
        eventually(lambda: other.kafka_service.counters.n_answers > 0, "work")
        frozen.freeze()
        eventually(lambda: other.is_over.is_set() or other.owned == everything(shop), "all is the other's")
        shop.produce(*keyed(LOG[200:300]))
        eventually(shop.is_all_committed, "the next")
        frozen.go_on()
        eventually(lambda: len(frozen.owned) == len(other.owned) == PARTITIONS // 2, f"two shares: {frozen.said()}")
        shop.produce(*keyed(LOG[300:]))
        eventually(shop.is_all_committed, "the rest")
        assert "recovering" in frozen.said()
        assert 0 == frozen.stop(), frozen.said()
    assert each_answered_once(shop, LOG)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "seconds"), [("kafka-python", 8), ("confluent", 1), pytest.param("confluent", 8, marks=THOROUGH)]
)
def test_a_rebalance_amid_a_transaction(
    shop: Shop, client: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that ends in time is committed; otherwise the new owner of its records answers them."""
    flags = {**shop.flags, "kafka_client": client}
    with serving(shop.address, **flags) as first:
        first.ready()
        eventually(lambda: first.owned == everything(shop), "all is the first one's")
        loop = first.kafka_service.loop
        assert loop is not None
        assert loop.writer is not None
        is_held, resume, add = threading.Event(), threading.Event(), loop.writer.add_offsets

        def slowly(*arguments: object) -> None:
            is_held.set()
            resume.wait(60)
            add(*arguments)  # type: ignore[arg-type]  # passed on

        monkeypatch.setattr(loop.writer, "add_offsets", slowly)
        shop.produce(*keyed(LOG[:100]))
        assert is_held.wait(60)
        with serving(shop.address, **flags) as second:
            eventually(
                lambda: second.kafka_service.is_ready or second.is_over.is_set() or is_joining(second), "it joins"
            )
            time.sleep(seconds)
            resume.set()
            eventually(lambda: second.is_over.is_set() or is_shared(shop, [first, second]), "two shares")
            shop.produce(*keyed(LOG[100:]))
            eventually(shop.is_all_committed, "all")
    assert each_answered_once(shop, LOG)


def is_joining(service: Serving) -> bool:
    """Return whether it has recovered, and asked to join the group."""
    return service.kafka_service.loop is not None


@pytest.mark.slow
def test_a_static_member_keeps_its_partitions_over_a_restart(shop: Shop, tmp_path: Path) -> None:
    """Its partitions wait for it, and the other replica keeps its own."""
    timeout = ("consumer.session.timeout.ms=45000",)
    argv = [*shop.argv, "--kafka", *timeout, "--instance", "one"]
    with running(tmp_path, *argv) as static, serving(
        shop.address, **shop.flags, kafka=timeout, instance="two"
    ) as other:  # fmt: skip
        eventually(lambda: len(static.owned) == len(other.owned) == PARTITIONS // 2, "two shares")
        mine, theirs, loop = static.owned, other.owned, other.kafka_service.loop
        assert loop is not None
        generation = loop.assignment.generation
        static.kill()
        shop.produce(*keyed(LOG))
        static.start()
        eventually(lambda: static.owned == mine, f"the same share: {static.said()}")
        eventually(shop.is_all_committed, "all")
        assert (theirs, generation, loop) == (other.owned, loop.assignment.generation, other.kafka_service.loop)
    assert each_answered_once(shop, LOG)


@CLIENTS
def test_two_members_of_one_name(shop: Shop, client: str) -> None:
    """The later one goes on; the earlier one gets the error that it was fenced, and ends."""
    flags = {**shop.flags, "instance": "same", "kafka_client": client}
    with serving(shop.address, ends_with=FencedError, **flags) as earlier:
        earlier.ready()
        with serving(shop.address, **flags) as later:
            shop.produce(*keyed(LOG))
            eventually(earlier.is_over.is_set, "the end of the earlier one")
            assert "another process runs under this name" in str(earlier.error)
            eventually(lambda: later.is_over.is_set() or shop.is_all_committed(), "all")
    assert each_answered_once(shop, LOG)
