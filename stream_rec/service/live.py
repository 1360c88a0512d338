"""The service on a broker: recover, join the group, answer for what it gives us, and leave in good order.

The thread that calls `run` is the consumer: it keeps the seat, reads, decodes and hands batches to the pipeline.
Another one looks at what others have committed. All else about a batch, a commit or a snapshot is in the rooms beside
this one.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Event, Thread, get_ident
from time import monotonic
from typing import Final, NamedTuple

from stream_rec.engine import Engine
from stream_rec.errors import SeatLostError, StreamRecError, TransportError
from stream_rec.service.checkpoint import Checkpoint
from stream_rec.service.counts import Counts
from stream_rec.service.intake import Intake
from stream_rec.service.pipeline import Pipeline, Threads, Watcher, Work
from stream_rec.service.places import Places
from stream_rec.service.recovery import Begin, beginning, first_of, look, replay
from stream_rec.service.snapshots import Snapshots
from stream_rec.service.worker import Worker
from stream_rec.transport.broker import Broker, Member, Partition, Positions

__all__ = ["Life", "Live", "Parts", "Seat", "Watchers"]

log = logging.getLogger(__name__)

_POLL_S: Final = 0.05
_KEEP_SEAT_EVERY_S: Final = 0.1
_FOLLOW_EVERY_S: Final = 0.1
_DRAIN_S: Final = 5.0  # of a rebalance; half of what the group grants by default
_CLOSE_S: Final = 6.0  # of the ten seconds that a stop may take
_FIRST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 10.0
_LONG_LIFE_S: Final = 60.0  # a failure after this is a new one
_BOUNDS_EVERY_S: Final = 2.0
_REFUSALS: Final = 3  # a broker that has just started may not know yet what it holds
_WAITING: Final = "waiting for the broker"


class Parts(NamedTuple):
    """What a service is made of."""

    broker: Broker
    events: str
    make_worker: Callable[[], Worker]
    """A worker on an empty engine."""

    places: Places
    requests: str | None = None
    group: str = "stream-rec"
    instance: str | None = None
    """The name of a static seat in the group."""

    transactional_id: str | None = None
    """None delivers at least once."""

    begin: Begin = "earliest"
    snapshots: Snapshots | None = None
    watcher: Watcher | None = None
    """Told how the state moves on; the snapshots' own, if they are to be written."""

    max_records: int = 1024
    pipeline: Callable[[Worker, Checkpoint, Watcher | None], Pipeline] = Threads

    @property
    def topics(self) -> list[str]:
        """What the group shares out."""
        return [self.events] if self.requests is None else [self.events, self.requests]


