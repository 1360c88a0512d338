"""Every error that stream-rec raises on purpose.

    StreamRecError
    ├── DecodeError       one record is unreadable: dead-letter it and go on
    ├── SettingsError     the operator must fix a value: exit 2 at start, naming the key
        └── NoColumnError   a table lacks a column: say which one it is
    ├── SnapshotError     torn, or of another version: skip it and replay
    ├── TornStateError    a write stopped half-way: load a snapshot, fit again, or replay
    └── TransportError    a file, a pipe or a broker failed: retry while `retriable`
        ├── FencedError   another process uses the same name: stop at once
        ├── UnwrittenError   a file cannot be written for now, and nothing is lost: flush it again
        ├── MissingTopicError   a topic is not there: wait for it
        ├── RegistryUnavailableError   the schema registry does not answer: keep the record, and ask again
        ├── LogChangedError   the records to read are gone: go on with those that are there, or recover from them
        ├── AssignmentLostError   the group gave the partitions to others: drop what is uncommitted, recover, rejoin
        └── RecordTooLargeError   the broker refuses the record: send less of it

Callers catch by class and read attributes, never text. The text is for the operator: it names the
place (file, line, key, topic) and the next step. This module knows no code that raises or catches them.
"""

import errno
from typing import Final

__all__ = [
    "AssignmentLostError",
    "DecodeError",
    "FencedError",
    "LogChangedError",
    "MissingTopicError",
    "NoColumnError",
    "RecordTooLargeError",
    "RegistryUnavailableError",
    "SeatLostError",
    "SettingsError",
    "SnapshotError",
    "StreamRecError",
    "TornStateError",
    "TransportError",
    "UnwrittenError",
    "may_pass",
]

_PASSING: Final = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENOMEM, errno.ENFILE, errno.EMFILE,
    errno.EBUSY, errno.EAGAIN, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO,
})  # fmt: skip
"""A full disk, a file system that is read-only or away for a while, too many open files: no setting is wrong."""


def may_pass(error: OSError) -> bool:
    """Return whether the cause of a failed call to the system may go away without a change of the settings."""
    return error.errno in _PASSING


class StreamRecError(Exception):
    """The root: catch this to catch all that stream-rec raises on purpose.

    >>> from stream_rec import Recommender, StreamRecError
    >>> try:
    ...     Recommender().recommend("ann", k=0)
    ... except StreamRecError as error:
    ...     print(error.message)
    k: 0 is refused: Expected `int` >= 1 - at `$.k`
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by parts: the default calls the class with the text alone, and some classes need more arguments."""
        return (_remake, (type(self), self.args, self.__dict__.copy()))


class DecodeError(StreamRecError):
    """One record is unreadable: dead-letter it under `reason` and go on.

    `reason` is a code for machines (`not_json`, `missing_field`, ...), the message a sentence that
    names the field and what was expected.

    >>> from stream_rec import DecodeError, EventDecoder
    >>> try:
    ...     EventDecoder().decode(b'{"session_id": "ann"}')
    ... except DecodeError as error:
    ...     print(error.reason)
    missing_field
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SettingsError(StreamRecError):
    """The operator must fix the setting `key`: the process exits with 2 and has read nothing.

    >>> from stream_rec import Recommender, SettingsError
    >>> try:
    ...     Recommender().recommend("ann", n=0)
    ... except SettingsError as error:
    ...     print(error.key)
    n
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key


class NoColumnError(SettingsError):
    """A table has no column for the field `field`, which an event must have.

    `seen` says which columns it has. The way out differs: an option on the command line, an argument in a program.
    """

    def __init__(self, field: str, seen: str, way_out: str) -> None:
        super().__init__("fields", f"{seen}: {way_out}")
        self.field = field
        self.seen = seen


class SnapshotError(StreamRecError):
    """A snapshot is torn, foreign, or of another version: skip it, load an older one, or replay.

    >>> from stream_rec import SnapshotError, snapshot
    >>> try:
    ...     snapshot.load("no-such-file.srs")
    ... except SnapshotError:
    ...     print("replay the log")
    replay the log
    """


class TornStateError(StreamRecError):
    """A write to an engine stopped half-way, and no answer can be trusted: load a snapshot, fit again, or replay.

    >>> from stream_rec import Engine, TornStateError
    >>> try:
    ...     Engine().recommend("ann")  # in a child that was forked in the middle of a write
    ... except TornStateError:
    ...     print("load a snapshot")
    []
    """


class TransportError(StreamRecError):
    """A file, a pipe or a broker failed: try again while `retriable`, else stop.

    >>> from stream_rec import TransportError
    >>> TransportError("the broker is away", retriable=True).retriable
    True
    """

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable


class FencedError(TransportError):
    """Another process with the same name took over: stop at once, write nothing more.

    >>> from stream_rec import FencedError
    >>> FencedError("replica-1 runs elsewhere").retriable
    False
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=False)


class UnwrittenError(TransportError):
    """A file cannot be written for now (its disk is full). It keeps all that it was given: `flush` tries again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=True)


class MissingTopicError(TransportError):
    """A topic that the service works with is not there: it may be made yet, or again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=True)


class RegistryUnavailableError(TransportError):
    """The schema registry does not answer: the record at index `place` of those to read waits for it."""

    def __init__(self, message: str, *, place: int = 0) -> None:
        super().__init__(message, retriable=True)
        self.place = place


class LogChangedError(TransportError):
    """The partition does not hold the record at `offset`: retention removed it, or the topic was created again.

    The partition holds `first` to `end`. Both are None where the whole partition is gone.
    """

    def __init__(
        self, message: str, *, partition: str, offset: int, first: int | None = None, end: int | None = None
    ) -> None:
        super().__init__(message, retriable=False)
        self.partition = partition
        self.offset = offset
        self.first = first
        self.end = end

    @property
    def is_cut_off(self) -> bool:
        """Whether the partition goes on after the records that are gone."""
        return self.first is not None and self.offset < self.first


class AssignmentLostError(TransportError):
    """The group gave the partitions to other members, which process what is uncommitted. Recover, and join again.

    >>> from stream_rec import AssignmentLostError
    >>> AssignmentLostError("the group moved on").retriable
    False
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=False)


SeatLostError = AssignmentLostError
"""The name until version 0.1.0."""


class RecordTooLargeError(TransportError):
    """The record at index `place` of those to send has `size` bytes, more than the `limit` of its topic.

    With `none_sent`, the error was raised before any record was sent; without it, others may have been written.

    >>> from stream_rec import RecordTooLargeError
    >>> error = RecordTooLargeError("too large", place=3, size=2_000_000, limit=1_000_000)
    >>> error.size - error.limit
    1000000
    """

    def __init__(self, message: str, *, place: int, size: int, limit: int, none_sent: bool = False) -> None:
        super().__init__(message, retriable=False)
        self.place = place
        self.size = size
        self.limit = limit
        self.none_sent = none_sent


def _remake(cls: type[StreamRecError], args: tuple[object, ...], state: dict[str, object]) -> StreamRecError:
    """Return a copy of an error from its parts, without a call of its `__init__`."""
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error
