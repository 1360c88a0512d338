"""A topic as a source with an end, and as a sink: on the broker in memory."""

import pytest

from stream_rec.errors import SettingsError
from stream_rec.transport.broker import Partition, ProducerRecord
from stream_rec.transport.kafka import KafkaSink, KafkaSource
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.transport.records import Progress


def filled(*times: list[int]) -> MemoryBroker:
    """One partition for each of *times*, with a record for each of them."""
    broker = MemoryBroker({"clicks": len(times)})
    for number, own in enumerate(times):
        for time_ms in own:
            broker.produce("clicks", b"%d" % time_ms, partition=number, timestamp_ms=time_ms)
    return broker


def values(source: KafkaSource, max_records: int = 2) -> list[bytes]:
    batches = list(source.batches(max_records))
    assert all(1 <= len(batch) <= max_records for batch in batches)
    return [record.value for batch in batches for record in batch]


@pytest.mark.parametrize("max_records", [1, 2, 3, 100])
def test_partitions_are_merged_by_time(max_records: int) -> None:
    """Older records come first, whatever their partitions."""
    source = KafkaSource(filled([1, 4, 5, 9], [], [2, 3, 8], [6]), "clicks")
    assert [b"1", b"2", b"3", b"4", b"5", b"6", b"8", b"9"] == values(source, max_records)


def test_a_partitions_order_is_kept() -> None:
    """Records whose times go back stay in their partition's order."""
    source = KafkaSource(filled([5, 1, 7], [2, 6]), "clicks")
    assert [b"2", b"5", b"1", b"6", b"7"] == values(source)


def test_the_end_is_that_at_opening() -> None:
    """Records that come later are not read: the source has an end."""
    broker = filled([1, 2], [])
    source = KafkaSource(broker, "clicks")
    broker.produce("clicks", b"9", partition=0, timestamp_ms=9)
    broker.produce("clicks", b"0", partition=1, timestamp_ms=0)
    assert [b"1", b"2"] == values(source)
    assert {("clicks", 0): 2, ("clicks", 1): 0} == source.next_offsets
    assert Progress(2, None) == source.progress
    source.close()


def test_aborted_records_do_not_delay_the_end() -> None:
    """Nor do records that retention has removed."""
    broker = filled([1, 2, 3])
    writer = broker.writer("w")
    writer.begin()
    writer.send([ProducerRecord("clicks", b"aborted")])
    writer.abort()
    broker.cut_off(Partition("clicks", 0), 1)
    assert [b"2", b"3"] == values(KafkaSource(broker, "clicks"))


def test_a_sink_writes_keys() -> None:
    """Values arrive with their keys, and those without any."""
    broker = MemoryBroker({"recs": 1})
    sink = KafkaSink(broker, "recs")
    sink.write([b"a", b"b"], [b"s1", None])
    sink.write([b"c"])
    sink.flush()
    sink.close()
    sink.close()
    assert [(b"a", b"s1"), (b"b", None), (b"c", None)] == [(r.value, r.key) for r in broker.visible("recs")]


def test_a_sink_flushes_now_and_then() -> None:
    """A writer keeps records until a flush, and a long file has no pause."""
    steps: list[str] = []
    sink = KafkaSink(MemoryBroker({"recs": 1}, before=steps.append), "recs", flush_after=5)
    for _ in range(6):
        sink.write([b"a", b"b"])
    assert ["send"] * 6 + ["flush"] + ["send"] * 6 + ["flush"] == steps, "one step for each record"


@pytest.mark.parametrize("place", [KafkaSource, KafkaSink])
def test_no_such_topic(place: type[KafkaSource | KafkaSink]) -> None:
    """It is a SettingsError of the given key."""
    with pytest.raises(SettingsError, match="no topic 'nowhere'") as caught:
        place(MemoryBroker({}), "nowhere", "out")
    assert "out" == caught.value.key
