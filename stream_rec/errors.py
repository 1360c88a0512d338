"""Every error that stream-rec raises on purpose.

    StreamRecError
    ├── DecodeError       one record is unreadable: dead-letter it and go on
    ├── SettingsError     the operator must fix a value: exit 2 at start, naming the key
    ├── SnapshotError     torn, or of another version: skip it and replay
    └── TransportError    the outside failed: retry while `retriable`
        ├── FencedError   another process runs under our name: stop at once
        ├── LogChangedError   what was to be read is gone: go on with what is there, or recover from it
        ├── AssignmentLostError the group went on without us: drop what is uncommitted, recover, and join again
        └── RecordTooLargeError   the broker will not take it: send less of it

Callers catch by class and read attributes, never text. The text is for the operator: it names the
place (file, line, key, topic) and the next step. Knows nothing of who raises or catches what.
"""

__all__ = [
    "AssignmentLostError",
    "DecodeError",
    "FencedError",
    "LogChangedError",
    "RecordTooLargeError",
    "SeatLostError",
    "SettingsError",
    "SnapshotError",
    "StreamRecError",
    "TransportError",
]


class StreamRecError(Exception):
    """The root: catch this to catch all that stream-rec raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by parts: the default calls the class with the text alone, which some refuse."""
        return (_remake, (type(self), self.args, self.__dict__.copy()))


class DecodeError(StreamRecError):
    """One record is unreadable: dead-letter it under `reason` and go on.

    `reason` is a code for machines (`not_json`, `missing_field`, ...), the message a sentence that
    names the field and what was expected.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SettingsError(StreamRecError):
    """The operator must fix the setting `key`: the process exits with 2 and has read nothing."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key


class SnapshotError(StreamRecError):
    """A snapshot is torn, foreign, or of another version: skip it, take an older one, or replay."""


class TransportError(StreamRecError):
    """The outside (a file, a pipe, a broker) failed: try again while `retriable`, else stop."""

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable


class FencedError(TransportError):
    """Another process took over what this one owned: stop at once, write nothing more."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=False)


class LogChangedError(TransportError):
    """What `position` of a partition names is not there: retention has removed it, or the topic was made anew.

    The partition holds `first` to `end`. One that is gone altogether has no bounds: both are None.
    """

    def __init__(
        self, message: str, *, partition: str, position: int, first: int | None = None, end: int | None = None
    ) -> None:
        super().__init__(message, retriable=False)
        self.partition = partition
        self.position = position
        self.first = first
        self.end = end

    @property
    def is_cut_off(self) -> bool:
        """Whether the log goes on behind what is gone."""
        return self.first is not None and self.position < self.first


class AssignmentLostError(TransportError):
    """The group gave our partitions to others: what is uncommitted is theirs to do. Recover, and join again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=False)


SeatLostError = AssignmentLostError
"""The name until version 0.1.0."""


class RecordTooLargeError(TransportError):
    """The record at `place` of those to be sent has `size` bytes, more than the `limit` that the outside takes.

    `none_sent` tells that it was found before any of them was handed over; else others may have been written.
    """

    def __init__(self, message: str, *, place: int, size: int, limit: int, none_sent: bool = False) -> None:
        super().__init__(message, retriable=False)
        self.place = place
        self.size = size
        self.limit = limit
        self.none_sent = none_sent


def _remake(cls: type[StreamRecError], args: tuple[object, ...], state: dict[str, object]) -> StreamRecError:
    """Make an error again from its parts, without asking its `__init__`."""
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error
