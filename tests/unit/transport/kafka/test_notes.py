"""Notes of commits as confluent-kafka returns them: with other bytes behind them, which need not be text."""

from typing import Any

import pytest

from stream_rec.service.commit_note import CommitNote
from stream_rec.transport.kafka.confluent.broker import note_of

NOTE = CommitNote.of("1", {"m": 500}).text


class Committed:
    """A partition whose note the client reads as *data*."""

    def __init__(self, data: bytes | None) -> None:
        self._data = data

    @property
    def metadata(self) -> str | None:
        return None if self._data is None else self._data.decode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, ""),
        (b"", ""),
        (b"of another tool", "of another tool"),
        (NOTE.encode(), NOTE),
        (NOTE.encode() + b"\x05\x00junk", NOTE),
        (NOTE.encode() + b"\xff\xfe", NOTE),
    ],
)
def test_a_note_ends_at_its_line_end(data: bytes | None, expected: str) -> None:
    """What follows is not of the note, and no error of the replica that reads it."""
    given: Any = Committed(data)
    assert expected == note_of(given)
