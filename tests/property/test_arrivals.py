"""Merged partitions: the order of the events does not depend on how they were fetched."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_rec.core.events import NO_LOG_TIME, Event
from stream_rec.errors import DecodeError
from stream_rec.service.batches import Batch
from stream_rec.service.consuming.partition_merge import PartitionMerge
from stream_rec.transport.broker import Partition
from stream_rec.transport.records import Record

Log = list[list[int | None]]

logs = st.lists(st.lists(st.none() | st.integers(0, 12), max_size=8), min_size=1, max_size=4)


def parts(log: Log) -> list[Partition]:
    return [Partition("t", number) for number in range(len(log))]


def record(number: int, offset: int) -> Record:
    return Record(b"", "t", number, offset)


def decoded(time: int | None) -> Event | DecodeError:
    return DecodeError("not_json", "no") if time is None else Event("s", "i", time)


def merged_plainly(log: Log) -> list[tuple[int, int]]:
    """Merge head by head: the earliest first, a record without a time right after the one before it."""
    at = [0] * len(log)
    reached = [-1] * len(log)
    order = []
    while any(at[p] < len(log[p]) for p in range(len(log))):
        heads = []
        for p in range(len(log)):
            if at[p] < len(log[p]):
                time = log[p][at[p]]
                heads.append((max(reached[p], -1 if time is None else time), p))
        time, p = min(heads)
        reached[p] = time
        order.append((p, at[p]))
        at[p] += 1
    return order


class Fetcher:
    """Adds a log to a `PartitionMerge` in pieces."""

    def __init__(self, log: Log, at: Sequence[int] | None = None) -> None:
        self.log = log
        self.at = list(at or [0] * len(log))
        self.merge = PartitionMerge(dict(zip(parts(log), self.at, strict=True)))

    def fetch(self, p: int, n: int) -> None:
        until = min(self.at[p] + n, len(self.log[p]))
        offsets = range(self.at[p], until)
        if offsets:
            self.merge.add(
                Partition("t", p), [record(p, o) for o in offsets], [decoded(self.log[p][o]) for o in offsets]
            )
        self.at[p] = until

    def take(self, n: int) -> list[tuple[int, int]]:
        drained = {Partition("t", p) for p in range(len(self.log)) if self.at[p] == len(self.log[p])}
        taken = self.merge.take(n, drained)
        assert len(taken.records) == len(taken.decoded) <= n
        for each, said in zip(taken.records, taken.decoded, strict=True):
            time = self.log[each.partition][each.offset]
            assert (said.timestamp if isinstance(said, Event) else None) == time
        return [(each.partition, each.offset) for each in taken.records]


@given(logs, st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 5)), max_size=12))
def test_the_order_does_not_depend_on_how_it_is_fetched(log: Log, steps: list[tuple[int, int, int]]) -> None:
    """Partitions wait for each other, whichever piece arrives first."""
    fetcher = Fetcher(log)
    order = []
    for p, n_fetched, n_taken in steps:
        fetcher.fetch(p % len(log), n_fetched)
        order += fetcher.take(n_taken)
    for p in range(len(log)):
        fetcher.fetch(p, 100)
    while taken := fetcher.take(3):
        order += taken
    assert merged_plainly(log) == order
    assert {p: len(each) for p, each in zip(parts(log), log, strict=True)} == fetcher.merge.offsets


@given(logs, st.integers(0, 32))
def test_a_restart_goes_on_in_the_same_order(log: Log, n: int) -> None:
    """A merge restarts at any place in the order, from the offsets alone."""
    order = merged_plainly(log)
    before = order[:n]
    at = [sum(p == each for each, _ in before) for p in range(len(log))]
    fetcher = Fetcher(log, at)
    for p in range(len(log)):
        fetcher.fetch(p, 100)
    assert order[n:] == fetcher.take(100)


@given(logs, st.lists(st.integers(0, 8), min_size=4, max_size=4))
def test_limits_are_kept(log: Log, limits: list[int]) -> None:
    """No record beyond a limit comes out, all before it do, and records beyond it are not waited for."""
    fetcher = Fetcher(log)
    bounded = {Partition("t", p): limits[p] for p in range(len(log))}
    fetcher.merge.limit(bounded)
    for p in range(len(log)):
        fetcher.fetch(p, 100)
    targets = {each: min(limit, len(log[each.number])) for each, limit in bounded.items()}
    assert fetcher.merge.reached(targets, ()) == (not any(targets.values()))
    taken = fetcher.merge.take(100, ())
    drained = fetcher.merge.take(100, parts(log))
    taken_out = {(each.partition, each.offset) for each in [*taken.records, *drained.records]}
    assert {(p, o) for p in range(len(log)) for o in range(min(limits[p], len(log[p])))} == taken_out
    assert fetcher.merge.reached(targets, ())
    fetcher.merge.limit(dict.fromkeys(parts(log)))
    rest = fetcher.merge.take(100, parts(log))
    assert sum(map(len, log)) == len(taken_out) + len(rest.records)


Several = list[list[list[int]]]
"""Of each partition, of each record, the times of its events."""

several = st.lists(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), max_size=5), min_size=1, max_size=3)


@given(several, st.integers(1, 5), st.integers(1, 4))
def test_no_record_is_split(log: Several, n_taken: int, n_fetched: int) -> None:
    """Each part holds whole records, in the order of their last events' times, however many are asked for."""
    merge = PartitionMerge(dict.fromkeys((Partition("t", p) for p in range(len(log))), 0))
    for p, records in enumerate(log):
        for begin in range(0, len(records), n_fetched):
            some = records[begin : begin + n_fetched]
            placed = [(offset, time, i) for offset, times in enumerate(some, begin) for i, time in enumerate(times, 1)]
            events = [Event("s", "i", time) for _, time, _ in placed]
            elements = np.array([element for *_, element in placed], np.int32)
            merge.add(Partition("t", p), [record(p, o) for o, *_ in placed], events, elements=elements)
    order: list[tuple[int, int]] = []
    while len(merge):
        before = merge.offsets
        records_, decoded_, _, elements_ = merge.take(n_taken, parts([[] for _ in log]))
        assert elements_ is not None
        assert 1 == elements_[0]
        for place, (each, said) in enumerate(zip(records_, decoded_, strict=True)):
            assert isinstance(said, Event)
            assert log[each.partition][each.offset][elements_[place] - 1] == said.timestamp
            if elements_[place] == 1:
                order.append((each.partition, each.offset))
            else:
                assert (order[-1], elements_[place - 1] + 1) == ((each.partition, each.offset), elements_[place])
        last = records_[len(records_) - 1]
        assert elements_[-1] == len(log[last.partition][last.offset])
        moved = {(p.number, o) for p, offset in merge.offsets.items() for o in range(before[p], offset)}
        assert moved == {(each.partition, each.offset) for each in records_}
    assert merged_plainly([[max(times) for times in records] for records in log]) == order


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.integers(1, 4))
def test_no_slice_splits_a_record(sizes: list[int], n: int) -> None:
    """A batch is cut where records end: between two slices, requests are answered from the state."""
    elements = [i for size in sizes for i in (range(1, size + 1) if size else [0])]
    events = [Event("s", "i", at) for at in range(len(elements))]
    batch = Batch([record(0, 0)] * len(events), events, elements=np.array(elements, np.int32))
    slices = list(batch.slices(n))
    assert events == [each for part in slices for each in part.decoded]
    for part in slices:
        assert part.elements is not None
        assert part.elements[0] <= 1
        assert len(part.decoded) < n + max(1, *sizes)


