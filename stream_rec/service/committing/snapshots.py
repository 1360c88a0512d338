"""When a snapshot is due, and its writing beside the live answers.

The state is copied on the recommender thread, between two batches; all else happens on a thread of its own. A snapshot
is written when the positions that it stands at have been committed, for one that is ahead of its group is of no use.
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
from stream_rec.snapshot import Snapshot, newest_valid, purge_before, write
from stream_rec.transport.broker import Partition

__all__ = ["Snapshots", "Written"]

log = logging.getLogger(__name__)

_WAIT_S: Final = 0.02
_LONGEST_WAIT_S: Final = 60.0
_FORGET_WITHIN_S: Final = 5.0  # after an order to forget, older snapshots go in about this time
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


class Snapshots:
    """Writes snapshots of one engine to one folder. `after` and `idle` are for the recommender thread.

    *committed* tells the group's positions as far as this process has moved them, *now_ms* the time of day. *step* is
    called before each step of writing; without *beside* all is done where it is called, for tests.
    """

    def __init__(
        self,
        folder: Path,
        rules: Mapping[str, object],
        *,
        every_s: float,
        keep: int,
        now_ms: Callable[[], int],
        clock: Callable[[], float] = monotonic,
        step: Callable[[str], None] = lambda _: None,
        beside: bool = True,
    ) -> None:
        self.last: Written | None = None
        self.written = Occurrences()
        """Snapshots written, and how long that took beside the live answers."""
        self.copied = Occurrences()
        """Copies of the state, for which the recommender thread stops."""
        self.failed = Occurrences()
        self.committed: Callable[[], Mapping[Partition, int]] = dict
        self._folder = folder
        self._rules = rules
        self._every_s = every_s
        self._keep = keep
        self._now_ms = now_ms
        self._clock = clock
        self._step = step
        self._beside = beside
        self._due = clock() + every_s
        self._forgot = False
        self._positions: dict[Partition, int] = {}
        self._written_positions: dict[Partition, int] = {}
        self._writer: _Writer | None = None

    def find(self, goals: Mapping[Partition, int]) -> Snapshot | None:
        """The newest snapshot that can be gone on from, that is nowhere ahead of *goals*."""
        found = newest_valid(self._folder, self._rules, _by_topic(goals), lambda why: log.warning("snapshot: %s", why))
        if found is not None and found.header.notes == _PURGES:
            # Whoever wrote it may have been killed before it was done with that.
            with self._whatever_fails(forgot=True):
                self._purge_before(found.path)
        return found

    def begin(self, positions: Mapping[Partition, int], *, forgot: bool) -> None:
        """Note where a recovery has ended, and whether it passed an order to forget, which older ones may not have."""
        self._positions = dict(positions)
        if forgot:
            self._forgot = True
            self._due = min(self._due, self._clock() + _FORGET_WITHIN_S)

    def after(self, engine: Engine, positions: Mapping[Partition, int], *, forgot: bool) -> None:
        """Copy the state, which is at *positions*, and have it written, if it is time to."""
        self.begin(positions, forgot=forgot)
        self.idle(engine)

    def idle(self, engine: Engine) -> None:
        """The same, where nothing has happened since."""
        if self._clock() < self._due or (self._writer is not None and self._writer.is_busy):
            return
        self._due = self._clock() + self._every_s
        if not self._forgot and self._positions == self._written_positions:
            return
        begun = monotonic()
        state = engine.export_state()
        self.copied.record(monotonic() - begun)
        log.debug("snapshot: state copied in %.0f ms", 1000 * (self.copied.last_seconds or 0.0))
        task = (state, dict(self._positions), self._forgot)
        self._forgot = False
        if not self._beside:
            self._write_when_committed(*task)
            return
        self._writer = self._writer or _Writer()
        self._writer.start(partial(self._write_when_committed, *task))

    def close(self, engine: Engine | None, timeout_s: float) -> None:
        """Wait for what is being written; write a last one of *engine*, all of which must be committed.

        What takes longer than *timeout_s* is given up: none is there later than this, and none is written beside it.
        """
        if self._writer is not None:
            if not self._writer.join(timeout_s):
                self._writer.give_up()
                log.warning("snapshot: the one under way takes too long: it is given up, and no last one is written")
                return
            self._writer.end()
            self._writer = None
        if engine is not None and (self._forgot or self._positions != self._written_positions):
            with self._whatever_fails(forgot=self._forgot):
                self._write(engine.export_state(), self._positions, self._forgot)

    def _write_when_committed(
        self, state: EngineSnapshot, positions: dict[Partition, int], forgot: bool
    ) -> None:  # a thread's arguments
        until = monotonic() + _LONGEST_WAIT_S
        with self._whatever_fails(forgot=forgot):
            while not self._is_committed(positions):
                if monotonic() > until:
                    log.warning("snapshot: its positions were not committed in %.0f s: it is dropped", _LONGEST_WAIT_S)
                    self.failed.record()
                    self._forgot = self._forgot or forgot
                    return
                self._refuse_if_given_up()
                sleep(_WAIT_S)
            self._write(state, positions, forgot)

    def _is_committed(self, positions: Mapping[Partition, int]) -> bool:
        """Of the partitions that this process commits for; the others are never ahead of their owners' commits."""
        return all(positions[p] <= offset for p, offset in self.committed().items() if p in positions)

    def _refuse_if_given_up(self) -> None:
        if self._writer is not None and self._writer.is_given_up:
            raise SnapshotError("it was given up, for the life that it was of has ended")

    def _before(self, step: str) -> None:
        """Called before each step of writing: until the file has its name, it can be given up."""
        if step != "prune":
            self._refuse_if_given_up()
        self._step(step)

    @contextmanager
    def _whatever_fails(self, *, forgot: bool) -> Iterator[None]:
        """Tell what fails and count it, and go on: the next one is tried, and purges what this one had to."""
        try:
            yield
        except Exception as error:  # an end of the thread would be the end of all snapshots
            self._forgot = self._forgot or forgot
            self.failed.record()
            if isinstance(error, SnapshotError):
                log.error("snapshot failed, and is tried again in %.0f s: %s", self._every_s, error)  # noqa: TRY400  # the operator needs the message, not our stack
            else:
                log.exception("snapshot failed, and is tried again in %.0f s", self._every_s)

    def _write(self, state: EngineSnapshot, positions: dict[Partition, int], forgot: bool) -> None:  # as above
        begun = monotonic()
        path = write(
            self._folder,
            state,
            created_at=self._now_ms(),
            fingerprint=self._rules,
            offsets=_by_topic(positions),
            keep=self._keep,
            notes=_PURGES if forgot else b"",
            step=self._before,
        )
        if forgot:
            self._purge_before(path)
        ended = monotonic()
        self.last = Written(str(path), ended, self._now_ms(), ended - begun, path.stat().st_size)
        self.written.record(ended - begun)
        self._written_positions = positions
        log.info(
            "snapshot: %s, %.1f MiB in %.1f s",
            path.name,
            self.last.n_bytes / 2**20,
            self.last.seconds,
            extra=fields(snapshot=path.name, bytes=self.last.n_bytes, seconds=round(self.last.seconds, 3)),
        )

    def _purge_before(self, path: Path) -> None:
        gone = purge_before(self._folder, path)
        if gone:
            log.info("snapshot: %d older ones removed, for they held what was to be forgotten", len(gone))


