"""Counters of what became of every record: they must add up (law 4)."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from stream_rec.core.events import Answer

__all__ = ["Counters"]


class Counters(msgspec.Struct):
    """Counters of one run. `n_read` = `n_applied` + `n_shown` + the sum of `dead` + `n_duplicates`.

    On a broker they count the records that this process answers for; all others are counted in `n_followed` only. So
    the counters of all replicas add up to what is in the log.
    """

    n_read: int = 0
    """All records of the event source."""

    n_applied: int = 0
    """Events that joined a session, and orders to forget."""

    n_forgets: int = 0
    """Of `n_applied`, the orders to forget."""

    n_forgot_nothing: int = 0
    """Of `n_forgets`, those that erased no session: it had left before, or their keys name none."""

    n_shown: int = 0
    """Events that say what was shown: counted, and no clicks."""

    n_duplicates: int = 0
    dead: Counter[str] = msgspec.field(default_factory=Counter)
    """Dead-lettered records of the event source by reason, duplicates apart."""

    n_answers: int = 0
    """Answers to events and to requests."""

    n_requests: int = 0
    """Records of the request source; each is answered or dead-lettered."""

    n_asked: int = 0
    """Requests that did not arrive as records, but over HTTP. Their answers are counted nowhere else."""

    dead_requests: Counter[str] = msgspec.field(default_factory=Counter)

    n_expired: int = 0
    """Of the requests, those that were too old to be answered with items."""

    n_followed: int = 0
    """Records that other replicas answer for, or that a recovery read again: applied without an answer, and counted
    nowhere else."""

    n_lost: int = 0
    """Records of either source that the topic's retention removed before they were read, while this process ran."""

    n_coalesced: int = 0
    """Of `n_applied`, the events without an answer of their own: a newer event of their session was answered."""

    sources: Counter[str] = msgspec.field(default_factory=Counter)
    """All answers, to records and over HTTP, by the source of their first item; `nothing` for one without items."""

    @property
    def n_dead_lettered(self) -> int:
        """Records of both sources that went to the dead letters."""
        return self.dead.total() + self.n_duplicates + self.dead_requests.total()

    def see_sources(self, answers: Sequence[Answer]) -> None:
        """Count *answers* in `sources`. A tenth of a microsecond for each."""
        self.sources.update([answer.items[0].source if answer.items else "nothing" for answer in answers])

    def check(self) -> None:
        """Raise AssertionError if a record is unaccounted for: always a bug of ours, never of the data."""
        accounted = self.n_applied + self.n_shown + self.dead.total() + self.n_duplicates
        if self.n_read != accounted:
            raise AssertionError(f"{self.n_read} records read, but {accounted} accounted for: please report it")
