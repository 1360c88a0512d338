"""The status of a service: a small JSON file, rewritten each second, for people and for programs that supervise it.

Made from counters that the threads leave; the figures of the engine are taken on the engine's own thread.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time

import msgspec

from stream_rec import private_files
from stream_rec.core.engine import Engine, LearnedOrder, Stats
from stream_rec.core.quality import ModelShare, Quality, QualityReport, models_of
from stream_rec.errors import SettingsError
from stream_rec.service.activity import Doing, Phase
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.format import show_duration, show_lines
from stream_rec.service.metrics.leap import Leap
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.problems import OpenProblem
from stream_rec.service.reporting.list_names import UnknownNames, unknown_name_lines, unknown_names
from stream_rec.service.reporting.order_lines import order_line
from stream_rec.service.reporting.quality_lines import quality_lines
from stream_rec.service.state import ServiceState
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import PartitionOffsets

__all__ = [
    "StatsTaker",
    "Status",
    "read_status",
    "show_horizon",
    "status_lines",
    "write_status",
]

log = logging.getLogger(__name__)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the status file."""

    state: ServiceState
    at_ms: int
    """When it was made; a service that hangs stops writing."""
    pid: int
    generation: int
    owned: list[str]
    lag: dict[str, int]
    """By partition, the records that were not read yet, as of a few seconds ago."""
    commits: int
    counts: Counters
    stats: Stats | None
    last_snapshot: str | None
    models: list[ModelShare] = msgspec.field(default_factory=list)
    """The models that run, the main model first and shadows last."""
    orders: list[LearnedOrder] = msgspec.field(default_factory=list)
    """What is known of the order of each model that learns one."""
    quality: QualityReport | None = None
    unknown_names: dict[str, int] = msgspec.field(default_factory=dict)
    """By list, deny or allow, how many of its names are of no known item; as of a minute ago."""
    largest_leap: Leap | None = None
    """The event that moved the watermark the farthest since the last recovery, if by more than the allowed lateness."""
    problems: list[OpenProblem] = msgspec.field(default_factory=list)
    """What is wrong and may pass, the oldest first."""
    doing: Doing | None = None
    """What the state means in detail, and how far that is; None: an older version wrote the file."""

    @property
    def is_ready(self) -> bool:
        """Whether the service answers, and no problem stands against that."""
        return self.state is ServiceState.READY and not any(each.blocks for each in self.problems)


class StatsTaker:
    """Takes the figures of the engine and of the quality of its answers, once a second, on the engine's thread."""

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        quality: Quality | None = None,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self.stats: Stats | None = None
        self.models: list[ModelShare] = []
        self.orders: list[LearnedOrder] = []
        self.quality: QualityReport | None = None
        self.unknown_names: UnknownNames = {}
        """As of a minute ago, at most."""
        self._names_next: float | None = None
        self._quality = quality
        self._clock = clock
        self._every_s = timeouts.status_every_s
        self._names_every_s = timeouts.list_names_every_s
        self._next = 0.0

    def after(self, engine: Engine, offsets: PartitionOffsets, *, forgot: bool) -> None:
        """Take the figures if a second has passed."""
        del offsets, forgot
        self.idle(engine)

    def idle(self, engine: Engine) -> None:
        """Take the figures if a second has passed."""
        now = self._clock()
        if now >= self._next:
            self._next = now + self._every_s
            self.stats = engine.stats()
            self.models = models_of(engine.split)
            self._look_at_orders(engine)
            if self._quality is not None:
                self.quality = self._quality.report(self.stats.n_items)
            self._look_names_up(engine, now)

    def _look_at_orders(self, engine: Engine) -> None:
        """Take what is known of learned orders, and log each change of what is played."""
        before = {each.model: each.playing for each in self.orders}
        self.orders = engine.learned_orders()
        for each in self.orders:
            if each.model in before and each.playing != before[each.model]:
                log.info("%s", order_line(each), extra=fields(model=each.model, weights=each.playing))

    def _look_names_up(self, engine: Engine, now: float) -> None:
        """Look up the names of the lists, once a minute: long lists take long. Log those found in vain the first time.

        The first time is a minute after the start: until then many items may not have come yet.
        """
        if self._names_next is None:
            self._names_next = now + self._names_every_s
        if now < self._names_next:
            return
        is_first = not self.unknown_names
        self._names_next = now + self._names_every_s
        self.unknown_names = unknown_names(engine)
        if is_first:
            for line in unknown_name_lines(self.unknown_names):
                log.warning("%s", line)


def write_status(path: Path, status: Status) -> None:
    """Replace the file by *status* in one step, so that no reader sees half of it. Raises SettingsError."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with private_files.created(temporary) as file:
            file.write(msgspec.json.encode(status) + b"\n")
        temporary.replace(path)
    except OSError as error:
        raise SettingsError("status_file", f"cannot write {str(path)!r}: {error.strerror}") from error


def read_status(path: Path) -> Status:
    """Return the status in a file. Raises SettingsError if it cannot be read, or holds something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status, dec_hook=lambda kind, value: kind(value))
    except OSError as error:
        raise SettingsError("status_file", f"cannot read {str(path)!r}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise SettingsError("status_file", f"{str(path)!r} is not a status file: {error}") from error


def status_lines(path: Path, timeouts: Timeouts = TIMEOUTS) -> tuple[bool, list[str]]:
    """Return whether the service is well, and its status as lines of text. Raises SettingsError as `read_status`."""
    status = read_status(path)
    age_s = time() - status.at_ms / 1000
    is_fresh = age_s < timeouts.status_stale_after_s
    is_well = status.is_ready and is_fresh
    state = status.state if is_fresh else f"silent for {age_s:.0f} s, {status.state} before"
    counts, stats, doing = status.counts, status.stats, status.doing
    lines = [
        ("state", state),
        *([("doing", doing.message)] if is_fresh and doing is not None and doing.phase is not Phase.READY else []),
        *(("problem", f"{each.kind}: {each.message}") for each in status.problems),
        ("answers for", ", ".join(status.owned) or "nothing"),
        ("lag", f"{sum(status.lag.values()):,} records"),
        ("read", f"{counts.n_read:,} records, {counts.n_answers:,} answers, {counts.n_followed:,} followed"),
        ("dead-lettered", f"{counts.n_dead_lettered:,}"),
        *(
            [("forgets", f"{counts.n_forgets:,}, {counts.n_forgot_nothing:,} of them erased no session")]
            if counts.n_forgets
            else []
        ),
        *([("lost", f"{counts.n_lost:,} records, to the topic's retention")] if counts.n_lost else []),
        (
            "retained",
            "nothing yet" if stats is None else f"{stats.n_sessions:,} sessions, horizon {show_horizon(stats)}",
        ),
        ("snapshot", status.last_snapshot or "none"),
        *((name, f"{n:,} names of no known item") for name, n in status.unknown_names.items()),
        *([] if status.largest_leap is None else [("watermark", str(status.largest_leap))]),
        *(("order", order_line(each)) for each in status.orders),
        *(("quality", line) for line in ([] if status.quality is None else quality_lines(status.quality))),
    ]
    return is_well, show_lines(lines)


def show_horizon(stats: Stats) -> str:
    """Return how far back the state reaches, as text."""
    return "none" if stats.horizon_ms is None else show_duration(stats.horizon_ms)
