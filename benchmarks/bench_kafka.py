"""The service on a real broker, beside a bare loop with the same client and the engine without a broker.

Each measured run is a process of its own: `bench_kafka.py ROLE ...` prints its figures as JSON.
"""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree
from time import perf_counter, process_time
from uuid import uuid4

import kafka_log
from common import Report, alone, in_turn, report, scratch_folder
from kafka_log import Log

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, Event, EventDecoder, Recommendation, encode_answer
from stream_rec.core.limits import Limits
from stream_rec.service.assembly.kafka import build_kafka_service
from stream_rec.service.batches import Batch
from stream_rec.service.consuming.partition_merge import PartitionMerge
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.processing.processor import Processor
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.settings import load
from stream_rec.transport.broker import Partition
from stream_rec.transport.kafka import open_broker

QUESTION = "what of a client's and of the engine's speed is left to the service on Kafka?"
CLIENTS = ("kafka-python", "confluent")
BATCH = 1024
SECONDS = 300
ANSWER = Answer(
    "s1",
    None,
    [Recommendation(f"i{n}", 1.0 / (n + 1), "neighbours") for n in range(20)],
    5,
    {"clicks-0": 5},
    "vmis-knn",
)


# --- the measured runs, each in a process of its own


def bare(log: Log, client: str, answers: bool) -> dict[str, float]:
    """Consume and decode; and, with *answers*, encode one of 20 items for each record, and produce it."""
    return _bare_confluent(log, answers) if client == "confluent" else _bare_python(log, answers)


def _bare_confluent(log: Log, answers: bool) -> dict[str, float]:
    from confluent_kafka import Consumer, Producer, TopicPartition  # noqa: PLC0415 (one client a process)

    consumer = Consumer(
        {"bootstrap.servers": log.address, "group.id": uuid4().hex, "isolation.level": "read_committed",
         "enable.auto.commit": False, "fetch.queue.backoff.ms": 10}
    )  # fmt: skip
    out = _out(log)
    producer = Producer({"bootstrap.servers": log.address, "enable.idempotence": True, "linger.ms": 5})
    consumer.assign([TopicPartition(*partition, offset) for partition, offset in log.history.items()])
    decode = EventDecoder().decode
    first = consumer.poll(30)
    started, cpu, n = perf_counter(), process_time(), 1
    assert first is not None
    while n < log.n_asked:
        messages = consumer.consume(BATCH, 0.1)
        n += len(messages)
        for message in messages:
            event = decode(message.value())
            assert isinstance(event, Event)
            if answers:
                kafka_log.send(producer, out, event.session_id.encode(), encode_answer(ANSWER))
    producer.flush()
    return _rate(n, started, cpu)


def _bare_python(log: Log, answers: bool) -> dict[str, float]:
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition  # noqa: PLC0415 (one client a process)

    consumer = KafkaConsumer(
        bootstrap_servers=log.address,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_poll_records=BATCH,
    )
    out = _out(log)
    producer = KafkaProducer(bootstrap_servers=log.address, linger_ms=5)
    partitions = {TopicPartition(*partition): offset for partition, offset in log.history.items()}
    consumer.assign(list(partitions))
    for partition, offset in partitions.items():
        consumer.seek(partition, offset)
    decode = EventDecoder().decode
    n, started, cpu = 0, 0.0, 0.0
    while n < log.n_asked:
        for records in consumer.poll(timeout_ms=1000, max_records=BATCH).values():
            if not n:
                started, cpu = perf_counter(), process_time()
            n += len(records)
            for record in records:
                event = decode(record.value)
                assert isinstance(event, Event)
                if answers:
                    producer.send(out, encode_answer(ANSWER), event.session_id.encode())
    producer.flush()
    return _rate(n, started, cpu)


def engine_alone(log: Log, folder: Path) -> dict[str, float]:
    """The same records from memory, through the same processor, on the state that the service begins with."""
    from stream_rec.snapshot import newest_valid, read_header, snapshots_in  # noqa: PLC0415 (not for the bare loops)

    header = read_header(snapshots_in(folder)[-1])
    snapshot = newest_valid(folder, header.fingerprint)
    assert snapshot is not None
    processor = Processor(Engine("vmis-knn", limits=Limits(retention_ms=None)))
    decode = RecordDecoder(EventDecoder(), has_log_times=True)
    processor.engine.import_state(snapshot.state)
    opened = open_broker(f"kafka://{log.address}", client="confluent")
    reader = opened.reader()
    reader.assign(log.history)
    arrivals = PartitionMerge(log.history)
    n_fetched = 0
    while n_fetched < log.n_asked:
        for partition, records in reader.poll(BATCH, 1.0).items():
            read = decode(records)
            arrivals.add(partition, records, read.decoded, read.log_times)
            n_fetched += len(records)
    batches = []
    while len(arrivals):
        records, decoded, log_times, _ = arrivals.take(BATCH, log.history.keys())
        batches.append(Batch(records, decoded, log_times=log_times))
    processor.process(batches.pop(0))
    n = sum(len(batch.records) for batch in batches)
    started, cpu = perf_counter(), process_time()
    for batch in batches:
        for answer in processor.process(batch).answers:
            encode_answer(answer)
    return _rate(n, started, cpu)


