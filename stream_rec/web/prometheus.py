"""The figures of a service for Prometheus, computed when it scrapes, and at no other time.

`FAMILIES` lists them: the reference page is written from it, and dashboards and alerts are tested against it.
Knows nothing of HTTP: `Exposition.render` returns the bytes and their content type.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from stream_rec._version import __version__
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.histogram import Histogram, Occurrences
from stream_rec.service.metrics.service_metrics import STAGES, ServiceMetrics
from stream_rec.service.problems import ProblemKind
from stream_rec.service.reporting.status import Status
from stream_rec.service.state import ServiceState
from stream_rec.web.meter import HttpMeter
from stream_rec.web.quality_metrics import order_samples, quality_samples

__all__ = ["FAMILIES", "Exposition", "Family", "MetricSources", "ServiceCollector", "sources_of"]

PREFIX: Final = "stream_rec_"
ANSWER_SOURCES: Final = ("neighbours", "followed", "popular", "session", "trending", "newest", "nothing")

_STAGE_BOUNDS: Final = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.007),
    *(0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)
_END_BOUNDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_SIZE_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 100000.0)

MetricKind = Literal["counter", "gauge", "histogram", "summary"]
MetricValue = float | Histogram | Occurrences


class Family(NamedTuple):
    """One metric: its name without the prefix, and for a counter without `_total`."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets."""

    @property
    def full_name(self) -> str:
        """The name in a query of Prometheus."""
        return PREFIX + self.name + ("_total" if self.kind == "counter" else "")

    @property
    def series(self) -> list[str]:
        """The names of its series."""
        match self.kind:
            case "histogram":
                return [f"{self.full_name}_{part}" for part in ("bucket", "count", "sum")]
            case "summary":
                return [f"{self.full_name}_{part}" for part in ("count", "sum")]
        return [self.full_name]


_MODEL: Final = ("model", "shadow", "window", "n")
_SHOWN: Final = ("model", "window", "by", "value")
_ORDER: Final = ("model", "form")

