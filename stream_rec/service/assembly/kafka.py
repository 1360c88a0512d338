"""Settings -> a service on a broker: its topics, destinations, names, snapshots, and the parts of its consumer loop."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

import msgspec

from stream_rec.core.events import EventEncoder
from stream_rec.core.quality import Quality
from stream_rec.errors import MissingTopicError, RegistryUnavailableError, SettingsError, SnapshotError
from stream_rec.service.assembly.brokers import connect_broker
from stream_rec.service.assembly.engine import build_engine, build_limits, build_quality, build_shown_rules
from stream_rec.service.assembly.handle import build_handle
from stream_rec.service.assembly.inputs import (
    build_catalogue_feed,
    build_decode_rules,
    build_record_decoder,
    build_registry,
    build_request_decoder,
)
from stream_rec.service.assembly.outputs import open_dead_letters, open_recommendations
from stream_rec.service.assembly.replicas import build_commit_note
from stream_rec.service.assembly.topic_check import check_topics
from stream_rec.service.assembly.tracing import open_tracing
from stream_rec.service.commit_note import CommitNote
from stream_rec.service.committing.checkpoint import ignore_commits
from stream_rec.service.committing.destinations import OutputDestinations
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.problems import ProblemKind, Problems
from stream_rec.service.processing.catalogue_feed import CatalogueFeed
from stream_rec.service.processing.processor import AnswerPolicy, Processor
from stream_rec.service.reporting.status import StatsTaker
from stream_rec.service.requests.ingest import TopicIngest
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.running.pipeline import StateListeners
from stream_rec.service.running.reporter import Reporter
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.service.wall_clock import now_ms
from stream_rec.settings import Settings, is_topic
from stream_rec.snapshot import Claim, claim, fingerprint
from stream_rec.transport.broker import Broker, TopicSpec
from stream_rec.transport.kafka import open_broker, parse_address, read_config

if TYPE_CHECKING:
    from stream_rec.service.metrics.tracing import Tracing
    from stream_rec.transport.kafka.registry.registry import SchemaRegistry

__all__ = ["KafkaRun", "build_kafka_service"]

log = logging.getLogger(__name__)

_SILENT_BATCH: Final = 4096  # larger batches cost less a record, and no answer waits for them
_TOPIC_KEYS: Final = ("events", "requests", "recommendations", "dead_letters")


class KafkaRun(NamedTuple):
    """A service that has not spoken to its broker yet."""

    service: KafkaService
    reporter: Reporter
    handle: ServiceHandle | None
    """Where the settings say that HTTP is served."""


class _Shared(NamedTuple):
    """What all recoveries of a service share: opened once."""

    topics: Mapping[str, str]
    """By the setting that names it."""
    files: OutputDestinations
    name: str
    has_lasting_name: bool
    catalogue: CatalogueFeed | None
    snapshots: Snapshots | None
    tracing: "Tracing | None"
    quality: Quality | None
    taker: StatsTaker
    request_queue: RequestQueue | None
    timeouts: Timeouts
    is_checked: list[bool]
    """Filled when the topics' settings were looked at: once for each start."""
    note: CommitNote
    problems: Problems
    registry: "SchemaRegistry | None"
    """It keeps the schemas that it knows over all recoveries."""


def build_kafka_service(settings: Settings, undo: ExitStack, timeouts: Timeouts = TIMEOUTS) -> KafkaRun:
    """Make the service; *undo* closes what was opened. Raises SettingsError."""
    shared = _open_shared(settings, undo, timeouts)
    if settings.delivery is None and not settings.is_exactly_once:
        log.info("an output is not in Kafka: delivery is at least once")
    service = KafkaService(
        lambda opened: _connect(settings, shared, opened),
        serves_http=shared.request_queue is not None,
        timeouts=timeouts,
        problems=shared.problems,
    )
    path = None if settings.status_file is None else Path(settings.status_file)
    reporter = Reporter(path, shared.taker, shared.snapshots, timeouts=timeouts)
    return KafkaRun(service, reporter, _build_handle(settings, undo, shared, service, reporter))


