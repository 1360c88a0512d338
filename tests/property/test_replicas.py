"""Replicas of the service on one log: whatever happens to them, each record is settled once, and all know the same."""

import random
from collections import Counter

import msgspec
import pytest
from crash import MODEL, Bomb, origin, parts

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, EventDecoder
from stream_rec.core.limits import Limits
from stream_rec.errors import AssignmentLostError
from stream_rec.service.processing.processor import Processor
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.transport.broker import Partition
from stream_rec.transport.memory.broker import MemoryBroker

# Nothing is late, whatever the order in which partitions are read: late events are law 1's own exception.
LIMITS = Limits(retention_ms=100_000, allowed_lateness_ms=50_000, max_session_events=6, popular_half_life_ms=500)


def processor() -> Processor:
    return Processor(Engine(MODEL, limits=LIMITS), EventDecoder())


class Cluster:
    """Some replicas, of which one takes a turn at a time."""

    def __init__(self, broker: MemoryBroker, chance: random.Random) -> None:
        self.broker = broker
        self.chance = chance
        self.lives: dict[str, ConsumerLoop] = {}
        self.n_started = 0

    def start(self) -> None:
        """Another replica joins."""
        self.n_started += 1
        name = f"replica-{self.n_started}"
        self.lives[name] = ConsumerLoop(parts(self.broker, name=name)._replace(make_processor=processor), lambda: False)

    def kill(self) -> None:
        """One is gone without a word; its transaction and its seat time out."""
        name = self.chance.choice(sorted(self.lives))
        life = self.lives.pop(name)
        self.broker.end_open_transactions()
        if life.member in self.broker.groups["stream-rec"].members:
            self.broker.expire("stream-rec", life.member)

    def freeze(self) -> None:
        """One is taken for dead, and is not."""
        name = self.chance.choice(sorted(self.lives))
        member = self.lives[name].member
        if member in self.broker.groups["stream-rec"].members:
            self.broker.expire("stream-rec", member)

    def turn(self) -> bool:
        """One replica does a bit; one that lost its seat starts anew."""
        name = self.chance.choice(sorted(self.lives))
        life = self.lives[name]
        life.assignment._next_poll = 0.0
        life.assignment.look_at_others()
        try:
            return life.step(0.0)
        except AssignmentLostError:
            del self.lives[name]
            life.close(in_order=False)
            self.start()
            return True

    def settle(self) -> None:
        """Until nothing is left to do for anybody."""
        idle = 0
        while idle < 30 * len(self.lives):
            idle = 0 if self.turn() else idle + 1


def produce(broker: MemoryBroker, chance: random.Random, number: int) -> None:
    session = f"s{chance.randrange(9)}"
    event = {
        "session_id": session,
        "item_id": f"i{chance.randrange(8)}",
        "timestamp": 10_000 + 7 * number + chance.randrange(20),
        "event_id": f"n{number}",
    }
    value = msgspec.json.encode(event) if chance.random() > 0.1 else b"broken %d" % number
    broker.produce("clicks", value, session.encode())


def disturbed(seed: int) -> Cluster:
    """Sixty records, and now and then a death, a birth, or a false alarm."""
    chance = random.Random(seed)
    broker = MemoryBroker({"clicks": 4, "recs": 1, "dead": 1}, before=Bomb())
    cluster = Cluster(broker, chance)
    cluster.start()
    for number in range(60):
        produce(broker, chance, number)
        for _ in range(chance.randrange(4)):
            cluster.turn()
        happens = chance.random()
        if happens < 0.08 or not cluster.lives:
            cluster.start()
        elif happens < 0.14 and len(cluster.lives) > 1:
            cluster.kill()
        elif happens < 0.2:
            cluster.freeze()
    cluster.settle()
    return cluster


def check(cluster: Cluster) -> None:
    broker = cluster.broker
    records = [record for partition in broker.partitions("clicks") for record in broker.visible("clicks")
               if record.partition == partition.number]  # fmt: skip
    readable = Counter(record.key for record in records if record.value.startswith(b"{"))
    broken = sorted(("clicks", record.partition, record.offset) for record in records if record.value[:1] == b"b")
    answers = [msgspec.json.decode(record.value, type=Answer) for record in broker.visible("recs")]
    assert readable == Counter((answer.session_id or "").encode() for answer in answers)
    assert broken == sorted(map(origin, broker.visible("dead")))
    assert {p: len(broker.logs[p]) for p in broker.partitions("clicks") if broker.logs[p]} == {
        p: offset for p, offset in broker.groups["stream-rec"].committed.items() if offset
    }
    # Each answer was computed when its own event was the last seen of its partition.
    at = {(record.partition, record.offset): record.key for record in records}
    owners = {record.key: record.partition for record in records}
    for answer in answers:
        key = (answer.session_id or "").encode()
        assert at[owners[key], answer.offsets[str(Partition("clicks", owners[key]))]] == key


def same_everywhere(cluster: Cluster) -> None:
    engines = [life.processor.engine for life in cluster.lives.values()]
    for engine in engines:
        engine._check()
        for session in sorted(engines[0].session_ids()):
            assert engines[0].recommend(session) == engine.recommend(session)
            assert engines[0].session(session) == engine.session(session)


@pytest.mark.parametrize("seed", range(40))
def test_each_record_is_settled_once(seed: int) -> None:
    """One answer for each event and one dead letter for each broken record, whoever died, joined or was frozen."""
    check(disturbed(seed))


@pytest.mark.parametrize("seed", range(40))
def test_replicas_know_the_same(seed: int) -> None:
    """Law 1: when all is settled, every replica gives the same answers, bit for bit."""
    same_everywhere(disturbed(seed))


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(40, 2000))
def test_replicas_in_many_histories(seed: int) -> None:
    """Both, two thousand times."""
    cluster = disturbed(seed)
    check(cluster)
    same_everywhere(cluster)
