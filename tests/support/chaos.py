"""Kill and freeze replicas of the service under load, and the broker or nodes of a cluster; check what they wrote.

The check knows nothing of a replica: it reads input, answers, dead letters and offsets from the broker at the end.
"""

import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple, Self

import confluent_kafka
import msgspec
from kafka_broker import Broker
from kafka_broker.cluster import Cluster
from running import Running
from topics import Got, committed, committed_offsets, ends, eventually, is_all_committed

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, Event, EventDecoder, Request
from stream_rec.errors import DecodeError

GROUP: Final = "shop"
# A broker (4.3.1) that was killed may load its groups twice at once as it starts; members then wait for each other,
# until the time for a rebalance is over, which is 300 s.
_REST_S: Final = 420
_SESSION_S: Final = 4  # of a member of the group
_REPLAYED: Final = 60  # answers that are computed again from the log
_START: Final = 1_733_000_000_000


class Plan(NamedTuple):
    """The disturbances of a run, and its load."""

    seed: int
    clients: Sequence[str]
    """The Kafka client of each replica."""
    disturbances: Mapping[str, int]
    """How many of each kind: those of `_DISTURB`."""
    rate: float
    """Records a second."""
    longest_wait_s: float
    """Between two disturbances."""
    n_records: int = 0
    """The load goes on until there are so many."""


class Outcome(NamedTuple):
    """The counts of a run, at its end."""

    records: int
    answers: int
    dead_letters: int
    seconds: float
    commits_in_doubt: int
    seats_lost: int
    snapshots_used: int
    clients_crashed: int
    """By a fault of librdkafka; the run starts the service again, as a supervisor would."""
    replayed: int

    def lines(self) -> list[str]:
        """Return a line of text for each count."""
        return [f"{name.replace('_', ' '):<18}{value:,.0f}" for name, value in self._asdict().items()]


class Load:
    """A producer on a thread of its own: views with keys, and some invalid bytes. A context manager."""

    def __init__(self, address: str, topic: str, plan: Plan) -> None:
        self._topic = topic
        self._pause = 1 / plan.rate
        self._chance = random.Random(plan.seed + 1)
        self._over = threading.Event()
        self.n_sent = 0
        self._thread = threading.Thread(target=self._run, name="load")
        # No timeout while the broker is away: the check could not see a record that the producer gave up.
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": address,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                # One node of a cluster may be cut off: it is given up before its connections end.
                "socket.timeout.ms": 8_000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert 0 == self._producer.flush(_REST_S)

    def _run(self) -> None:
        begun, number = time.monotonic(), 0
        while not self._over.wait(max(0.0, begun + number * self._pause - time.monotonic())):
            self.n_sent = number = number + 1
            session = f"s{self._chance.randrange(400)}"
            value = msgspec.json.encode(
                {
                    "session_id": session,
                    "item_id": f"i{int(self._chance.paretovariate(0.8)) % 300}",
                    "timestamp": _START + 40 * number + self._chance.randrange(40),
                    "event_id": f"n{number}",
                }
            )
            if self._chance.random() < 0.03:
                value = self._chance.randbytes(12)
            self._producer.produce(self._topic, value, session.encode())
            self._producer.poll(0)


