"""What a service measures of itself: within a tenth, over the last minute, and never going back."""

import threading
from pathlib import Path
from time import monotonic, time

import numpy as np
import pytest
from observing import click, histogram, running, watched

from stream_rec.core.events import Answer, Event
from stream_rec.service.batches import NOT_A_MEMBER, Batch, BatchResult, ProcessedBatch, ReadBatch
from stream_rec.service.metrics.histogram import SECONDS, SIZES, Histogram, Percentiles
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.transport.broker import Partition
from stream_rec.transport.records import Record, Records
from stream_rec.web.meter import HttpMeter

CLICKS = Partition("clicks", 0)
DRAWS = np.random.default_rng(7).lognormal(-5.0, 1.5, 20_000)


class TestHistogram:
    """Counts of values by size."""

    def test_percentiles_are_within_a_tenth(self) -> None:
        """Of those that NumPy computes."""
        found = Histogram()
        found.record_all(DRAWS, 0.0)
        assert np.percentile(DRAWS, [50, 90, 99]) == pytest.approx(found.percentiles(0.0), rel=0.1)

    def test_one_by_one_is_as_all_at_once(self) -> None:
        """`record` and `record_all` count alike."""
        at_once = Histogram()
        at_once.record_all(DRAWS, 0.0)
        one_by_one = histogram(*DRAWS.tolist())
        assert at_once.recent_counts(0.0).tolist() == one_by_one.recent_counts(0.0).tolist()
        assert at_once.sum == pytest.approx(one_by_one.sum)

    def test_a_bound_is_counted_below_itself(self) -> None:
        """As `le` in Prometheus: less or equal."""
        assert [0, 1, 2, 3, 4] == histogram(0.005, 0.0051, 0.01, 20.0).up_to((0.002, 0.005, 0.0099, 0.01))

    @pytest.mark.parametrize("value", [0.0, 1e-9, 1e9])
    def test_values_beyond_the_bounds_are_counted(self, value: float) -> None:
        """In the first bin, or above the last bound."""
        assert 1 == histogram(value).count
        assert histogram(value).percentiles(0.0) is not None

    def test_only_the_last_minute_is_in_percentiles(self) -> None:
        """Older values stay in the counts; after a quiet minute there are no percentiles."""
        found = Histogram()
        for now in range(200):
            found.record(1.0 if now < 100 else 0.001, float(now))
        assert 200 == found.count
        assert 60 <= int(found.recent_counts(200.0).sum()) <= 70
        assert (found.percentiles(200.0) or Percentiles(9, 9, 9)).p99 <= 0.001
        assert found.percentiles(300.0) is None
        assert 100 == found.up_to((0.01,))[0]

    def test_counts_never_go_back(self) -> None:
        """While one thread writes and begins new slices, and another reads."""
        found = Histogram(SIZES)
        over = threading.Event()

        def write() -> None:
            now = 0.0
            while not over.is_set():
                found.record(3.0, now)
                now += 9.0

        thread = threading.Thread(target=write)
        thread.start()
        seen = [found.count for _ in range(3000)]
        over.set()
        thread.join()
        assert sorted(seen) == seen
        assert seen[-1] > seen[0]

    def test_other_bounds_are_refused(self) -> None:
        """A count between two bins would be an estimate."""
        with pytest.raises(AssertionError, match="not one of ours"):
            SECONDS.places([0.00123])


def result(n: int, *, owned: list[bool] | None = None, times: list[int | None] | None = None) -> BatchResult:
    timestamps = times or [None] * n
    records = [Record(b"", "clicks", 0, at, timestamp_ms=timestamps[at]) for at in range(n)]
    events, is_owned = [Event("s", "i", at) for at in range(n)], None if owned is None else np.array(owned)
    batch = Batch(records, events, is_owned, log_times=Records.of(records).log_times)
    commit_offsets = {} if owned == [False] * n else {CLICKS: n}
    read = ReadBatch(batch, commit_offsets, {CLICKS: n}, read_at=1.0)
    return BatchResult(read, ProcessedBatch([Answer("s", None, [], None, {}, "m")] * n, []), 1.25, 3.25)