class Watchers:
    """Several watchers as one."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def after(self, engine: Engine, positions: Positions, *, forgot: bool) -> None:
        """Tell each."""
        for each in self._watchers:
            each.after(engine, positions, forgot=forgot)

    def idle(self, engine: Engine) -> None:
        """Tell each."""
        for each in self._watchers:
            each.idle(engine)


class _Revocation(NamedTuple):
    """Partitions taken away, to be given up by the consumer thread; *done* says that they are."""

    partitions: frozenset[Partition]
    is_lost: bool
    done: Event


class Seat:
    """Which partitions are ours: keeps the intake in step with the group.

    For the consumer thread, but for `revoked`, which may come on a thread of the client's, and `look_at_others`.
    """

    def __init__(
        self,
        parts: Parts,
        member: Member,
        intake: Intake,
        goals: dict[Partition, int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.generation = 0
        self.identity: object = None
        self.owned: frozenset[Partition] = frozenset()
        self._member = member
        self._broker = parts.broker
        self._group = parts.group
        self._events = parts.events
        self._begin = parts.begin
        self._intake = intake
        self._goals = goals
        self._clock = clock
        self._next_poll = 0.0
        self._limits: dict[Partition, int] = {}
        self._thread = get_ident()
        self._revocations: SimpleQueue[_Revocation] = SimpleQueue()
        self._drain: Callable[[float], bool] = lambda _: True

    def keep(self, pipeline: Pipeline, checkpoint: Checkpoint) -> None:
        """Take part in the group; take over what it gives us. Raises SeatLostError if we lost what is uncommitted."""
        self._drain = pipeline.drain
        now = self._clock()
        if now >= self._next_poll:
            self._next_poll = now + _KEEP_SEAT_EVERY_S
            self._member.poll()
        self._give_up_revoked()
        if self._member.generation != self.generation:
            self._take_over(pipeline, checkpoint)
        limits, self._limits = self._limits, {}
        if limits:
            self._intake.follow({p: limit for p, limit in limits.items() if p not in self.owned})

    def revoked(self, partitions: frozenset[Partition], lost: bool) -> None:
        """Have the consumer thread give up all that is owned, and wait until it has. Any thread may call it."""
        revocation = _Revocation(partitions, lost, Event())
        self._revocations.put(revocation)
        if get_ident() == self._thread:
            self._give_up_revoked()
        else:
            revocation.done.wait(_DRAIN_S)

    def look_at_others(self) -> None:
        """Find out how far the owners of what we follow have come. For a thread of its own."""
        followed = self._goals.keys() - self.owned
        if followed:
            self._limits = self._broker.progress(self._group, followed)

    def _give_up_revoked(self) -> None:
        """Hand out no more of what was taken away, and see that what was handed out is committed."""
        while not self._revocations.empty():
            partitions, is_lost, done = self._revocations.get()
            self.owned = frozenset()
            self._intake.own({})
            if is_lost:
                done.set()
                raise SeatLostError(f"the group took {_listed(partitions)} away: we were not heard of for too long")
            if not self._drain(_DRAIN_S):
                log.warning("%s taken away before all was committed: the next owner answers", _listed(partitions))
            done.set()

    def _take_over(self, pipeline: Pipeline, checkpoint: Checkpoint) -> None:
        """Find out from where on each partition is ours to answer. The next `keep` tries again if it fails for now."""
        member = self._member
        generation, owned, identity = member.generation, member.owned, member.identity
        partitions = self._goals.keys() | owned
        try:
            self._refuse_other_partitions()
            committed = member.committed(partitions)
            answer_from = self._begin_at(owned, committed)
        except TransportError as error:
            if not error.retriable:
                raise
            log.debug("not taken over yet: %s", error)
            return
        if member.generation != generation or not self._revocations.empty():
            return  # it went on meanwhile
        self._refuse_if_ahead(answer_from)
        self.generation, self.owned, self.identity = generation, owned, identity
        self._intake.own(answer_from)
        self._intake.follow({p: committed[p] for p in self._goals if p in committed and p not in owned})
        checkpoint.committed = dict(answer_from)
        log.info("generation %d of the group: answering for %s", generation, _listed(owned) or "nothing")
        moved = {p: offset for p, offset in answer_from.items() if offset != committed.get(p, 0)}
        if moved:
            pipeline.settle(moved, generation, identity)

    def _refuse_other_partitions(self) -> None:
        """A topic that was given more partitions makes the group share them out anew: then we begin anew too."""
        there = self._broker.partitions(self._events)
        if set(there) != self._goals.keys():
            raise SeatLostError(f"{self._events} has {len(there)} partitions now, not {len(self._goals)}")

    def _begin_at(self, owned: frozenset[Partition], committed: Positions) -> dict[Partition, int]:
        """Where the group stands, or the state began; where retention has removed what comes next, behind that."""
        begin = {}
        for partition, bounds in self._broker.bounds(owned).items():
            position = committed.get(partition)
            if position is None and partition in self._goals:
                position = self._goals[partition]
            # Of events a recovery has told already what is not there any more.
            level = logging.DEBUG if partition in self._goals else logging.WARNING
            begin[partition] = first_of(partition, bounds, position, self._begin, level)
        return begin

    def _refuse_if_ahead(self, answer_from: Positions) -> None:
        """The state must not have seen what is yet to be answered: that was another's to commit, or was never."""
        positions = self._intake.positions
        ahead = [p for p, offset in answer_from.items() if positions.get(p, 0) > offset]
        if ahead:
            raise SeatLostError(f"the state has seen more of {_listed(ahead)} than was committed")