FAMILIES: Final = (
    # State
    Family("build_info", "gauge", "Always 1; the labels say what runs.", ("version", "python")),
    Family("ready", "gauge", "1 while the service answers, else 0."),
    Family("state", "gauge", "1 for the present state, 0 for the others.", ("state",)),
    Family("problem", "gauge", "1 while there is a problem of this kind, else 0; the log and the status file have its "
           "message.", ("kind",)),
    Family("owned_partitions", "gauge", "Partitions of events and requests that are assigned to this process."),
    Family("lag_records", "gauge", "Records in the topic that were not read yet, as of about two seconds ago.",
           ("topic", "partition")),
    # Records and answers
    Family("events", "counter", "Records of events that this process answers for: applied; forget (an order to "
           "forget); duplicate; dead_letter.", ("outcome",)),
    Family("forgot_nothing", "counter", "Orders to forget that erased no session: it had left before, or the order "
           "names none. Also counted in events, as forget."),
    Family("followed_events", "counter", "Records that other replicas answer for, or that a recovery read again."),
    Family("coalesced_events", "counter", "Applied events without an answer of their own: a newer event of their "
           "session was answered."),
    Family("dead_letters", "counter", "Rejected records, duplicates not counted.", ("source", "reason")),
    Family("requests", "counter", "Requests for recommendations, as records or over HTTP: answered; expired; "
           "dead_letter.", ("source", "outcome")),
    Family("answers", "counter", "Answers by the source of their first item; nothing: an answer without items.",
           ("source",)),
    # Latency
    Family("stage_duration_seconds", "histogram", "Time by stage: mailbox, a batch waits for the engine's thread; "
           "apply, a batch is applied and answered; answer, all waiting requests over HTTP are answered; commit, until "
           "the broker has acknowledged.", ("stage",), _STAGE_BOUNDS),
    Family("end_to_end_seconds", "histogram", "From the broker's timestamp of a record until its answer is committed.",
           (), _END_BOUNDS),
    Family("batch_records", "histogram", "Records in a batch.", (), _SIZE_BOUNDS),
    Family("commit_answers", "histogram", "Answers in a commit.", (), _SIZE_BOUNDS),
    Family("commit_retries", "counter", "Attempts to commit that failed and were repeated."),
    Family("rebalances", "counter", "Assignments of partitions to this process, the first one included."),
    Family("recovery_duration_seconds", "summary", "Duration of a recovery, from the broker's first answer to joining "
           "the group."),
    # Memory
    Family("retained_sessions", "gauge", "Sessions in the index."),
    Family("retained_events", "gauge", "Events in the index."),
    Family("retained_items", "gauge", "Items in the index."),
    Family("retained_bytes", "gauge", "Memory of the index, estimated by cost per session, event and item: what "
           "max_bytes limits. The memory of the process is process_resident_memory_bytes."),
    Family("max_bytes", "gauge", "The limit of retained_bytes; absent without a limit."),
    Family("evicted_sessions", "counter", "Sessions evicted from the index, by age or by a limit."),
    Family("horizon_seconds", "gauge", "Age of the oldest retained session: how far back the index reaches."),
    Family("retention_seconds", "gauge", "How far back the index is meant to reach; absent without a limit."),
    Family("watermark_timestamp_seconds", "gauge", "The newest time that the log has reached."),
    # Snapshots
    Family("snapshot_last_written_timestamp_seconds", "gauge", "When this process last wrote a snapshot; absent before "
           "the first."),
    Family("snapshot_last_size_bytes", "gauge", "Size of that snapshot."),
    Family("snapshot_write_duration_seconds", "summary", "Duration of writing a snapshot. Answers go on meanwhile."),
    Family("snapshot_copy_duration_seconds", "summary", "Duration of copying the state for a snapshot. Answers wait "
           "meanwhile."),
    Family("snapshot_failures", "counter", "Snapshots that could not be written."),
    Family("snapshot_interval_seconds", "gauge", "Interval at which snapshots are to be written; absent without "
           "snapshots."),
    # HTTP
    Family("http_requests", "counter", "Requests over HTTP.", ("endpoint", "status")),
    Family("http_request_duration_seconds", "histogram", "Time from the arrival of a request to the end of its answer.",
           ("endpoint",), _STAGE_BOUNDS),
    Family("http_waiting_questions", "gauge", "Requests over HTTP that wait for the engine's thread."),
    # Lists and catalogue
    Family("unknown_list_names", "gauge", "Names of the deny or allow list that are of no item that a session holds or "
           "the catalogue lists.", ("list",)),
    Family("catalogue_items", "gauge", "Items in the catalogue; absent without one."),
    Family("catalogue_unavailable_items", "gauge", "Items in the catalogue that are not available."),
    # Quality
    Family("quality_answers", "gauge", "Answers in the window.", _MODEL),
    Family("quality_scored", "gauge", "Answers that were followed by another event of the session, and so could be "
           "scored.", _MODEL),
    Family("quality_hit_ratio", "gauge", "HR@n: the share of scored answers that contained the visitor's next item.",
           _MODEL),
    Family("quality_mrr_ratio", "gauge", "MRR@n: the mean of 1/rank of the next item, 0 if it was missing.",
           _MODEL),
    Family("quality_novel_scored", "gauge", "Scored answers whose next item was new to the session.", _MODEL),
    Family("quality_novel_hit_ratio", "gauge", "HR@n of the answers in quality_novel_scored.", _MODEL),
    Family("quality_coverage_ratio", "gauge", "The share of retained items that appeared in an answer.", _MODEL),
    Family("quality_shown", "gauge", "Items that pages said they showed, in the window.", _SHOWN),
    Family("quality_shown_clicked", "gauge", "Items that were clicked after they had been shown.", _SHOWN),
    Family("quality_click_through_ratio", "gauge", "Click-through rate: clicked by shown.", _SHOWN),
    # Learned order
    Family("learned_order_playing", "gauge", "1 for the form whose weights order the answers, 0 for the others; plain: "
           "the model's own order. Absent without rerank.", _ORDER),
    Family("learned_order_mrr_ratio", "gauge", "MRR@20 of each form on the newest fifth of the questions that retained "
           "sessions ask, which it has not seen; absent before the first weights.", _ORDER),
    Family("learned_order_examples", "gauge", "Questions that the newest weights were learned from; 0: there are none.",
           ("model",)),
    Family("learned_order_boundary_timestamp_seconds", "gauge", "Time of events up to which the newest weights were "
           "learned; absent before the first.", ("model",)),
    Family("learned_order_progress_ratio", "gauge", "The share of its questions that the fit under way has put; 0 "
           "while there is none.", ("model",)),
)  # fmt: skip


