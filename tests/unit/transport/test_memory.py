"""The doubles in memory keep the promises of a transport, and fail on request."""

import pytest

from stream_rec.core.events import Event, EventDecoder, Reason
from stream_rec.errors import DecodeError, TransportError
from stream_rec.transport.decode import decode_records
from stream_rec.transport.memory.log import MemorySink, MemorySource
from stream_rec.transport.records import Record, Sink, Source


def test_records_are_distributed_to_partitions_in_turn() -> None:
    """Each partition counts its own offsets; at the end nothing is waiting."""
    source: Source = MemorySource([b"a", b"b", b"c"], "t", partitions=2)
    batches = list(source.batches(2))
    assert [
        [Record(b"a", "t", 0, 0), Record(b"b", "t", 1, 0)],
        [Record(b"c", "t", 0, 1)],
        [],
    ] == batches
    assert {("t", 0): 2, ("t", 1): 1} == source.next_offsets
    assert (3, 3) == source.progress


def test_a_source_goes_on_after_its_fault() -> None:
    """The records before it were returned, and no record is returned twice."""
    source = MemorySource([b"a", b"b", b"c"], fail_at=2)
    got: list[bytes] = []

    def take() -> None:
        for batch in source.batches(10):
            got.extend(record.value for record in batch)

    with pytest.raises(TransportError) as caught:
        take()
    assert caught.value.retriable
    take()
    assert [b"a", b"b", b"c"] == got
    source.close()
    assert source.closed


def test_a_sink_shows_what_was_flushed() -> None:
    """Nothing before, all after, nothing lost to a fault."""
    sink = MemorySink(fail_at=1)
    taken: Sink = sink
    taken.write([b"a", b"b"], [b"k", None])
    assert [] == sink.values
    with pytest.raises(TransportError):
        taken.flush()
    assert [] == sink.values
    taken.close()
    assert ([b"a", b"b"], [b"k", None]) == (sink.values, sink.keys)


def test_records_are_decoded_in_place() -> None:
    """By their bytes, by their row, or not at all where the transport has found a fault."""
    good = b'{"session_id":"s","item_id":"i","timestamp":5}'
    row = {"session_id": "s", "item_id": "j", "timestamp": "6"}
    records = [
        Record(good, "t", 0, 0),
        Record(b"s,j,6", "t", 0, 1, row=row),
        Record(good, "t", 0, 2, fault=(Reason.TOO_LARGE, "too long")),
        Record(b"{", "t", 0, 3),
    ]
    first, second, third, fourth = decode_records(EventDecoder(), records).decoded
    assert (Event("s", "i", 5), Event("s", "j", 6)) == (first, second)
    assert isinstance(third, DecodeError)
    assert ("too_large", "too long") == (third.reason, third.message)
    assert isinstance(fourth, DecodeError)
    assert fourth.__traceback__ is None
