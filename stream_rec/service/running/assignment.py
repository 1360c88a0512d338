"""Which partitions are ours to answer for: the intake kept in step with the consumer group.

What is taken away is given up in good order, so that the next owner goes on where we stopped; what is given is answered
from where the last owner stopped; and what others own is followed as far as they have committed.
"""

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Lock, get_ident
from time import monotonic
from typing import Final, NamedTuple

from stream_rec.errors import AssignmentLostError, TransportError
from stream_rec.service.committing.checkpoint import Checkpoint
from stream_rec.service.consuming.batch_reader import BatchReader
from stream_rec.service.consuming.recovery import first_of
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.pipeline import Pipeline
from stream_rec.transport.broker import Member, Partition, PartitionOffsets

__all__ = ["PartitionAssignment"]

log = logging.getLogger(__name__)

_KEEP_SEAT_EVERY_S: Final = 0.1
_DRAIN_S: Final = 5.0  # of a rebalance; half of what the group grants by default


class _Revocation(NamedTuple):
    """Partitions taken away, to be given up; *done* says that they are."""

    partitions: frozenset[Partition]
    is_lost: bool
    done: Event


class PartitionAssignment:
    """Which partitions are ours: keeps the intake in step with the group; *rebalanced* is called when they are others.

    For the consumer thread, but for `revoked`, which may come on a thread of the client's, and `look_at_others`.
    """

    def __init__(
        self,
        parts: ServiceComponents,
        member: Member,
        batch_reader: BatchReader,
        goals: dict[Partition, int],
        clock: Callable[[], float] = monotonic,
        rebalanced: Callable[[], None] = lambda: None,
    ) -> None:
        self.generation = 0
        self.identity: object = None
        self.owned: frozenset[Partition] = frozenset()
        self._member = member
        self._broker = parts.broker
        self._group = parts.group
        self._events = parts.events
        self._begin = parts.begin
        self._batch_reader = batch_reader
        self._goals = goals
        self._clock = clock
        self._rebalanced = rebalanced
        self._next_poll = 0.0
        self._limits: dict[Partition, int] = {}
        self._thread = get_ident()
        self._is_polling = False
        """Whether the consumer thread is inside of the member's `poll`."""
        self._revocations: SimpleQueue[_Revocation] = SimpleQueue()
        self._giving_up = Lock()
        self._drain: Callable[[float], bool] = lambda _: True

    def keep(self, pipeline: Pipeline, checkpoint: Checkpoint) -> None:
        """Take part in the group, and take over the partitions that it assigns.

        Raises AssignmentLostError if partitions with uncommitted records were lost.
        """
        self._drain = pipeline.drain
        now = self._clock()
        if now >= self._next_poll:
            self._next_poll = now + _KEEP_SEAT_EVERY_S
            self._is_polling = True
            try:
                self._member.poll()
            finally:
                self._is_polling = False
        self._give_up_revoked()
        if self._member.generation != self.generation:
            self._take_over(pipeline, checkpoint)
        limits, self._limits = self._limits, {}
        if limits:
            self._batch_reader.follow({p: limit for p, limit in limits.items() if p not in self.owned})

    def revoked(self, partitions: frozenset[Partition], lost: bool) -> None:
        """Have all that is owned given up, and wait until it is. Any thread may call it.

        A client may call back on a thread of its own while the consumer thread waits for that in `poll`. Then it is
        done here: nobody else touches the intake, since whoever comes back from `poll` meanwhile waits for the lock.
        """
        revocation = _Revocation(partitions, lost, Event())
        self._revocations.put(revocation)
        if self._is_polling or get_ident() == self._thread:
            self._give_up_revoked()
        else:
            revocation.done.wait(_DRAIN_S)

    def look_at_others(self) -> None:
        """Find out how far the owners of what we follow have come. For a thread of its own."""
        followed = self._goals.keys() - self.owned
        if followed:
            self._limits = self._broker.group_offsets(self._group, followed)

    def _give_up_revoked(self) -> None:
        """Hand out no more of what was taken away, and see that what was handed out is committed."""
        with self._giving_up:
            while not self._revocations.empty():
                partitions, is_lost, done = self._revocations.get()
                self.owned = frozenset()
                self._batch_reader.own({})
                if is_lost:
                    done.set()
                    raise AssignmentLostError(
                        f"the group took {_listed(partitions)} away: we were not heard of for too long"
                    )
                if not self._drain(_DRAIN_S):
                    log.warning("%s taken away before all was committed: the next owner answers", _listed(partitions))
                done.set()

    def _take_over(self, pipeline: Pipeline, checkpoint: Checkpoint) -> None:
        """Find out from where on each partition is ours to answer. The next `keep` tries again if it fails for now."""
        member = self._member
        generation, owned, identity = member.generation, member.owned, member.group_metadata
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
        self._rebalanced()
        self._batch_reader.own(answer_from)
        self._batch_reader.follow({p: committed[p] for p in self._goals if p in committed and p not in owned})
        checkpoint.committed = dict(answer_from)
        told = fields(generation=generation, partitions=sorted(map(str, owned)))
        log.info("generation %d of the group: answering for %s", generation, _listed(owned) or "nothing", extra=told)
        moved = {p: offset for p, offset in answer_from.items() if offset != committed.get(p, 0)}
        if moved:
            pipeline.settle(moved, generation, identity)

    def _refuse_other_partitions(self) -> None:
        """A topic that was given more partitions makes the group share them out anew: then we begin anew too."""
        there = self._broker.partitions(self._events)
        if set(there) != self._goals.keys():
            raise AssignmentLostError(f"{self._events} has {len(there)} partitions now, not {len(self._goals)}")

    def _begin_at(self, owned: frozenset[Partition], committed: PartitionOffsets) -> dict[Partition, int]:
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

    def _refuse_if_ahead(self, answer_from: PartitionOffsets) -> None:
        """The state must not have seen what is yet to be answered: that was another's to commit, or was never."""
        positions = self._batch_reader.positions
        ahead = [p for p, offset in answer_from.items() if positions.get(p, 0) > offset]
        if ahead:
            raise AssignmentLostError(f"the state has seen more of {_listed(ahead)} than was committed")


def _listed(partitions: "frozenset[Partition] | list[Partition]") -> str:
    return ", ".join(map(str, sorted(partitions)))