class CatalogueFigures(Protocol):
    """The size of a catalogue."""

    def __len__(self) -> int: ...
    @property
    def n_unavailable(self) -> int: ...


class MetricSources(NamedTuple):
    """What the figures are read from. A part that the service does not have is None, and its metrics are absent."""

    status: Callable[[], Status]
    metrics: ServiceMetrics | None = None
    http: HttpMeter | None = None
    snapshots: Snapshots | None = None
    snapshot_interval_s: float | None = None
    max_bytes: int | None = None
    retention_ms: int | None = None
    waiting: Callable[[], int] | None = None
    """How many requests over HTTP wait."""
    catalogue: Callable[[], CatalogueFigures | None] = lambda: None


def sources_of(service: ServiceHandle, http: HttpMeter) -> MetricSources:
    """Return the sources of a service that serves HTTP."""
    every_ms = service.snapshot_every_ms
    return MetricSources(
        service.status,
        service.metrics,
        http,
        service.snapshots,
        snapshot_interval_s=None if every_ms is None else every_ms / 1000,
        max_bytes=service.max_bytes,
        retention_ms=service.retention_ms,
        waiting=lambda: len(service.request_queue),
        catalogue=service.catalogue,
    )


Samples = Iterator[tuple[str, tuple[str, ...], MetricValue]]
"""The family's name, the values of its labels, and the figure."""


class ServiceCollector(Collector):
    """Reads all figures at each `collect`, which takes some milliseconds; costs nothing in between."""

    def __init__(self, sources: MetricSources) -> None:
        self._scraped = sources

    def describe(self) -> Iterable[Metric]:
        """Return all families, empty."""
        return [_empty(family) for family in FAMILIES]

    def collect(self) -> Iterable[Metric]:
        """Return the families that have a figure."""
        by_name: dict[str, Any] = {}
        for name, labels, value in self._samples():
            if name not in by_name:
                by_name[name] = _empty(_BY_NAME[name])
            _add(by_name[name], _BY_NAME[name], labels, value)
        return [by_name[family.name] for family in FAMILIES if family.name in by_name]

    def _samples(self) -> Samples:
        sources = self._scraped
        status = sources.status()
        yield from _state(status)
        yield from _counts(status.counts)
        yield from _retained(status, sources)
        if sources.metrics is not None:
            yield from _metrics(sources.metrics)
        if sources.snapshots is not None:
            yield from _snapshots(sources.snapshots, sources.snapshot_interval_s)
        if sources.http is not None:
            yield from _http(sources.http)
        if sources.waiting is not None:
            yield "http_waiting_questions", (), sources.waiting()
        catalogue = sources.catalogue()
        if catalogue is not None:
            yield "catalogue_items", (), len(catalogue)
            yield "catalogue_unavailable_items", (), catalogue.n_unavailable
        if status.quality is not None:
            yield from quality_samples(status.quality)
        yield from order_samples(status.orders)


class Exposition:
    """What `/metrics` returns: the figures of the service and those of the process."""

    def __init__(self, sources: MetricSources) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(ServiceCollector(sources))
        ProcessCollector(registry=self._registry)

    def render(self, accept: str | None = None) -> tuple[bytes, str]:
        """Return the exposition and its content type: OpenMetrics if *accept* names it, else the Prometheus text."""
        encode, content_type = choose_encoder(accept or "")
        return encode(self._registry), content_type


