"""A run that ends: batches from the sources, through the processor, to the sinks.

Knows nothing of settings' names or terminals. Events come first, then requests: both are files or pipes here, so a
request is answered from the whole log.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from time import perf_counter

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, encode_answer
from stream_rec.errors import UnwrittenError
from stream_rec.service.batches import ProcessedBatch
from stream_rec.service.consuming.record_decoder import Decode
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.processing.catalogue_feed import CatalogueFeed
from stream_rec.service.processing.processor import Processor
from stream_rec.service.reporting.list_names import unknown_names
from stream_rec.service.reporting.quality_lines import quality_lines
from stream_rec.service.reporting.summary import summary_lines
from stream_rec.transport.records import Progress, Record, Sink, Source

__all__ = ["BatchJob"]

ProgressCallback = Callable[["BatchJob"], None]
"""Called after each batch, an empty one too."""


class BatchJob:
    """One run: its sources, what processes their records, and its sinks. `close` it, also after an error."""

    def __init__(
        self,
        processor: Processor,
        decode: Decode,
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
        """From the start to the end of the last batch."""
        self.interrupted = False
        self.events = events
        self.requests = requests
        self.batch_events = batch_events
        self._decode = decode
        self._current = events
        self._recommendations = recommendations
        self._dead_letters = dead_letters

    @property
    def engine(self) -> Engine:
        """The live state."""
        return self.processor.engine

    @property
    def counters(self) -> Counters:
        """What became of the records so far."""
        return self.processor.counters

    @property
    def progress(self) -> Progress:
        """Of the source that is read now."""
        return self._current.progress

    def run(
        self,
        stop: Callable[[], bool] = lambda: False,
        on_progress: ProgressCallback = lambda _: None,
        on_readable: Callable[[], None] = lambda: None,
    ) -> None:
        """Process all events, then all requests; between batches, *stop* may end it early.

        *on_readable* is called once, when the first records are read and decoded, and before one is applied. What was
        processed is written when this returns or raises. Raises TransportError.
        """
        started = perf_counter()

        @cache
        def prepare() -> None:
            nonlocal started
            before = perf_counter()
            on_readable()
            started += perf_counter() - before  # what it takes is not of the records

        def events(records: Sequence[Record]) -> ProcessedBatch:
            decoded = self._decode(records).batch(records)
            prepare()
            return self.processor.process_events(decoded)

        def requests(records: Sequence[Record]) -> ProcessedBatch:
            prepare()
            return self.processor.process_requests(records)

        def after(processed: ProcessedBatch | None) -> bool:
            if processed is None:
                self.flush()
            else:
                self.write(processed)
            self.seconds = perf_counter() - started
            on_progress(self)
            self.interrupted = stop()
            return self.interrupted

        try:
            if not self._process_all(self.events, events, after) and self.requests is not None:
                self._process_all(self.requests, requests, after)
        finally:
            self.flush()
            self.seconds = perf_counter() - started
        self.counters.check()

    def process_events(self, records: Sequence[Record]) -> ProcessedBatch:
        """Decode and apply *records* of events, and answer right after each if events are answered."""
        return self.processor.process_events(self._decode(records).batch(records))

    def summary(self) -> list[str]:
        """Return the run in a few lines."""
        stats, quality = self.engine.stats(), self.processor.quality
        lines = [] if quality is None else quality_lines(quality.report(stats.n_items))
        return summary_lines(
            self.counters,
            stats,
            self.seconds,
            quality=lines,
            orders=self.engine.learned_orders(),
            leap=self.processor.largest_leap,
            unknown=unknown_names(self.engine),
            interrupted=self.interrupted,
        )

    def close(self) -> None:
        """Write what is left, and close sources and sinks. Raises TransportError. May be called twice."""
        with ExitStack() as stack:
            for each in (self.events, self.requests, self._dead_letters, self._recommendations, self.catalogue):
                if each is not None:
                    stack.callback(each.close)

    def _process_all(
        self,
        source: Source,
        process: Callable[[Sequence[Record]], ProcessedBatch],
        after: Callable[[ProcessedBatch | None], bool],
    ) -> bool:
        """Process all batches of *source*; return whether that was stopped before the end."""
        self._current = source
        return any(after(process(records) if records else None) for records in source.batches(self.batch_events))

    def write(self, processed: ProcessedBatch) -> None:
        """Write the outcome of a batch to the sinks.

        Raises TransportError; after an UnwrittenError the sinks have all of it, and `flush` tries again.
        """
        # Dead letters first: an answer names an offset, and by then those of all records before it are written.
        unwritten: UnwrittenError | None = None
        if processed.rejected and self._dead_letters is not None:
            try:
                self._dead_letters.write([each.to_dead_letter() for each in processed.rejected])
            except UnwrittenError as error:
                unwritten = error
        if processed.answers and self._recommendations is not None:
            answers = processed.answers
            self._recommendations.write(list(map(encode_answer, answers)), list(map(_key, answers)))
        if unwritten is not None:
            raise unwritten

    def flush(self) -> None:
        """Return when all that was written has arrived. Raises TransportError."""
        for sink in (self._dead_letters, self._recommendations):
            if sink is not None:
                sink.flush()


def _key(answer: Answer) -> bytes | None:
    return None if answer.session_id is None else answer.session_id.encode()
