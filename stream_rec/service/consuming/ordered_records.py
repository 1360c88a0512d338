"""Records that are decoded already, and stand in order of time rather than in that of their file."""

from collections.abc import Iterator, Sequence
from typing import Final, overload

import numpy as np

from stream_rec.core.dtypes import I32
from stream_rec.transport.decode import Decoded
from stream_rec.transport.records import Record

__all__ = ["NOT_YET", "OrderedRecords", "place_of"]

_OFFSET_BITS: Final = 40
_OFFSETS: Final = (1 << _OFFSET_BITS) - 1
_ELEMENT_BITS: Final = 31
_ELEMENTS: Final = (1 << _ELEMENT_BITS) - 1
_TOPIC_AT: Final = _OFFSET_BITS + _ELEMENT_BITS


class OrderedRecords(Sequence[Record]):
    """Records, and what they say. A Record is made when it is accessed: of most of them only the place is used."""

    __slots__ = ("decoded", "places", "topics", "values")

    def __init__(
        self, values: list[bytes | Record], places: list[int], topics: Sequence[str], decoded: list[Decoded]
    ) -> None:
        self.values = values
        """[n] the bytes of each; of one that is no event, the Record."""
        self.places = places
        """[n] as `place_of` makes them."""
        self.topics = topics
        """The topics that the places name."""
        self.decoded = decoded
        """[n] what each says."""

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "OrderedRecords": ...
    def __getitem__(self, index: int | slice) -> "Record | OrderedRecords":
        if isinstance(index, slice):
            return OrderedRecords(self.values[index], self.places[index], self.topics, self.decoded[index])
        return self._record(self.values[index], self.places[index])

    def __iter__(self) -> Iterator[Record]:
        return map(self._record, self.values, self.places)

    def elements(self) -> I32 | None:
        """Return which event of its record each is, from 1, [n]; 0 for the one of a record that cannot hold several.

        None: all are 0.
        """
        found = [place >> _OFFSET_BITS & _ELEMENTS for place in self.places]
        return np.array(found, np.int32) if any(found) else None

    def _record(self, value: bytes | Record, place: int) -> Record:
        if type(value) is bytes:
            return Record(value, self.topics[place >> _TOPIC_AT], 0, place & _OFFSETS)
        assert isinstance(value, Record)
        return value


def place_of(topic: int, offset: int, element: int = 0) -> int:
    """Return the place of an event as one number: by the number of its topic, and of the event in its record."""
    return topic << _TOPIC_AT | element << _OFFSET_BITS | offset


NOT_YET: Final = OrderedRecords([], [], (), [])
"""An empty batch: the log is still read to be ordered. It does not say that no record is waiting."""