_BY_NAME: Final[Mapping[str, Family]] = {family.name: family for family in FAMILIES}
_MAKERS: Final[Mapping[MetricKind, Callable[..., Metric]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
    "summary": SummaryMetricFamily,
}


def _empty(family: Family) -> Metric:
    return _MAKERS[family.kind](PREFIX + family.name, family.help, labels=family.labels)


def _add(metric: Any, family: Family, labels: tuple[str, ...], value: MetricValue) -> None:  # noqa: ANN401  # of four kinds
    match value:
        case Histogram():
            total = value.sum  # before the counts: a value recorded in between is then counted but not yet in the sum
            reached = value.up_to(family.bounds)
            names = [*map(floatToGoString, family.bounds), "+Inf"]
            metric.add_metric(labels, buckets=list(zip(names, reached, strict=True)), sum_value=total)
        case Occurrences():
            metric.add_metric(labels, count_value=value.count, sum_value=value.seconds)
        case _:
            metric.add_metric(labels, value)


def _state(status: Status) -> Samples:
    yield "build_info", (__version__, platform.python_version()), 1
    yield "ready", (), float(status.is_ready)
    for state in ServiceState:
        yield "state", (state,), float(status.state is state)
    kinds = {each.kind for each in status.problems}
    for kind in ProblemKind:
        yield "problem", (kind,), float(kind in kinds)
    yield "owned_partitions", (), len(status.owned)
    for name in ("deny", "allow"):
        yield "unknown_list_names", (name,), status.unknown_names.get(name, 0)
    for label, lag in status.lag.items():
        topic, _, partition = label.rpartition("-")
        yield "lag_records", (topic, partition), lag


def _counts(counts: Counters) -> Samples:
    dead, dead_requests = counts.dead.copy(), counts.dead_requests.copy()  # another thread counts meanwhile
    yield "events", ("applied",), counts.n_applied - counts.n_forgets
    yield "events", ("forget",), counts.n_forgets
    yield "events", ("shown",), counts.n_shown
    yield "forgot_nothing", (), counts.n_forgot_nothing
    yield "events", ("duplicate",), counts.n_duplicates
    yield "events", ("dead_letter",), dead.total()
    yield "followed_events", (), counts.n_followed
    yield "coalesced_events", (), counts.n_coalesced
    for source, letters in (("events", dead), ("requests", dead_requests)):
        for reason, n in letters.items():
            yield "dead_letters", (source, reason), n
    rejected = dead_requests.total()
    yield "requests", ("records", "answered"), max(0, counts.n_requests - rejected - counts.n_expired)
    yield "requests", ("records", "expired"), counts.n_expired
    yield "requests", ("records", "dead_letter"), rejected
    yield "requests", ("http", "answered"), counts.n_asked
    for source in ANSWER_SOURCES:
        yield "answers", (source,), counts.sources[source]


def _retained(status: Status, sources: MetricSources) -> Samples:
    stats = status.stats
    if stats is not None:
        yield "retained_sessions", (), stats.n_sessions
        yield "retained_events", (), stats.n_events
        yield "retained_items", (), stats.n_items
        yield "retained_bytes", (), stats.n_bytes
        yield "evicted_sessions", (), stats.n_evicted
        if stats.horizon_ms is not None:
            yield "horizon_seconds", (), stats.horizon_ms / 1000
        if stats.watermark is not None:
            yield "watermark_timestamp_seconds", (), stats.watermark / 1000
    if sources.max_bytes is not None:
        yield "max_bytes", (), sources.max_bytes
    if sources.retention_ms is not None:
        yield "retention_seconds", (), sources.retention_ms / 1000


def _metrics(metrics: ServiceMetrics) -> Samples:
    for stage in STAGES:
        if stage != "end_to_end":
            yield "stage_duration_seconds", (stage,), getattr(metrics, stage)
    yield "end_to_end_seconds", (), metrics.end_to_end
    yield "batch_records", (), metrics.batch_records
    yield "commit_answers", (), metrics.commit_answers
    yield "commit_retries", (), metrics.commit_retries.count
    yield "rebalances", (), metrics.rebalances.count
    yield "recovery_duration_seconds", (), metrics.recoveries


def _snapshots(snapshots: Snapshots, interval_s: float | None) -> Samples:
    last = snapshots.last
    if last is not None:
        yield "snapshot_last_written_timestamp_seconds", (), last.at_ms / 1000
        yield "snapshot_last_size_bytes", (), last.n_bytes
    yield "snapshot_write_duration_seconds", (), snapshots.written
    yield "snapshot_copy_duration_seconds", (), snapshots.copied
    yield "snapshot_failures", (), snapshots.failed.count
    if interval_s is not None:
        yield "snapshot_interval_seconds", (), interval_s


def _http(meter: HttpMeter) -> Samples:
    for (endpoint, status), n in sorted(meter.counts.copy().items()):
        yield "http_requests", (endpoint, str(status)), n
    for endpoint, seconds in sorted(meter.seconds.copy().items()):
        yield "http_request_duration_seconds", (endpoint,), seconds
