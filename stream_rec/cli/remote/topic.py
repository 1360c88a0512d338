"""The end of a topic, and what is written there from then on. Reads committed records, and commits nothing."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from stream_rec.errors import DecodeError, LogChangedError, TransportError
from stream_rec.service.consuming.bounded_topic import bounds_of
from stream_rec.transport.broker import Broker, Partition
from stream_rec.transport.records import Record

__all__ = ["AnswerLine", "TopicTail", "read_answer"]

_POLL_S: Final = 0.5
_MOST: Final = 500
_OFFSETS_A_RECORD: Final = 3
"""A transaction ends in an offset of its own, and some are aborted: so far back the last records are looked for."""
_QUIET_POLLS: Final = 10
"""So long a broker that answers nothing is waited for, before what was read counts as all that there is."""


class _Item(msgspec.Struct):
    item_id: str


class AnswerLine(msgspec.Struct):
    """What is shown of an answer."""

    items: list[_Item]
    model: str
    session_id: str | None = None
    request_id: str | None = None
    reason: str | None = None


_DECODE: Final = msgspec.json.Decoder(AnswerLine).decode


def read_answer(record: Record) -> AnswerLine:
    """Return the answer in *record*. Raises DecodeError, which names the record."""
    try:
        return _DECODE(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        place = f"{record.topic}-{record.partition}:{record.offset}"
        raise DecodeError("wrong_type", f"{place} is not an answer of stream-rec: {error}") from None


class TopicTail:
    """Reads *topic* from its *last* records on, with *broker*, which it closes. Raises StreamRecError."""

    def __init__(self, broker: Broker, topic: str, last: int) -> None:
        self._broker = broker
        self._last = last
        bounds = bounds_of(broker, topic, "recommendations")
        self._ends = {partition: end for partition, (_, end) in bounds.items()}
        back = last * _OFFSETS_A_RECORD
        self._reader = broker.reader()
        self._reader.assign({partition: max(first, end - back) for partition, (first, end) in bounds.items()})

    def records(self, is_over: Callable[[], bool], *, follow: bool) -> Iterator[Record]:
        """Yield the last records, the oldest first, then further ones as they come, until *is_over*."""
        held, later = self._held(is_over)
        held.sort(key=lambda record: record.timestamp_ms or 0)
        yield from held[len(held) - min(self._last, len(held)) :]
        yield from later
        while follow and not is_over():
            for records in self._poll().values():
                yield from records

    def close(self) -> None:
        """Close the reader and the broker. May be called twice."""
        self._reader.close()
        self._broker.close()

    def _held(self, is_over: Callable[[], bool]) -> tuple[list[Record], list[Record]]:
        """Return the last records of each partition that were there when this was opened, and what came meanwhile."""
        kept: dict[Partition, deque[Record]] = {each: deque(maxlen=self._last) for each in self._ends}
        later: list[Record] = []
        n_quiet = 0
        while n_quiet < _QUIET_POLLS and not is_over() and self._is_behind():
            found = self._poll()
            n_quiet = 0 if found else n_quiet + 1
            for partition, records in found.items():
                end = self._ends[partition]
                kept[partition].extend(record for record in records if record.offset < end)
                later += [record for record in records if record.offset >= end]
        return [record for records in kept.values() for record in records], later

    def _is_behind(self) -> bool:
        positions = self._reader.positions
        return any(positions[partition] < end for partition, end in self._ends.items())

    def _poll(self) -> dict[Partition, list[Record]]:
        try:
            found = self._reader.poll(_MOST, _POLL_S)
        except LogChangedError as error:
            raise TransportError(f"{error.message}; start again to go on from what is there") from None
        return {partition: list(records) for partition, records in found.items()}
