"""Requests are answered between batches, within large ones, and while commits stall."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, cast

import msgspec
from crash import make_processor
from web import eventually

from stream_rec.core.engine import Engine
from stream_rec.core.events import EventDecoder, Request
from stream_rec.service.batches import Batch, Membership, ProcessedBatch, ReadBatch
from stream_rec.service.committing.checkpoint import Checkpoint
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.request_queue import Completed, Query, RequestQueue
from stream_rec.service.running.threads import Threads
from stream_rec.transport.broker import Partition
from stream_rec.transport.records import Record


class Stalled:
    """A checkpoint whose commits wait until the test lets them go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def commit(self, results: Sequence[object], give_up: object) -> None:
        del results, give_up
        self.go_on.wait(20)


class Listener:
    """Counts how often it is called."""

    def __init__(self) -> None:
        self.n = 0

    def after(self, engine: Engine, offsets: Mapping[Partition, int], *, forgot: bool) -> None:
        del engine, offsets, forgot
        self.n += 1

    def idle(self, engine: Engine) -> None:
        del engine
        self.n += 1


def warm_processor() -> Processor:
    """One whose kernels are compiled: a stalled commit must not be taken for a compiler, nor the other way round."""
    made = make_processor()
    made.process(read(0, 1).batch)
    made.answer([Request(session_id="s0")])
    return made


def read(start: int, n: int) -> ReadBatch:
    values = [
        msgspec.json.encode({"session_id": f"s{at % 3}", "item_id": f"i{at % 5}", "timestamp": 1_000 + at})
        for at in range(start, start + n)
    ]
    records = [Record(value, "clicks", 0, start + at) for at, value in enumerate(values)]
    return ReadBatch(RecordDecoder(EventDecoder())(records).batch(records), {}, {}, Membership(1, None))


@contextmanager
def pipeline(processor: Processor, request_queue: RequestQueue, checkpoint: Stalled) -> Any:
    class Closing(Threads):
        def close(self, timeout_s: float = 5.0) -> bool:
            checkpoint.go_on.set()
            return super().close(timeout_s)

    with closing(Closing(processor, cast("Checkpoint", checkpoint), None, request_queue)) as made:
        yield made


def test_requests_are_answered_while_commits_stall() -> None:
    """The broker is away and both queues are full: a request is answered all the same."""
    processor, request_queue, checkpoint = warm_processor(), RequestQueue(), Stalled()
    done: list[Completed] = []
    with pipeline(processor, request_queue, checkpoint) as threads:
        start = 1
        while threads.put(read(start, 1), lambda: True):
            start += 1
        assert start > 20, "the outbox is full, and the mailbox behind it"
        request_queue.put(Query([Request(session_id="s0")]), "asked", done.extend)
        eventually(lambda: done, "answered", 5)
    assert ["asked"] == [each.token for each in done]
    assert isinstance(done[0].result, list)


def test_a_request_does_not_wait_for_a_large_batch() -> None:
    """It is answered within: from an offset inside the batch, and not from its end."""
    processor, request_queue, checkpoint = warm_processor(), RequestQueue(), Stalled()
    checkpoint.go_on.set()
    done: list[Completed] = []
    apply, is_asked = processor.engine.apply_and_answer, threading.Event()

    def and_ask(*given: Any, **named: Any) -> Any:
        if not is_asked.is_set():
            is_asked.set()
            request_queue.put(Query([Request(session_id="s0")]), "asked", done.extend)
        return apply(*given, **named)

    processor.engine.apply_and_answer = and_ask  # type: ignore[method-assign]
    with pipeline(processor, request_queue, checkpoint) as threads:
        threads.put(read(1, 1000))
        eventually(lambda: done, "answered")
    (answer,) = done[0].result
    assert 1 <= answer.offsets["clicks-0"] < 1000


def test_abandoned_threads_do_not_call_the_listener() -> None:
    """A batch may end after its consumer loop: by then snapshots and request queue are the next one's."""
    processor, checkpoint, listener, request_queue = warm_processor(), Stalled(), Listener(), RequestQueue()
    done: list[Completed] = []
    checkpoint.go_on.set()
    is_under_way, go_on, process = threading.Event(), threading.Event(), processor.process

    def slowly(batch: Batch) -> ProcessedBatch:
        is_under_way.set()
        go_on.wait(20)
        return process(batch)

    large = read(1, 65)  # two slices: requests are served in between
    processor.process = slowly  # type: ignore[method-assign]
    threads = Threads(processor, cast("Checkpoint", checkpoint), listener, request_queue)
    threads.put(large)
    assert is_under_way.wait(20)
    before = listener.n
    assert not threads.close(0.0)
    request_queue.put(Query([Request(session_id="s0")]), "asked", done.extend)
    go_on.set()
    threads.join(20)
    assert before == listener.n
    assert 66 == processor.counters.n_read, "the batch was processed"
    assert 1 == len(request_queue), "the request is left to the next consumer loop"
