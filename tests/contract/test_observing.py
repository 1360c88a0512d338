"""The figures of a service with HTTP: at /metrics, in /v1/stats, and as spans."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from web import Client, embedded, eventually, on_broker

from stream_rec.service.assembly import warm_up
from stream_rec.service.metrics.tracing import Tracing
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.web.prometheus import FAMILIES

CLICKS = [
    {"session_id": f"s{at % 3}", "item_id": f"i{at % 5}", "timestamp": 1_700_000_000_000 + at} for at in range(30)
]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Compile the kernels first: that takes longer than a client waits."""
    warm_up.warm_up_all()


def scraped(client: Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    reply = client("GET", "/metrics")
    assert 200 == reply.status
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def test_a_scrape_has_what_was_done() -> None:
    """Events, answers and requests are counted, failed ones too, by endpoint and never by id."""
    with embedded(max_bytes="64MiB", retention_ms="30d") as running:
        client = running.client
        client.post("/v1/events", CLICKS)
        for session in ("s0", "s1", "unknown"):
            client.get(f"/v1/sessions/{session}/recommendations")
        assert 404 == client("GET", "/v1/sessions/unknown").status
        found = scraped(client)
        recommending = "/v1/sessions/{session_id}/recommendations"
        assert 1 == found["stream_rec_ready", frozenset()]
        assert 30 == found["stream_rec_events_total", frozenset({("outcome", "applied")})]
        assert 3 == found["stream_rec_requests_total", frozenset({("source", "http"), ("outcome", "answered")})]
        assert 3 == sum(value for (name, _), value in found.items() if name == "stream_rec_answers_total")
        for endpoint, status, n in ((recommending, "200", 3), ("/v1/sessions/{session_id}", "404", 1)):
            labels = frozenset({("endpoint", endpoint), ("status", status)})
            assert n == found["stream_rec_http_requests_total", labels]
        (seconds,) = (
            value
            for (name, labels), value in found.items()
            if name == "stream_rec_http_request_duration_seconds_count" and ("endpoint", recommending) in labels
        )
        assert 3 == seconds
        assert 64 * 2**20 == found["stream_rec_max_bytes", frozenset()]
        assert 30 * 86400 == found["stream_rec_retention_seconds", frozenset()]
        assert "process_cpu_seconds_total" in {name for name, _ in found}


def test_open_metrics_over_http() -> None:
    """A client that accepts OpenMetrics gets it."""
    with embedded() as running:
        reply = running.client("GET", "/metrics", accept="application/openmetrics-text; version=1.0.0")
        assert reply.headers["content-type"].startswith("application/openmetrics-text")
        assert reply.text.endswith("# EOF\n")


def test_a_scrape_needs_a_key_if_there_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape has data of the shop, and Prometheus can send a key."""
    monkeypatch.setenv("KEY", "a-key-of-enough-length")
    with embedded("a-key-of-enough-length", http_keys=("prometheus:read:env:KEY",)) as running:
        assert 401 == Client(running.server.port)("GET", "/metrics").status
        assert 200 == running.client("GET", "/metrics").status


def test_stats_have_latencies() -> None:
    """The stats have latencies in milliseconds, for each stage of the service and for HTTP."""
    with embedded() as running:
        running.client.post("/v1/events", CLICKS)
        running.client.get("/v1/sessions/s0/recommendations")
        found = running.client.get("/v1/stats")["latency_ms"]
        assert {"apply", "answer", "http"} == set(found)
        for figures in found.values():
            assert 0 < figures["p50"] <= figures["p90"] <= figures["p99"]


def test_a_service_on_a_broker_has_partitions_and_commits(tmp_path: Path) -> None:
    """A service on a broker has the figures that exist only there."""
    broker = MemoryBroker({"clicks": 2, "recs": 1})
    with on_broker(broker) as running:
        running.client.post("/v1/events", CLICKS)
        eventually(lambda: running.served.status().counts.n_read == 30, "all read")
        found = scraped(running.client)
        assert 2 == found["stream_rec_owned_partitions", frozenset()]
        assert {name for name, _ in found if name.startswith("stream_rec_")} <= {
            name for family in FAMILIES for name in family.series
        }


def test_a_request_makes_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """The span is named by its endpoint, in the caller's trace; a scrape makes no span."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("stream_rec.service.metrics.tracing.Tracing.by_environment", lambda _: Tracing(provider))
    trace = "0af7651916cd43dd8448eb211c80319c"
    with embedded(tracing=True) as running:
        running.client("GET", "/v1/sessions/s0/recommendations", traceparent=f"00-{trace}-b7ad6b7169203331-01")
        running.client("GET", "/metrics")
        running.client("GET", "/nowhere")
    made = {span.name: span for span in exporter.get_finished_spans()}
    assert {"GET /v1/sessions/{session_id}/recommendations", "GET"} == set(made)
    span = made["GET /v1/sessions/{session_id}/recommendations"]
    assert trace == f"{span.context.trace_id:032x}"
    assert 200 == (span.attributes or {})["http.response.status_code"]