def test_an_empty_partition_is_waited_for() -> None:
    """Until an empty partition has records or is drained, the others advance only as far as its time is known."""
    fetcher = Fetcher([[5, 6], [1, 7]])
    fetcher.fetch(0, 2)
    assert fetcher.take(9) == []
    fetcher.fetch(1, 1)
    assert fetcher.take(9) == [(1, 0)]
    fetcher.fetch(1, 1)
    assert fetcher.take(9) == [(0, 0), (0, 1), (1, 1)]


def test_requests_are_not_waited_for() -> None:
    """Requests have the broker's time, and delay no event."""
    events, requests = Partition("clicks", 0), Partition("asks", 0)
    merge = PartitionMerge({events: 0, requests: 0}, beside=[requests])
    merge.add(events, [Record(b"", "clicks", 0, 0)], [Event("s", "i", 50)])
    assert [each.topic for each in merge.take(9, [events]).records] == ["clicks"]
    merge.add(requests, [Record(b"", "asks", 0, 0, timestamp_ms=70)], [None])
    merge.add(events, [Record(b"", "clicks", 0, 1)], [Event("s", "i", 60)])
    assert [each.topic for each in merge.take(9, [events]).records] == ["clicks", "asks"]
    assert merge.full(1) == set()


def test_a_clock_that_is_ahead_is_not_waited_for() -> None:
    """A record counts in the merge by its log time, if that is earlier; log times come out with their records."""
    fast, slow = Partition("t", 0), Partition("t", 1)
    merge = PartitionMerge({fast: 0, slow: 0})
    merge.add(
        fast,
        [Record(b"", "t", 0, n) for n in range(3)],
        [Event("s", "i", at) for at in (1000, 11, 12)],
        np.arange(10, 13),
    )
    merge.add(slow, [Record(b"", "t", 1, n) for n in range(2)], [Event("s", "i", at) for at in (10, 11)])
    records, decoded, log_times, _ = merge.take(9, [fast, slow])
    assert [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)] == [(each.partition, each.offset) for each in records]
    assert [1000, 10, 11, 11, 12] == [each.timestamp for each in decoded if isinstance(each, Event)]
    assert log_times is not None
    assert [10, NO_LOG_TIME, 11, NO_LOG_TIME, 12] == log_times.tolist()


def test_log_times_stay_with_their_records() -> None:
    """However many come and go, and whether or not the first records had one."""
    part = Partition("t", 0)
    merge = PartitionMerge({part: 0})
    came: list[int] = []
    went: list[int] = []
    for n in range(60):
        offsets = range(n * 7, n * 7 + 7)
        times = None if n < 3 else np.array(offsets, np.int64) + 5
        merge.add(part, [Record(b"", "t", 0, o) for o in offsets], [Event("s", "i", o) for o in offsets], times)
        came += [NO_LOG_TIME] * 7 if times is None else times.tolist()
        taken = merge.take(5 + n % 4, [part])
        went += [NO_LOG_TIME] * len(taken.decoded) if taken.log_times is None else taken.log_times.tolist()
    while len(merge):
        taken = merge.take(50, [part])
        assert taken.log_times is not None
        went += taken.log_times.tolist()
    assert came == went
