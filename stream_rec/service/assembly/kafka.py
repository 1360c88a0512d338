"""Settings -> the parts of a service on a broker: topics, places, names, snapshots.

The only place where a setting's name meets the name of what it sets, as `build` is for runs over files, whose parts it
uses where they are the same.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import time
from typing import Final
from uuid import uuid4

import msgspec

from stream_rec.core.events import EventEncoder
from stream_rec.core.quality import Quality
from stream_rec.errors import SettingsError
from stream_rec.service.assembly.engine import build_engine, build_limits, build_quality
from stream_rec.service.assembly.handle import build_handle
from stream_rec.service.assembly.inputs import (
    build_catalogue_feed,
    build_decode_rules,
    build_decoder,
    build_request_decoder,
)
from stream_rec.service.assembly.outputs import open_dead_letters, open_recommendations
from stream_rec.service.assembly.tracing import open_tracing
from stream_rec.service.committing.checkpoint import nobody_observes
from stream_rec.service.committing.destinations import OutputDestinations
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.processing.catalogue_feed import CatalogueFeed
from stream_rec.service.processing.processor import Processor
from stream_rec.service.reporting.status import StatsTaker
from stream_rec.service.requests.ingest import TopicIngest
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.running.pipeline import StateListeners
from stream_rec.service.running.reporter import Reporter
from stream_rec.settings import Settings, is_topic
from stream_rec.snapshot import claim, fingerprint
from stream_rec.transport.broker import Broker, TopicSpec
from stream_rec.transport.kafka import open_broker, parse_address, read_config
from stream_rec.transport.records import Sink

__all__ = ["build_live", "build_served"]

log = logging.getLogger(__name__)

_NAMED_MS: Final = 60_000
_SILENT_BATCH: Final = 4096  # nobody waits for an answer: larger batches cost less a record
_PLACES: Final = ("events", "requests", "recommendations", "dead_letters")


def build_live(
    settings: Settings, undo: ExitStack, request_queue: RequestQueue | None = None
) -> tuple[KafkaService, Reporter]:
    """Make the service, which has not spoken to the broker yet; *undo* closes what was opened. Raises SettingsError.

    It serves *request_queue*, if there is one.
    """
    topics = _topics(settings)
    # What is wrong shows before a broker is waited for.
    build_engine(settings)
    read_config(settings.kafka)
    files = _open_files(settings, undo)
    catalogue = build_catalogue_feed(settings)
    if catalogue is not None:
        undo.callback(catalogue.close)
        if not is_topic(settings.catalogue or ""):  # a broker that is away is waited for, together with the events'
            catalogue.start()
    snapshots, drawn = _claimed(settings, undo)
    tracing = open_tracing(settings)
    if tracing is not None:
        undo.callback(tracing.close)
    quality = build_quality(settings)  # it outlasts a recovery
    taker = StatsTaker(quality=quality)
    name = settings.instance or drawn or uuid4().hex

    def connect(open_parts: ExitStack) -> ServiceComponents:
        config = _client_settings(settings.kafka, is_named=settings.instance is not None or drawn is not None)
        broker = open_broker(settings.events, client=settings.kafka_client, config=config)
        open_parts.callback(broker.close)
        _provide(settings, broker, topics)
        if catalogue is not None:
            catalogue.start()
        return ServiceComponents(
            broker,
            topics["events"],
            _worker_maker(settings, catalogue, quality),
            files._replace(answers_topic=topics.get("recommendations"), dead_letters_topic=topics.get("dead_letters")),
            requests=topics.get("requests"),
            group=settings.group,
            instance=settings.instance,
            transactional_id=f"{settings.group}-{name}" if settings.is_exactly_once else None,
            begin=settings.begin,
            snapshots=snapshots,
            watcher=StateListeners([taker] if snapshots is None else [taker, snapshots]),
            max_records=max(settings.batch_events, _SILENT_BATCH if settings.answer == "none" else 1),
            observe=nobody_observes if tracing is None else tracing.committed,
            request_queue=request_queue,
        )

    if settings.delivery is None and not settings.is_exactly_once:
        log.info("something is written outside of Kafka: delivery is at least once")
    path = None if settings.status_file is None else Path(settings.status_file)
    live = KafkaService(connect, tracing)
    live.serves_others = request_queue is not None
    if catalogue is not None:
        live.catalogue = catalogue.current
    return live, Reporter(path, taker, snapshots)


def build_served(
    settings: Settings, undo: ExitStack, live: KafkaService, report: Reporter, request_queue: RequestQueue
) -> ServiceHandle:
    """What the service shows to others, with a way in for their events; *undo* closes that."""
    ingest = TopicIngest(
        lambda: open_broker(settings.events, client=settings.kafka_client, config=settings.kafka),
        parse_address(settings.events, "events").topic,
        EventEncoder(build_decode_rules(settings)),
        request_queue,
    )
    undo.callback(ingest.close)
    served = build_handle(
        settings, request_queue, ingest, lambda: report.status(live), lambda: live.state == "ready", live.metrics
    )
    every_ms = None if report.snapshots is None else settings.snapshot_every_ms
    return served._replace(
        snapshots=report.snapshots, snapshot_every_ms=every_ms, tracing=live.tracing, catalogue=live.catalogue
    )


def _client_settings(given: Mapping[str, str], *, is_named: bool) -> dict[str, str]:
    """The operator's settings, and how long the broker keeps a transaction that nobody ends.

    One whose writer has a lasting name is ended by the next start, so it may outlast a broker that is away for a while.
    Without a name nobody else ends it, and it holds up readers of committed records: then the client's own, shorter
    time holds.
    """
    told = any(key.replace("_", ".").endswith("transaction.timeout.ms") for key in given)
    return dict(given) if told or not is_named else {**given, "producer.transaction.timeout.ms": str(_NAMED_MS)}


def _topics(settings: Settings) -> dict[str, str]:
    """The topic of each setting that names one. All must be of the same brokers."""
    topics = {}
    servers, _ = parse_address(settings.events, "events")
    for key in _PLACES:
        place = settings.answers_place if key == "recommendations" else getattr(settings, key)
        if place is None or not is_topic(place):
            continue
        address = parse_address(place, key)
        if address.servers != servers:
            raise SettingsError(
                key, f"is at {address.servers}, and events are at {servers}: one service works with one cluster"
            )
        topics[key] = address.topic
    return topics


def _open_files(settings: Settings, undo: ExitStack) -> OutputDestinations:
    answers: Sink | None = None
    dead: Sink | None = None
    if settings.answers_place is not None and not is_topic(settings.answers_place):
        answers = open_recommendations(settings)
    if settings.dead_letters is not None and not is_topic(settings.dead_letters):
        dead = open_dead_letters(settings)
    for sink in (answers, dead):
        if sink is not None:
            undo.callback(sink.close)
    return OutputDestinations(answers_file=answers, dead_letters_file=dead)


def _claimed(settings: Settings, undo: ExitStack) -> tuple[Snapshots | None, str | None]:
    """The keeper of snapshots, and the name that stands in their folder."""
    if settings.snapshots is None:
        return None, None
    folder = Path(settings.snapshots)
    claimed = claim(folder, uuid4().hex)
    undo.callback(claimed.close)
    decode = msgspec.to_builtins(build_decode_rules(settings))
    rules = fingerprint(build_limits(settings), settings.session_gap_ms, decode)
    snapshots = Snapshots(
        folder,
        rules,
        every_s=settings.snapshot_every_ms / 1000,
        keep=settings.snapshots_kept,
        now_ms=_now_ms,
    )
    return snapshots, claimed.instance


def _worker_maker(
    settings: Settings, catalogue: CatalogueFeed | None, quality: Quality | None
) -> Callable[[], Processor]:
    def make() -> Processor:
        processor = Processor(
            build_engine(settings),
            build_decoder(settings),
            build_request_decoder(settings),
            answers_events=settings.answers_events,
            coalesce=settings.coalesce,
            now_ms=None if settings.max_future_ms is None else _now_ms,
            request_ttl_ms=settings.request_ttl_ms,
            clock_ms=_now_ms,
        )
        processor.quality = quality
        processor.catalogue = None if catalogue is None else catalogue.current
        return processor

    return make


def _provide(settings: Settings, broker: Broker, topics: dict[str, str]) -> None:
    """See that all topics are there, making them if that was asked for."""
    missing = {key: topic for key, topic in topics.items() if not broker.partitions(topic)}
    if missing and settings.create_topics:
        wanted = [
            TopicSpec(topic, settings.topic_partitions, settings.topic_replication, settings.topic_retention_ms)
            for topic in missing.values()
        ]
        broker.create_topics(wanted)
        log.info("made the topics %s", ", ".join(sorted(missing.values())))
        return
    for key, topic in missing.items():
        servers, _ = parse_address(settings.events, "events")
        raise SettingsError(
            key,
            f"there is no topic {topic!r} at {servers}: run with --create-topics, or make it with "
            f"`kafka-topics.sh --bootstrap-server {servers} --create --topic {topic}`",
        )


def _now_ms() -> int:
    return int(time() * 1000)
