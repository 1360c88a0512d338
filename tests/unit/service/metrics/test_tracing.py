"""Spans of batches and requests: what they contain, how they are linked, and that none are made if tracing is off."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from observing import click, running, watched
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from stream_rec.errors import SettingsError
from stream_rec.service.assembly.tracing import open_tracing
from stream_rec.service.metrics.tracing import Tracing
from stream_rec.settings import load
from stream_rec.web.meter import ENDPOINT
from stream_rec.web.tracing import TracingMiddleware

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class SpanRecorder:
    """Collects spans in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def recorder() -> Iterator[SpanRecorder]:
    made = SpanRecorder()
    yield made
    made.provider.shutdown()


def span_id(span: ReadableSpan | None) -> int | None:
    return None if span is None or span.context is None else span.context.span_id


class TestBatches:
    """A trace for each batch."""

    def test_a_batch_is_a_trace_with_its_steps(self, recorder: SpanRecorder, tmp_path: Path) -> None:
        """Waiting, applying and committing, one after the other, with counts."""
        values = [*map(click, range(20)), b"broken"]
        service = watched(tmp_path, values, on_committed=Tracing(recorder.provider).committed)
        with running(service, lambda: service.kafka_service.metrics.batch_records.sum == 21):
            pass
        batches = recorder.named("batch")
        assert 21 == sum((span.attributes or {})["messaging.batch.message_count"] for span in batches)  # type: ignore[misc]  # a number
        assert 20 == sum((span.attributes or {})["stream_rec.answers"] for span in batches)  # type: ignore[misc]
        assert 1 == sum((span.attributes or {})["stream_rec.dead_letters"] for span in batches)  # type: ignore[misc]
        for batch in batches:
            steps = [span for span in recorder.spans if span.parent and span.parent.span_id == span_id(batch)]
            assert ["mailbox", "apply", "commit"] == [span.name for span in steps]
            times = [batch.start_time, *(time for s in steps for time in (s.start_time, s.end_time)), batch.end_time]
            assert times == sorted(times)  # type: ignore[type-var]  # all have ended
            assert ("clicks-0",) == (batch.attributes or {})["stream_rec.partitions"]
            assert SpanKind.CONSUMER is batch.kind

    def test_an_absent_collector_does_not_hold_up_the_stop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stop may take ten seconds, and the last commit needs most of them."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "my-shop")
        tracing = Tracing.by_environment()
        assert "my-shop" == tracing.provider.resource.attributes["service.name"]
        tracing.provider.get_tracer("t").start_span("s").end()
        begun = monotonic()
        tracing.close()
        assert monotonic() - begun < 4


async def _call(app: Any, path: str, headers: dict[str, str] | None = None) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    await app({"type": "http", "method": "GET", "path": path, "headers": raw}, None, send)
    return sent


def _app(status: int, endpoint: str = "/x") -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope[ENDPOINT] = endpoint
        if status == 0:
            raise ValueError("a bug")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


class TestRequests:
    """A span for each request over HTTP."""

    def test_it_continues_the_trace_of_the_caller(self, recorder: SpanRecorder) -> None:
        """By `traceparent`; the span has the route's name, never an id."""
        wrapped = TracingMiddleware(_app(200, "/v1/sessions/{id}"), recorder.provider)
        sent = asyncio.run(_call(wrapped, "/v1/sessions/s1", {"traceparent": f"00-{TRACE}-{PARENT}-01"}))
        (span,) = recorder.spans
        assert b"ok" == sent[-1]["body"]
        assert (TRACE, PARENT) == (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}")  # type: ignore[union-attr]  # it has both
        assert ("GET /v1/sessions/{id}", SpanKind.SERVER) == (span.name, span.kind)
        assert {"http.response.status_code": 200, "http.route": "/v1/sessions/{id}"}.items() <= dict(
            span.attributes or {}
        ).items()

    def test_without_a_trace_it_begins_one(self, recorder: SpanRecorder) -> None:
        """A malformed `traceparent` counts as none."""
        asyncio.run(_call(TracingMiddleware(_app(200), recorder.provider), "/x", {"traceparent": "00-nonsense"}))
        (span,) = recorder.spans
        assert span.parent is None

    @pytest.mark.parametrize(("status", "wanted"), [(404, StatusCode.UNSET), (503, StatusCode.ERROR)])
    def test_our_failures_are_errors(self, recorder: SpanRecorder, status: int, wanted: StatusCode) -> None:
        """Those of the caller are not."""
        asyncio.run(_call(TracingMiddleware(_app(status), recorder.provider), "/x"))
        assert wanted is recorder.spans[0].status.status_code

    def test_an_exception_is_recorded_and_raised_again(self, recorder: SpanRecorder) -> None:
        """The server must see it."""
        with pytest.raises(ValueError, match="a bug"):
            asyncio.run(_call(TracingMiddleware(_app(0), recorder.provider), "/x"))
        assert "exception" == recorder.spans[0].events[0].name

    @pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
    def test_probes_make_no_spans(self, recorder: SpanRecorder, path: str) -> None:
        """They would be most of all spans."""
        asyncio.run(_call(TracingMiddleware(_app(200), recorder.provider), path))
        assert () == recorder.spans


class TestOff:
    """Without the setting."""

    def test_nothing_is_imported(self) -> None:
        """Neither by building a service nor by its command."""
        code = (
            "import sys; import stream_rec.cli.main, stream_rec.service.assembly.kafka;"
            "import stream_rec.service.running.batch_job; from stream_rec.service.assembly.tracing import open_tracing;"
            "from stream_rec.settings import load;"
            "assert open_tracing(load(flags={'events': '-'})) is None;"
            "print([name for name in sys.modules if name.startswith(('opentelemetry', 'prometheus_client'))])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
        assert "[]\n" == done.stdout

    def test_a_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error says what to install."""
        monkeypatch.delitem(sys.modules, "stream_rec.service.metrics.tracing")
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
        monkeypatch.setitem(sys.modules, "opentelemetry", None)
        with pytest.raises(SettingsError, match=r"stream-rec\[tracing\]"):
            open_tracing(load(flags={"events": "-", "tracing": True}))
