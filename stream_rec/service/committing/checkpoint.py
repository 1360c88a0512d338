"""A commit as named steps: answers and dead letters go out together with the offsets of the records they are about.

Exactly once, a commit is one transaction: readers of committed records see its answers if, and only if, the group's
committed offsets move past the records they answer. At least once, the offsets are committed after the answers have
arrived. A step may fail for now: then all steps are done again, with the same records. Only where the broker was asked
to commit and its reply got lost, it may have committed: then the group's committed offsets decide. Knows nothing of
threads or engines.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from time import monotonic, sleep
from typing import Final, NamedTuple

from stream_rec.errors import AssignmentLostError, RecordTooLargeError, TransportError, UnwrittenError
from stream_rec.service.batches import BatchResult, Membership
from stream_rec.service.committing.destinations import HEADERS, OutputDestinations, is_dead_letter
from stream_rec.service.metrics.log_setup import fields
from stream_rec.service.problems import ProblemKind, Problems
from stream_rec.service.timeouts import TIMEOUTS
from stream_rec.transport.broker import Member, Partition, PartitionOffsets, ProducerRecord, Writer

__all__ = ["Backoff", "Checkpoint", "OnCommitted", "ignore_commits"]

log = logging.getLogger(__name__)

_COMMIT: Final = "commit"

CommitStep = tuple[str, Callable[[], None]]

OnCommitted = Callable[[Sequence[BatchResult], float, float], None]
"""Called after a commit with what it held, and when it was begun and done by the monotonic clock."""


def ignore_commits(results: Sequence[BatchResult], begun: float, ended: float) -> None:
    """Do nothing."""


class _AlreadyCommittedError(Exception):
    """Nothing is left to do."""


class Backoff(NamedTuple):
    """How long to wait before a failed commit is tried again: twice as long each time."""

    first_s: float = TIMEOUTS.commit_first_wait_s
    longest_s: float = TIMEOUTS.commit_longest_wait_s
    pause: Callable[[float], None] = sleep


class Checkpoint:
    """Commits batches, for one thread.

    *written* returns the partitions that a transaction may have written to. *on_committed* is called after each commit,
    and *on_retry* before each try but the first. The *note* is kept beside the committed offsets.
    """

    def __init__(  # noqa: PLR0913  # what it commits with, and what hears of it
        self,
        destinations: OutputDestinations,
        member: Member,
        writer: Writer | None,
        *,
        exactly_once: bool,
        written: Callable[[], Collection[Partition]] = tuple,
        on_committed: OnCommitted = ignore_commits,
        on_retry: Callable[[], None] = lambda: None,
        backoff: Backoff | None = None,
        problems: Problems | None = None,
        note: str = "",
    ) -> None:
        self.committed: dict[Partition, int] = {}
        """The group's committed offsets of the owned partitions, as far as this process has moved them."""
        self.n_commits = 0
        self._destinations = destinations
        self._member = member
        self._writer = writer
        self._exactly_once = exactly_once
        self._written = written
        self._on_committed = on_committed
        self._on_retry = on_retry
        self._backoff = backoff or Backoff()
        self._problems = problems or Problems()
        self._note = note

    def begin_at(self, offsets: PartitionOffsets) -> None:
        """Take over partitions at these committed *offsets*, in place of those before."""
        self.committed = dict(offsets)

    def commit(self, results: Sequence[BatchResult], give_up: Callable[[], bool] = lambda: False) -> None:
        """Commit *results*, trying again while that may help and *give_up* does not say to stop.

        Raises AssignmentLostError if the group has gone on without the membership that they were read under,
        FencedError, and TransportError.
        """
        begun = monotonic()
        offsets = {partition: offset for each in results for partition, offset in each.read.commit_offsets.items()}
        self._write_files(results, give_up)
        records = self._destinations.records(results)
        if offsets or records:
            self._retry_until_done(records, offsets, results[-1].read.membership, give_up)
            self.committed |= offsets
            self.n_commits += 1
            self._on_committed(results, begun, monotonic())

    def _write_files(self, results: Sequence[BatchResult], give_up: Callable[[], bool]) -> None:
        """Write the lines for files. Where a disk is full, or the like, wait: the file has taken them all the same."""
        for sink, values, keys in self._destinations.for_files(results):
            wait_s = self._backoff.first_s
            is_taken = False
            while True:
                try:
                    if not is_taken:
                        is_taken = True
                        sink.write(values, keys)
                    sink.flush()
                except UnwrittenError as error:
                    if give_up():
                        raise
                    self._problems.begin(ProblemKind.FILES, f"{error}; no more is answered until it can be")
                    self._on_retry()
                    self._backoff.pause(wait_s)
                    wait_s = min(2 * wait_s, self._backoff.longest_s)
                else:
                    self._problems.end(ProblemKind.FILES)
                    break

    def _retry_until_done(
        self,
        records: list[ProducerRecord],
        offsets: dict[Partition, int],
        membership: Membership,
        give_up: Callable[[], bool],
    ) -> None:
        wait_s = self._backoff.first_s
        in_doubt = is_retry = False
        while True:
            name = ""
            try:
                for name, step in self._steps(records, offsets, membership, in_doubt=in_doubt, is_retry=is_retry):
                    log.debug("commit: %s", name)
                    step()
            except _AlreadyCommittedError:
                log.info("the reply to the last commit was lost, but the broker had committed")
                self._problems.end(ProblemKind.COMMITS)
                self._abort()
                return
            except RecordTooLargeError as error:
                records[error.place] = _shortened(records[error.place], error)
                self._abort()
            except TransportError as error:
                if not error.retriable or give_up():
                    raise
                figures = fields(step=name, wait_s=wait_s, error=str(error))
                log.warning("commit failed, trying again in %.2f s: %s", wait_s, error, extra=figures)
                in_doubt, is_retry = in_doubt or name == _COMMIT, True  # planted bug: unknown-commit-repeated
                self._on_retry()
                if wait_s >= self._backoff.longest_s:  # a single failure is nothing to worry about
                    message = "answers and offsets cannot be committed: the log has a line for each try"
                    self._problems.begin(ProblemKind.COMMITS, message)
                self._backoff.pause(wait_s)
                wait_s = min(2 * wait_s, self._backoff.longest_s)
                self._abort()
            else:
                self._problems.end(ProblemKind.COMMITS)
                return

    def _steps(
        self,
        records: list[ProducerRecord],
        offsets: dict[Partition, int],
        membership: Membership,
        *,
        in_doubt: bool,
        is_retry: bool,
    ) -> list[CommitStep]:
        """Return the steps, in order. A crash between two of them does not show to readers of committed records."""
        writer, member = self._writer, self._member
        if member.generation != membership.generation:  # planted bug: committed-for-next-owner
            raise AssignmentLostError("partitions were assigned to another replica before their answers were committed")
        if not self._exactly_once or writer is None:
            sending: list[CommitStep] = []
            if writer is not None and records:
                sending = [("send", lambda: writer.send(records)), ("flush", writer.flush)]
            return [*sending, ("commit offsets", lambda: member.commit(offsets, self._note))]
        clear: CommitStep = ("clear", lambda: self._abort_once_more(writer, offsets, membership))
        return [
            # Where the writer had to be made again, this waits until the broker has ended the last transaction.
            ("begin", writer.begin),
            *([("check", lambda: self._raise_if_committed(offsets))] if in_doubt else []),
            *([clear, ("begin", writer.begin)] if is_retry else []),
            ("send", lambda: writer.send(records)),
            # planted bug: offsets-outside
            ("offsets", lambda: writer.add_offsets(offsets, membership.group_metadata, self._note)),
            (_COMMIT, writer.commit),
        ]

    def _abort_once_more(self, writer: Writer, offsets: dict[Partition, int], membership: Membership) -> None:
        """Abort the failed transaction once more, in each partition that it may have written to.

        The only broker of a cluster, killed and started again, may end it without saying so in the partitions (seen
        with Apache Kafka 4.3.1): what it wrote would become visible with our next commit.
        """
        writer.write_empty(self._written())
        writer.add_offsets(offsets, membership.group_metadata)
        writer.abort()

    def _raise_if_committed(self, offsets: dict[Partition, int]) -> None:
        """Raise _AlreadyCommittedError if the group is where the commit in doubt would have taken it."""
        try:
            committed = self._member.committed(offsets)
        except TransportError as error:
            raise AssignmentLostError(f"it is not known whether the last commit was done ({error})") from error
        if all(committed.get(partition, 0) >= offset for partition, offset in offsets.items()):
            raise _AlreadyCommittedError

    def _abort(self) -> None:
        """Undo the steps that were done. If even that fails for now, the next `begin` will."""
        if self._exactly_once and self._writer is not None:
            try:
                self._writer.abort()
            except TransportError as error:
                if not error.retriable:
                    raise
                log.warning("abort failed: %s", error)


def _shortened(record: ProducerRecord, error: RecordTooLargeError) -> ProducerRecord:
    """Return *record* as the broker will take it: without its value, which still stands where the headers say.

    Only a dead letter comes to this: it has more headers than the record that it is about. Raises TransportError where
    nothing more can be left out.
    """
    if not is_dead_letter(record) or record.value is None:
        raise TransportError(
            f"an answer of {error.size} bytes is more than the {error.limit} that the broker takes: "
            "ask for fewer items (--n), or raise max.request.size and the topic's max.message.bytes"
        ) from error
    own = [(name, value) for name, value in record.headers if name.startswith(HEADERS)]
    if not record.value and len(own) == len(record.headers):
        raise TransportError(
            f"a dead letter of {error.size} bytes, without a value, is more than the {error.limit} that the broker "
            f"takes for {record.topic!r}: raise the topic's max.message.bytes"
        ) from error
    log.warning("a dead letter of %d bytes is too large: its value is left out (%s)", error.size, record.headers)
    cut = (HEADERS + "value-bytes-left-out", str(len(record.value)).encode())
    return ProducerRecord(record.topic, b"", record.key, (*own, cut))
