"""Writes the status file each second and a line in the log now and then, from figures that the threads leave."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time
from typing import Final

from stream_rec.core.engine import Stats
from stream_rec.core.quality import QualityReport
from stream_rec.errors import SettingsError
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.metrics.format import show_lines
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.reporting.quality_lines import quality_lines
from stream_rec.service.reporting.status import STATUS_EVERY_S, StatsTaker, Status, show_horizon, write_status
from stream_rec.service.reporting.summary import summary_lines
from stream_rec.service.running.kafka_service import WAITING, KafkaService

__all__ = ["Reporter", "summary"]

log = logging.getLogger(__name__)

_LINE_EVERY_S: Final = 30.0


class Reporter:
    """Call it often; it writes the file once a second, and a line in the log twice a minute and at each change.

    Raises SettingsError where the file cannot be written at first; what comes later is told, and tried again.
    """

    def __init__(
        self,
        path: Path | None,
        taker: StatsTaker,
        snapshots: Snapshots | None,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.snapshots = snapshots
        self._path = path
        self._taker = taker
        self._clock = clock
        self._begun = clock()
        self._next = 0.0
        self._next_line = self._begun + _LINE_EVERY_S
        self._told = WAITING  # what each begins with: it is told where it lasts
        self._has_written = self._is_refused = False
        self._before = (clock(), 0, 0)

    def __call__(self, live: KafkaService) -> None:
        """Report on *live*, if it is time to."""
        now = self._clock()
        if now < self._next and live.state == self._told:
            return
        self._next = now + STATUS_EVERY_S
        if live.state != self._told or now >= self._next_line:
            self._next_line = now + _LINE_EVERY_S
            self._log(live, now)
        if self._path is not None:
            self._write(self._path, live)

    @property
    def stats(self) -> Stats | None:
        """The engine's figures of a moment ago."""
        return self._taker.stats

    @property
    def quality(self) -> QualityReport | None:
        """How good the answers were, as of a moment ago."""
        return self._taker.quality

    @property
    def seconds(self) -> float:
        """How long it has been reporting."""
        return self._clock() - self._begun

    def status(self, live: KafkaService) -> Status:
        """How *live* does now."""
        life = live.life
        last = None if self.snapshots is None else self.snapshots.last
        return Status(
            state=live.state,
            at_ms=int(time() * 1000),
            pid=os.getpid(),
            generation=0 if life is None else life.assignment.generation,
            owned=[] if life is None else sorted(map(str, life.assignment.owned)),
            lag={} if life is None else {str(partition): n for partition, n in life.lag.items()},
            commits=0 if life is None else life.checkpoint.n_commits,
            counts=live.counts,
            stats=self._taker.stats,
            last_snapshot=None if last is None else last.path,
            models=self._taker.models,
            quality=self._taker.quality,
        )

    def _write(self, path: Path, live: KafkaService) -> None:
        """A wrong path shows at the first write; what is refused later, by a full disk, must end no service."""
        try:
            write_status(path, self.status(live))
        except SettingsError as error:
            if not self._has_written:
                raise
            if not self._is_refused:
                log.warning("%s; trying again each second", error)
            self._is_refused = True
        else:
            if self._is_refused:
                log.info("the status file is written again")
            self._has_written, self._is_refused = True, False

    def _log(self, live: KafkaService, now: float) -> None:
        counts, stats = live.counts, self._taker.stats
        then, read, answers = self._before
        seconds = max(now - then, 1e-3)
        self._before = (now, counts.n_read, counts.n_answers)
        held = "" if stats is None else f"; {stats.n_sessions:,} sessions, horizon {show_horizon(stats)}"
        behind = None if live.life is None else sum(live.life.lag.values())
        per_s, answers_per_s = (counts.n_read - read) / seconds, (counts.n_answers - answers) / seconds
        n_dead = counts.n_dead_lettered
        log.info(
            "%s: %s records (%.0f/s), %s answers (%.0f/s), %s dead-lettered%s%s",
            live.state,
            f"{counts.n_read:,}",
            per_s,
            f"{counts.n_answers:,}",
            answers_per_s,
            f"{n_dead:,}",
            "" if behind is None else f"; lag {behind:,}",
            held,
            extra=fields(
                state=live.state,
                records=counts.n_read,
                records_per_s=round(per_s, 1),
                answers=counts.n_answers,
                answers_per_s=round(answers_per_s, 1),
                dead_lettered=n_dead,
                lag=behind,
                sessions=None if stats is None else stats.n_sessions,
                horizon_ms=None if stats is None else stats.horizon_ms,
            ),
        )
        self._told = live.state


def summary(live: KafkaService, reporter: Reporter) -> list[str]:
    """The end of a service in a few lines, as those of a run over files."""
    stats = reporter.stats
    if stats is None:
        return show_lines([("state", f"{live.state}: nothing was read")])
    told = [] if reporter.quality is None else quality_lines(reporter.quality)
    return summary_lines(live.counts, stats, reporter.seconds, quality=told)
