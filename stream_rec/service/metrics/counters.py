"""What became of every record, counted so that it adds up (law 4), and the summary that says so."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from stream_rec.core.events import Answer

__all__ = ["Counters"]


class Counters(msgspec.Struct):
    """Counters of one run. `n_read` = `n_applied` + the sum of `dead` + `n_duplicates`.

    Of a broker's records, those that this process answers for are counted, and of the others only how many there were:
    so the counters of all replicas add up to what is in the log.
    """

    n_read: int = 0
    """Records of the event source, none left out."""

    n_applied: int = 0
    """Events that joined a session, and orders to forget."""

    n_forgets: int = 0
    """Of `n_applied`, the orders to forget."""

    n_duplicates: int = 0
    dead: Counter[str] = msgspec.field(default_factory=Counter)
    """Dead-lettered records of the event source by reason, duplicates apart."""

    n_answers: int = 0
    """Answers to events and to requests."""

    n_requests: int = 0
    """Records of the request source; each is answered or dead-lettered."""

    n_asked: int = 0
    """Requests that came otherwise than as records: over HTTP. Their answers are counted nowhere else."""

    dead_requests: Counter[str] = msgspec.field(default_factory=Counter)

    n_expired: int = 0
    """Of the requests, those that were too old to be answered with items."""

    n_followed: int = 0
    """Records that others answer for, or that a recovery passed again: applied in silence, counted nowhere else."""

    n_lost: int = 0
    """Records of either source that the topic's retention removed before they were read, while this process ran."""

    n_coalesced: int = 0
    """Of `n_applied`, the events that a newer one of their session was answered in place of."""

    sources: Counter[str] = msgspec.field(default_factory=Counter)
    """Answers, however they were asked for, by the source of their first item; `nothing` where there is none."""

    @property
    def n_dead_lettered(self) -> int:
        """Records of both sources that went to the dead letters."""
        return self.dead.total() + self.n_duplicates + self.dead_requests.total()

    def see_sources(self, answers: Sequence[Answer]) -> None:
        """Count *answers* in `sources`. A tenth of a microsecond for each."""
        self.sources.update([answer.items[0].source if answer.items else "nothing" for answer in answers])

    def check(self) -> None:
        """Raise AssertionError if a record was lost on the way: a bug of ours, whoever's data it is."""
        accounted = self.n_applied + self.dead.total() + self.n_duplicates
        if self.n_read != accounted:
            raise AssertionError(f"{self.n_read} records read, but {accounted} accounted for: please report it")
