"""The service on a broker: recover, join the group, answer for what it gives us, and leave in good order.

The thread that calls `run` is the consumer: it keeps the seat, reads, decodes and hands batches to the pipeline.
Another one looks at what others have committed. All else about a batch, a commit or a snapshot is in the rooms beside
this one.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from stream_rec.catalogue import Catalogue
from stream_rec.errors import LogChangedError, SeatLostError, SettingsError, StreamRecError, TransportError
from stream_rec.service.checkpoint import Checkpoint
from stream_rec.service.collector import calm_collector, set_aside
from stream_rec.service.counts import Counts
from stream_rec.service.intake import Intake
from stream_rec.service.meters import Meters
from stream_rec.service.parts import Parts
from stream_rec.service.pipeline import Pipeline, Work
from stream_rec.service.places import Output
from stream_rec.service.recovery import Situation, beginning, look, replay, sweep
from stream_rec.service.seat import Seat
from stream_rec.transport.broker import Partition, Positions

if TYPE_CHECKING:
    from stream_rec.service.tracing import Tracing

__all__ = ["WAITING", "Life", "Live"]

log = logging.getLogger(__name__)

_POLL_S: Final = 0.05
_FOLLOW_EVERY_S: Final = 0.1
_CLOSE_S: Final = 6.0  # of the ten seconds that a stop may take
_LET_GO_S: Final = 1.0  # for a snapshot that is being written; one that waits for commits waits for none that will come
_FIRST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 10.0
_LONG_LIFE_S: Final = 60.0  # a failure after this is a new one
_BOUNDS_EVERY_S: Final = 2.0
_REFUSALS: Final = 3  # a broker that has just started may not know yet what it holds
WAITING: Final = "waiting for the broker"
_OF_CONNECTING: Final = ("kafka.security.", "kafka.ssl.", "kafka.sasl.")
_OF_RIGHTS: Final = "kafka.sasl.username"
_HINT_AFTER_S: Final = 30.0
_HINT: Final = (
    "no broker has answered yet: is the address right, can this machine reach it, and is kafka.security.protocol what "
    "that listener speaks? One with TLS (SSL, SASL_SSL) may leave a client without it waiting, and the other way round"
)


class Life:
    """From a recovery to the loss of the seat, or to the end. `step` is one turn of the consumer thread."""

    def __init__(
        self,
        parts: Parts,
        stop: Callable[[], bool],
        alive: Callable[[], None] = lambda: None,
        counts: Counts | None = None,
        meters: Meters | None = None,
    ) -> None:
        self.lag: dict[Partition, int] = {}
        """Of each partition of events, how many offsets there are that were not handed out, lately."""
        self._gone: TransportError | None = None
        """Why there is nothing to read any more: a client may only fall silent."""
        self._n_refused = 0
        self._parts = parts
        self._counts = counts or Counts()
        self._meters = meters or Meters()
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
        situation = self._look(parts)
        self.worker = parts.make_worker()
        self.worker.counts = self._counts
        self.worker.meters = self._meters
        known = self._load_snapshot(situation.goals)
        self.intake = Intake(
            self.reader,
            self.worker.decode,
            beginning(situation, known),
            requests_topic=parts.requests,
            max_records=parts.max_records,
            lost=self._lose,
        )
        with self._beginning_anew():
            forgot = replay(self.intake, self.worker, situation.goals, stop, alive)
        if parts.snapshots is not None:
            parts.snapshots.begin(self.intake.positions, forgot=forgot)
        self.checkpoint = Checkpoint(
            parts.places,
            self.member,
            self.writer,
            exactly_once=parts.transactional_id is not None,
            written=lambda: [each for topic in parts.places.topics for each in broker.partitions(topic)],
            observe=self._committed,
            retried=self._meters.commit_retries.record,
        )
        if parts.snapshots is not None:
            parts.snapshots.committed = lambda: self.checkpoint.committed
        self.seat = Seat(parts, self.member, self.intake, situation.goals, rebalanced=self._meters.rebalances.record)
        self.pipeline = parts.pipeline(self.worker, self.checkpoint, parts.watcher, parts.desk)
        if not stop():
            self.member.join()

    def _look(self, parts: Parts) -> Situation:
        """See what there is. Where the group's positions are not to be had, mend what may be the cause of it first."""
        try:
            return look(parts.broker, self.member, parts.events, parts.begin)
        except TransportError as error:
            if error.retriable and self.writer is not None and parts.transactional_id is not None:
                sweep(parts.broker, self.writer, parts.group, parts.events, parts.places.topics)
            raise

    @contextmanager
    def _beginning_anew(self) -> Iterator[None]:
        """Where the log is another one than it was, have another life recover from it; where there is none, end."""
        try:
            yield
        except LogChangedError as error:
            if not self._parts.broker.partitions(self._parts.events):
                raise
            raise SeatLostError(error.message) from error

    def _lose(self, n: int) -> None:
        self._counts.n_lost += n

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
        with self._beginning_anew():
            handed = self.intake.next(timeout_s)
        if handed is None:
            return False
        return self.pipeline.put(Work(handed, self.seat.generation, self.seat.identity, monotonic()), give_up)

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
                engine = self.worker.engine if in_order and done else None
                self._parts.snapshots.close(engine, _CLOSE_S if in_order else _LET_GO_S)
        undo, self._undo = self._undo, ExitStack()
        try:
            undo.close()
        except (TransportError, SettingsError) as error:
            # What ended this life is told in its place. A publisher that is still committing is one such reason.
            if in_order:
                raise
            log.debug("closing: %s", error)
        return done

    def _committed(self, outputs: Sequence[Output], begun: float, ended: float) -> None:  # as the Checkpoint calls it
        self._meters.committed(outputs, begun, ended)
        self._parts.observe(outputs, begun, ended)

    def _revoked(self, partitions: frozenset[Partition], lost: bool) -> None:  # as the Member calls it
        if not self._closing:
            self.seat.revoked(partitions, lost)


