"""What goes where: the topics and files of a run, and the records that are written to them.

Knows nothing of when, in which transaction, or on which thread.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from stream_rec.core.events import Answer, encode_answer
from stream_rec.service.batches import BatchResult, RejectedRecord
from stream_rec.transport.broker import ProducerRecord
from stream_rec.transport.records import Sink

__all__ = ["HEADERS", "OutputDestinations"]


HEADERS: Final = "stream-rec."
"""What the names of a dead letter's own headers begin with; its other headers are the record's."""


class OutputDestinations(NamedTuple):
    """Topics are named, files are opened; at most one of the two for each kind of record."""

    answers_topic: str | None = None
    dead_letters_topic: str | None = None
    answers_file: Sink | None = None
    dead_letters_file: Sink | None = None

    @property
    def topics(self) -> list[str]:
        """Where records go."""
        return [topic for topic in (self.answers_topic, self.dead_letters_topic) if topic is not None]

    def records(self, outputs: Sequence[BatchResult]) -> list[ProducerRecord]:
        """The records for topics, dead letters before answers.

        An answer tells a log position, and what was refused up to it is told by then.
        """
        records: list[ProducerRecord] = []
        if (topic := self.dead_letters_topic) is not None:
            records += [_dead_letter(topic, each) for output in outputs for each in output.refused]
        if (topic := self.answers_topic) is not None:
            records += [
                ProducerRecord(topic, encode_answer(each), _key(each)) for output in outputs for each in output.answers
            ]
        return records

    def write_files(self, outputs: Sequence[BatchResult]) -> None:
        """Write the lines for files, and see that they arrive. Raises TransportError."""
        if self.dead_letters_file is not None:
            self.dead_letters_file.write([each.to_dead_letter() for output in outputs for each in output.refused])
            self.dead_letters_file.flush()
        if self.answers_file is not None:
            answers = [each for output in outputs for each in output.answers]
            self.answers_file.write(list(map(encode_answer, answers)), list(map(_key, answers)))
            self.answers_file.flush()


def _key(answer: Answer) -> bytes | None:
    return None if answer.session_id is None else answer.session_id.encode()


def _dead_letter(topic: str, refused: RejectedRecord) -> ProducerRecord:
    """The record as it came in, with headers that say why it was refused and where it stood."""
    record = refused.record
    told = {
        "reason": refused.reason,
        "message": refused.message,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }
    headers = tuple((HEADERS + name, str(value).encode()) for name, value in told.items())
    return ProducerRecord(topic, None if record.tombstone else record.value, record.key, (*record.headers, *headers))
