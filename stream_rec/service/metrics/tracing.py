"""Spans of batches for OpenTelemetry, all made when a batch is committed, on the thread that commits.

A batch is a trace of its own, from being read to being committed. In it are its wait for the engine's thread, applying
and answering it, and the commit, which it may share with other batches. The SDK sends the spans, on a thread of its
own; OpenTelemetry's own variables set where they go and how many are kept. Imported only if tracing is on.
"""

from collections.abc import Sequence
from threading import Thread
from time import monotonic_ns, time_ns
from typing import Final, Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, set_span_in_context

from stream_rec._version import __version__
from stream_rec.service.batches import BatchResult
from stream_rec.service.timeouts import TIMEOUTS, Timeouts

__all__ = ["Tracing"]

_NS: Final = 1_000_000_000


class Tracing:
    """Makes spans of commits, and owns what sends them. Must be closed."""

    def __init__(self, provider: TracerProvider, timeouts: Timeouts = TIMEOUTS) -> None:
        self.provider = provider
        self._close_s = timeouts.tracing_close_s
        self._tracer = provider.get_tracer("stream_rec", __version__)

    @classmethod
    def by_environment(cls, timeouts: Timeouts = TIMEOUTS) -> Self:
        """Send to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names, by default localhost:4318."""
        ours = Resource.create({"service.name": "stream-rec", "service.version": __version__})
        provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider, timeouts)

    def committed(self, results: Sequence[BatchResult], begun: float, ended: float) -> None:
        """Make the spans of a commit; the times are monotonic. About 60 microseconds a batch."""
        epoch_ns = time_ns() - monotonic_ns()
        for result in results:
            if result.read.batch.records:
                self._trace(result, (begun, ended, len(results)), epoch_ns)

    def close(self) -> None:
        """Send the spans that wait, for a second at most.

        If the collector is away, the SDK retries for longer than its own limits say, and a stop must not wait for that.
        """
        ending = Thread(target=self.provider.shutdown, name="tracing", daemon=True)
        ending.start()
        ending.join(self._close_s)

    def _trace(self, result: BatchResult, commit: tuple[float, float, int], epoch_ns: int) -> None:
        def at(seconds: float) -> int:
            return epoch_ns + int(seconds * _NS)

        begun, ended, n_batches = commit
        read, processed = result.read, result.processed
        batch = self._tracer.start_span(
            "batch",
            kind=SpanKind.CONSUMER,
            start_time=at(read.read_at),
            attributes={
                "messaging.system": "kafka",
                "messaging.batch.message_count": len(read.batch.records),
                "stream_rec.answers": len(processed.answers),
                "stream_rec.dead_letters": len(processed.rejected),
                "stream_rec.partitions": sorted(map(str, read.commit_offsets)),
                "stream_rec.generation": read.membership.generation,
            },
        )
        if batch.is_recording():
            inside = set_span_in_context(batch)
            steps = (
                ("mailbox", read.read_at, result.started_at),
                ("apply", result.started_at, result.done_at),
                ("commit", begun, ended),
            )
            for name, start, end in steps:
                step = self._tracer.start_span(name, context=inside, start_time=at(start))
                if name == "commit":
                    step.set_attribute("stream_rec.batches", n_batches)
                step.end(at(end))
        batch.end(at(ended))
