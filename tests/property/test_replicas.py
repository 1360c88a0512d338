"""Replicas of the service on one log: each record is answered once, and all replicas have the same state."""

import random
from collections import Counter

import msgspec
import pytest
from crash import MODEL, Bomb, origin, parts

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, DecodeRules, EventDecoder
from stream_rec.core.limits import Limits
from stream_rec.errors import AssignmentLostError
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.processing.processor import Processor
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.transport.broker import Partition
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.transport.records import Record

# Nothing is late, whatever the order in which partitions are read: late events are law 1's own exception.
LIMITS = Limits(retention_ms=100_000, allowed_lateness_ms=50_000, max_session_events=6, popular_half_life_ms=500)


def make_processor(counters: Counters, metrics: ServiceMetrics) -> Processor:
    return Processor(Engine(MODEL, limits=LIMITS), counters=counters, metrics=metrics)


class Cluster:
    """Some replicas, of which one takes a turn at a time."""

    def __init__(self, broker: MemoryBroker, chance: random.Random) -> None:
        self.broker = broker
        self.chance = chance
        self.loops: dict[str, ConsumerLoop] = {}
        self.n_started = 0

    def start(self) -> None:
        """Another replica joins."""
        self.n_started += 1
        name = f"replica-{self.n_started}"
        decode = RecordDecoder(EventDecoder(DecodeRules(max_future_ms=LIMITS.ahead_ms)), has_log_times=True)
        own = parts(self.broker, name=name, make_processor=make_processor, decode=decode)
        self.loops[name] = ConsumerLoop(own, lambda: False)

    def kill(self) -> None:
        """One is gone without leaving the group; its transaction and its membership time out."""
        name = self.chance.choice(sorted(self.loops))
        loop = self.loops.pop(name)
        self.broker.end_open_transactions()
        if loop.member in self.broker.groups["stream-rec"].members:
            self.broker.expire("stream-rec", loop.member)

    def freeze(self) -> None:
        """The group removes a replica that is alive."""
        name = self.chance.choice(sorted(self.loops))
        member = self.loops[name].member
        if member in self.broker.groups["stream-rec"].members:
            self.broker.expire("stream-rec", member)

    def turn(self) -> bool:
        """One replica takes a turn; one that lost its partitions starts again."""
        name = self.chance.choice(sorted(self.loops))
        loop = self.loops[name]
        loop.assignment.follow_others()
        try:
            return loop.step(0.0)
        except AssignmentLostError:
            del self.loops[name]
            loop.close(in_order=False)
            self.start()
            return True

    def run_until_idle(self) -> None:
        """Until no replica has anything left to do."""
        idle = 0
        while idle < 30 * len(self.loops):
            idle = 0 if self.turn() else idle + 1


def produce(broker: MemoryBroker, chance: random.Random, number: int) -> None:
    """Append a record; one in ten is broken, and some clocks are ahead, one in ten of them by far."""
    log_time = 10_000 + 7 * number
    ahead = chance.choice([0, 0, 0, 0, 0, 0, 30, 200, LIMITS.ahead_ms, 9_000])
    session = f"s{chance.randrange(9)}"
    event = {
        "session_id": session,
        "item_id": f"i{chance.randrange(8)}",
        "timestamp": log_time - chance.randrange(20) + ahead,
        "event_id": f"n{number}",
    }
    value = msgspec.json.encode(event) if chance.random() > 0.1 else b"broken %d" % number
    broker.produce("clicks", value, session.encode(), timestamp_ms=log_time)


def is_good(record: Record) -> bool:
    """Return whether a record is an event that the log can have taken then."""
    assert record.timestamp_ms is not None
    if not record.value.startswith(b"{"):
        return False
    return bool(msgspec.json.decode(record.value)["timestamp"] <= record.timestamp_ms + LIMITS.ahead_ms)


def disturbed(seed: int) -> Cluster:
    """Sixty records, and sometimes a replica dies, joins, or is removed while alive."""
    chance = random.Random(seed)
    broker = MemoryBroker({"clicks": 4, "recs": 1, "dead": 1}, before=Bomb())
    cluster = Cluster(broker, chance)
    cluster.start()
    for number in range(60):
        produce(broker, chance, number)
        for _ in range(chance.randrange(4)):
            cluster.turn()
        happens = chance.random()
        if happens < 0.08 or not cluster.loops:
            cluster.start()
        elif happens < 0.14 and len(cluster.loops) > 1:
            cluster.kill()
        elif happens < 0.2:
            cluster.freeze()
    cluster.run_until_idle()
    return cluster


def check(cluster: Cluster) -> None:
    broker = cluster.broker
    records = [record for partition in broker.partitions("clicks") for record in broker.visible("clicks")
               if record.partition == partition.number]  # fmt: skip
    readable = Counter(record.key for record in records if is_good(record))
    broken = sorted(("clicks", record.partition, record.offset) for record in records if not is_good(record))
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
    engines = [loop.processor.engine for loop in cluster.loops.values()]
    for engine in engines:
        engine._check()
        assert engines[0].watermark == engine.watermark
        for session in sorted(engines[0].session_ids()):
            assert engines[0].recommend(session) == engine.recommend(session)
            assert engines[0].session(session) == engine.session(session)


@pytest.mark.parametrize("seed", range(40))
def test_each_record_is_answered_once(seed: int) -> None:
    """One answer for each event and one dead letter for each broken record, whichever replica died, joined or hung."""
    check(disturbed(seed))


@pytest.mark.parametrize("seed", range(40))
def test_replicas_have_the_same_state(seed: int) -> None:
    """Law 1: when all records are applied, every replica gives the same answers, bit for bit."""
    same_everywhere(disturbed(seed))


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(40, 2000))
def test_replicas_in_many_histories(seed: int) -> None:
    """Both hold in two thousand histories."""
    cluster = disturbed(seed)
    check(cluster)
    same_everywhere(cluster)
