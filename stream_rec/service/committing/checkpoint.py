"""A commit as named steps: what was answered goes out together with the positions that it settles.

Exactly once, all of a commit is one transaction: readers of committed records see the answers if, and only if, the
group's positions move past the records they answer. At least once, positions move when the answers have arrived. A
step may fail for now: then all steps are done anew, with the same records. Only where the word to commit was given and
its answer got lost, the broker may have done it: then the group's positions tell. Knows nothing of threads or engines.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from time import monotonic, sleep
from typing import Final

from stream_rec.errors import AssignmentLostError, RecordTooLargeError, TransportError
from stream_rec.service.batches import BatchResult
from stream_rec.service.committing.destinations import HEADERS, OutputDestinations
from stream_rec.service.metrics.log_setup import fields
from stream_rec.transport.broker import Member, Partition, ProducerRecord, Writer

__all__ = ["Checkpoint", "Committed", "nobody_observes"]

log = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 2.0

_COMMIT: Final = "commit"

CommitStep = tuple[str, Callable[[], None]]

Committed = Callable[[Sequence[BatchResult], float, float], None]
"""Called after a commit with what it held, and when it was begun and done by the monotonic clock."""


def nobody_observes(outputs: Sequence[BatchResult], begun: float, ended: float) -> None:
    """Do nothing."""


class _AlreadyCommittedError(Exception):
    """Nothing is left to do."""


class Checkpoint:
    """Commits outputs, for one thread. *pause* is slept through between tries.

    *written* tells the partitions that a transaction may have written to. *observe* is called after each commit, and
    *retried* before each try but the first.
    """

    def __init__(
        self,
        places: OutputDestinations,
        member: Member,
        writer: Writer | None,
        *,
        exactly_once: bool,
        written: Callable[[], Collection[Partition]] = tuple,
        pause: Callable[[float], None] | None = None,
        observe: Committed = nobody_observes,
        retried: Callable[[], None] = lambda: None,
    ) -> None:
        self.committed: dict[Partition, int] = {}
        """The positions that are the group's, as far as this process moved them."""
        self.n_commits = 0
        self._places = places
        self._member = member
        self._writer = writer
        self._exactly_once = exactly_once
        self._written = written
        self._pause = pause or sleep
        self._observe = observe
        self._retried = retried

    def commit(self, outputs: Sequence[BatchResult], give_up: Callable[[], bool] = lambda: False) -> None:
        """Commit *outputs*, trying again while that may help and *give_up* does not say to stop.

        Raises AssignmentLostError if the group has gone on without the seat that they were read with, FencedError, and
        TransportError.
        """
        begun = monotonic()
        positions = {partition: offset for output in outputs for partition, offset in output.positions.items()}
        self._places.write_files(outputs)
        records = self._places.records(outputs)
        if positions or records:
            self._steps_until_done(records, positions, outputs[-1], give_up)
            self.committed |= positions
            self.n_commits += 1
            self._observe(outputs, begun, monotonic())

    def _steps_until_done(
        self,
        records: list[ProducerRecord],
        positions: dict[Partition, int],
        last: BatchResult,
        give_up: Callable[[], bool],
    ) -> None:
        wait_s = _FIRST_WAIT_S
        in_doubt = is_retry = False
        while True:
            name = ""
            try:
                for name, step in self._steps(records, positions, last, in_doubt=in_doubt, is_retry=is_retry):
                    log.debug("commit: %s", name)
                    step()
            except _AlreadyCommittedError:
                log.info("the commit whose answer was lost had been done")
                self._abort()
                return
            except RecordTooLargeError as error:
                records[error.place] = _shortened(records[error.place], error)
                self._abort()
            except TransportError as error:
                if not error.retriable or give_up():
                    raise
                told = fields(step=name, wait_s=wait_s, error=str(error))
                log.warning("commit failed, trying again in %.2f s: %s", wait_s, error, extra=told)
                in_doubt, is_retry = in_doubt or name == _COMMIT, True
                self._retried()
                self._pause(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                self._abort()
            else:
                return

    def _steps(
        self,
        records: list[ProducerRecord],
        positions: dict[Partition, int],
        last: BatchResult,
        *,
        in_doubt: bool,
        is_retry: bool,
    ) -> list[CommitStep]:
        """The steps, in order. A crash between any two of them is seen by nobody who reads committed records."""
        writer, member = self._writer, self._member
        if member.generation != last.generation:
            raise AssignmentLostError("the partitions were given to others before their answers were committed")
        if not self._exactly_once or writer is None:
            sending: list[CommitStep] = []
            if writer is not None and records:
                sending = [("send", lambda: writer.send(records)), ("flush", writer.flush)]
            return [*sending, ("commit positions", lambda: member.commit(positions))]
        return [
            # Where the writer had to be made anew, this waits until the broker has settled the last transaction.
            ("begin", writer.begin),
            *([("look", lambda: self._see_if_committed(positions))] if in_doubt else []),
            *([("sweep", lambda: self._sweep(writer, positions, last)), ("begin", writer.begin)] if is_retry else []),
            ("send", lambda: writer.send(records)),
            ("positions", lambda: writer.add_offsets(positions, last.identity)),
            (_COMMIT, writer.commit),
        ]

    def _sweep(self, writer: Writer, positions: dict[Partition, int], last: BatchResult) -> None:
        """Abort the failed transaction once more, in each partition that it may have written to.

        The only broker of a cluster, killed and started again, may end it without saying so in the partitions (seen
        with Apache Kafka 4.3.1): what it wrote would become visible with our next commit.
        """
        writer.write_empty(self._written())
        writer.add_offsets(positions, last.identity)
        writer.abort()

    def _see_if_committed(self, positions: dict[Partition, int]) -> None:
        """Raise _AlreadyCommittedError if the group is where the commit in doubt would have taken it."""
        try:
            committed = self._member.committed(positions)
        except TransportError as error:
            raise AssignmentLostError(f"whether the last commit was done cannot be told ({error})") from error
        if all(committed.get(partition, 0) >= offset for partition, offset in positions.items()):
            raise _AlreadyCommittedError

    def _abort(self) -> None:
        """Take back the steps that were done. If even that fails for now, the next `begin` will."""
        if self._exactly_once and self._writer is not None:
            try:
                self._writer.abort()
            except TransportError as error:
                if not error.retriable:
                    raise
                log.warning("abort failed: %s", error)


def _shortened(record: ProducerRecord, error: RecordTooLargeError) -> ProducerRecord:
    """*record* as the broker will take it: without its value, which still stands where the headers say.

    Only a dead letter comes to this: it has more headers than the record that it is about. Raises TransportError where
    nothing more can be left out.
    """
    if not any(name.startswith(HEADERS) for name, _ in record.headers) or record.value is None:
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
