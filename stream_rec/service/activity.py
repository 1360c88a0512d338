"""What a service does until it is ready, and how far it is, in words and as figures.

`/readyz`, `/v1/stats`, the status file, the log and the dashboard show it. Knows nothing of what is done, and names no
topic, file or address: `/readyz` needs no key.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum
from threading import Event, Thread
from time import monotonic
from typing import Final, NamedTuple

import msgspec

from stream_rec.service.metrics.format import show_duration
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.timeouts import TIMEOUTS, Timeouts

__all__ = ["Activity", "ActivityLog", "Doing", "Phase"]

log = logging.getLogger(__name__)

_SAID_AFTER_S: Final = 1.0
"""From then on the words say for how long it has lasted: before, the figure would be noise."""


class Phase(StrEnum):
    """What is being done. The values are texts that programs read."""

    STARTING = "starting"
    COMPILING = "compiling"
    BROKER = "broker"
    """No broker has answered yet, or not any more."""
    TOPIC = "topic"
    """A topic of the service is missing."""
    REGISTRY = "registry"
    """The schema registry does not answer."""
    CLUSTER = "cluster"
    """A broker answers; leaders of partitions, or the coordinators of groups and transactions, have yet to."""
    SNAPSHOT = "snapshot"
    READING = "reading"
    APPLYING = "applying"
    """All events are read and in order of time; now they are applied."""
    JOURNAL = "journal"
    """Events are read that came over HTTP before this start."""
    PARTITIONS = "partitions"
    """The group has yet to assign partitions."""
    READY = "ready"
    BLOCKED = "blocked"
    """It answers, and a problem stands against its being ready."""
    STOPPING = "stopping"


_WORDS: Final = {
    Phase.STARTING: "starting",
    Phase.COMPILING: "compiling the kernels, once on this machine",
    Phase.BROKER: "waiting for a broker to answer",
    Phase.TOPIC: "waiting for a topic that is missing",
    Phase.REGISTRY: "waiting for the schema registry to answer",
    Phase.CLUSTER: "waiting for the leaders of the partitions, and for the group's coordinator",
    Phase.SNAPSHOT: "loading the newest snapshot",
    Phase.READING: "reading the events",
    Phase.APPLYING: "applying the events",
    Phase.JOURNAL: "reading the journal of events that came over HTTP",
    Phase.PARTITIONS: "waiting for the group to assign partitions",
    Phase.READY: "ready",
    Phase.BLOCKED: "answering, but a problem must end first",
    Phase.STOPPING: "stopping",
}


class Doing(msgspec.Struct, frozen=True):
    """What a service is doing, and how far it is."""

    phase: Phase
    message: str
    """The same in words, with all of the figures below."""

    seconds: float
    """How long it has lasted."""

    records: int | None = None
    """Records that were read so far, where it reads."""

    of_records: int | None = None
    """About how many there are to read; null: that is not known, as of a pipe or a file."""

    share: float | None = None
    """How much of it is done, from 0 to 1; null: that is not known."""

    remaining_s: float | None = None
    """About how long it will last, in seconds; null: that is not known."""


class _Step(NamedTuple):
    phase: Phase
    begun: float
    expected_s: float | None = None
    records: int | None = None
    of_records: int | None = None
    share: float | None = None


class Activity:
    """What one service is doing. One thread calls `begin` and `advance`; any thread may call `now`."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._step = _Step(Phase.STARTING, clock())

    def begin(self, phase: Phase, *, expected_s: float | None = None) -> None:
        """Note that *phase* begins, which takes about *expected_s*; nothing changes where it lasts already."""
        if phase is not self._step.phase:
            self._step = _Step(phase, self._clock(), expected_s)

    def advance(self, records: int, of_records: int | None = None, share: float | None = None) -> None:
        """Note how many records the present phase has read, of how many, or which *share* of what there is."""
        if of_records:
            share = min(1.0, records / of_records)
        self._step = self._step._replace(records=records, of_records=of_records, share=share)

    @contextmanager
    def compiling(self, expected_s: float, timeouts: Timeouts = TIMEOUTS) -> Iterator[None]:
        """Note in this block that kernels are compiled, and log it now and then, from a thread of its own."""
        self.begin(Phase.COMPILING, expected_s=expected_s)
        over = Event()

        def report() -> None:
            while not over.wait(timeouts.activity_log_every_s):
                log_doing(self.now())

        Thread(target=report, name="compiling", daemon=True).start()
        try:
            yield
        finally:
            over.set()
            self.begin(Phase.STARTING)

    def now(self, blocking: Collection[str] = ()) -> Doing:
        """Return what is being done now. *blocking* are the kinds of problems that stand against being ready."""
        step = self._step
        phase = Phase.BLOCKED if blocking and step.phase is Phase.READY else step.phase
        seconds = max(0.0, self._clock() - step.begun)
        left = _remaining(step, seconds)
        message = _WORDS[phase]
        if step.records is not None or step.share is not None:
            message += _figures(step, seconds)
        elif phase is Phase.BLOCKED:
            message += f": {', '.join(blocking)}"
        elif phase is not Phase.READY and seconds >= _SAID_AFTER_S:
            message += f", for {_in_words(seconds)} so far"
        if left is not None:
            message += f", about {_in_words(left)} to go"
        return Doing(
            phase,
            message,
            round(seconds, 1),
            step.records,
            step.of_records,
            None if step.share is None else round(step.share, 4),
            None if left is None else round(left, 1),
        )


def _remaining(step: _Step, seconds: float) -> float | None:
    if step.expected_s is not None:
        left = step.expected_s - seconds
        return left if left > 0 else None  # a slow machine: how long it takes is not known any more
    if not step.share or seconds < _SAID_AFTER_S:
        return None
    return seconds * (1 - step.share) / step.share


def _figures(step: _Step, seconds: float) -> str:
    share = "" if step.share is None else f" ({step.share:.0%})"
    if not step.records:
        return share
    of_all = "" if step.of_records is None else f" of about {step.of_records:,}"
    rate = "" if seconds < _SAID_AFTER_S else f", {step.records / seconds:,.0f}/s"
    return f": {step.records:,}{of_all} records{share}{rate}"


def _in_words(seconds: float) -> str:
    return show_duration(1000 * max(1, round(seconds)))


class ActivityLog:
    """Logs what a service is doing, every ten seconds until it is ready. Call it often, from one thread."""

    def __init__(self, clock: Callable[[], float] = monotonic, timeouts: Timeouts = TIMEOUTS) -> None:
        self._clock = clock
        self._every_s = timeouts.activity_log_every_s
        self._next = clock() + self._every_s

    def __call__(self, doing: Callable[[], Doing]) -> None:
        """Log what *doing* returns, if it is time to, and that is not that the service is ready or stopping."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + self._every_s
        found = doing()
        if found.phase not in {Phase.READY, Phase.STOPPING}:
            log_doing(found)


def log_doing(doing: Doing) -> None:
    """Log what a service is doing, with its figures."""
    figures = {name: value for name, value in msgspec.structs.asdict(doing).items() if name != "message"}
    log.info("%s", doing.message, extra=fields(**figures))
