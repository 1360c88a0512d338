"""The loop: batches from the source, through the worker, to the sinks.

Knows nothing of settings' names or terminals. Events come first, then requests: both are files or pipes here, and
what is asked of a finished log is asked of all of it. A source of both at once (a broker) only has to hand the worker
its batches in the order they came.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import perf_counter

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, encode_answer
from stream_rec.service.batches import ProcessedBatch
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.processing.catalogue_feed import CatalogueFeed
from stream_rec.service.processing.processor import Processor
from stream_rec.service.reporting.quality_lines import quality_lines
from stream_rec.service.reporting.summary import summary_lines
from stream_rec.transport.records import Progress, Record, Sink, Source

__all__ = ["BatchJob"]

ProgressCallback = Callable[["BatchJob"], None]
"""Called after each batch, an empty one too."""


class BatchJob:
    """One run: where from, through what, and where to. `close` it, also after an error."""

    def __init__(
        self,
        processor: Processor,
        events: Source,
        *,
        requests: Source | None = None,
        recommendations: Sink | None = None,
        dead_letters: Sink | None = None,
        batch_events: int = 1024,
        catalogue: CatalogueFeed | None = None,
    ) -> None:
        self.processor = processor
        self.catalogue = catalogue
        self.seconds = 0.0
        """Time since the first batch was asked for, at the end of the last one."""
        self.interrupted = False
        self.events = events
        self.requests = requests
        self._reading = events
        self._recommendations = recommendations
        self._dead_letters = dead_letters
        self.batch_events = batch_events

    @property
    def engine(self) -> Engine:
        """The live state."""
        return self.processor.engine

    @property
    def counts(self) -> Counters:
        """What became of the records so far."""
        return self.processor.counts

    @property
    def progress(self) -> Progress:
        """Of the source being read."""
        return self._reading.progress

    def run(self, stop: Callable[[], bool] = lambda: False, watch: ProgressCallback = lambda _: None) -> None:
        """Take all events, then all requests; between batches, *stop* may end it early.

        What was taken is answered and written when this returns or raises. Raises TransportError.
        """
        started = perf_counter()

        def after(taken: ProcessedBatch | None) -> bool:
            if taken is None:
                self.flush()
            else:
                self.write(taken)
            self.seconds = perf_counter() - started
            watch(self)
            self.interrupted = stop()
            return self.interrupted

        try:
            if not self._take(self.events, self.processor.take_events, after) and self.requests is not None:
                self._take(self.requests, self.processor.take_requests, after)
        finally:
            self.flush()
            self.seconds = perf_counter() - started
        self.counts.check()

    def summary(self) -> list[str]:
        """The run in a few lines."""
        stats, quality = self.engine.stats(), self.processor.quality
        told = [] if quality is None else quality_lines(quality.report(stats.n_items))
        return summary_lines(self.counts, stats, self.seconds, quality=told, interrupted=self.interrupted)

    def close(self) -> None:
        """Write what is left, and let go of sources and sinks. Raises TransportError. May be called twice."""
        with ExitStack() as stack:
            for each in (self.events, self.requests, self._dead_letters, self._recommendations, self.catalogue):
                if each is not None:
                    stack.callback(each.close)

    def _take(
        self,
        source: Source,
        take: Callable[[Sequence[Record]], ProcessedBatch],
        after: Callable[[ProcessedBatch | None], bool],
    ) -> bool:
        """Hand all batches of *source* to *take*; tell whether it was stopped before the end."""
        self._reading = source
        return any(after(take(records) if records else None) for records in source.batches(self.batch_events))

    def write(self, taken: ProcessedBatch) -> None:
        """Hand what came of a batch to the sinks. Raises TransportError."""
        # Dead letters first: an answer tells a log position, and what was refused up to it is told by then.
        if taken.refused and self._dead_letters is not None:
            self._dead_letters.write([each.to_dead_letter() for each in taken.refused])
        if taken.answers and self._recommendations is not None:
            self._recommendations.write(list(map(encode_answer, taken.answers)), list(map(_key, taken.answers)))

    def flush(self) -> None:
        """Return when all that was written has arrived. Raises TransportError."""
        for sink in (self._dead_letters, self._recommendations):
            if sink is not None:
                sink.flush()


def _key(answer: Answer) -> bytes | None:
    return None if answer.session_id is None else answer.session_id.encode()
