"""When a snapshot is due, and its writing while answers go on.

The state is copied on the recommender thread, between two batches; all else happens on a thread of its own. A snapshot
is written when the offsets that it stands at are committed: a recovery cannot use one that is ahead of its group.
Knows nothing of what a snapshot file looks like.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic, sleep
from typing import Final, NamedTuple

from stream_rec.core.engine import Engine
from stream_rec.core.engine_state import EngineSnapshot
from stream_rec.errors import SnapshotError
from stream_rec.service.metrics.histogram import Occurrences
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.problems import ProblemKind, Problems
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.snapshot import Snapshot, newest_valid, purge_before, write
from stream_rec.transport.broker import Partition, PartitionOffsets

__all__ = ["Snapshots", "Written"]

log = logging.getLogger(__name__)

_PURGES: Final = b"purges"  # a snapshot's note: those before it hold what was to be forgotten


class Written(NamedTuple):
    """The last snapshot that was written."""

    path: str
    at: float
    """By the monotonic clock."""
    at_ms: int
    """By the time of day."""
    seconds: float
    n_bytes: int


class _WriteTask(NamedTuple):
    """A copy of the state that is to be written."""

    state: EngineSnapshot
    offsets: dict[Partition, int]
    forgot: bool
    committed: Callable[[], PartitionOffsets]


class Snapshots:
    """Writes snapshots of one engine to one folder, over all of its recoveries.

    `begin`, `find` and `close` are for the consumer thread, `after` and `idle` for the recommender thread. *now_ms*
    returns the time of day. *claim* is called before each writing, and raises SnapshotError where the folder cannot be
    written to. *step* is called before each step of writing; without *beside* all is done where it is called, for
    tests.
    """

    def __init__(  # noqa: PLR0913  # what is written where, when, and what a test puts in between
        self,
        folder: Path,
        rules: Mapping[str, object],
        *,
        every_s: float,
        keep: int,
        now_ms: Callable[[], int],
        claim: Callable[[], None] = lambda: None,
        problems: Problems | None = None,
        clock: Callable[[], float] = monotonic,
        step: Callable[[str], None] = lambda _: None,
        beside: bool = True,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self.last: Written | None = None
        self.written = Occurrences()
        """Snapshots written, and how long that took while answers went on."""
        self.copied = Occurrences()
        """Copies of the state, for which the recommender thread stops."""
        self.failed = Occurrences()
        self._folder = folder
        self._rules = rules
        self._every_s = every_s
        self._keep = keep
        self._now_ms = now_ms
        self._clock = clock
        self._claim = claim
        self._problems = problems or Problems()
        self._step = step
        self._beside = beside
        self._timeouts = timeouts
        self._due = clock() + every_s
        self._forgot = False
        self._committed: Callable[[], PartitionOffsets] = dict
        self._offsets: dict[Partition, int] = {}
        self._written_offsets: dict[Partition, int] = {}
        self._writer: _WriterThread | None = None

    @property
    def must_purge(self) -> bool:
        """Whether something was forgotten that older snapshots may still hold: the next one removes them."""
        return self._forgot

    def find(self, targets: PartitionOffsets) -> Snapshot | None:
        """Return the newest snapshot that a recovery can use: one that is nowhere ahead of *targets*."""
        try:
            found = newest_valid(
                self._folder, self._rules, _by_topic(targets), lambda why: log.warning("snapshot: %s", why)
            )
        except SnapshotError as error:
            self._problems.begin(ProblemKind.SNAPSHOTS, f"{error}; recovering without one")
            return None
        if found is not None and found.header.notes == _PURGES:
            # The process that wrote it may have been killed before it had removed the older ones.
            with self._going_on_after_failures(forgot=True):
                self._purge_before(found.path)
        return found

    def begin(self, offsets: PartitionOffsets, *, forgot: bool, committed: Callable[[], PartitionOffsets]) -> None:
        """Begin where a recovery has ended. *committed* returns the group's offsets as far as this process moved them.

        *forgot* says whether the recovery has passed an order to forget, which older snapshots may not have.
        """
        self._committed = committed
        self._move_to(offsets, forgot=forgot)

    def after(self, engine: Engine, offsets: PartitionOffsets, *, forgot: bool) -> None:
        """Copy the state, which is at *offsets*, and have it written, if a snapshot is due."""
        self._move_to(offsets, forgot=forgot)
        self.idle(engine)

    def idle(self, engine: Engine) -> None:
        """The same, where nothing has happened since."""
        if self._clock() < self._due or (self._writer is not None and self._writer.is_busy):
            return
        self._due = self._clock() + self._every_s
        if not self._forgot and self._offsets == self._written_offsets:
            return
        begun = monotonic()
        state = engine.export_state()
        self.copied.record(monotonic() - begun)
        log.debug("snapshot: state copied in %.0f ms", 1000 * (self.copied.last_seconds or 0.0))
        task = _WriteTask(state, dict(self._offsets), self._forgot, self._committed)
        self._forgot = False
        if not self._beside:
            self._write_when_committed(task)
            return
        self._writer = self._writer or _WriterThread()
        self._writer.start(partial(self._write_when_committed, task))

    def close(self, engine: Engine | None, timeout_s: float) -> None:
        """Wait for the snapshot under way; write a last one of *engine*, all of which must be committed.

        After *timeout_s* it is given up: no snapshot is finished later than this, and none is written beside it.
        """
        if self._writer is not None:
            if not self._writer.join(timeout_s):
                self._writer.give_up()
                log.warning("snapshot: the one under way takes too long: it is given up, and no last one is written")
                return
            self._writer.end()
            self._writer = None
        if engine is not None and (self._forgot or self._offsets != self._written_offsets):
            with self._going_on_after_failures(forgot=self._forgot):
                self._write(_WriteTask(engine.export_state(), self._offsets, self._forgot, self._committed))

    def join(self, timeout_s: float) -> bool:
        """Wait until no snapshot is under way; False if that is not so in time."""
        return self._writer is None or self._writer.join(timeout_s)

    def _move_to(self, offsets: PartitionOffsets, *, forgot: bool) -> None:
        self._offsets = dict(offsets)
        if forgot:
            self._forgot = True
            self._due = min(self._due, self._clock() + self._timeouts.forget_within_s)

    def _write_when_committed(self, task: _WriteTask) -> None:
        longest_s = self._timeouts.snapshot_longest_wait_s
        until = monotonic() + longest_s
        with self._going_on_after_failures(forgot=task.forgot):
            while not _is_committed(task):
                if monotonic() > until:
                    log.warning("snapshot: its offsets were not committed in %.0f s: it is dropped", longest_s)
                    self.failed.record()
                    self._forgot = self._forgot or task.forgot
                    return
                self._raise_if_given_up()
                sleep(self._timeouts.snapshot_poll_s)
            self._write(task)

    def _raise_if_given_up(self) -> None:
        if self._writer is not None and self._writer.is_given_up:
            raise SnapshotError("it was given up, since the service stops or recovers")

    def _before(self, step: str) -> None:
        """Called before each step of writing: until the file has its name, it can be given up."""
        if step != "prune":
            self._raise_if_given_up()
        self._step(step)

    @contextmanager
    def _going_on_after_failures(self, *, forgot: bool) -> Iterator[None]:
        """Log and count what fails, and go on: the next snapshot is tried, and purges what this one had to."""
        try:
            yield
        except Exception as error:  # an end of the thread would be the end of all snapshots
            self._forgot = self._forgot or forgot
            self.failed.record()
            if isinstance(error, SnapshotError):
                if self._writer is None or not self._writer.is_given_up:
                    self._problems.begin(ProblemKind.SNAPSHOTS, error.message)
                log.error("snapshot failed, and is tried again in %.0f s: %s", self._every_s, error)  # noqa: TRY400  # the operator needs the message, not our stack
            else:
                log.exception("snapshot failed, and is tried again in %.0f s", self._every_s)

    def _write(self, task: _WriteTask) -> None:
        begun = monotonic()
        self._claim()
        path = write(
            self._folder,
            task.state,
            created_at=self._now_ms(),
            fingerprint=self._rules,
            offsets=_by_topic(task.offsets),
            keep=self._keep,
            notes=_PURGES if task.forgot else b"",
            step=self._before,
        )
        if task.forgot:
            self._purge_before(path)
        ended = monotonic()
        self.last = Written(str(path), ended, self._now_ms(), ended - begun, path.stat().st_size)
        self.written.record(ended - begun)
        self._problems.end(ProblemKind.SNAPSHOTS)
        self._written_offsets = task.offsets
        log.info(
            "snapshot: %s, %.1f MiB in %.1f s",
            path.name,
            self.last.n_bytes / 2**20,
            self.last.seconds,
            extra=fields(snapshot=path.name, bytes=self.last.n_bytes, seconds=round(self.last.seconds, 3)),
        )

    def _purge_before(self, path: Path) -> None:
        removed = purge_before(self._folder, path)
        if removed:
            log.info("snapshot: %d older ones removed, for they held what was to be forgotten", len(removed))


class _WriterThread:
    """A thread that does one task after another.

    One for all snapshots: glibc gives each new thread that works beside others another arena, up to eight for each
    core, and every one keeps what a snapshot needed (100 MiB in all after a quarter of an hour, measured).
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_free = Event()
        self._is_free.set()
        self.is_given_up = False
        """Whether the task under way is not wanted any more: it checks that now and then."""
        Thread(target=self._run, name="snapshots", daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether its last task is not done yet."""
        return not self._is_free.is_set()

    def start(self, task: Callable[[], None]) -> None:
        """Have *task* done; no other may be under way."""
        self.is_given_up = False
        self._is_free.clear()
        self._tasks.put(task)

    def join(self, timeout_s: float) -> bool:
        """Wait until the task is done; False if it is not in time."""
        return self._is_free.wait(timeout_s)

    def give_up(self) -> None:
        """Have the task under way end early. Until it has ended, no other can be started."""
        self.is_given_up = True

    def end(self) -> None:
        """End the thread, when its task is done."""
        self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            finally:
                self._is_free.set()


def _is_committed(task: _WriteTask) -> bool:
    """Of the partitions that this process commits for; the others are never ahead of their owners' commits."""
    return all(task.offsets[p] <= offset for p, offset in task.committed().items() if p in task.offsets)


def _by_topic(offsets: PartitionOffsets) -> dict[str, dict[int, int]]:
    by_topic: dict[str, dict[int, int]] = {}
    for (topic, number), offset in offsets.items():
        by_topic.setdefault(topic, {})[number] = offset  # planted bug: snapshot-one-ahead
    return by_topic
