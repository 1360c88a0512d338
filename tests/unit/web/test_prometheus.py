"""What Prometheus scrapes: every figure once, under names that follow its rules, as on the reference page."""

import re
import shutil
import subprocess
from pathlib import Path

import metrics_reference
import msgspec
import pytest
from observing import Watched, click, figure, figures, running, watched
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from stream_rec.core.engine import LearnedOrder
from stream_rec.core.quality import ClickThrough, ModelQuality, QualityReport, WindowQuality
from stream_rec.errors import SnapshotError
from stream_rec.web.prometheus import FAMILIES, PREFIX, Exposition, MetricSources

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
BROKEN = [b"{", b"[]"]


def with_quality(service: Watched, hr_novel: float | None = 0.4) -> MetricSources:
    """Return the sources of *service* with live quality of two models, one a shadow."""
    figures = {name: 0.5 for field in ("hr", "mrr", "hr_novel") for name in (field, f"{field}_low", f"{field}_high")}
    models = [
        ModelQuality(
            **{**figures, "mrr": 0.25, "hr_novel": hr_novel},
            model=name, shadow=name == "b", answers=90, scored=60, novel_scored=40, coverage=0.1,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    shown = ClickThrough(model="a", by="place", value="1", shown=20, clicked=5, ctr=0.25, ctr_low=0.1, ctr_high=0.5)
    report = QualityReport(20, [WindowQuality(300.0, models, [shown])])
    status = service.sources.status
    return service.sources._replace(
        status=lambda: msgspec.structs.replace(status(), quality=report, orders=[learned("a"), learned("b", None)])
    )


def learned(model: str, playing: str | None = "linear@1700000000000") -> LearnedOrder:
    """Return the order of a model; without *playing*, one that has learned nothing yet."""
    is_learned = playing is not None
    return LearnedOrder(
        model=model, setting="auto", playing=playing, learned_at=1_700_000_000_000 if is_learned else None,
        questions=5_000, examples=4_000 if is_learned else 0, phase="older", done=0.25, events_left=7, features=[],
        mrr={"plain": 0.2, "linear": 0.3, "hidden": 0.25} if is_learned else {},
    )  # fmt: skip


class NineItems(str):
    """A catalogue of nine items, two of them unavailable."""

    __slots__ = ()
    n_unavailable = 2


def complete(service: Watched) -> MetricSources:
    """Return the sources of *service* with everything that a service can have."""
    http = service.sources.http
    assert http is not None
    http.record("/v1/events", 202, 0.004)
    http.record("/v1/events", 401, 0.001)
    return with_quality(service)._replace(waiting=lambda: 3, catalogue=lambda: NineItems("abcdefghi"))


def test_a_complete_service_exposes_every_family(tmp_path: Path) -> None:
    """So none on the reference page is always absent."""
    service = watched(tmp_path, [*map(click, range(30)), *BROKEN])
    sources = complete(service)
    snapshots = sources.snapshots
    assert snapshots is not None

    def has_everything() -> bool:
        status = sources.status()  # other threads take the lag and the state's figures now and then
        has_figures = bool(status.lag) and status.stats is not None and status.stats.watermark is not None
        return service.kafka_service.metrics.batch_records.sum == 32 and snapshots.last is not None and has_figures

    with running(service, has_everything):
        exposed = {name for name, _ in figures(sources)}
        # The client library adds when a counter was made.
        assert {name for family in FAMILIES for name in family.series} <= exposed
        assert (9, 2) == (figure(sources, "catalogue_items"), figure(sources, "catalogue_unavailable_items"))
        assert {name for name in exposed if name.startswith(PREFIX)} <= {
            n for family in FAMILIES for n in family.series
        }


def test_outcomes_add_up(tmp_path: Path) -> None:
    """Events by outcome are all that was read; answers by source are all answers; dead letters have their reasons."""
    service = watched(tmp_path, [*map(click, range(30)), *BROKEN])
    sources, counts = service.sources, service.kafka_service.counters

    def has_seen_all() -> bool:
        stats = sources.status().stats  # taken once a second, so later than the batches are counted
        is_last = stats is not None and stats.watermark == 1_029
        return service.kafka_service.metrics.batch_records.sum == 32 and is_last

    with running(service, has_seen_all):
        found = figures(sources)
        assert 32 == sum(value for (name, _), value in found.items() if name == "stream_rec_events_total")
        assert 30 == sum(value for (name, _), value in found.items() if name == "stream_rec_answers_total")
        dead = {dict(labels)["reason"]: value for (name, labels), value in found.items() if "dead_letters" in name}
        assert dict(counts.dead) == dead
        assert 2 == figure(sources, "events_total", outcome="dead_letter")
        assert (1, 1) == (figure(sources, "ready"), figure(sources, "state", state="ready"))
        assert 1 == figure(sources, "owned_partitions")
        assert 3 == figure(sources, "retained_sessions")
        assert 0.4 == figure(sources, "retention_seconds")


def test_snapshots_are_measured(tmp_path: Path) -> None:
    """Their number, the time to copy and to write them, when the last one was written, and failures."""
    service = watched(tmp_path, [*map(click, range(30))])
    sources, snapshots = service.sources, service.sources.snapshots
    assert snapshots is not None
    with running(service, lambda: snapshots.last is not None):
        pass
    for part in ("write", "copy"):
        assert figure(sources, f"snapshot_{part}_duration_seconds_count") > 0
        assert figure(sources, f"snapshot_{part}_duration_seconds_sum") > 0
    assert 1_700_000_000 == figure(sources, "snapshot_last_written_timestamp_seconds")
    assert 300 == figure(sources, "snapshot_interval_seconds")
    last = snapshots.last
    assert last is not None
    assert Path(last.path).stat().st_size == figure(sources, "snapshot_last_size_bytes")
    assert 0 == figure(sources, "snapshot_failures_total")


def test_a_snapshot_that_fails_is_counted(tmp_path: Path) -> None:
    """And no written one is counted."""

    def fail(step: str) -> None:
        raise SnapshotError(f"{step}: the disk is full")

    service = watched(tmp_path, [*map(click, range(30))], step=fail)
    failed = service.sources.snapshots
    assert failed is not None
    with running(service, lambda: failed.failed.count > 0):
        assert figure(service.sources, "snapshot_failures_total") > 0
        assert 0 == figure(service.sources, "snapshot_write_duration_seconds_count")


def test_a_histogram_counts_what_was_measured(tmp_path: Path) -> None:
    """Buckets are cumulative, the last counts all values, and the sum is theirs."""
    service = watched(tmp_path, [])
    http = service.sources.http
    assert http is not None
    for seconds in (0.0004, 0.003, 0.0031, 0.6, 99.0):
        http.record("/v1/events", 202, seconds)
    name = "http_request_duration_seconds"
    wanted = {"0.0005": 1, "0.003": 2, "0.005": 3, "0.5": 3, "1.0": 4, "10.0": 4, "+Inf": 5}
    assert wanted == {
        bound: figure(service.sources, f"{name}_bucket", endpoint="/v1/events", le=bound) for bound in wanted
    }
    assert 5 == figure(service.sources, f"{name}_count", endpoint="/v1/events")
    assert 99.6065 == pytest.approx(figure(service.sources, f"{name}_sum", endpoint="/v1/events"))


def test_a_service_that_has_not_started_is_not_ready(tmp_path: Path) -> None:
    """Before there are figures of the state, and without anything optional."""
    service = watched(tmp_path, [])
    found = figures(MetricSources(service.sources.status))
    assert 0 == found["stream_rec_ready", frozenset()]
    assert 1 == found["stream_rec_state", frozenset({("state", "waiting for the broker")})]
    names = {name for name, _ in found}
    assert not names & {
        "stream_rec_retained_sessions", "stream_rec_max_bytes", "stream_rec_snapshot_failures_total",
        "stream_rec_stage_duration_seconds_bucket", "stream_rec_quality_hit_ratio",
    }  # fmt: skip


def test_quality_is_exposed_by_model_and_window(tmp_path: Path) -> None:
    """A figure that is unknown yet is absent, not 0."""
    sources = with_quality(watched(tmp_path, []), hr_novel=None)
    labels = {"model": "b", "shadow": "true", "window": "300s", "n": "20"}
    assert 0.25 == figure(sources, "quality_mrr_ratio", **labels)
    assert "stream_rec_quality_novel_hit_ratio" not in {name for name, _ in figures(sources)}


def test_learned_orders_are_exposed_by_form(tmp_path: Path) -> None:
    """One form of each model is in force: its own before there are weights, whose figures are absent, not 0."""
    sources = with_quality(watched(tmp_path, []))
    found = figures(sources)

    def of(name: str, model: str) -> dict[str, float]:
        full = f"stream_rec_learned_order_{name}"
        rows = [(dict(labels), value) for (each, labels), value in found.items() if each == full]
        return {labels.get("form", ""): value for labels, value in rows if labels["model"] == model}

    assert {"plain": 0, "linear": 1, "hidden": 0} == of("playing", "a")
    assert {"plain": 1, "linear": 0, "hidden": 0} == of("playing", "b")
    assert {"plain": 0.2, "linear": 0.3, "hidden": 0.25} == of("mrr_ratio", "a")
    assert ({"": 4_000}, {"": 1_700_000_000}) == (of("examples", "a"), of("boundary_timestamp_seconds", "a"))
    assert ({}, {"": 0}, {}) == (of("mrr_ratio", "b"), of("examples", "b"), of("boundary_timestamp_seconds", "b"))
    assert {"": 0.25} == of("progress_ratio", "b")


def test_open_metrics_is_returned_if_accepted(tmp_path: Path) -> None:
    """It ends as it must, and a strict parser reads it; other clients get the plain text."""
    exposition = Exposition(complete(watched(tmp_path, [])))
    for accept in (None, "", "*/*", "text/plain;version=0.0.4"):
        assert exposition.render(accept)[1].startswith("text/plain; version=")
    text, kind = exposition.render(f"{OPEN_METRICS},text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    families = {family.name for family in text_string_to_metric_families(text.decode())}  # type: ignore[no-untyped-call]
    assert "stream_rec_http_requests" in families


def test_names_follow_the_rules_of_prometheus(tmp_path: Path) -> None:
    """The checker promtool finds nothing wrong with them."""
    if shutil.which("promtool") is None:
        pytest.skip("no promtool (Debian: apt install prometheus): names are not checked by it")
    text, _ = Exposition(complete(watched(tmp_path, []))).render()
    ours = b"".join(line for line in text.splitlines(keepends=True) if b"stream_rec_" in line)
    done = subprocess.run(["promtool", "check", "metrics"], input=ours, capture_output=True, check=False, timeout=60)  # noqa: S607  # wherever it is
    assert (0, b"") == (done.returncode, done.stdout + done.stderr)


def test_units_are_base_units() -> None:
    """Seconds, bytes and ratios; nothing in milliseconds or per cent."""
    for family in FAMILIES:
        assert not re.search(r"(_ms|_millis|_minutes|percent|_kb|_mb)\b", family.name)
        assert family.help.endswith(".")
        assert family.name.endswith("_ratio") <= (family.kind == "gauge")


def test_the_reference_page_is_written_from_the_families() -> None:
    """`make docs` was run after their last change."""
    assert metrics_reference.page() == metrics_reference.PAGE.read_text(encoding="utf-8"), "run `make docs`"