class Live:
    """The service. `run` it; `life` is what it is doing now, `state` says it in words.

    *connect* makes the parts, and leaves with the stack that it is given what must be closed after them.
    """

    def __init__(self, connect: Callable[[ExitStack], Parts], tracing: "Tracing | None" = None) -> None:
        self.life: Life | None = None
        self.state = WAITING
        self.counts = Counts()
        self.meters = Meters()
        """How long things took, over all lives."""
        self.tracing = tracing
        """What sends spans, for who has more to send."""
        self.catalogue: Callable[[], Catalogue | None] = lambda: None
        """What is known of items, for who has more to tell of them."""
        self.serves_others = False
        """Whether a server runs beside it. It leaves cycles with each request, which are to be collected while they
        are few: a request took 160 us in place of 100 where they were left until there were fifty thousand."""
        self.was_in_order = False
        """Whether all that was read was committed when it ended."""
        self._connect = connect

    def run(self, stop: Callable[[], bool], watch: Callable[["Live"], None] = lambda _: None) -> None:
        """Serve until told to *stop*; *watch* is called several times a second.

        Waits for a broker that is away, and recovers when the group goes on without us. Raises FencedError,
        TransportError for what waiting does not help, and SettingsError: for what has to do with connecting, only
        before it was connected for the first time.
        """
        with nullcontext() if self.serves_others else calm_collector():
            self._run(stop, watch)

    def _run(self, stop: Callable[[], bool], watch: Callable[["Live"], None]) -> None:
        wait_s = _FIRST_WAIT_S
        hint_at = monotonic() + _HINT_AFTER_S
        while not stop():
            watch(self)
            begun = monotonic()
            try:
                with ExitStack() as opened:
                    self._live(self._connect(opened), stop, watch)
            except SeatLostError as error:
                log.warning("%s; recovering", error)
            except (TransportError, SettingsError) as error:
                if not self._may_pass(error):
                    raise
                if monotonic() - begun > _LONG_LIFE_S:
                    wait_s = _FIRST_WAIT_S
                log.warning("%s; trying again in %.1f s", error, wait_s)
                if self.life is None and monotonic() > hint_at:
                    hint_at = math.inf
                    log.warning(_HINT)
                self.state = WAITING
                self._pause(wait_s, stop, watch)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _may_pass(self, error: TransportError | SettingsError) -> bool:
        """Whether waiting may help.

        Settings that have connected us once are not wrong. A proxy without its broker hangs up amid a handshake, a
        certificate has ended, a password is replaced: what a start would have to give up for is somebody's to mend on
        the other side, or mends itself. What we are not allowed to do stays a matter of the operator's.
        """
        if isinstance(error, TransportError):
            return error.retriable
        return self.life is not None and error.key.startswith(_OF_CONNECTING) and error.key != _OF_RIGHTS

    def _live(self, parts: Parts, stop: Callable[[], bool], watch: Callable[["Live"], None]) -> None:
        self.state = "recovering"
        begun = monotonic()
        life = Life(parts, stop, lambda: watch(self), self.counts, self.meters)
        self.meters.recoveries.record(monotonic() - begun)
        self.life = life
        set_aside()
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
            try:
                watch(self)
            finally:
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