def ravage(broker: Broker, folder: Path, plan: Plan) -> Outcome:
    """Carry out *plan*, let the replicas come to rest, and check all outputs."""
    begun = time.monotonic()
    clicks = broker.topic("clicks", partitions=4)
    recs, dead = broker.topic("recs", partitions=3), broker.topic("dead", partitions=2)
    at = f"kafka://{broker.address}/"
    with ExitStack() as undo:
        replicas = [
            Running(
                folder / f"replica-{number}",
                *("--events", at + clicks, "--recommendations", at + recs, "--dead-letters", at + dead),
                *("--group", GROUP, "--kafka-client", client, "--snapshots", folder / f"snapshots-{number}"),
                *("--snapshot-every", "2s", "--kafka", f"consumer.session.timeout.ms={1000 * _SESSION_S}"),
                # One is a static member, which keeps its partitions while it is away; the other one is not.
                *(("--instance", "static") if number == 0 else ()),
            )
            for number, client in enumerate(plan.clients)
        ]
        for replica in replicas:
            undo.callback(replica.kill)
            replica.start()
        with Load(broker.address, clicks, plan) as load:
            eventually(lambda: sum(committed_offsets(broker.address, clicks, GROUP).values()) > 20, "the first answers")
            _disturb(broker, replicas, plan)
            eventually(lambda: load.n_sent >= plan.n_records, "all records sent", plan.n_records / plan.rate + _REST_S)
        _come_to_rest(broker, clicks, replicas)
        logs = "".join(replica.log.read_text() for replica in replicas)
        outcome = Outcome(
            len(records := committed(broker.address, clicks)),
            len(answers := committed(broker.address, recs)),
            len(letters := committed(broker.address, dead)),
            time.monotonic() - begun,
            logs.count("whose answer was lost"),
            logs.count("; recovering"),
            logs.count("recovering from snapshot"),
            sum(replica.crashes for replica in replicas),
            min(_REPLAYED, len(answers)),
        )
    _check(clicks, records, answers, letters, random.Random(plan.seed))
    return outcome


def _disturb(broker: Broker, replicas: Sequence[Running], plan: Plan) -> None:
    """Disturb at random moments: a replica may be starting, recovering, joining, committing or leaving."""
    chance = random.Random(plan.seed)
    disturbances = [kind for kind, n in plan.disturbances.items() for _ in range(n)]
    chance.shuffle(disturbances)
    for kind in disturbances:
        time.sleep(chance.uniform(0.0, plan.longest_wait_s))
        _start_again(replicas)
        _DISTURB[kind](broker, replicas, chance, plan)


def _kill_replica(_: Broker, replicas: Sequence[Running], chance: random.Random, plan: Plan) -> None:
    del plan
    replica = chance.choice(replicas)
    replica.kill()
    replica.start()


def _freeze_replica(_: Broker, replicas: Sequence[Running], chance: random.Random, plan: Plan) -> None:
    """For longer than the group waits, now and then: it must notice that it has lost its partitions."""
    del plan
    replica = chance.choice(replicas)
    replica.freeze()
    time.sleep(chance.uniform(1.0, 3 * _SESSION_S))
    replica.go_on()


def _restart_broker(broker: Broker, _: Sequence[Running], chance: random.Random, plan: Plan) -> None:
    chance.choice([broker.kill, broker.stop])()
    time.sleep(chance.uniform(0.0, plan.longest_wait_s))
    broker.start()


def _kill_node(broker: Broker, _: Sequence[Running], chance: random.Random, plan: Plan) -> None:
    cluster, number = _one_node(broker, chance)
    node = cluster.nodes[number]
    chance.choice([node.kill, node.stop])()
    time.sleep(chance.uniform(0.0, plan.longest_wait_s))
    cluster.start()


def _freeze_node(broker: Broker, _: Sequence[Running], chance: random.Random, plan: Plan) -> None:
    cluster, number = _one_node(broker, chance)
    node = cluster.nodes[number]
    _for_a_while(cluster, node.pause, node.resume, chance, plan)


def _cut_node(broker: Broker, _: Sequence[Running], chance: random.Random, plan: Plan) -> None:
    cluster, number = _one_node(broker, chance)
    _for_a_while(cluster, lambda: cluster.cut(number), lambda: cluster.mend(number), chance, plan)


def _one_node(broker: Broker, chance: random.Random) -> tuple[Cluster, int]:
    assert isinstance(broker, Cluster)
    return broker, chance.randrange(len(broker.nodes))


def _for_a_while(
    cluster: Cluster, begin: Callable[[], None], end: Callable[[], None], chance: random.Random, plan: Plan
) -> None:
    begin()
    time.sleep(chance.uniform(1.0, 2 * plan.longest_wait_s))
    end()
    cluster.wait_until_ready()


_DISTURB: Final = {
    "kill a replica": _kill_replica,
    "freeze a replica": _freeze_replica,
    "restart the broker": _restart_broker,
    "kill a node": _kill_node,
    "freeze a node": _freeze_node,
    "cut a node off": _cut_node,
}


