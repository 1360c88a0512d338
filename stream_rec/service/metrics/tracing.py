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
from stream_rec.service.batches import BatchResult, BatchTimings

__all__ = ["Tracing"]

_CLOSE_S: Final = 1.0
_NS: Final = 1_000_000_000


class Tracing:
    """Makes spans of commits, and owns what sends them. Must be closed."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer("stream_rec", __version__)

    @classmethod
    def by_environment(cls) -> Self:
        """Send to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names, by default localhost:4318."""
        ours = Resource.create({"service.name": "stream-rec", "service.version": __version__})
        provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def committed(self, outputs: Sequence[BatchResult], begun: float, ended: float) -> None:
        """Make the spans of a commit; the times are monotonic. About 60 microseconds a batch."""
        epoch_ns = time_ns() - monotonic_ns()
        for output in outputs:
            if output.passage is not None:
                self._passed(output, output.passage, (begun, ended, len(outputs)), epoch_ns)

    def close(self) -> None:
        """Send the spans that wait, for a second at most.

        If the collector is away, the SDK retries for longer than its own limits say, and a stop must not wait for that.
        """
        ending = Thread(target=self.provider.shutdown, name="tracing", daemon=True)
        ending.start()
        ending.join(_CLOSE_S)

    def _passed(
        self, output: BatchResult, passage: BatchTimings, commit: tuple[float, float, int], epoch_ns: int
    ) -> None:
        def at(seconds: float) -> int:
            return epoch_ns + int(seconds * _NS)

        begun, ended, n_batches = commit
        batch = self._tracer.start_span(
            "batch",
            kind=SpanKind.CONSUMER,
            start_time=at(passage.read_at),
            attributes={
                "messaging.system": "kafka",
                "messaging.batch.message_count": len(passage.records),
                "stream_rec.answers": len(output.answers),
                "stream_rec.dead_letters": len(output.refused),
                "stream_rec.partitions": sorted(map(str, output.positions)),
                "stream_rec.generation": output.generation,
            },
        )
        if batch.is_recording():
            inside = set_span_in_context(batch)
            steps = (
                ("mailbox", passage.read_at, passage.taken_at),
                ("apply", passage.taken_at, passage.done_at),
                ("commit", begun, ended),
            )
            for name, start, end in steps:
                step = self._tracer.start_span(name, context=inside, start_time=at(start))
                if name == "commit":
                    step.set_attribute("stream_rec.batches", n_batches)
                step.end(at(end))
        batch.end(at(ended))