class _Writer:
    """A thread that does one thing after another.

    One for all snapshots: glibc gives each new thread that works beside others another arena, up to eight for each
    core, and every one keeps what a snapshot needed (100 MiB in all after a quarter of an hour, measured).
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_free = Event()
        self._is_free.set()
        self.is_given_up = False
        """Whether what is under way is not wanted any more: it is to look, now and then."""
        Thread(target=self._run, name="snapshots", daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether it has not done yet what it was told last."""
        return not self._is_free.is_set()

    def start(self, task: Callable[[], None]) -> None:
        """Have *task* done; nothing else may be under way."""
        self.is_given_up = False
        self._is_free.clear()
        self._tasks.put(task)

    def join(self, timeout_s: float) -> bool:
        """Wait until it is done; False if it is not in time."""
        return self._is_free.wait(timeout_s)

    def give_up(self) -> None:
        """Have what is under way not come to its end. Until it has stopped, nothing else can be started."""
        self.is_given_up = True

    def end(self) -> None:
        """Let the thread go, when it is done."""
        self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            finally:
                self._is_free.set()


def _by_topic(positions: Mapping[Partition, int]) -> dict[str, dict[int, int]]:
    by_topic: dict[str, dict[int, int]] = {}
    for (topic, number), offset in positions.items():
        by_topic.setdefault(topic, {})[number] = offset
    return by_topic