def _start_again(replicas: Sequence[Running]) -> int:
    """Start crashed processes again, as a supervisor does, and return their number; none may end by an error of ours.

    librdkafka (2.16.1) was seen to crash (SIGSEGV) on a partition without a leader, as after a broker's restart, and on
    an assertion of its own (SIGABRT, which it writes to the log with its file's name) when a node was killed.
    """
    crashed = [each for each in replicas if each.ended() is not None]
    for each in crashed:
        own_assertion = each.ended() == -signal.SIGABRT and re.search(
            r"rdkafka_\w+\.[ch]:\d+: .*Assertion", each.said()
        )
        assert each.ended() == -signal.SIGSEGV or own_assertion, f"it ended by itself: {each.said()}"
        assert "confluent" in each.argv, f"it crashed: {each.said()}"
        each.crashes += 1
        each.start()
    return len(crashed)


def _come_to_rest(broker: Broker, clicks: str, replicas: Sequence[Running]) -> None:
    eventually(
        lambda: not _start_again(replicas) and is_all_committed(broker.address, clicks, GROUP),
        f"all committed: {_logs_end(replicas)}",
        _REST_S,
    )
    assert ends(broker.address, clicks) == committed_offsets(broker.address, clicks, GROUP)
    eventually(lambda: all(replica.is_ready for replica in replicas), f"all ready: {_logs_end(replicas)}", _REST_S)
    for replica in replicas:
        status = replica.status
        assert status is not None
        status.counts.check()
        assert status.counts.n_applied == status.counts.n_answers
        assert 0 == replica.stop(), replica.said()
    for replica in replicas:
        text = replica.log.read_text()
        at = text.find("Traceback")
        assert at < 0, f"{replica.log}: {text[max(0, at - 500) : at + 3000]}"


def _logs_end(replicas: Sequence[Running]) -> str:
    return "\n".join(f"{replica.log}: {replica.said()[-1500:]}" for replica in replicas)


def _check(clicks: str, records: list[Got], answers: list[Got], letters: list[Got], chance: random.Random) -> None:
    """Each record has one answer or one dead letter, and each answer is what the log up to its offsets says."""
    events, broken = _sorted_out(records)
    homes = {event.session_id: partition for (partition, _), event in events.items()}
    said = [msgspec.json.decode(answer.value or b"", type=Answer) for answer in answers]
    own = [(homes[str(each.session_id)], each.offsets[f"{clicks}-{homes[str(each.session_id)]}"]) for each in said]
    assert Counter(events.keys()) == Counter(own), "one answer for each event, and none for anything else"
    for place, each, got in zip(own, said, answers, strict=True):
        assert events[place].session_id == each.session_id == (got.key or b"").decode()
    of_letters = [
        (int(each.headers["stream-rec.partition"]), int(each.headers["stream-rec.offset"])) for each in letters
    ]
    assert Counter(broken.keys()) == Counter(of_letters), "one dead letter for each broken record, and no others"
    for place, letter in zip(of_letters, letters, strict=True):
        assert (broken[place].value, broken[place].key) == (letter.value, letter.key)
    for each in chance.sample(said, min(_REPLAYED, len(said))):
        _replay(clicks, events, each)


def _sorted_out(records: list[Got]) -> tuple[dict[tuple[int, int], Event], dict[tuple[int, int], Got]]:
    """The events by partition and offset, and likewise the records that are none."""
    decode = EventDecoder().decode
    events: dict[tuple[int, int], Event] = {}
    broken: dict[tuple[int, int], Got] = {}
    for record in records:
        place = record.partition, record.offset
        try:
            event = decode(record.value or b"")
            assert isinstance(event, Event)
            events[place] = event
        except DecodeError:
            broken[place] = record
    return events, broken


def _replay(clicks: str, events: dict[tuple[int, int], Event], answer: Answer) -> None:
    """The state is a function of the log: an engine that has seen what *answer* says it had seen says the same."""
    seen = answer.offsets
    before = [event for (number, offset), event in events.items() if offset <= seen.get(f"{clicks}-{number}", -1)]
    engine = Engine()
    before.sort(key=lambda event: event.timestamp)
    engine.apply(before)
    (expected,) = engine.answer([Request(session_id=answer.session_id)], seen)
    assert expected == answer