class Life:
    """From a recovery to the loss of the seat, or to the end. `step` is one turn of the consumer thread."""

    def __init__(
        self,
        parts: Parts,
        stop: Callable[[], bool],
        alive: Callable[[], None] = lambda: None,
        counts: Counts | None = None,
    ) -> None:
        self.lag: dict[Partition, int] = {}
        """Of each partition of events, how many offsets there are that were not handed out, lately."""
        self._gone: TransportError | None = None
        """Why there is nothing to read any more: a client may only fall silent."""
        self._n_refused = 0
        self._parts = parts
        self._counts = counts or Counts()
        self._closing = False
        self._undo = ExitStack()
        try:
            self._open(parts, stop, alive)
        except BaseException:
            self.close(in_order=False)
            raise

    def _open(self, parts: Parts, stop: Callable[[], bool], alive: Callable[[], None]) -> None:
        broker = parts.broker
        writes = parts.places.answers_topic is not None or parts.places.dead_letters_topic is not None
        # First of all: it ends the transaction that an earlier life of ours may have left open.
        self.writer = broker.writer(parts.transactional_id) if writes or parts.transactional_id else None
        if self.writer is not None:
            self._undo.callback(self.writer.close)
        self.reader = broker.reader()
        self._undo.callback(self.reader.close)
        self.member = broker.member(parts.group, parts.topics, self._revoked, instance=parts.instance)
        self._undo.callback(self.member.leave)
        situation = look(broker, self.member, parts.events, parts.begin)
        self.worker = parts.make_worker()
        self.worker.counts = self._counts
        known = self._load_snapshot(situation.goals)
        self.intake = Intake(
            self.reader,
            self.worker.decode,
            beginning(situation, known),
            requests_topic=parts.requests,
            max_records=parts.max_records,
        )
        replay(self.intake, self.worker, situation.goals, stop, alive)
        if parts.snapshots is not None:
            parts.snapshots.begin(self.intake.positions)
        self.checkpoint = Checkpoint(
            parts.places, self.member, self.writer, exactly_once=parts.transactional_id is not None
        )
        if parts.snapshots is not None:
            parts.snapshots.committed = lambda: self.checkpoint.committed
        self.seat = Seat(parts, self.member, self.intake, situation.goals)
        self.pipeline = parts.pipeline(self.worker, self.checkpoint, parts.watcher)
        if not stop():
            self.member.join()

    def _load_snapshot(self, goals: Positions) -> dict[Partition, int]:
        """Go on from a snapshot, if there is one to go on from; return the positions that it stands at."""
        snapshot = None if self._parts.snapshots is None else self._parts.snapshots.find(goals)
        if snapshot is None:
            return {}
        topic = self._parts.events
        known = {Partition(topic, number): offset for number, offset in snapshot.header.offsets.get(topic, {}).items()}
        self.worker.engine.import_state(snapshot.state)
        self.worker.offsets = {str(p): offset - 1 for p, offset in known.items() if offset > 0}
        log.info("recovering from %s", snapshot.path.name)
        return known

    def step(self, timeout_s: float = _POLL_S, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Keep the seat, and hand over what has come; False if nothing had. Raises what failed."""
        self.pipeline.raise_failure()
        if self._gone is not None:
            raise self._gone
        self.seat.keep(self.pipeline, self.checkpoint)
        handed = self.intake.next(timeout_s)
        if handed is None:
            return False
        return self.pipeline.put(Work(handed, self.seat.generation, self.seat.identity), give_up)

    def look_around(self) -> None:
        """Find out how far the log goes. For a thread of its own."""
        positions = self.intake.positions
        try:
            bounds = self._parts.broker.bounds(positions)
        except TransportError as error:
            self._n_refused += not error.retriable
            if self._n_refused >= _REFUSALS:
                self._gone = error
            raise
        self._n_refused = 0
        self.lag = {partition: max(0, bounds[partition].end - offset) for partition, offset in positions.items()}

    def close(self, *, in_order: bool) -> bool:
        """End it: *in_order*, after committing all that was handed over, with a last snapshot. Tell if it was done."""
        self._closing = True
        pipeline: Pipeline | None = getattr(self, "pipeline", None)
        done = False
        if pipeline is not None:
            done = pipeline.close(_CLOSE_S if in_order else 0.0)
            if in_order and not done:
                log.warning("stopped before all answers were committed: the next start answers them")
            if self._parts.snapshots is not None:
                self._parts.snapshots.close(self.worker.engine if in_order and done else None, _CLOSE_S)
        with ExitStack() as stack:
            stack.push(self._undo)
            self._undo = ExitStack()
        return done

    def _revoked(self, partitions: frozenset[Partition], lost: bool) -> None:  # as the Member calls it
        if not self._closing:
            self.seat.revoked(partitions, lost)


class Live:
    """The service. `run` it; `life` is what it is doing now, `state` says it in words.

    *connect* makes the parts, and leaves with the stack that it is given what must be closed after them.
    """

    def __init__(self, connect: Callable[[ExitStack], Parts]) -> None:
        self.life: Life | None = None
        self.state = _WAITING
        self.counts = Counts()
        self.was_in_order = False
        """Whether all that was read was committed when it ended."""
        self._connect = connect

    def run(self, stop: Callable[[], bool], watch: Callable[["Live"], None] = lambda _: None) -> None:
        """Serve until told to *stop*; *watch* is called several times a second.

        Waits for a broker that is away, and recovers when the group goes on without us. Raises FencedError,
        TransportError for what waiting does not help, and SettingsError.
        """
        wait_s = _FIRST_WAIT_S
        while not stop():
            watch(self)
            begun = monotonic()
            try:
                with ExitStack() as opened:
                    self._live(self._connect(opened), stop, watch)
            except SeatLostError as error:
                log.warning("%s; recovering", error)
            except TransportError as error:
                if not error.retriable:
                    raise
                if monotonic() - begun > _LONG_LIFE_S:
                    wait_s = _FIRST_WAIT_S
                log.warning("%s; trying again in %.1f s", error, wait_s)
                self.state = _WAITING
                self._pause(wait_s, stop, watch)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _live(self, parts: Parts, stop: Callable[[], bool], watch: Callable[["Live"], None]) -> None:
        self.state = "recovering"
        life = Life(parts, stop, lambda: watch(self), self.counts)
        self.life = life
        over = Event()
        Thread(target=self._look_around, args=(life, over), name="follower", daemon=True).start()
        in_order = False
        try:
            while not stop():
                life.step(give_up=stop)
                self.state = "ready" if life.seat.generation else "recovering"
                watch(self)
            in_order = True
        finally:
            self.state = "stopping" if in_order else "recovering"
            watch(self)
            over.set()
            self.was_in_order = life.close(in_order=in_order)

    @staticmethod
    def _look_around(life: Life, over: Event) -> None:
        """See to what others have committed, many times a second, and to how far the log goes, now and then."""
        next_bounds = 0.0
        while not over.wait(_FOLLOW_EVERY_S):
            try:
                life.seat.look_at_others()
                if monotonic() >= next_bounds:
                    next_bounds = monotonic() + _BOUNDS_EVERY_S
                    life.look_around()
            except StreamRecError as error:
                log.debug("what others do is not known: %s", error)

    def _pause(self, seconds: float, stop: Callable[[], bool], watch: Callable[["Live"], None]) -> None:
        until = monotonic() + seconds
        waiting = Event()
        while monotonic() < until and not stop():
            watch(self)
            waiting.wait(0.1)


def _listed(partitions: "frozenset[Partition] | list[Partition]") -> str:
    return ", ".join(map(str, sorted(partitions)))