def _open_shared(settings: Settings, undo: ExitStack, timeouts: Timeouts) -> _Shared:
    topics = _topics(settings)
    # Wrong settings show before a broker is waited for.
    build_engine(settings)
    read_config(settings.kafka)
    registry = build_registry(settings)
    files = _open_files(settings, undo)
    catalogue = build_catalogue_feed(settings, timeouts)
    if catalogue is not None:
        undo.callback(catalogue.close)
        if not is_topic(settings.catalogue or ""):  # a broker that is away is waited for, together with the events'
            catalogue.start()
    problems = Problems()
    snapshots, drawn = _claim_snapshots(settings, undo, timeouts, problems)
    tracing = open_tracing(settings, timeouts)
    if tracing is not None:
        undo.callback(tracing.close)
    quality = build_quality(settings)
    return _Shared(
        topics,
        files,
        settings.instance or drawn or uuid4().hex,
        has_lasting_name=settings.instance is not None or drawn is not None,
        catalogue=catalogue,
        snapshots=snapshots,
        tracing=tracing,
        quality=quality,
        taker=StatsTaker(quality=quality, timeouts=timeouts),
        request_queue=None if settings.http is None else RequestQueue(),
        timeouts=timeouts,
        is_checked=[],
        note=build_commit_note(settings),
        problems=problems,
        registry=registry,
    )


def _build_handle(
    settings: Settings, undo: ExitStack, shared: _Shared, service: KafkaService, reporter: Reporter
) -> ServiceHandle | None:
    if shared.request_queue is None:
        return None
    ingest = TopicIngest(
        lambda: connect_broker(settings, settings.events, "events"),
        shared.topics["events"],
        EventEncoder(build_decode_rules(settings)),
        timeouts=shared.timeouts,
    )
    undo.callback(ingest.close)
    return build_handle(
        settings,
        request_queue=shared.request_queue,
        ingest=ingest,
        status=lambda: reporter.status(service),
        is_ready=lambda: service.is_ready,
        metrics=service.metrics,
        snapshots=shared.snapshots,
        catalogue=shared.catalogue,
        tracing=shared.tracing,
    )


def _connect(settings: Settings, shared: _Shared, opened: ExitStack) -> ServiceComponents:
    """Connect to the broker, and make the components of one consumer loop; *opened* closes what must be closed."""
    config = _client_config(settings.kafka, has_lasting_name=shared.has_lasting_name, timeouts=shared.timeouts)
    broker = open_broker(settings.events, client=settings.kafka_client, config=config)
    opened.callback(broker.close)
    topics, snapshots = shared.topics, shared.snapshots
    _provide(settings, broker, topics)
    if not shared.is_checked:
        check_topics(settings, broker, topics)
        shared.is_checked.append(True)
    if shared.catalogue is not None:
        shared.catalogue.start()
    if shared.registry is not None:
        _find_registry(shared.registry, shared.problems)
    return ServiceComponents(
        broker,
        topics["events"],
        build_record_decoder(settings, shared.registry),
        _processor_maker(settings, shared.catalogue, shared.quality),
        shared.files._replace(
            answers_topic=topics.get("recommendations"),
            dead_letters_topic=topics.get("dead_letters"),
            group=settings.group,
        ),
        requests=topics.get("requests"),
        group=settings.group,
        instance=settings.instance,
        transactional_id=f"{settings.group}-{shared.name}" if settings.is_exactly_once else None,
        begin=settings.begin,
        note=shared.note,
        snapshots=snapshots,
        listener=StateListeners([shared.taker] if snapshots is None else [shared.taker, snapshots]),
        max_records=max(settings.batch_events, _SILENT_BATCH if settings.answer == "none" else 1),
        on_committed=ignore_commits if shared.tracing is None else shared.tracing.committed,
        request_queue=shared.request_queue,
        timeouts=shared.timeouts,
    )


def _find_registry(registry: "SchemaRegistry", problems: Problems) -> None:
    """See whether the registry answers. Raises RegistryUnavailableError, which is waited for, and SettingsError."""
    try:
        registry.check()
    except RegistryUnavailableError as error:
        problems.begin(ProblemKind.REGISTRY, f"{error.message}; waiting for it", blocks=True)
        raise
    problems.end(ProblemKind.REGISTRY)


def _client_config(given: Mapping[str, str], *, has_lasting_name: bool, timeouts: Timeouts) -> dict[str, str]:
    """Return the operator's settings, and how long the broker keeps an open transaction.

    The next start of a writer with a lasting name ends its transaction, so it may outlast a broker that is away for a
    while. No other writer ends one without such a name, and it holds up readers of committed records: then the client's
    own, shorter time holds.
    """
    is_given = any(key.replace("_", ".").endswith("transaction.timeout.ms") for key in given)
    if is_given or not has_lasting_name:
        return dict(given)
    return {**given, "producer.transaction.timeout.ms": str(timeouts.named_transaction_ms)}


