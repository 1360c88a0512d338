"""Partitions without an owner, and replicas with other settings: what the follower thread finds out.

Two things leave a partition without an owner. Partitions are added, and the group takes its time. Or a static member
restarts meanwhile: the broker hands it the partitions of before without sharing out anything (KIP-345), and since the
client compares what it finds later with what it found when it joined, it never asks for the added ones. There a second
member without a name joins the group for a moment, which makes the group share out all its partitions.
"""

from collections.abc import Callable, Collection, Mapping
from threading import Event
from time import monotonic
from typing import Final

from stream_rec.errors import TransportError
from stream_rec.service.commit_note import CommitNote
from stream_rec.service.problems import ProblemKind, Problems
from stream_rec.service.running.assignment import PartitionAssignment
from stream_rec.service.running.components import ServiceComponents
from stream_rec.transport.broker import Partition

__all__ = ["PartitionWatch", "share_out"]

_MOST_DOUBLINGS: Final = 6
"""Of the wait before the group shares out its partitions once more: where that did not help, an owner may be stuck."""


class PartitionWatch:
    """Watches the partitions of the group's topics, for one thread. *give_up* ends a wait for the group."""

    def __init__(
        self,
        components: ServiceComponents,
        assignment: PartitionAssignment,
        problems: Problems,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._components = components
        self._assignment = assignment
        self._problems = problems
        self._give_up = give_up
        self._added: dict[Partition, float] = {}
        """Since when partitions are there that the group has not assigned yet."""
        self._silent: dict[Partition, float] = {}
        """Since when partitions of others hold records, and the group has never committed anything there."""
        self._n_shared_out = 0

    def find_added(self) -> list[Partition]:
        """Return the partitions that were added since the group assigned all there were."""
        parts, known = self._components, self._assignment.known
        if not known:  # it has not assigned any yet
            return []
        added = [each for topic in parts.topics for each in parts.broker.partitions(topic) if each not in known]
        now = monotonic()
        self._added = {each: self._added.get(each, now) for each in added}
        return added

    def look(self) -> None:
        """Begin and end the problems, by what the group has committed where.

        Raises TransportError where the group does not say it.
        """
        parts, known = self._components, self._assignment.known
        if parts.note is not None and known:
            others = known - self._assignment.owned
            notes = parts.broker.commit_notes(parts.group, others) if others else {}
            self._remember_silent(others - notes.keys())
            self._compare_settings(parts.note, notes)
        if self._added:
            self._report_added()
        else:
            self._report_silent()

    def _compare_settings(self, ours: CommitNote, notes: Mapping[Partition, str]) -> None:
        """Find out whether the owners of other partitions run with other settings, by the notes of their commits."""
        found = {each: ours.difference(note) for each, note in notes.items()}
        differing = {each: difference for each, difference in found.items() if difference is not None}
        if not differing:
            self._problems.end(ProblemKind.SETTINGS)
            return
        self._problems.begin(
            ProblemKind.SETTINGS,
            f"{_listed(differing)} of the group {self._components.group!r} answered with "
            f"{'; '.join(sorted(set(differing.values())))}: start all processes of a group with the same settings",
        )

    def _remember_silent(self, never: Collection[Partition]) -> None:
        """Remember since when records wait in partitions in which the group has *never* committed."""
        bounds = self._components.broker.bounds(never) if never else {}
        now = monotonic()
        waiting = [each for each in never if bounds[each].end > bounds[each].first]
        self._silent = {each: self._silent.get(each, now) for each in waiting}
        if not waiting:
            self._n_shared_out = 0

    def _report_added(self) -> None:
        """Log partitions that were added; where the group does not assign them in time, the service is not ready."""
        is_overdue = bool(self._overdue(self._added))
        message = f"{_listed(self._added)} added: their records wait until the group assigns them"
        if is_overdue:
            message += "; it has not done so in time: is a process of the group stopped or stuck?"
        self._problems.begin(ProblemKind.PARTITIONS, message, blocks=is_overdue)

    def _report_silent(self) -> None:
        """Where no process answers for partitions in time, have the group share them out, and log it."""
        parts = self._components
        overdue = self._overdue(self._silent, 2 ** min(self._n_shared_out, _MOST_DOUBLINGS))
        if not self._silent:
            self._problems.end(ProblemKind.PARTITIONS)
        if not overdue:
            return
        message = f"no process of the group {parts.group!r} has answered any record of {_listed(overdue)}: "
        if self._n_shared_out:
            message += "sharing out the partitions did not help; is a process of the group stopped or stuck?"
        else:
            message += "the group shares out its partitions again"
        self._problems.begin(ProblemKind.PARTITIONS, message, blocks=True)
        self._n_shared_out += 1
        self._silent = {}
        share_out(parts, self._give_up)

    def _overdue(self, since: Mapping[Partition, float], times: int = 1) -> list[Partition]:
        patience_s = self._components.timeouts.added_partitions_s * times
        now = monotonic()
        return [each for each, begun in since.items() if now - begun > patience_s]


def share_out(parts: ServiceComponents, give_up: Callable[[], bool]) -> None:
    """Make the group assign all partitions of its topics, with a member that joins it for a moment.

    The others take part in two rebalances. Returns when that member has left. Raises TransportError where it could not
    join in time.
    """
    within_s = parts.timeouts.share_out_s
    guest = parts.broker.member(parts.group, parts.topics, _give_up_nothing)
    try:
        guest.join()
        until = monotonic() + within_s
        pause = Event()
        while not (guest.generation or give_up()):
            if monotonic() > until:
                raise TransportError(
                    f"the group {parts.group!r} took in no member within {within_s:g} s", retriable=True
                )
            guest.poll()
            pause.wait(parts.timeouts.member_poll_every_s)
    finally:
        guest.leave()


def _give_up_nothing(partitions: frozenset[Partition], lost: bool) -> None:
    """Answer for none of them, so there is nothing to commit before another member takes them over."""
    del partitions, lost


def _listed(partitions: Collection[Partition]) -> str:
    return ", ".join(map(str, sorted(partitions)))
