"""What a service measures of itself: how long batches take, how large they are, how often something happens.

Measured per batch, after its commit, on the thread that committed it; for a single event only its record's timestamp
is read. Knows nothing of how figures are shown.
"""

from collections.abc import Mapping, Sequence
from time import monotonic, time
from typing import TYPE_CHECKING, Final

import numpy as np

from stream_rec.service.metrics.histogram import SIZES, Histogram, Occurrences, Percentiles

if TYPE_CHECKING:
    from stream_rec.service.batches import BatchResult

__all__ = ["STAGES", "ServiceMetrics"]

_MS: Final = 1000.0


class ServiceMetrics:
    """The metrics of a service. Each names the thread that writes it; without a broker one thread writes all."""

    def __init__(self) -> None:
        self.mailbox = Histogram()
        """From reading a batch until the engine's thread takes it. Written by the publisher."""
        self.apply = Histogram()
        """Applying a batch and answering its events and requests. Written by the publisher."""
        self.answer = Histogram()
        """Answering the requests over HTTP, as many as waited, together. Written by the engine's thread."""
        self.commit = Histogram()
        """Sending and committing the batches of a commit, failed attempts included. Written by the publisher."""
        self.end_to_end = Histogram()
        """From the broker's timestamp of each owned event until its commit. Written by the publisher."""
        self.batch_records = Histogram(SIZES)
        """Records in a batch. Written by the publisher."""
        self.commit_answers = Histogram(SIZES)
        """Answers in a commit. Written by the publisher."""
        self.commit_retries = Occurrences()
        """Attempts to commit that failed and were repeated. Written by the publisher."""
        self.rebalances = Occurrences()
        """Assignments of partitions to this process, the first one included. Written by the consumer."""
        self.recoveries = Occurrences()
        """Recoveries, the one at the start included. Written by the consumer."""

    def committed(self, results: "Sequence[BatchResult]", begun: float, ended: float) -> None:
        """Record a commit; the times are monotonic. For the thread that commits.

        Some 20 microseconds a batch, and 40 nanoseconds a record.
        """
        self.commit.record(ended - begun, ended)
        self.commit_answers.record(sum(len(each.processed.answers) for each in results), ended)
        now_ms = time() * _MS
        for each in results:
            read = each.read
            if read.batch.records:
                self.mailbox.record(each.started_at - read.read_at, ended)
                self.apply.record(each.done_at - each.started_at, ended)
                self.batch_records.record(len(read.batch.records), ended)
                if read.commit_offsets:
                    times = read.batch.owned_log_times()
                    # Clocks differ: an event from the future has taken no time.
                    self.end_to_end.record_all(np.maximum(now_ms - times, 0.0) / _MS, ended)

    def applied(self, n_records: int, begun: float) -> None:
        """Record a batch that was applied and answered from *begun* until now, where nothing is committed."""
        ended = monotonic()
        self.apply.record(ended - begun, ended)
        self.batch_records.record(n_records, ended)

    def answered(self, begun: float) -> None:
        """Record that requests over HTTP were answered from *begun* until now."""
        ended = monotonic()
        self.answer.record(ended - begun, ended)

    def latency_ms(self, now: float | None = None, **others: Percentiles | None) -> dict[str, dict[str, float]]:
        """Return percentiles of the last minute by stage, and those of *others*, without stages that have none."""
        now = monotonic() if now is None else now
        stages: Mapping[str, Percentiles | None] = {
            **{name: getattr(self, name).percentiles(now) for name in STAGES},
            **others,
        }
        return {
            name: {key: round(_MS * seconds, 3) for key, seconds in found._asdict().items()}
            for name, found in stages.items()
            if found is not None
        }


STAGES: Final = ("mailbox", "apply", "answer", "commit", "end_to_end")
