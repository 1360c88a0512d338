"""Which partitions this process owns: the batch reader kept in step with the consumer group.

Revoked partitions are given up in good order, so that their next owner goes on where this one stopped. Assigned
partitions are answered from where their last owner stopped. Standby partitions are read as far as their owners have
committed.
"""

import logging
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Event, Lock, get_ident
from time import monotonic
from typing import NamedTuple

from stream_rec.errors import AssignmentLostError, TransportError
from stream_rec.service.batches import NOT_A_MEMBER, Membership
from stream_rec.service.committing.checkpoint import Checkpoint
from stream_rec.service.consuming.batch_reader import BatchReader
from stream_rec.service.consuming.recovery import begin_of, first_to_answer, offset_of
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.pipeline import Pipeline
from stream_rec.transport.broker import Member, Partition, PartitionOffsets

__all__ = ["PartitionAssignment"]

log = logging.getLogger(__name__)


class _Revocation(NamedTuple):
    """Partitions that the group has revoked; *done* is set when they are given up."""

    partitions: frozenset[Partition]
    is_lost: bool
    done: Event


class PartitionAssignment:
    """The partitions that this process owns. *on_rebalance* is called when they are others.

    For the consumer thread, but for `revoked`, which may be called on a thread of the client's, and `follow_others`.
    """

    def __init__(  # noqa: PLR0913  # what it keeps in step
        self,
        components: ServiceComponents,
        member: Member,
        batch_reader: BatchReader,
        checkpoint: Checkpoint,
        pipeline: Pipeline,
        targets: dict[Partition, int],
        *,
        seen: dict[Partition, int] | None = None,
        clock: Callable[[], float] = monotonic,
        on_rebalance: Callable[[], None] = lambda: None,
    ) -> None:
        self.owned: frozenset[Partition] = frozenset()
        self.known: frozenset[Partition] = frozenset()
        """The partitions that there were when the group assigned them last; none before it has."""
        self._seen = {} if seen is None else seen
        self._membership = NOT_A_MEMBER
        self._member = member
        self._broker = components.broker
        self._group = components.group
        self._note = components.note
        self._events = components.events
        self._requests = components.requests
        self._begin = components.begin
        self._timeouts = components.timeouts
        self._batch_reader = batch_reader
        self._checkpoint = checkpoint
        self._pipeline = pipeline
        self._targets = targets
        self._clock = clock
        self._on_rebalance = on_rebalance
        self._next_poll = 0.0
        self._limits: dict[Partition, int] = {}
        self._thread = get_ident()
        self._is_polling = False
        """Whether the consumer thread is inside of the member's `poll`."""
        self._revocations: SimpleQueue[_Revocation] = SimpleQueue()
        self._giving_up = Lock()

    @property
    def generation(self) -> int:
        """Of the assignment that was taken over last; zero before the first."""
        return self._membership.generation

    @property
    def is_revoked(self) -> bool:
        """Whether the group has revoked partitions that are not given up yet."""
        return not self._revocations.empty()

    def update(self) -> None:
        """Take part in the group, and take over the partitions that it assigns.

        Raises AssignmentLostError if partitions with uncommitted records were lost.
        """
        now = self._clock()
        if now >= self._next_poll:
            self._next_poll = now + self._timeouts.member_poll_every_s
            self._is_polling = True
            try:
                self._member.poll()
            finally:
                self._is_polling = False
        self._give_up_revoked()
        if self._member.generation != self.generation:
            self._take_over()
        limits, self._limits = self._limits, {}
        if limits:
            # planted bug: follows-too-far
            self._batch_reader.follow({p: limit for p, limit in limits.items() if p not in self.owned})

    def revoked(self, partitions: frozenset[Partition], lost: bool) -> None:
        """Have all owned partitions given up, and wait until they are. Any thread may call it.

        A client may call back on a thread of its own while the consumer thread waits for that in `poll`. Then this
        thread does it. No other uses the batch reader meanwhile: the consumer thread, once back from `poll`, waits for
        the lock.
        """
        revocation = _Revocation(partitions, lost, Event())
        self._revocations.put(revocation)
        if self._is_polling or get_ident() == self._thread:
            self._give_up_revoked()
        else:
            revocation.done.wait(self._timeouts.drain_s)

    def follow_others(self) -> None:
        """Ask how far the owners of the standby partitions have committed. For a thread of its own."""
        standby = self._targets.keys() - self.owned
        if standby:
            self._limits = self._broker.group_offsets(self._group, standby)

    def _give_up_revoked(self) -> None:
        """Answer for no more records of revoked partitions, and wait until those answered are committed."""
        with self._giving_up:
            while not self._revocations.empty():
                partitions, is_lost, done = self._revocations.get()
                self.owned = frozenset()
                self._batch_reader.own({}, self._membership)
                if is_lost:
                    done.set()
                    raise AssignmentLostError(
                        f"the group took {_listed(partitions)} away: it did not hear from us in time"
                    )
                if not self._pipeline.drain(self._timeouts.drain_s):
                    log.warning("%s revoked before all was committed: the next owner answers", _listed(partitions))
                done.set()

    def _take_over(self) -> None:
        """Find out from where on each partition is to be answered. If that fails for now, the next `update` retries.

        A revocation alone is no reason to come here: were the loop to end between it and the assignment that follows,
        a static member would go back to the partitions of before, and nothing would share out those that were added.
        """
        member = self._member
        membership = Membership(member.generation, member.group_metadata)
        owned = member.owned
        partitions = self._targets.keys() | owned
        try:
            known = self._known_partitions()
            committed = member.committed(partitions)
            begin = self._begin_of(owned | (known - self._seen.keys()), committed)
        except TransportError as error:
            if not error.retriable:
                raise
            log.debug("not taken over yet: %s", error)
            return
        if (member.generation, member.owned) != (membership.generation, owned) or not self._revocations.empty():
            return  # the group went on meanwhile
        answer_from = {each: begin[each] for each in owned}
        self._refuse_if_ahead(answer_from)  # planted bug: follows-too-far-2
        self._membership, self.owned, self.known = membership, owned, known
        for each in begin:
            self._seen.setdefault(each, begin[each])
        self._on_rebalance()
        self._batch_reader.own(answer_from, membership)
        self._batch_reader.follow({p: committed[p] for p in self._targets if p in committed and p not in owned})
        self._checkpoint.begin_at(answer_from)
        generation = membership.generation
        figures = fields(generation=generation, partitions=sorted(map(str, owned)))
        log.info("generation %d of the group: answering for %s", generation, _listed(owned) or "nothing", extra=figures)
        others = self._of_other_processes(owned)
        moved = {p: offset for p, offset in answer_from.items() if offset != committed.get(p, 0) or p in others}
        if moved:
            self._pipeline.commit_offsets(moved, membership)

    def _known_partitions(self) -> frozenset[Partition]:
        """Return all partitions of the topics.

        Recovers where the events have got more: the group shares them out again, and so the state begins.
        """
        there = self._broker.partitions(self._events)
        if set(there) != self._targets.keys():
            raise AssignmentLostError(f"{self._events} has {len(there)} partitions now, not {len(self._targets)}")
        requests = [] if self._requests is None else self._broker.partitions(self._requests)
        return frozenset([*there, *requests])

    def _of_other_processes(self, owned: frozenset[Partition]) -> set[Partition]:
        """Return the partitions whose last commit has another note than ours: it is not to be taken for ours."""
        if self._note is None or not owned:
            return set()
        try:
            notes = self._broker.commit_notes(self._group, owned)
        except TransportError as error:
            log.debug("the notes of the last commits are not known: %s", error)
            return set()
        return {each for each, note in notes.items() if note != self._note.text}

    def _begin_of(self, partitions: frozenset[Partition], committed: PartitionOffsets) -> dict[Partition, int]:
        """Return the group's offsets, or where the state began; where retention has removed that, the next there is.

        A partition of another process counts too, when it is first found: should it come here before anything was
        committed there, what has come to it since is answered.
        """
        begin = {}
        for partition, bounds in self._broker.bounds(partitions).items():
            offset = offset_of(partition, committed, self._begin, self._seen)  # planted bug: takeover-from-start
            if offset is None:
                offset = self._targets.get(partition)
            # What is missing of the events, the recovery has logged already.
            level = logging.DEBUG if partition in self._targets else logging.WARNING
            begin_at = begin_of(partition, self._begin, self._seen)
            begin[partition] = first_to_answer(partition, bounds, offset, begin_at, level)
        return begin

    def _refuse_if_ahead(self, answer_from: PartitionOffsets) -> None:
        """The state must not hold records that are yet to be answered: another owner was to commit them."""
        offsets = self._batch_reader.offsets
        ahead = [p for p, offset in answer_from.items() if offsets.get(p, 0) > offset]
        if ahead:
            raise AssignmentLostError(f"the state holds more records of {_listed(ahead)} than were committed")


def _listed(partitions: Iterable[Partition]) -> str:
    return ", ".join(map(str, sorted(partitions)))