def service(log: Log, client: str, folder: Path | None, *options: str) -> dict[str, float]:
    """The service from the first record it answers to its last commit, and how long it recovered before."""
    group = uuid4().hex
    kafka_log.commit(log, group)
    with scratch_folder() as scratch, ExitStack() as undo:
        own = scratch / "snapshots"
        if folder is not None:
            copytree(folder, own)
        flags: dict[str, object] = {
            "events": f"kafka://{log.address}/{log.topic}",
            "recommendations": f"kafka://{log.address}/{_out(log)}",
            "group": group,
            "kafka_client": client,
            "retention_ms": "none",
            "snapshots": str(own),
            "snapshot_every_ms": "1h",
            "preset": "vmis-knn",
            "m": "500",
            "k": "100",
            **dict(option.split("=") for option in options),
        }
        started = build_kafka_service(load(flags=flags), undo).service
        return _watched(started, sum(log.ends.values()))


def _watched(started: KafkaService, target: int) -> dict[str, float]:
    began = perf_counter()
    marks: dict[str, tuple[float, float, int]] = {}

    def watch(now: KafkaService) -> None:
        loop = now.loop
        if loop is None:
            return
        if "first" not in marks and now.counters.n_read:
            marks["first"] = (perf_counter(), process_time(), now.counters.n_read)
        if "recovered" not in marks:
            marks["recovered"] = (perf_counter(), process_time(), now.counters.n_followed)
        if sum(loop.checkpoint.committed.values()) >= target:
            marks.setdefault("last", (perf_counter(), process_time(), now.counters.n_read))

    started.run(lambda: "last" in marks or perf_counter() - began > SECONDS, watch)
    assert started.loop is not None
    assert started.loop.processor.counters.n_answers in {0, started.counters.n_read}, "one answer for each event"
    (first, first_cpu, n_before), (last, last_cpu, n_after) = marks["first"], marks["last"]
    recovered, _, n_followed = marks["recovered"]
    n = n_after - n_before
    return {
        "rate": n / (last - first),
        "cpu_us": 1e6 * (last_cpu - first_cpu) / n,
        "commits": started.loop.checkpoint.n_commits / (last - first),
        "recovery_s": recovered - began,
        "replay_rate": n_followed / (recovered - began),
        "sessions": started.loop.processor.engine.stats().n_sessions,
    }


def _out(log: Log) -> str:
    name = f"out-{uuid4().hex}"
    kafka_log.make_topic(log.address, name)
    return name


def _rate(n: int, started: float, cpu: float) -> dict[str, float]:
    return {"rate": n / (perf_counter() - started), "cpu_us": 1e6 * (process_time() - cpu) / n}


# --- the questions


def speed(bench: Report, log: Log, folder: Path, n_rounds: int) -> None:
    """Each event answered: the service beside its bounds, in turn."""
    rivals: dict[str, Callable[[], dict[str, float]]] = {"engine": lambda: _alone("engine", log, str(folder))}
    for client in CLIENTS:
        rivals[f"bare {client}"] = lambda client=client: _alone("bare", log, client, "answers")  # type: ignore[misc]
        for delivery in ("exactly-once", "at-least-once"):
            rivals[f"{delivery} {client}"] = lambda client=client, delivery=delivery: _alone(  # type: ignore[misc]
                "service", log, client, str(folder), f"delivery={delivery}"
            )
    found = in_turn(n_rounds, rivals)
    held = found["exactly-once confluent"][0]["sessions"]
    bench.part(
        f"each event answered, {log.n_asked:,} events, {held:,.0f} sessions retained, vmis-knn m 500 k 100, n 20"
    )
    engine = bench.figure("the engine alone, from memory", _of(found["engine"], "rate"), "answers/s")
    for client in CLIENTS:
        loop = bench.figure(f"a bare loop with {client}", _of(found[f"bare {client}"], "rate"), "records/s")
        bench.figure(f"CPU of that loop with {client}", _of(found[f"bare {client}"], "cpu_us"), "us a record")
        for delivery in ("exactly-once", "at-least-once"):
            runs = found[f"{delivery} {client}"]
            rate = bench.figure(f"the service, {client}, {delivery}", _of(runs, "rate"), "answers/s")
            target = ">= 0.7" if delivery == "exactly-once" else None
            share = rate / min(engine, loop)
            bench.figure(f"that as a share of the slower limit, {client}, {delivery}", share, "", target)
            bench.figure(f"CPU of the service, {client}, {delivery}", _of(runs, "cpu_us"), "us a record")
            bench.figure(f"commits, {client}, {delivery}", _of(runs, "commits"), "a second")
    runs = [run for client in CLIENTS for run in found[f"exactly-once {client}"]]
    bench.figure("from start to recovered, from a snapshot", _of(runs, "recovery_s"), "s")


