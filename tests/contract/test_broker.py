"""The contract of `transport.broker`, checked on each of the three brokers."""

import threading
import time
from collections.abc import Iterator

import pytest
import subjects
from subjects import Revocations, Subject, fresh, read, read_to_end, until

from stream_rec.errors import AssignmentLostError, FencedError, RecordTooLargeError, TransportError
from stream_rec.transport.broker import Bounds, Partition, ProducerRecord, Reader, TopicSpec

KEPT = ("retention.ms", "retention.bytes", "cleanup.policy")


@pytest.fixture(params=["memory", "kafka-python", "confluent"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """One broker after the other."""
    if request.param == "memory":
        made = subjects.memory()
    else:
        made = subjects.kafka(request.param, request.getfixturevalue("broker"))
    yield made
    made.close()


def reader_of(subject: Subject, topic: str, start: int = 0) -> tuple[Reader, list[Partition]]:
    broker = subject.open()
    partitions = broker.partitions(topic)
    reader = broker.reader()
    reader.assign(dict.fromkeys(partitions, start))
    return reader, partitions


# --- the broker


def test_partitions_come_in_order(subject: Subject) -> None:
    """The partitions of a topic are listed by number; a topic that is not there has none."""
    topic = subject.topic(3)
    broker = subject.open()
    assert [Partition(topic, 0), Partition(topic, 1), Partition(topic, 2)] == broker.partitions(topic)
    assert [] == broker.partitions(fresh("nowhere"))


def test_create_leaves_what_is_there(subject: Subject) -> None:
    """It creates the missing topics, and changes no other."""
    there, new = subject.topic(2), fresh("new")
    broker = subject.open()
    broker.create_topics([TopicSpec(there, 5), TopicSpec(new, 3)])
    assert 2 == len(broker.partitions(there))
    assert 3 == len(broker.partitions(new))


def test_what_is_set_for_a_topic(subject: Subject) -> None:
    """By Kafka's names, with the broker's own defaults."""
    if subject.is_memory:
        pytest.skip("topics in memory have no settings")
    topic = fresh("kept")
    broker = subject.open()
    broker.create_topics([TopicSpec(topic, retention_ms=3_600_000)])
    found = broker.topic_settings(topic)
    assert found is not None
    assert ("3600000", "-1", "delete") == tuple(found[name] for name in KEPT)


def test_bounds_go_from_the_first_record_to_the_next(subject: Subject) -> None:
    """A partition's end is the offset that its next record will get."""
    topic = subject.topic()
    partition = Partition(topic, 0)
    assert {partition: Bounds(0, 0)} == subject.open().bounds([partition])
    subject.fill(topic, b"a", b"b")
    assert {partition: Bounds(0, 2)} == subject.open().bounds([partition])


def test_bounds_end_before_an_open_transaction(subject: Subject) -> None:
    """Uncommitted records are not within the bounds."""
    topic = subject.topic()
    subject.fill(topic, b"a")
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    writer.send([ProducerRecord(topic, b"b")])
    writer.flush()
    assert {Partition(topic, 0): Bounds(0, 1)} == subject.open().bounds([Partition(topic, 0)])
    writer.close()


def test_bounds_of_no_partition(subject: Subject) -> None:
    """Bounds of a partition that does not exist are an error that names it, and that is not retriable."""
    missing = Partition(fresh("nowhere"), 0)
    with pytest.raises(TransportError, match=missing.topic) as caught:
        subject.open().bounds([missing])
    assert not caught.value.retriable


def test_everything_may_be_closed_twice(subject: Subject) -> None:
    """Closing twice does nothing."""
    topic = subject.topic()
    broker = subject.open()
    reader, writer = broker.reader(), broker.writer(fresh("writer"))
    reader.assign({Partition(topic, 0): 0})
    for _ in range(2):
        reader.close()
        writer.close()
        broker.close()


# --- reading


def test_records_come_in_order(subject: Subject) -> None:
    """Within a partition records are returned in the order of their offsets, each of them once."""
    topic = subject.topic(3)
    for start in range(0, 300, 100):
        writer = subject.open().writer(None)
        writer.send([ProducerRecord(topic, b"%d" % i, b"%d" % (i % 7)) for i in range(start, start + 100)])
        writer.flush()
    reader, partitions = reader_of(subject, topic)
    records = read(reader, 300)
    assert 300 == len(records)
    for partition in partitions:
        own = [record for record in records if record.partition == partition.number]
        assert list(range(len(own))) == [record.offset for record in own]
        assert sorted(own, key=lambda record: int(record.value)) == own


def test_a_record_is_what_was_written(subject: Subject) -> None:
    """Value, key, headers, topic and time arrive; an empty key or value differs from none."""
    topic = subject.topic()
    before = int(time.time() * 1000)
    writer = subject.open().writer(None)
    headers = (("trace", b"\x00\xff"), ("trace", b""))
    writer.send(
        [ProducerRecord(topic, b"v", b"k", headers), ProducerRecord(topic, b""), ProducerRecord(topic, b"", b"")]
    )
    writer.flush()
    full, bare, empty = read(reader_of(subject, topic)[0], 3)
    assert (b"v", b"k", headers, topic, 0, 0) == (
        full.value,
        full.key,
        full.headers,
        full.topic,
        full.partition,
        full.offset,
    )
    assert (b"", None, (), False) == (bare.value, bare.key, bare.headers, bare.tombstone)
    assert (b"", b"") == (empty.value, empty.key)
    if not subject.is_memory:
        assert full.timestamp_ms is not None
        assert before <= full.timestamp_ms <= time.time() * 1000


def test_a_record_without_a_value_is_a_tombstone(subject: Subject) -> None:
    """A record without a value is an order to forget the key; an empty value is not."""
    topic = subject.topic()
    subject.fill(topic, b"", None, key=b"s1")
    empty, tombstone = read(reader_of(subject, topic)[0], 2)
    assert (False, True) == (empty.tombstone, tombstone.tombstone)
    assert (b"", b"s1") == (tombstone.value, tombstone.key)


def test_a_record_with_neither_key_nor_value_is_written_as_it_is(subject: Subject) -> None:
    """Producers can write such a record, so it may become a dead letter."""
    topic = subject.topic()
    writer = subject.open().writer(None)
    writer.send([ProducerRecord(topic, None), ProducerRecord(topic, None, headers=(("why", b"x"),))])
    writer.flush()
    first, second = read(reader_of(subject, topic)[0], 2)
    assert (True, b"", None) == (first.tombstone, first.value, first.key)
    assert (True, (("why", b"x"),)) == (second.tombstone, second.headers)


def test_reading_begins_at_the_offset(subject: Subject) -> None:
    """The offset is that of the next record; partitions that are not assigned are not read."""
    topic, other = subject.topic(), subject.topic()
    subject.fill(topic, b"a", b"b", b"c")
    subject.fill(other, b"x")
    reader = subject.open().reader()
    reader.assign({Partition(topic, 0): 1})
    assert [b"b", b"c"] == [record.value for record in read_to_end(reader, [Partition(topic, 0)])]
    assert {} == reader.poll(10, 0.2)


def test_a_new_assignment_drops_what_was_fetched(subject: Subject) -> None:
    """After a new assignment only its partitions are read, from its offsets on."""
    first, second = subject.topic(), subject.topic()
    subject.fill(first, *(b"%d" % i for i in range(50)))
    subject.fill(second, b"x", b"y")
    reader = subject.open().reader()
    reader.assign({Partition(first, 0): 0, Partition(second, 0): 0})
    read(reader, 1, max_records=1)
    reader.assign({Partition(second, 0): 1})
    assert [b"y"] == [record.value for record in read_to_end(reader, [Partition(second, 0)])]


def test_a_poll_returns_no_more_than_its_limit(subject: Subject) -> None:
    """A poll returns about *max_records* at most, and the next one goes on after them."""
    topic = subject.topic()
    subject.fill(topic, *(b"%d" % i for i in range(30)))
    reader, _ = reader_of(subject, topic)
    values: list[bytes] = []

    def poll() -> None:
        polled = [record.value for batch in reader.poll(7, 0.2).values() for record in batch]
        assert len(polled) <= 7
        values.extend(polled)

    until(lambda: len(values) >= 30, poll)
    assert [b"%d" % i for i in range(30)] == values


def test_a_poll_waits_for_the_first_record_only(subject: Subject) -> None:
    """One record is returned at once, though more are allowed and there is time to wait."""
    topic = subject.topic()
    reader, partitions = reader_of(subject, topic)
    read_to_end(reader, partitions)
    subject.fill(topic, b"a")
    began = time.monotonic()
    found = reader.poll(100, 10.0)
    assert [b"a"] == [record.value for batch in found.values() for record in batch]
    assert time.monotonic() - began < 6


def test_paused_partitions_keep_their_offsets(subject: Subject) -> None:
    """A paused partition returns no records; resumed, it goes on at its offset."""
    topic, other = subject.topic(), subject.topic()
    subject.fill(topic, *(b"%d" % i for i in range(20)))
    reader = subject.open().reader()
    reader.assign({Partition(topic, 0): 0, Partition(other, 0): 0})
    got = read(reader, 5, max_records=5)
    reader.pause_only([Partition(topic, 0)])
    subject.fill(other, b"x")
    assert [b"x"] == [record.value for record in read(reader, 1)]
    assert {} == reader.poll(100, 0.3)
    reader.pause_only([Partition(topic, 0)])
    reader.pause_only([])
    got += read(reader, 20 - len(got))
    assert [b"%d" % i for i in range(20)] == [record.value for record in got]


def test_a_pause_outlives_an_assignment(subject: Subject) -> None:
    """A partition may be paused before it is assigned, and a new assignment does not resume it."""
    topic, other = subject.topic(), subject.topic()
    subject.fill(topic, b"a")
    subject.fill(other, b"x")
    reader = subject.open().reader()
    reader.pause_only([Partition(topic, 0)])
    for _ in range(2):
        reader.assign({Partition(topic, 0): 0, Partition(other, 0): 0})
        assert [b"x"] == [record.value for record in read(reader, 1)]
        assert {} == reader.poll(10, 0.2)
    reader.pause_only([])
    assert [b"a"] == [record.value for record in read(reader, 1)]


def test_a_partition_is_drained_when_nothing_is_left(subject: Subject) -> None:
    """A partition is drained when its last record was returned, and when it is empty."""
    topic = subject.topic(2)
    subject.fill(topic, b"a", b"b", b"c")
    reader, partitions = reader_of(subject, topic)
    filled = next(each for each, bounds in subject.open().bounds(partitions).items() if bounds.end)
    read(reader, 1, max_records=1)
    assert filled not in reader.drained
    read(reader, 2)
    until(lambda: set(partitions) == set(reader.drained), lambda: reader.poll(10, 0.1))


def test_it_is_drained_before_an_open_transaction(subject: Subject) -> None:
    """Records of an open transaction cannot be read, so nothing is left; committed, they can."""
    topic = subject.topic()
    subject.fill(topic, b"a")
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    writer.send([ProducerRecord(topic, b"b")])
    writer.flush()
    reader, partitions = reader_of(subject, topic)
    assert [b"a"] == [record.value for record in read_to_end(reader, partitions)]
    writer.commit()
    assert [b"b"] == [record.value for record in read(reader, 1)]
    until(lambda: set(partitions) == set(reader.drained), lambda: reader.poll(10, 0.1))


def test_aborted_records_are_never_seen(subject: Subject) -> None:
    """Readers get committed records only, and a partition that ends with aborted ones is drained too."""
    topic = subject.topic()
    writer = subject.open().writer(fresh("writer"))
    for value, commit in ((b"a", True), (b"b", False), (b"c", True), (b"d", False)):
        writer.begin()
        writer.send([ProducerRecord(topic, value)])
        writer.flush()
        if commit:
            writer.commit()
        else:
            writer.abort()
    reader, partitions = reader_of(subject, topic)
    assert [b"a", b"c"] == [record.value for record in read_to_end(reader, partitions)]


def test_positions_pass_what_is_never_seen(subject: Subject) -> None:
    """Behind aborted records at the end, a reader's position comes to the end, also while another partition is busy."""
    topic, busy = subject.topic(), subject.topic()
    writer = subject.open().writer(fresh("writer"))
    for value, end in ((b"a", writer.commit), (b"b", writer.abort)):
        writer.begin()
        writer.send([ProducerRecord(topic, value)])
        writer.flush()
        end()
    broker, quiet = subject.open(), Partition(topic, 0)
    reader = broker.reader()
    reader.assign({quiet: 0, Partition(busy, 0): 0})
    assert {quiet: 0, Partition(busy, 0): 0} == reader.positions

    def poll() -> None:
        subject.fill(busy, b"x")
        reader.poll(10, 1.0)

    until(lambda: reader.positions[quiet] == broker.bounds([quiet])[quiet].end, poll)


@pytest.mark.parametrize("offset", [7, 1 << 40])
def test_an_offset_out_of_range(subject: Subject, offset: int) -> None:
    """The error names the partition, the offset and the bounds, and is not retriable."""
    topic = subject.topic()
    subject.fill(topic, b"a", b"b")
    reader, _ = reader_of(subject, topic, offset)
    with pytest.raises(TransportError, match=rf"{topic}-0.*{offset}.*0.*2") as caught:
        until(lambda: False, lambda: reader.poll(10, 0.1))
    assert not caught.value.retriable


# --- writing


def test_what_is_committed_is_visible_at_once(subject: Subject) -> None:
    """All records of a transaction become readable together, when it commits."""
    topic = subject.topic(2)
    writer = subject.open().writer(fresh("writer"))
    reader, _ = reader_of(subject, topic)
    writer.begin()
    writer.send([ProducerRecord(topic, b"%d" % i, b"%d" % i) for i in range(20)])
    writer.flush()
    assert {} == reader.poll(100, 0.3)
    writer.commit()
    assert {b"%d" % i for i in range(20)} == {record.value for record in read(reader, 20)}


def test_an_aborted_writer_goes_on(subject: Subject) -> None:
    """After an abort the same writer begins another transaction, and may send the same records again."""
    topic = subject.topic()
    writer = subject.open().writer(fresh("writer"))
    for end in (writer.abort, writer.commit):
        writer.begin()
        writer.send([ProducerRecord(topic, b"a")])
        end()
    reader, partitions = reader_of(subject, topic)
    assert [b"a"] == [record.value for record in read_to_end(reader, partitions)]


def test_an_empty_transaction_commits(subject: Subject) -> None:
    """A transaction may have no records."""
    writer = subject.open().writer(fresh("writer"))
    for _ in range(2):
        writer.begin()
        writer.commit()
        writer.begin()
        writer.abort()


def test_a_newer_writer_aborts_and_fences_the_older(subject: Subject) -> None:
    """The older writer's open transaction is aborted; its next commit, at the latest, raises FencedError."""
    topic, name = subject.topic(), fresh("writer")
    older = subject.open().writer(name)
    older.begin()
    older.send([ProducerRecord(topic, b"old")])
    older.flush()
    newer = subject.open().writer(name)
    newer.begin()
    newer.send([ProducerRecord(topic, b"new")])
    newer.commit()

    def go_on() -> None:
        older.send([ProducerRecord(topic, b"older")])
        older.commit()

    with pytest.raises(FencedError):
        go_on()
    reader, partitions = reader_of(subject, topic)
    assert [b"new"] == [record.value for record in read_to_end(reader, partitions)]


def test_a_closed_writer_leaves_nothing_open(subject: Subject) -> None:
    """Closing aborts: readers need not wait for the transaction's time to be over."""
    topic = subject.topic()
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    writer.send([ProducerRecord(topic, b"a")])
    writer.flush()
    writer.close()
    subject.fill(topic, b"b")
    assert [b"b"] == [record.value for record in read(reader_of(subject, topic)[0], 1)]


def test_a_record_too_large_is_refused_before_any_is_sent(subject: Subject) -> None:
    """The error says which one, its size and the limit; the transaction can go on without it."""
    topic = subject.topic()
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    with pytest.raises(RecordTooLargeError) as caught:
        writer.send([ProducerRecord(topic, b"a"), ProducerRecord(topic, b"x" * (2 << 20)), ProducerRecord(topic, b"b")])
    assert 1 == caught.value.place
    assert caught.value.size >= 2 << 20 > caught.value.limit
    writer.send([ProducerRecord(topic, b"c")])
    writer.commit()
    reader, partitions = reader_of(subject, topic)
    assert [b"c"] == [record.value for record in read_to_end(reader, partitions)]


def test_append_returns_the_offsets(subject: Subject) -> None:
    """Each record can be read at once at the partition and offset returned, by either call first."""
    topic = subject.topic(3)
    writer = subject.open().writer(None)
    writer.send([ProducerRecord(topic, b"before", b"k0")])
    writer.flush()
    outgoing = [ProducerRecord(topic, b"v%d" % i, b"k%d" % (i % 7), (("n", b"%d" % i),)) for i in range(50)]
    written = writer.append(outgoing) + writer.append([ProducerRecord(topic, None, b"k1")])
    assert 51 == len(written)
    reader, _ = reader_of(subject, topic)
    found = {(Partition(each.topic, each.partition), each.offset): each for each in read(reader, 52)}
    assert [each.value for each in outgoing] == [found[where].value for where in written[:50]]
    assert found[written[50]].tombstone


def test_append_writes_nothing_where_a_record_is_too_large(subject: Subject) -> None:
    """The error comes before anything is written, and says so."""
    topic = subject.topic()
    writer = subject.open().writer(None)
    with pytest.raises(RecordTooLargeError) as caught:
        writer.append([ProducerRecord(topic, b"a"), ProducerRecord(topic, b"x" * (2 << 20))])
    assert caught.value.none_sent
    assert [(Partition(topic, 0), 0)] == writer.append([ProducerRecord(topic, b"c")])


def test_writing_to_no_topic(subject: Subject) -> None:
    """A topic that does not exist is an error that names it; it is not created by accident."""
    missing = fresh("nowhere")
    writer = subject.open().writer(None)

    def write() -> None:
        writer.send([ProducerRecord(missing, b"a")])
        writer.flush()

    with pytest.raises(TransportError, match=missing) as caught:
        write()
    assert not caught.value.retriable
    assert [] == subject.open().partitions(missing)


# --- the group


def test_a_lone_member_owns_everything(subject: Subject) -> None:
    """It owns nothing before the group has decided, and then all partitions of its topics."""
    topic = subject.topic(3)
    member = subject.open().member(fresh("group"), [topic], Revocations())
    assert frozenset() == member.owned
    member.join()
    until(lambda: member.owned, member.poll)
    assert {Partition(topic, number) for number in range(3)} == member.owned
    member.leave()


def test_a_generation_begins_with_the_first_assignment(subject: Subject) -> None:
    """Before it the generation is 0, so that a member without an assignment differs from one with an empty one."""
    topic = subject.topic(2)
    member = subject.joined(fresh("group"), topic)
    until(lambda: member.generation, member.poll)
    assert 2 == len(member.owned)


def test_two_members_share(subject: Subject) -> None:
    """A second member gets part of the partitions; the first is called before, and its generation grows."""
    topic, group, revocations = subject.topic(4), fresh("group"), Revocations()
    first = subject.joined(group, topic, on_revoked=revocations)
    until(lambda: len(first.owned) == 4, first.poll)
    generation, everything = first.generation, first.owned
    second = subject.joined(group, topic)
    until(lambda: len(first.owned) == len(second.owned) == 2, first.poll, second.poll)
    assert everything == first.owned | second.owned
    assert [(everything, False)] == revocations.calls
    assert first.generation > generation


def test_the_others_get_a_leaving_members_partitions_at_once(subject: Subject) -> None:
    """The others get its partitions without waiting for any timeout."""
    topic, group = subject.topic(4), fresh("group")
    first, second = subject.joined(group, topic), subject.joined(group, topic)
    until(lambda: len(first.owned) == len(second.owned) == 2, first.poll, second.poll)
    began = time.monotonic()
    second.leave()
    until(lambda: len(first.owned) == 4, first.poll)
    assert time.monotonic() - began < 8, "a session lasts 10 s"


def test_offsets_are_the_groups(subject: Subject) -> None:
    """A member reads what another one commits; a partition without an offset is left out."""
    topic, group = subject.topic(2), fresh("group")
    member = subject.joined(group, topic)
    until(lambda: member.owned, member.poll)
    member.commit({Partition(topic, 0): 7})
    other = subject.open().member(group, [topic], Revocations())
    assert {Partition(topic, 0): 7} == other.committed([Partition(topic, 0), Partition(topic, 1)])
    assert {} == subject.open().member(fresh("group"), [topic], Revocations()).committed([Partition(topic, 0)])


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_commit_has_a_note(subject: Subject, in_transaction: bool) -> None:
    """It is there without a membership, as of the last commit; a partition without a commit has none."""
    topic, group = subject.topic(2), fresh("group")
    first, second = subject.open().partitions(topic)
    member = subject.joined(group, topic)
    until(lambda: len(member.owned) == 2, member.poll)
    for note in ("one", "two"):
        if in_transaction:
            writer = subject.open().writer(fresh("writer"))
            writer.begin()
            writer.add_offsets({first: 1}, member.group_metadata, note)
            writer.commit()
        else:
            member.commit({first: 1}, note)
        until(lambda note=note: subject.open().commit_notes(group, [first, second]) == {first: note})  # type: ignore[misc]  # the default binds it


def test_group_offsets_need_no_membership(subject: Subject) -> None:
    """Any client may read a group's offsets, as of its last commit, also while a transaction is open."""
    topic, group = subject.topic(2), fresh("group")
    partitions = [Partition(topic, 0), Partition(topic, 1)]
    assert {} == subject.open().group_offsets(group, partitions)
    member = subject.joined(group, topic)
    until(lambda: member.owned, member.poll)
    member.commit({partitions[0]: 1})
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    writer.add_offsets({partitions[0]: 5}, member.group_metadata)
    assert {partitions[0]: 1} == subject.open().group_offsets(group, partitions)
    writer.commit()
    assert {partitions[0]: 5} == subject.open().group_offsets(group, partitions)


def test_offsets_go_with_the_transaction(subject: Subject) -> None:
    """Offsets of a transaction are the group's once it commits, and never if it does not."""
    topic, group = subject.topic(), fresh("group")
    member = subject.joined(group, topic)
    until(lambda: member.owned, member.poll)
    writer = subject.open().writer(fresh("writer"))
    partition = Partition(topic, 0)
    for offset, end in ((3, writer.commit), (5, writer.abort)):
        writer.begin()
        writer.send([ProducerRecord(topic, b"a")])
        writer.add_offsets({partition: offset}, member.group_metadata)
        end()
    assert {partition: 3} == member.committed([partition])


def test_an_aborted_transaction_without_a_member_leaves_nothing(subject: Subject) -> None:
    """It may write to every partition, and add offsets of a group that it is not in."""
    topic = subject.topic(2)
    broker = subject.open()
    assignment = subject.joined("g-" + topic, topic)
    writer = broker.writer("w-" + topic)
    writer.begin()
    writer.write_empty(broker.partitions(topic))
    writer.add_offsets(dict.fromkeys(broker.partitions(topic), 7), broker.group_metadata("g-" + topic))
    writer.abort()
    assert {} == assignment.committed(broker.partitions(topic))
    reader = broker.reader()
    reader.assign(dict.fromkeys(broker.partitions(topic), 0))
    assert [] == [record for _ in range(5) for records in reader.poll(10, 0.1).values() for record in records]


def test_group_offsets_do_not_wait_for_a_transaction(subject: Subject) -> None:
    """During an open transaction they are the earlier ones, and after its end those that it committed."""
    topic = subject.topic(partitions=2)
    group, at = fresh("group"), Partition(topic, 0)
    member = subject.joined(group, topic)
    until(lambda: member.owned, member.poll)
    member.commit({at: 1})
    broker = subject.open()
    writer = broker.writer(fresh("id"))
    writer.begin()
    writer.add_offsets({at: 5}, member.group_metadata)
    assert {at: 1} == broker.group_offsets(group, [at, Partition(topic, 1)])
    writer.commit()
    until(lambda: broker.group_offsets(group, [at]) == {at: 5})
    assert {} == broker.group_offsets(fresh("group"), [at])


def test_a_transaction_may_have_offsets_only(subject: Subject) -> None:
    """Records without an answer move the group too."""
    topic, group = subject.topic(), fresh("group")
    member = subject.joined(group, topic)
    until(lambda: member.owned, member.poll)
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    writer.add_offsets({Partition(topic, 0): 1}, member.group_metadata)
    writer.commit()
    assert {Partition(topic, 0): 1} == member.committed([Partition(topic, 0)])


def test_revoked_partitions_can_still_be_committed(subject: Subject) -> None:
    """The rebalance waits for `on_revoked`: until it returns, another thread may commit for the member."""
    topic, group = subject.topic(2), fresh("group")
    broker = subject.open()
    writer, errors = broker.writer(fresh("writer")), list[BaseException]()
    first_owned: list[int] = []

    def publish() -> None:
        try:
            writer.begin()
            writer.add_offsets({Partition(topic, 0): 9}, first.group_metadata)
            writer.commit()
            first.commit({Partition(topic, 1): 4})
            first_owned.append(len(second.owned))
        except Exception as error:  # noqa: BLE001 (shown by the test)
            errors.append(error)

    def meanwhile() -> None:
        publisher = threading.Thread(target=publish)
        publisher.start()
        time.sleep(0 if subject.is_memory else 2)
        publisher.join()

    first = subject.joined(group, topic, on_revoked=Revocations(meanwhile))
    until(lambda: len(first.owned) == 2, first.poll)
    second = broker.member(group, [topic], Revocations())
    second.join()
    until(lambda: len(first.owned) == len(second.owned) == 1, first.poll, second.poll)
    assert [] == errors
    assert [0] == first_owned, "the other has nothing yet"
    assert {Partition(topic, 0): 9, Partition(topic, 1): 4} == second.committed(
        [Partition(topic, 0), Partition(topic, 1)]
    )
    second.leave()


def test_an_older_generation_commits_nothing(subject: Subject) -> None:
    """With metadata from before a rebalance, offsets are refused, and the transaction's records stay invisible."""
    topic, out, group = subject.topic(2), subject.topic(), fresh("group")
    first = subject.joined(group, topic)
    until(lambda: len(first.owned) == 2, first.poll)
    stale = first.group_metadata
    second = subject.joined(group, topic)
    until(lambda: len(first.owned) == len(second.owned) == 1, first.poll, second.poll)
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    writer.send([ProducerRecord(out, b"a")])
    with pytest.raises(AssignmentLostError):
        writer.add_offsets({Partition(topic, 0): 3}, stale)
    writer.abort()
    writer.begin()
    writer.add_offsets({Partition(topic, 0): 2}, first.group_metadata)
    writer.commit()
    assert {Partition(topic, 0): 2} == first.committed([Partition(topic, 0)])
    reader, partitions = reader_of(subject, out)
    assert [] == read_to_end(reader, partitions)
