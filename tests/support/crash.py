"""A service on a broker in memory that is killed at a chosen step, and started again."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from stream_rec.core.engine import Engine
from stream_rec.core.events import DecodeRules, EventDecoder
from stream_rec.core.limits import Limits
from stream_rec.core.model import changed, model
from stream_rec.service.committing.destinations import HEADERS, OutputDestinations
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.processing.processor import Processor
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.service.running.pipeline import Inline
from stream_rec.service.timeouts import Timeouts
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.transport.records import Record

LIMITS = Limits(retention_ms=400, allowed_lateness_ms=60, max_session_events=6, popular_half_life_ms=50)
RULES = DecodeRules(max_future_ms=LIMITS.ahead_ms)
MODEL = changed(model("vmis-knn"), m=6, k=3, n=4)


# The group is polled in each turn, and a failed commit is tried again at once. A machine that does other things too may
# need longer to end in good order than a service is given.
AT_ONCE = Timeouts(member_poll_every_s=0.0, commit_first_wait_s=0.0, close_s=60.0)

DeadRecord = tuple[bytes, bytes | None, tuple[tuple[str, bytes], ...], bool]


class Crash(BaseException):
    """The process is gone. No `except Exception` catches it."""


class Bomb:
    """Counts the steps of a service, and raises at the one it is set to."""

    def __init__(self) -> None:
        self.n = 0
        self.at: int | None = None

    def __call__(self, step: str) -> None:
        self.n += 1
        if self.n == self.at:
            raise Crash(step)


def make_processor(counters: Counters | None = None, metrics: ServiceMetrics | None = None) -> Processor:
    return Processor(Engine(MODEL, limits=LIMITS), counters=counters, metrics=metrics)


def parts(
    broker: MemoryBroker, snapshots: Snapshots | None = None, name: str = "one", **others: object
) -> ServiceComponents:
    return ServiceComponents(
        broker,
        "clicks",
        RecordDecoder(EventDecoder()),
        make_processor,
        OutputDestinations(answers_topic="recs", dead_letters_topic="dead"),
        transactional_id=name,
        snapshots=snapshots,
        listener=snapshots,
        max_records=3,
        make_pipeline=Inline,
        timeouts=AT_ONCE,
    )._replace(**others)  # type: ignore[arg-type]  # a test's own


def timed_parts(broker: MemoryBroker, snapshots: Snapshots | None = None) -> ServiceComponents:
    """Return the same, where events are held against the log times of their records."""
    return parts(broker, snapshots, decode=RecordDecoder(EventDecoder(RULES), has_log_times=True))


def snapshots_in(folder: Path, step: Callable[[str], None]) -> Snapshots:
    """Written after every batch, where they are due."""
    return Snapshots(folder, {"of": "a test"}, every_s=0.0, keep=2, now_ms=lambda: 0, step=step, beside=False)


def log_of(seed: int, n: int = 24) -> list[tuple[bytes | None, bytes, int]]:
    """Values, keys and log times: good, late, future, repeated, broken and forgetting records, some clocks ahead."""
    chance = random.Random(seed)
    now, log = 1_000, []
    for _ in range(n):
        now += chance.choice([0, 1, 5, 20])
        session = f"s{chance.randrange(5)}"
        value: bytes | None = msgspec.json.encode(
            {
                "session_id": session,
                "item_id": f"i{chance.randrange(7)}",
                "timestamp": now - chance.choice([0, 0, 0, 10, 90, -7, -LIMITS.ahead_ms, -300]),
                "event_id": chance.choice([None, None, f"e{chance.randrange(9)}"]),
            }
        )
        odd = chance.random()
        if odd < 0.06:
            value = None
        elif odd < 0.1:
            value = b'{"type":"forget","session_id":"%s"}' % session.encode()
        elif odd < 0.16:
            value = chance.randbytes(9)
        elif odd < 0.28:
            value = b"[%s]" % b",".join(several_of(chance, session, now))
        log.append((value, session.encode(), now))
    return log


def several_of(chance: random.Random, session: str, now: int) -> list[bytes]:
    """Events of one record, of which some are late, without an item, or repeated."""
    return [
        msgspec.json.encode(
            {
                "session_id": session,
                "item_id": chance.choice([f"i{chance.randrange(7)}", None]),
                "timestamp": now - chance.choice([0, 3, 90]),
                "event_id": chance.choice([None, "e1"]),
            }
        )
        for _ in range(chance.randrange(1, 8))
    ]


def broker_with(log: list[tuple[bytes | None, bytes, int]], partitions: int, bomb: Bomb) -> MemoryBroker:
    broker = MemoryBroker({"clicks": partitions, "recs": 1, "dead": 1}, before=bomb)
    for value, key, log_time in log:
        broker.produce("clicks", value, key, timestamp_ms=log_time)
    return broker


def run_to_the_end(components: ServiceComponents) -> None:
    """Run until no work is left; a crash leaves everything as it is."""
    loop = ConsumerLoop(components, lambda: False)
    idle = 0
    while idle < 10:  # a rebalance takes a turn or two, and partitions that wait for each other some more
        idle = 0 if loop.step(0.0) else idle + 1


def written(broker: MemoryBroker) -> tuple[list[tuple[bytes, bytes | None]], list[DeadRecord]]:
    """Return what readers of committed records see: answers, and dead letters."""
    answers = [(record.value, record.key) for record in broker.visible("recs")]
    dead = [(record.value, record.key, record.headers, record.tombstone) for record in broker.visible("dead")]
    return answers, dead


def origin(record: Record) -> tuple[str, int, int]:
    """Return topic, partition and offset of a dead letter's record."""
    headers = dict(record.headers)
    return (
        headers[f"{HEADERS}topic"].decode(),
        int(headers[f"{HEADERS}partition"]),
        int(headers[f"{HEADERS}offset"]),
    )
