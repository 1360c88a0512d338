"""Who asks at the desk is answered between batches, within large ones, and while commits stall."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, cast

import msgspec
from crash import make_processor
from web import eventually

from stream_rec.core.engine import Engine
from stream_rec.core.events import Request
from stream_rec.service.batches import Batch, ProcessedBatch, ReadBatch, Work
from stream_rec.service.committing.checkpoint import Checkpoint
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.request_queue import Completed, Query, RequestQueue
from stream_rec.service.running.threads import Threads
from stream_rec.transport.broker import Partition
from stream_rec.transport.records import Record


class Stalled:
    """A checkpoint whose commits wait until they are let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def commit(self, outputs: Sequence[object], give_up: object) -> None:
        del outputs, give_up
        self.go_on.wait(20)


class Told:
    """A watcher that counts how often it is told."""

    def __init__(self) -> None:
        self.n = 0

    def after(self, engine: Engine, positions: Mapping[Partition, int], *, forgot: bool) -> None:
        del engine, positions, forgot
        self.n += 1

    def idle(self, engine: Engine) -> None:
        del engine
        self.n += 1


def ready_worker() -> Processor:
    """One whose kernels are there: a commit that stalls must not be taken for a compiler, nor the other way round."""
    made = make_processor()
    made.take(batch(made, 0, 1).handed.batch)
    made.answer([Request(session_id="s0")])
    return made


def batch(processor: Processor, start: int, n: int) -> Work:
    values = [
        msgspec.json.encode({"session_id": f"s{at % 3}", "item_id": f"i{at % 5}", "timestamp": 1_000 + at})
        for at in range(start, start + n)
    ]
    records = [Record(value, "clicks", 0, start + at) for at, value in enumerate(values)]
    return Work(ReadBatch(Batch(records, processor.decode(records)), {}, {}), 1, None, 0.0)


@contextmanager
def pipeline(processor: Processor, request_queue: RequestQueue, checkpoint: Stalled) -> Any:
    class Closing(Threads):
        def close(self, timeout_s: float = 5.0) -> bool:
            checkpoint.go_on.set()
            return super().close(timeout_s)

    with closing(Closing(processor, cast("Checkpoint", checkpoint), None, request_queue)) as made:
        yield made


def test_commits_that_stall_keep_nobody_waiting() -> None:
    """The broker is away, both queues are full: a question is answered all the same."""
    processor, request_queue, checkpoint = ready_worker(), RequestQueue(), Stalled()
    done: list[Completed] = []
    request_queue.deliver = done.extend
    with pipeline(processor, request_queue, checkpoint) as threads:
        start = 1
        while threads.put(batch(processor, start, 1), lambda: True):
            start += 1
        assert start > 20, "the outbox is full, and the mailbox behind it"
        request_queue.put(Query([Request(session_id="s0")]), "asked")
        eventually(lambda: done, "answered", 5)
    assert ["asked"] == [each.token for each in done]
    assert isinstance(done[0].result, list)


def test_a_question_does_not_wait_for_a_large_batch() -> None:
    """It is answered within: from a position that the batch holds, and not from its end."""
    processor, request_queue, checkpoint = ready_worker(), RequestQueue(), Stalled()
    checkpoint.go_on.set()
    done: list[Completed] = []
    request_queue.deliver = done.extend
    apply, is_asked = processor.engine.apply_and_answer, threading.Event()

    def and_ask(*given: Any) -> Any:
        if not is_asked.is_set():
            is_asked.set()
            request_queue.put(Query([Request(session_id="s0")]), "asked")
        return apply(*given)

    processor.engine.apply_and_answer = and_ask  # type: ignore[method-assign,assignment]
    with pipeline(processor, request_queue, checkpoint) as threads:
        threads.put(batch(processor, 1, 1000))
        eventually(lambda: done, "answered")
    (answer,) = done[0].result
    assert 1 <= answer.offsets["clicks-0"] < 1000


def test_who_watches_is_told_nothing_of_what_was_abandoned() -> None:
    """A batch may end behind the life that it was read in: by then snapshots and desk are the next one's."""
    processor, checkpoint, watcher, request_queue = ready_worker(), Stalled(), Told(), RequestQueue()
    checkpoint.go_on.set()
    is_under_way, go_on, take = threading.Event(), threading.Event(), processor.take

    def slowly(batch: Batch) -> ProcessedBatch:
        is_under_way.set()
        go_on.wait(20)
        return take(batch)

    work = batch(processor, 1, 65)  # two slices: the desk is looked at in between
    processor.take = slowly  # type: ignore[method-assign]
    threads = Threads(processor, cast("Checkpoint", checkpoint), watcher, request_queue)
    threads.put(work)
    assert is_under_way.wait(20)
    before = watcher.n
    assert not threads.close(0.0)
    request_queue.put(Query([Request(session_id="s0")]), "asked")
    go_on.set()
    for thread in threads._threads:
        thread.join(20)
    assert before == watcher.n
    assert 66 == processor.counts.n_read, "the batch was taken"
    assert 1 == len(request_queue), "the question is left to who comes next"
