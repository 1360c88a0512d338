"""What a service measures of itself: how long batches take, how large they are, how often something happened.

Measured a batch at a time, after its commit, on the thread that committed it: nothing is done for a single event but
to look at its record's time. Knows nothing of how figures are shown.
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
    """The meters of a service. Beside each stands the thread that writes it; without a broker all is done by one."""

    def __init__(self) -> None:
        self.mailbox = Histogram()
        """From the moment that a batch was read until the recommender thread took it. Publisher."""
        self.apply = Histogram()
        """Applying a batch and answering its events and requests, all together. Publisher."""
        self.answer = Histogram()
        """Answering what was asked from outside, as many questions as were answered at a time. Recommender."""
        self.commit = Histogram()
        """Sending and committing what one commit holds, tries that failed included. Publisher."""
        self.end_to_end = Histogram()
        """From the broker's time of each event that this process answers for until its commit. Publisher."""
        self.batch_records = Histogram(SIZES)
        """Records of a batch. Publisher."""
        self.commit_answers = Histogram(SIZES)
        """Answers of a commit. Publisher."""
        self.commit_retries = Occurrences()
        """Tries of a commit that failed, and were made anew. Publisher."""
        self.rebalances = Occurrences()
        """Partitions shared out anew, as far as this process was told, the first time included. Consumer."""
        self.recoveries = Occurrences()
        """Recoveries, the one at the start included. Consumer."""

    def committed(self, results: "Sequence[BatchResult]", begun: float, ended: float) -> None:
        """Record what was just committed; the times are monotonic. For the thread that commits.

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
                    times = read.batch.log_times_ms()
                    # Clocks differ: an event from the future has taken no time.
                    self.end_to_end.record_all(np.maximum(now_ms - times, 0.0) / _MS, ended)

    def applied(self, n_records: int, begun: float) -> None:
        """Record a batch that was applied and answered just now, since *begun*, where nothing is committed."""
        ended = monotonic()
        self.apply.record(ended - begun, ended)
        self.batch_records.record(n_records, ended)

    def answered(self, begun: float) -> None:
        """Record that what was asked from outside was answered just now, since *begun*."""
        ended = monotonic()
        self.answer.record(ended - begun, ended)

    def latency_ms(self, now: float | None = None, **others: Percentiles | None) -> dict[str, dict[str, float]]:
        """Percentiles of the last minute by stage, of *others* too; stages of which nothing is known are left out."""
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