def _topics(settings: Settings) -> dict[str, str]:
    """Return the topic of each setting that names one. Raises SettingsError if they are not of the same brokers."""
    topics = {}
    servers, _ = parse_address(settings.events, "events")
    for key in _TOPIC_KEYS:
        text = settings.answers_place if key == "recommendations" else getattr(settings, key)
        if text is None or not is_topic(text):
            continue
        address = parse_address(text, key)
        if address.servers != servers:
            raise SettingsError(
                key, f"is at {address.servers}, and events are at {servers}: one service works with one cluster"
            )
        topics[key] = address.topic
    return topics


def _open_files(settings: Settings, undo: ExitStack) -> OutputDestinations:
    answers = dead_letters = None
    if settings.answers_place is not None and not is_topic(settings.answers_place):
        answers = open_recommendations(settings)
    if settings.dead_letters is not None and not is_topic(settings.dead_letters):
        dead_letters = open_dead_letters(settings)
    for sink in (answers, dead_letters):
        if sink is not None:
            undo.callback(sink.close)
    return OutputDestinations(answers_file=answers, dead_letters_file=dead_letters)


class _ClaimedFolder:
    """The folder of snapshots, claimed as soon as that is possible."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._claim: Claim | None = None

    def claim(self) -> str:
        """Claim it, and return the name that stands in it. Raises SettingsError and SnapshotError."""
        if self._claim is None:
            self._claim = claim(self._folder, uuid4().hex)
        return self._claim.instance

    def claim_later(self) -> None:
        """The same for a running service. Raises SnapshotError: no snapshot is written, and all else goes on."""
        try:
            self.claim()
        except SettingsError as error:
            raise SnapshotError(error.message) from error

    def close(self) -> None:
        """Release it."""
        if self._claim is not None:
            self._claim.close()


def _claim_snapshots(
    settings: Settings, undo: ExitStack, timeouts: Timeouts, problems: Problems
) -> tuple[Snapshots | None, str | None]:
    """Claim the folder of snapshots; return what writes them, and the name that stands in the folder.

    A folder that cannot be written to now prevents no start, but there is no name then.
    """
    if settings.snapshots is None:
        return None, None
    folder = _ClaimedFolder(Path(settings.snapshots))
    undo.callback(folder.close)
    name = None
    try:
        name = folder.claim()
    except SnapshotError as error:
        problems.begin(ProblemKind.SNAPSHOTS, error.message)
    decode = msgspec.to_builtins(build_decode_rules(settings))
    if decode["shown_type"] is None:  # and the rules are those of programs that knew nothing of it
        del decode["shown_type"]
    shown = build_shown_rules(settings)
    rules = fingerprint(build_limits(settings), settings.session_gap_ms, decode, shown)
    snapshots = Snapshots(
        Path(settings.snapshots),
        rules,
        every_s=settings.snapshot_every_ms / 1000,
        keep=settings.snapshots_kept,
        now_ms=now_ms,
        claim=folder.claim_later,
        problems=problems,
        timeouts=timeouts,
    )
    return snapshots, name


def _processor_maker(
    settings: Settings, catalogue: CatalogueFeed | None, quality: Quality | None
) -> Callable[[Counters, ServiceMetrics], Processor]:
    policy = AnswerPolicy(
        settings.answers_events,
        settings.coalesce,
        settings.request_ttl_ms,
        uses_log_times=settings.future_ms is not None,
    )

    def make(counters: Counters, metrics: ServiceMetrics) -> Processor:
        return Processor(
            build_engine(settings),
            build_request_decoder(settings),
            policy=policy,
            counters=counters,
            metrics=metrics,
            quality=quality,
            catalogue=None if catalogue is None else catalogue.current,
        )

    return make


def _provide(settings: Settings, broker: Broker, topics: Mapping[str, str]) -> None:
    """See that all topics are there; create missing ones if the settings say so. Raises MissingTopicError."""
    missing = {key: topic for key, topic in topics.items() if not broker.partitions(topic)}
    if missing and settings.create_topics:
        wanted = [
            TopicSpec(topic, settings.topic_partitions, settings.topic_replication, settings.topic_retention_ms)
            for topic in missing.values()
        ]
        broker.create_topics(wanted)
        log.info("created the topics %s", ", ".join(sorted(missing.values())))
        return
    for key, topic in missing.items():
        servers, _ = parse_address(settings.events, "events")
        raise MissingTopicError(
            f"{key}: there is no topic {topic!r} at {servers}: run with --create-topics, or make it with "
            f"`kafka-topics.sh --bootstrap-server {servers} --create --topic {topic}`",
        )
