"""Two shops on one broker, a group for each: neither disturbs the other. docs/how-to/several-shops.md tells it."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
from clicks import clicks, run_until
from crash import LIMITS, MODEL, Bomb, parts

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer
from stream_rec.service.committing.destinations import OutputDestinations
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.processing.processor import Processor
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.running.threads import Threads
from stream_rec.transport.broker import Partition
from stream_rec.transport.memory.broker import MemoryBroker

QUIET, BUSY = "hats", "tea"
N = {QUIET: 6, BUSY: 90}


def shop(broker: MemoryBroker, name: str, max_sessions: int) -> KafkaService:
    def processor(counters: Counters, metrics: ServiceMetrics) -> Processor:
        engine = Engine(MODEL, limits=msgspec.structs.replace(LIMITS, max_sessions=max_sessions))
        return Processor(engine, counters=counters, metrics=metrics)

    components = parts(
        broker,
        name=name,
        events=f"{name}-clicks",
        group=name,
        destinations=OutputDestinations(f"{name}-recs", f"{name}-dead", group=name),
        make_processor=processor,
        make_pipeline=Threads,
    )
    return KafkaService(lambda _: components)


def _run_to_its_end(service: KafkaService, n: int) -> None:
    run_until(service, lambda: service.counters.n_read == n)


def test_each_group_answers_its_shop_alone() -> None:
    """Same ids, same broker, same time: a busy shop moves neither answers, offsets nor limits of a quiet one."""
    both = MemoryBroker({f"{name}-{kind}": 1 for name in N for kind in ("clicks", "recs", "dead")}, before=Bomb())
    alone = MemoryBroker({f"{QUIET}-{kind}": 1 for kind in ("clicks", "recs", "dead")}, before=Bomb())
    for broker, shops in ((both, N), (alone, {QUIET: N[QUIET]})):
        for name, n in shops.items():
            # The sessions of the busy shop have the names of the quiet one's, and items of its own.
            for value in clicks(n):
                broker.produce(f"{name}-clicks", value if name == QUIET else value.replace(b':"i', b':"tea-'), b"k")
        services = {name: shop(broker, name, max_sessions=3 if name == QUIET else 2) for name in shops}
        with ThreadPoolExecutor() as pool:
            for name, service in services.items():
                pool.submit(_run_to_its_end, service, shops[name])
        assert {name: {Partition(f"{name}-clicks", 0): n} for name, n in shops.items()} == {
            name: broker.groups[name].committed for name in shops
        }
    published = {name: [each.value for each in both.visible(f"{name}-recs")] for name in N}
    answers = {name: [msgspec.json.decode(each, type=Answer) for each in values] for name, values in published.items()}
    assert N == {name: len(found) for name, found in answers.items()}
    assert {name: {prefix} for name, prefix in ((QUIET, "i"), (BUSY, "tea-"))} == {
        name: {item.item_id.rstrip("0123456789") for answer in found for item in answer.items}
        for name, found in answers.items()
    }
    assert [each.value for each in alone.visible(f"{QUIET}-recs")] == published[QUIET]