def silence(bench: Report, log: Log, n_rounds: int) -> None:
    """Index only; and recovery without a snapshot."""
    rivals: dict[str, Callable[[], dict[str, float]]] = {}
    for client in CLIENTS:
        rivals[f"bare {client}"] = lambda client=client: _alone("bare", log, client, "silent")  # type: ignore[misc]
        rivals[client] = lambda client=client: _alone("service", log, client, "-", "answer=none")  # type: ignore[misc]
    found = in_turn(n_rounds, rivals)
    bench.part(f"index only, {log.n_asked:,} events; before that a recovery from the topic alone")
    for client in CLIENTS:
        loop = bench.figure(
            f"a bare consume and decode with {client}", _of(found[f"bare {client}"], "rate"), "events/s"
        )
        rate = bench.figure(f"the service, {client}, --answer none", _of(found[client], "rate"), "events/s")
        bench.figure(f"that as a share of the bare loop, {client}", rate / loop, "", ">= 0.7")
        bench.figure(f"CPU of the bare loop, {client}", _of(found[f"bare {client}"], "cpu_us"), "us an event")
        bench.figure(f"CPU of the service, {client}, --answer none", _of(found[client], "cpu_us"), "us an event")
        target = ">= 150,000" if client == "confluent" else None
        bench.figure(f"replay from the topic, {client}", _of(found[client], "replay_rate"), "events/s", target)


def _of(runs: list[dict[str, float]], what: str) -> list[float]:
    return [run[what] for run in runs]


def _alone(role: str, log: Log, *arguments: str) -> dict[str, float]:
    described = [log.address, log.topic, *(json.dumps({str(p.number): o for p, o in at.items()}) for at in log[2:])]
    return alone(Path(__file__), role, *described, *arguments)


def _read_log(arguments: list[str]) -> tuple[Log, list[str]]:
    address, topic, history, ends, *rest = arguments
    positions = [{Partition(topic, int(n)): o for n, o in json.loads(each).items()} for each in (history, ends)]
    return Log(address, topic, *positions), rest


def snapshot_of(log: Log, folder: Path) -> None:
    """The state before the events that are to be answered, as the service's own snapshot."""
    history = log._replace(ends=log.history, history=dict.fromkeys(log.history, 0))
    group = uuid4().hex
    kafka_log.commit(log, group)
    with ExitStack() as undo:
        flags: dict[str, object] = {
            "events": f"kafka://{log.address}/{log.topic}",
            "answer": "none",
            "group": group,
            "kafka_client": "confluent",
            "retention_ms": "none",
            "snapshots": str(folder),
            "snapshot_every_ms": "1s",
        }
        started = build_kafka_service(load(flags=flags), undo).service
        until = perf_counter() + SECONDS

        def stop() -> bool:
            # Before the first event of those to be answered: the group owns nothing yet.
            return started.counters.n_followed >= history.n_asked or perf_counter() > until

        started.run(stop)


def role(arguments: list[str]) -> dict[str, float]:
    """Do the work that another process of this script asks for."""
    name, *rest = arguments
    log, more = _read_log(rest)
    if name == "bare":
        return bare(log, more[0], more[1] == "answers")
    if name == "engine":
        return engine_alone(log, Path(more[0]))
    return service(log, more[0], None if more[1] == "-" else Path(more[1]), *more[2:])


def main() -> None:
    """Run the benchmark."""
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        print(json.dumps(role(sys.argv[1:])))
        return
    with report("kafka", QUESTION) as bench, kafka_log.broker() as address, scratch_folder() as folder:
        n_sessions, n_asked, n_rounds = (10_000, 10_000, 1) if bench.small else (600_000, 150_000, 3)
        log = kafka_log.filled(address, "clicks", n_sessions, n_asked)
        snapshot_of(log, folder / "snapshots")
        speed(bench, log, folder / "snapshots", n_rounds)
        n_sessions, n_asked = (10_000, 20_000) if bench.small else (400_000, 1_000_000)
        silence(bench, kafka_log.filled(address, "silent", n_sessions, n_asked), n_rounds)


if __name__ == "__main__":
    main()
