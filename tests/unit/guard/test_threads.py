"""One engine, many threads: every answer is that of one thread at its place in the log."""

import copy
import os
import pickle
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from stream_rec import snapshot
from stream_rec.core.catalogue import Catalogue, CatalogueItem
from stream_rec.core.events import Event, Recommendation, Request
from stream_rec.core.index.kernel import entries
from stream_rec.core.limits import Limits
from stream_rec.core.model import Explaining, model
from stream_rec.errors import TornStateError
from stream_rec.guard import Engine
from stream_rec.guard.gate import Gate
from stream_rec.library import Recommender

START = 1_700_000_000_000
ASKED = [f"s{number}" for number in range(12)]
BATCH = 15
CATALOGUE = Catalogue(CatalogueItem(f"i{number}", price=float(number % 7)) for number in range(120))
LIMITS = Limits(retention_ms=900_000, allowed_lateness_ms=0, popular_half_life_ms=60_000)
Answers = dict[str, list[Recommendation]]


def log(n: int, seed: int = 1) -> list[Event]:
    """Events of 40 sessions at a time, one each second, some items much more often than others."""
    drawn = random.Random(seed)
    return [
        Event(f"s{drawn.randrange(40)}", f"i{int(drawn.random() ** 2 * 120)}", START + 1000 * place, user_id="u")
        for place in range(n)
    ]


def engine(events: list[Event]) -> Engine:
    made = Engine(model("vmis-knn", m=50, k=20, n=15), limits=LIMITS)
    made.set_catalogue(CATALOGUE)
    made.apply(events)
    return made


def requests(place: int) -> list[Request]:
    """Return questions that use every part: sessions, queries, rules of their own, explanations, many items."""
    session = ASKED[place % len(ASKED)]
    return [
        Request(session_id=session),
        Request(items=("i1", "i5", "unknown"), n=60),
        Request(session_id=session, exclude=("i0", "i3")),
        Request(session_id=session, filter=f"price < {place % 5 + 1}"),
        Request(session_id=session, explain=True),
    ]


class Twin:
    """What one thread answers after each batch, by the watermark."""

    def __init__(self, events: list[Event], first: int) -> None:
        self._engine = engine(events[:first])
        self.answers: dict[int | None, list[list[object]]] = {}
        self._note()
        for begin in range(first, len(events), BATCH):
            self._engine.apply(events[begin : begin + BATCH])
            self._note()

    def _note(self) -> None:
        asked = [self._engine.answer([each])[0].items for place in range(len(ASKED)) for each in requests(place)]
        self.answers[self._engine.watermark] = [list(items) for items in asked]


