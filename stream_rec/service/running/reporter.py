"""Writes the status file each second and a line in the log now and then, from figures that the threads leave."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time

from stream_rec.core.engine import LearnedOrder, Stats
from stream_rec.core.quality import QualityReport
from stream_rec.errors import SettingsError, may_pass
from stream_rec.service.activity import ActivityLog
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.metrics.format import show_lines
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.reporting.list_names import UnknownNames
from stream_rec.service.reporting.quality_lines import quality_lines
from stream_rec.service.reporting.status import StatsTaker, Status, show_horizon, write_status
from stream_rec.service.reporting.summary import summary_lines
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.state import ServiceState
from stream_rec.service.timeouts import TIMEOUTS, Timeouts

__all__ = ["Reporter", "summary"]

log = logging.getLogger(__name__)


class Reporter:
    """Call it often; it writes the file once a second, and a line in the log twice a minute and at each new state.

    Raises SettingsError where the file can never be written; what may pass, and a later failure, is logged, and tried
    again.
    """

    def __init__(
        self,
        path: Path | None,
        taker: StatsTaker,
        snapshots: Snapshots | None,
        *,
        clock: Callable[[], float] = monotonic,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self._snapshots = snapshots
        self._path = path
        self._taker = taker
        self._clock = clock
        self._timeouts = timeouts
        self._begun = clock()
        self._next = 0.0
        self._next_line = self._begun + timeouts.log_every_s
        self._activity_log = ActivityLog(clock, timeouts)
        self._logged = ServiceState.WAITING  # each begins with it: it is logged only where it lasts
        self._has_written = self._is_failing = False
        self._before = (clock(), 0, 0)

    def __call__(self, service: KafkaService) -> None:
        """Report on *service*, if it is time to."""
        now = self._clock()
        self._activity_log(lambda: service.doing)
        if now < self._next and service.state is self._logged:
            return
        self._next = now + self._timeouts.status_every_s
        if service.state is not self._logged or now >= self._next_line:
            self._next_line = now + self._timeouts.log_every_s
            self._log(service, now)
        if self._path is not None:
            self._write(self._path, service)

    @property
    def stats(self) -> Stats | None:
        """The engine's figures of a moment ago."""
        return self._taker.stats

    @property
    def orders(self) -> list[LearnedOrder]:
        """What is known of the orders that are learned."""
        return self._taker.orders

    @property
    def unknown_names(self) -> UnknownNames:
        """The names of the deny and allow lists that no item has."""
        return self._taker.unknown_names

    @property
    def quality(self) -> QualityReport | None:
        """How good the answers were, as of a moment ago."""
        return self._taker.quality

    @property
    def seconds(self) -> float:
        """How long it has been reporting."""
        return self._clock() - self._begun

    def status(self, service: KafkaService) -> Status:
        """Return how *service* is doing now."""
        loop = service.loop
        last = None if self._snapshots is None else self._snapshots.last
        return Status(
            state=service.state,
            at_ms=int(time() * 1000),
            pid=os.getpid(),
            generation=0 if loop is None else loop.assignment.generation,
            owned=[] if loop is None else sorted(map(str, loop.assignment.owned)),
            lag={} if loop is None else {str(partition): n for partition, n in loop.lag.items()},
            commits=0 if loop is None else loop.checkpoint.n_commits,
            counts=service.counters,
            stats=self._taker.stats,
            last_snapshot=None if last is None else last.path,
            models=self._taker.models,
            orders=self._taker.orders,
            quality=self._taker.quality,
            unknown_names={name: len(names) for name, names in self._taker.unknown_names.items()},
            largest_leap=None if loop is None else loop.processor.largest_leap,
            problems=service.problems.now,
            doing=service.doing,
        )

    def _write(self, path: Path, service: KafkaService) -> None:
        """A wrong path shows at the first write. What fails later, on a full disk, must not end the service."""
        try:
            write_status(path, self.status(service))
        except SettingsError as error:
            # A disk that is full for a while is no wrong setting.
            if not self._has_written and not (isinstance(error.__cause__, OSError) and may_pass(error.__cause__)):
                raise
            if not self._is_failing:
                log.warning("%s; trying again each second", error)
            self._is_failing = True
        else:
            if self._is_failing:
                log.info("the status file is written again")
            self._has_written, self._is_failing = True, False

    def _log(self, service: KafkaService, now: float) -> None:
        counters, stats = service.counters, self._taker.stats
        then, read, answers = self._before
        seconds = max(now - then, 1e-3)
        self._before = (now, counters.n_read, counters.n_answers)
        retained = "" if stats is None else f"; {stats.n_sessions:,} sessions, horizon {show_horizon(stats)}"
        lag = None if service.loop is None else sum(service.loop.lag.values())
        per_s, answers_per_s = (counters.n_read - read) / seconds, (counters.n_answers - answers) / seconds
        n_dead = counters.n_dead_lettered
        log.info(
            "%s: %s records (%.0f/s), %s answers (%.0f/s), %s dead-lettered%s%s",
            service.state,
            f"{counters.n_read:,}",
            per_s,
            f"{counters.n_answers:,}",
            answers_per_s,
            f"{n_dead:,}",
            "" if lag is None else f"; lag {lag:,}",
            retained,
            extra=fields(
                state=service.state,
                records=counters.n_read,
                records_per_s=round(per_s, 1),
                answers=counters.n_answers,
                answers_per_s=round(answers_per_s, 1),
                dead_lettered=n_dead,
                lag=lag,
                sessions=None if stats is None else stats.n_sessions,
                horizon_ms=None if stats is None else stats.horizon_ms,
            ),
        )
        self._logged = service.state


def summary(service: KafkaService, reporter: Reporter) -> list[str]:
    """Return the end of a service in a few lines, as those of a run over files."""
    stats = reporter.stats
    if stats is None:
        return show_lines([("state", f"{service.state}: nothing was read")])
    lines = [] if reporter.quality is None else quality_lines(reporter.quality)
    leap = None if service.loop is None else service.loop.processor.largest_leap
    return summary_lines(
        service.counters,
        stats,
        reporter.seconds,
        quality=lines,
        orders=reporter.orders,
        unknown=reporter.unknown_names,
        leap=leap,
    )
