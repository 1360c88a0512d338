"""How a service is doing, for people, for other programs, and for whoever restarts it.

A line in the log now and then, and a small file of JSON that is written anew each second. Looks at what the threads
leave for it to be looked at; the engine's own figures are taken on the recommender thread.
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread
from time import monotonic, time
from types import TracebackType
from typing import Final, Self

import msgspec

from stream_rec.engine import Engine, Stats
from stream_rec.errors import SettingsError
from stream_rec.quality import ModelShare, Quality, QualityReport, models_of
from stream_rec.service.counts import Counts, show_duration, summary_lines
from stream_rec.service.live import WAITING, Live
from stream_rec.service.logs import fields
from stream_rec.service.quality import quality_lines
from stream_rec.service.snapshots import Snapshots
from stream_rec.transport.broker import Partition

__all__ = [
    "Overtime",
    "Reporter",
    "StatsTaker",
    "Status",
    "read_status",
    "status_lines",
    "summary",
    "write_status",
]

log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
_LINE_EVERY_S: Final = 30.0
_STALE_S: Final = 10.0
_TICK_S: Final = 0.1
_OVERTIME_S: Final = 9.5  # of the ten seconds that container engines wait before they kill
_LABEL_CHARS: Final = 15


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the status file holds."""

    state: str
    """`waiting for the broker`, `recovering`, `ready` or `stopping`."""
    at_ms: int
    """When this was written: a service that hangs does not write."""
    pid: int
    generation: int
    owned: list[str]
    lag: dict[str, int]
    """By partition, the records that are there and not read yet, as of a few seconds ago."""
    commits: int
    counts: Counts
    stats: Stats | None
    last_snapshot: str | None
    models: list[ModelShare] = msgspec.field(default_factory=list)
    """The models that run, the main one first and the shadows last."""
    quality: QualityReport | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""
        return self.state == "ready"


class StatsTaker:
    """Takes the engine's figures on its own thread, once a second, and those of what it answers."""

    def __init__(self, clock: Callable[[], float] = monotonic, quality: Quality | None = None) -> None:
        self.stats: Stats | None = None
        self.models: list[ModelShare] = []
        self.quality: QualityReport | None = None
        self._judge = quality
        self._clock = clock
        self._next = 0.0

    def after(self, engine: Engine, positions: Mapping[Partition, int], *, forgot: bool) -> None:
        """Take them, if it is time to."""
        del positions, forgot
        self.idle(engine)

    def idle(self, engine: Engine) -> None:
        """Take them, if it is time to."""
        now = self._clock()
        if now >= self._next:
            self._next = now + _EVERY_S
            self.stats = engine.stats()
            self.models = models_of(engine.split)
            if self._judge is not None:
                self.quality = self._judge.report(self.stats.n_items)


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

    def __call__(self, live: Live) -> None:
        """Report on *live*, if it is time to."""
        now = self._clock()
        if now < self._next and live.state == self._told:
            return
        self._next = now + _EVERY_S
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

    def status(self, live: Live) -> Status:
        """How *live* does now."""
        life = live.life
        last = None if self.snapshots is None else self.snapshots.last
        return Status(
            state=live.state,
            at_ms=int(time() * 1000),
            pid=os.getpid(),
            generation=0 if life is None else life.seat.generation,
            owned=[] if life is None else sorted(map(str, life.seat.owned)),
            lag={} if life is None else {str(partition): n for partition, n in life.lag.items()},
            commits=0 if life is None else life.checkpoint.n_commits,
            counts=live.counts,
            stats=self._taker.stats,
            last_snapshot=None if last is None else last.path,
            models=self._taker.models,
            quality=self._taker.quality,
        )

    def _write(self, path: Path, live: Live) -> None:
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

    def _log(self, live: Live, now: float) -> None:
        counts, stats = live.counts, self._taker.stats
        then, read, answers = self._before
        seconds = max(now - then, 1e-3)
        self._before = (now, counts.n_read, counts.n_answers)
        held = "" if stats is None else f"; {stats.n_sessions:,} sessions, horizon {_horizon(stats)}"
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


def write_status(path: Path, status: Status) -> None:
    """As a whole: whoever reads it never sees half of it. Raises SettingsError."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(msgspec.json.encode(status) + b"\n")
        temporary.replace(path)
    except OSError as error:
        raise SettingsError("status_file", f"cannot write {str(path)!r}: {error.strerror}") from error


def read_status(path: Path) -> Status:
    """The status in a file. Raises SettingsError for one that is not there, or none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status, dec_hook=lambda kind, value: kind(value))
    except OSError as error:
        raise SettingsError("status_file", f"cannot read {str(path)!r}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise SettingsError("status_file", f"{str(path)!r} is not a service's status: {error}") from error


def status_lines(path: Path) -> tuple[bool, list[str]]:
    """Whether the service is well, and what its status says, for people. Raises SettingsError as `read_status`."""
    status = read_status(path)
    age_s = time() - status.at_ms / 1000
    is_well = status.is_ready and age_s < _STALE_S
    state = status.state if age_s < _STALE_S else f"silent for {age_s:.0f} s, {status.state} before"
    counts, stats = status.counts, status.stats
    lines = [
        ("state", state),
        ("answers for", ", ".join(status.owned) or "nothing"),
        ("lag", f"{sum(status.lag.values()):,} records"),
        ("read", f"{counts.n_read:,} records, {counts.n_answers:,} answers, {counts.n_followed:,} followed"),
        ("dead-lettered", f"{counts.n_dead_lettered:,}"),
        *([("lost", f"{counts.n_lost:,} records, to the topic's retention")] if counts.n_lost else []),
        ("retained", "nothing yet" if stats is None else f"{stats.n_sessions:,} sessions, horizon {_horizon(stats)}"),
        ("snapshot", status.last_snapshot or "none"),
        *(("quality", told) for told in ([] if status.quality is None else quality_lines(status.quality))),
    ]
    return is_well, [f"{name:<{_LABEL_CHARS}}{value}" for name, value in lines]


def summary(live: Live, reporter: Reporter) -> list[str]:
    """The end of a service in a few lines, as those of a run over files."""
    stats = reporter.stats
    if stats is None:
        return [f"{'state':<{_LABEL_CHARS}}{live.state}: nothing was read"]
    told = [] if reporter.quality is None else quality_lines(reporter.quality)
    return summary_lines(live.counts, stats, reporter.seconds, quality=told)


class Overtime:
    """Ends the process where a stop takes longer than whoever asked for it will wait. A context manager.

    What is left undone then was not committed, so the next start does it.
    """

    def __init__(self, asked: Callable[[], bool], is_done: Callable[[], bool]) -> None:
        self._asked = asked
        self._is_done = is_done
        self._over = Event()

    def __enter__(self) -> Self:
        """Watch from a thread of its own."""
        Thread(target=self._watch, name="overtime", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be content."""
        self._over.set()

    def _watch(self) -> None:
        while not self._asked():
            if self._over.wait(_TICK_S):
                return
        if not self._over.wait(_OVERTIME_S):
            done = self._is_done()
            log.warning("the stop took too long: %s", "all was committed" if done else "the next start does the rest")
            os._exit(0 if done else 1)


def _horizon(stats: Stats) -> str:
    return "none" if stats.horizon_ms is None else show_duration(stats.horizon_ms)