@contextmanager
def running(*acts: Callable[[], object]) -> Iterator[threading.Event]:
    """Run *acts* again and again in threads of their own, until the end; raise what any of them raised."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def repeat(act: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                act()
        except BaseException as error:  # noqa: BLE001  # raised again in the test's own thread
            errors.append(error)
            stop.set()

    threads = [threading.Thread(target=repeat, args=(act,), daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_every_answer_is_that_of_one_thread_at_its_place_in_the_log() -> None:
    """Six threads ask in all ways while two write: no answer mixes two states, and the engine stays whole."""
    events = log(2_400)
    first = 600
    twin = Twin(events, first)
    shared = engine(events[:first])
    turn = threading.Lock()
    begins = iter(range(first, len(events), BATCH))
    counts = [0, 0]
    written = threading.Event()

    def write() -> None:
        with turn:
            begin = next(begins, None)
            if begin is None:
                written.set()
                time.sleep(0.01)
                return
            shared.apply(events[begin : begin + BATCH])

    def ask(drawn: random.Random) -> Callable[[], None]:
        def act() -> None:
            place, which = drawn.randrange(len(ASKED)), drawn.randrange(5)
            (answer,) = shared.answer([requests(place)[which]])
            assert twin.answers[answer.as_of][place * 5 + which] == answer.items
            counts[0] += 1

        return act

    def recommend() -> None:
        place = random.randrange(len(ASKED))
        before = shared.watermark
        plain = shared.recommend(ASKED[place])
        explained = shared.ask(shared.model, session_id=ASKED[place], how=Explaining())
        after = shared.watermark
        assert before is not None
        assert after is not None
        possible = [each for at, each in twin.answers.items() if at is not None and before <= at <= after]
        assert plain in [each[place * 5] for each in possible]
        assert explained in [each[place * 5 + 4] for each in possible]
        counts[1] += 1

    with running(write, write, *(ask(random.Random(seed)) for seed in range(5)), recommend) as stop:
        while not (written.is_set() and min(counts) > 50) and not stop.is_set():
            time.sleep(0.01)
    shared._check()
    for place in range(len(ASKED)):
        assert twin.answers[shared.watermark][place * 5 : place * 5 + 5] == [
            shared.answer([each])[0].items for each in requests(place)
        ]


def test_many_at_once_in_parallel_threads_beside_other_askers() -> None:
    """`recommend_many` of one thread and `recommend` of others, while events are added: each sees one state."""
    shop = Recommender("vmis-knn").fit(log(800))
    questions = {f"q{number}": [f"i{number}", f"i{number // 2}"] for number in range(80)}
    states: set[str] = {repr(shop.recommend_many(questions, threads=1))}
    more = iter(range(40))
    done = threading.Event()

    def add() -> None:
        number = next(more, None)
        if number is None:
            done.set()
            time.sleep(0.01)
            return
        shop.add(Event("late", f"i{number}", START + 10_000_000 + number))
        states.add(repr(shop.recommend_many(questions, threads=1)))

    seen: list[str] = []
    with running(
        add, lambda: seen.append(repr(shop.recommend_many(questions, threads=2))), lambda: shop.recommend("s1")
    ) as stop:
        assert done.wait(60) or stop.is_set()
    assert set(seen) <= states


def test_while_one_thread_fits_the_others_are_answered_from_before() -> None:
    """Never from a part of the new log, nor from an empty engine; and `save` writes one of the two."""
    old, new = log(300), log(30_000, seed=2)
    shop = Recommender("vmis-knn").fit(old)
    before, after = shop.stats(), Recommender("vmis-knn").fit(new).stats()
    seen = set()

    with running(lambda: seen.add(shop.stats())):
        shop.fit(new)
    assert after == shop.stats()
    assert seen <= {before, after}
    assert before in seen


def test_a_writer_is_let_in_while_others_never_stop_asking() -> None:
    """And askers while others never stop writing: nobody starves."""
    shared = engine(log(300))
    with running(*[lambda: shared.recommend("s1")] * 4):
        began = time.monotonic()
        for number in range(100):
            shared.apply([Event("w", "i1", START + 400_000 + number)])
        assert time.monotonic() - began < 30
    numbers = iter(range(10**9))
    with running(*[lambda: shared.apply([Event("w", "i2", START + 500_000 + next(numbers))])] * 2):
        began = time.monotonic()
        for _ in range(100):
            shared.recommend("s2")
        assert time.monotonic() - began < 30


def test_askers_are_inside_at_the_same_time() -> None:
    """A gate lets the second in while the first is still there, and a writer only after both."""
    gate, order = Gate(), []
    both = threading.Barrier(2)

    def ask() -> None:
        with gate.asking(lambda: order.append("settled")):
            both.wait(10)
            time.sleep(0.05)
            order.append("asked")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    while gate.is_shut:
        time.sleep(0.001)
    with gate.writing(lambda: None):
        order.append("written")
    for thread in threads:
        thread.join(10)
    assert ["settled", "asked", "asked", "written"] == order


def test_kernels_that_only_read_hold_no_interpreter_lock() -> None:
    """All entries are compiled so."""
    kernels = [getattr(entries, name) for name in entries.__all__]
    assert len(kernels) > 10
    assert all(kernel.dispatcher.targetoptions["nogil"] for kernel in kernels)


# --- what may go wrong


def test_an_asker_that_fails_leaves_the_gate_open() -> None:
    """A wrong parameter, or a workspace that was lost with an exception, stops no writer."""
    shared = engine(log(300))
    for _ in range(3):
        with pytest.raises(Exception, match="n"):
            shared.recommend("s1", n=0)
    shared._gate.open.pop()  # as if Ctrl-C had come just then
    assert 1 == shared.apply([Event("w", "i1", START + 400_000)]).n_applied
    assert shared.recommend("s1")


def test_a_write_that_was_interrupted_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle: half of a batch may be there, so the engine answers no more."""
    shared = engine(log(300))
    monkeypatch.setattr(shared._applier, "apply", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        shared.apply([Event("w", "i1", START + 400_000)])
    for act in (lambda: shared.recommend("s1"), shared.stats, lambda: shared.forget(session_id="s1")):
        with pytest.raises(TornStateError, match="interrupted half-way"):
            act()


def test_a_batch_that_is_refused_leaves_the_engine_as_it_was() -> None:
    """An error that is raised before anything is applied tears nothing."""
    shared = engine(log(300))
    with pytest.raises(OverflowError):
        shared.apply([Event("w", "i1", 1 << 61)])
    assert shared.recommend("s1")


def test_a_write_from_inside_a_write_is_an_error() -> None:
    """By a callback or a signal handler: it would wait for itself for ever."""
    gate = Gate()
    with gate.writing(lambda: None):
        with pytest.raises(RuntimeError, match="from inside"), gate.asking(lambda: None):
            pass
        with pytest.raises(RuntimeError, match="from inside"), gate.writing(lambda: None):
            pass
    with gate.asking(lambda: None):
        pass


# --- forks


def in_a_child(act: Callable[[], bool]) -> bool:
    """Return what *act* returns in a forked child."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if act() else 1
        finally:
            os._exit(code)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) in {0, 1}
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


def test_a_fork_beside_askers_goes_on() -> None:
    """The child answers as its parent, writes on its own, and waits for none of the threads that it has not."""
    shared = engine(log(600))
    shared.recommend("s1")
    expected = [shared.recommend(name) for name in ASKED]
    with running(*[lambda: shared.recommend("s1", n=200)] * 3):
        for _ in range(5):
            assert in_a_child(
                lambda: (
                    expected == [shared.recommend(name) for name in ASKED]
                    and shared.apply([Event("w", "i1", START + 700_000)]).n_applied == 1
                    and shared.recommend("w") != []
                )
            )
    assert expected == [shared.recommend(name) for name in ASKED]


def test_a_fork_in_the_middle_of_a_write_says_so() -> None:
    """The child has half of a batch: an error that tells what to do, not a wrong answer."""
    shared = engine(log(300))
    inside, leave = threading.Event(), threading.Event()

    def write() -> None:
        with shared._gate.writing(shared._settle):
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait(30)

    def says_so() -> bool:
        with pytest.raises(TornStateError, match="forked while another thread wrote"):
            shared.recommend("s1")
        return True

    try:
        assert in_a_child(says_so)
    finally:
        leave.set()
        thread.join(30)
    assert shared.recommend("s1")


# --- copies


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])  # noqa: S301
def test_a_copy_goes_on_by_itself(copied: Callable[[Engine], Engine]) -> None:
    """With state, model, rules and catalogue, and nothing shared; the original does not see what it learns."""
    original = engine(log(600))
    questions = [each for place in range(4) for each in requests(place)]
    questions.append(Request(session_id="s1", max_per_category=1))
    again = copied(original)
    assert original.answer(questions) == again.answer(questions)
    before = original.stats()
    again.apply(log(900)[600:])
    assert before == original.stats() != again.stats()
    original.apply(log(900)[600:])
    assert original.answer(questions) == again.answer(questions)
    again._check()


def test_what_is_loaded_may_be_shared_too(tmp_path: os.PathLike[str]) -> None:
    """`snapshot.load` gives an engine of the same kind."""
    path = os.path.join(tmp_path, "engine.srs")  # noqa: PTH118  # any path-like is taken
    snapshot.save(engine(log(300)), path)
    assert isinstance(snapshot.load(path, "vmis-knn"), Engine)