class TestServiceMetrics:
    """What a commit records."""

    def test_stages_of_a_batch(self) -> None:
        """Each batch counts once, however many a commit holds."""
        metrics = ServiceMetrics()
        metrics.committed([result(2), result(5)], 4.0, 4.5)
        metrics.committed([BatchResult.of_offsets({CLICKS: 9}, NOT_A_MEMBER)], 5.0, 5.5)
        counts = {name: getattr(metrics, name).count for name in ("mailbox", "apply", "batch_records", "commit")}
        assert {"mailbox": 2, "apply": 2, "batch_records": 2, "commit": 2} == counts
        assert (0.5, 4.0, 7.0, 1.0, 7.0) == (
            metrics.mailbox.sum,
            metrics.apply.sum,
            metrics.batch_records.sum,
            metrics.commit.sum,
            metrics.commit_answers.sum,
        )

    def test_end_to_end_counts_owned_records_with_a_timestamp(self) -> None:
        """Not followed ones, which wait for another replica's commit; one from the future took no time."""
        now = int(time() * 1000)
        times = [now - 2000, now - 50_000, None, now + 60_000]
        metrics = ServiceMetrics()
        metrics.committed([result(4, owned=[True, False, True, True], times=times)], 4.0, 4.5)
        followed = result(3, owned=[False] * 3, times=[now - 9000] * 3)
        metrics.committed([followed, result(1, times=[None])], 4.0, 4.5)
        assert 2 == metrics.end_to_end.count
        assert 2.0 == pytest.approx(metrics.end_to_end.sum, abs=1.0)

    def test_latency_is_returned_for_stages_with_values(self) -> None:
        """In milliseconds; a stage without values in the last minute is left out."""
        metrics = ServiceMetrics()
        metrics.committed([result(1)], 100.0, 100.02)
        latency = metrics.latency_ms(101.0, http=Percentiles(0.001, 0.002, 0.003))
        assert {"mailbox", "apply", "commit", "http"} == set(latency)
        assert {"p50": 1.0, "p90": 2.0, "p99": 3.0} == latency["http"]
        assert {} == metrics.latency_ms(500.0)


class TestHttpMeter:
    """Requests over HTTP."""

    def test_by_endpoint_and_status(self) -> None:
        """Durations by endpoint, and percentiles of all."""
        meter = HttpMeter()
        for endpoint, status, seconds in (("/a", 200, 0.01), ("/a", 404, 0.01), ("/b", 200, 0.03), ("/a", 200, 0.01)):
            meter.record(endpoint, status, seconds)
        assert {("/a", 200): 2, ("/a", 404): 1, ("/b", 200): 1} == meter.counts
        assert {"/a": 3, "/b": 1} == {endpoint: each.count for endpoint, each in meter.seconds.items()}
        assert 4 == meter.n_requests
        assert 0.03 == pytest.approx((meter.percentiles() or Percentiles(0, 0, 0)).p99, rel=0.1)

    def test_without_requests_there_are_no_percentiles(self) -> None:
        """None, not 0."""
        assert HttpMeter().percentiles() is None


class TestService:
    """A running service."""

    def test_every_batch_commit_and_recovery_is_measured(self, tmp_path: Path) -> None:
        """And every answer is counted by its source."""
        service = watched(tmp_path, [click(at) for at in range(60)])
        kafka_service = service.kafka_service
        with running(service, lambda: kafka_service.metrics.batch_records.sum == 60):
            metrics = kafka_service.metrics
            assert {"mailbox", "apply", "commit", "end_to_end"} >= set(metrics.latency_ms())
            assert metrics.batch_records.count == metrics.apply.count == metrics.mailbox.count
            assert 60 == metrics.commit_answers.sum
            assert metrics.commit.count > 0
            assert (1, 1) == (metrics.recoveries.count, metrics.rebalances.count)
            assert metrics.apply.percentiles(monotonic()) is not None
        assert kafka_service.counters.n_answers == kafka_service.counters.sources.total()
        assert {"neighbours", "nothing"} <= set(kafka_service.counters.sources)
