"""Where answers and dead letters go: the topics and files of a run, and the records that are written to them.

Knows nothing of when, in which transaction, or on which thread.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from stream_rec.core.events import Answer, encode_answer
from stream_rec.service.batches import BatchResult, RejectedRecord
from stream_rec.transport.broker import ProducerRecord
from stream_rec.transport.records import Sink

__all__ = ["GROUP_HEADER", "HEADERS", "OutputDestinations", "is_dead_letter"]


HEADERS: Final = "stream-rec."
"""The beginning of the names of a dead letter's own headers; its other headers are the record's."""


_REASON: Final = HEADERS + "reason"
GROUP_HEADER: Final = HEADERS + "group"
"""The header of an answer in a topic that names the consumer group which it is of."""


class OutputDestinations(NamedTuple):
    """Topics are named, files are opened; at most one of the two for each kind of record."""

    answers_topic: str | None = None
    dead_letters_topic: str | None = None
    answers_file: Sink | None = None
    dead_letters_file: Sink | None = None
    group: str | None = None
    """Named in the answers of a topic."""

    @property
    def topics(self) -> list[str]:
        """The topics that records are written to."""
        return [topic for topic in (self.answers_topic, self.dead_letters_topic) if topic is not None]

    def records(self, results: Sequence[BatchResult]) -> list[ProducerRecord]:
        """Return the records for topics, dead letters before answers.

        An answer names an offset: by then, the dead letters of all records before it are written.
        """
        records: list[ProducerRecord] = []
        if (topic := self.dead_letters_topic) is not None:
            records += [_dead_letter(topic, each) for result in results for each in result.processed.rejected]
        if (topic := self.answers_topic) is not None:
            headers = () if self.group is None else ((GROUP_HEADER, self.group.encode()),)
            records += [
                ProducerRecord(topic, encode_answer(each), _key(each), headers)
                for result in results
                for each in result.processed.answers
            ]
        return records

    def for_files(self, results: Sequence[BatchResult]) -> list[tuple[Sink, list[bytes], list[bytes | None] | None]]:
        """Return each file with the lines for it, and their keys, dead letters before answers."""
        found: list[tuple[Sink, list[bytes], list[bytes | None] | None]] = []
        if self.dead_letters_file is not None:
            rejected = [each for result in results for each in result.processed.rejected]
            found.append((self.dead_letters_file, [each.to_dead_letter() for each in rejected], None))
        if self.answers_file is not None:
            answers = [each for result in results for each in result.processed.answers]
            found.append((self.answers_file, list(map(encode_answer, answers)), list(map(_key, answers))))
        return found


def is_dead_letter(record: ProducerRecord) -> bool:
    """Whether *record* is one of `records` that says why it was rejected."""
    return any(name == _REASON for name, _ in record.headers)


def _key(answer: Answer) -> bytes | None:
    return None if answer.session_id is None else answer.session_id.encode()


def _dead_letter(topic: str, rejected: RejectedRecord) -> ProducerRecord:
    """Return the record as it came in, with headers that say why it was rejected and where it stood.

    Of a record that makes several events, only the first letter has the value: sent again, it comes once. The others
    have an empty one, since none would be a tombstone.
    """
    record = rejected.record
    own = {
        "reason": rejected.reason,
        "message": rejected.message,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }
    if rejected.element:
        own["element"] = rejected.element
    headers = tuple((HEADERS + name, str(value).encode()) for name, value in own.items())
    value = None if record.tombstone else record.value if rejected.is_first else b""
    return ProducerRecord(topic, value, record.key, (*record.headers, *headers))
