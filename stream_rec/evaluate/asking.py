"""One pass over a log: each question asked of all candidates, each event learned when its plan says so.

The questions are shared out among threads. Each thread learns the whole log into an engine of its own, which is cheap,
and asks its share of the questions, which is not; the kernels run without the interpreter's lock. Which thread asks a
question changes no answer. Knows nothing of files, averages or of what is made of the answers.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream_rec.core.dtypes import I64, U8
from stream_rec.core.engine import Engine
from stream_rec.core.index import AnswerArrays, EventArrays, Parameters, Queries
from stream_rec.core.index import field as state
from stream_rec.evaluate import candidates as candidate
from stream_rec.evaluate.candidates import Candidate
from stream_rec.evaluate.kernel.judge import EMPTY, Judged, Truth, fill_visits, judge, rest_sizes
from stream_rec.evaluate.kernel.popular import DROP_CURRENT, DROP_SESSION, KEEP, Popular, count_and_show
from stream_rec.evaluate.log import EvaluationLog
from stream_rec.evaluate.plan import Plan, Stretch

__all__ = ["PassResult", "Standing", "ask_all"]

BATCH: Final = 512
MOST_TIMED: Final = 2000
"""Answers timed one by one, of each candidate."""
MOST_THREADS: Final = 4  # each holds an index of its own
SEEN: Final = {"keep": KEEP, "drop-current": DROP_CURRENT, "drop-session": DROP_SESSION}

Between = Callable[[Judged, int], Sequence[int]]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PassResult:
    """What one pass found: for P candidates, Q questions, C cut-offs."""

    plan: Plan
    candidates: Sequence[Candidate]
    cutoffs: I64
    truth: Truth
    judged: Judged
    counted: npt.NDArray[np.bool_]
    """[Q] False where the event that was asked for turned out to be none: refused as late or as a duplicate"""
    micros: dict[str, Floats]
    """By candidate, what each answer that was timed took"""
    seconds: float


@dataclass(slots=True)
class Standing:
    """How far a pass is, for a progress bar; of the first candidate, how good it was so far."""

    done: int = 0
    asked: int = 0
    reciprocal: float = 0.0

    @property
    def mrr(self) -> float:
        """The mean reciprocal rank so far."""
        return self.reciprocal / max(1, self.asked)


def ask_all(
    plan: Plan,
    candidates: Sequence[Candidate],
    make_engine: Callable[[], Engine],
    *,
    cutoffs: Sequence[int] = (5, 10, 20),
    threads: int | None = None,
    watch: Callable[[Standing], None] = lambda _: None,
    times: bool = True,
    between: Between | None = None,
) -> PassResult:
    """Ask the plan's questions of all *candidates*, whose answers are at least as long as the largest cut-off.

    Without *times* no answer is timed. After each stretch of the plan *between* is shown what was judged, and how many
    events went by; the candidates that it does not return are not asked any more.
    """
    started = perf_counter()
    cuts = np.array(sorted(cutoffs), np.int64)
    assert all(each.model.n >= cuts[-1] for each in candidates), "answers reach to the last cut-off"
    truth = _truth_of(plan)
    n_threads = min(threads or os.cpu_count() or 1, MOST_THREADS)
    judged = _empty(len(candidates), len(plan.rows), cuts.size, 0)
    counted = np.ones(len(plan.rows), np.bool_)
    passes = [
        _Pass(plan, candidates, make_engine(), cuts, truth, judged, counted, number, n_threads)
        for number in range(n_threads)
    ]
    _run_all(plan, passes, watch, lambda done: None if between is None else between(judged, done))
    shown = np.sum([each.judged.shown for each in passes], axis=0)
    micros = _time_answers(plan, candidates, passes[0].engine) if times else {}
    seconds = perf_counter() - started
    return PassResult(plan, candidates, cuts, truth, judged._replace(shown=shown), counted, micros, seconds)


def _run_all(
    plan: Plan,
    passes: Sequence["_Pass"],
    watch: Callable[[Standing], None],
    between: Callable[[int], Sequence[int] | None],
) -> None:
    """Run *passes* side by side, stretch by stretch; where one fails, or this thread is interrupted, all stop."""
    with ThreadPoolExecutor(len(passes)) as pool:
        try:
            for stretch in plan.stretches:
                _wait({pool.submit(each.go, stretch) for each in passes}, lambda: watch(_together(passes)))
                kept = between(stretch.end)
                for one in passes:
                    if kept is not None:
                        one.keep(kept)
        finally:
            for one in passes:
                one.stopped = True


def _wait(running: set[Future[None]], watch: Callable[[], None]) -> None:
    while running:
        done, running = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
        for each in done:
            each.result()
        watch()


def _together(passes: Sequence["_Pass"]) -> Standing:
    standings = [each.standing for each in passes]
    return Standing(
        min(each.done for each in standings),
        sum(each.asked for each in standings),
        sum(each.reciprocal for each in standings),
    )


def _empty(models: int, questions: int, cuts: int, items: int) -> Judged:
    each = (models, questions, cuts)
    return Judged(
        rank=np.zeros((models, questions), np.uint16),
        length=np.zeros((models, questions), np.uint16),
        hits=np.zeros(each, np.uint16),
        novel_hits=np.zeros(each, np.uint16),
        precision=np.zeros(each, np.float32),
        novel_precision=np.zeros(each, np.float32),
        shown=np.zeros((models, cuts, items), np.int64),
    )


def _truth_of(plan: Plan) -> Truth:
    """Look up what came, of each question. O(events)."""
    log = plan.log
    size = 1 << max(4, (2 * len(log)).bit_length())
    key = np.full(size, EMPTY, np.uint64)
    first, last = np.zeros(size, np.int32), np.zeros(size, np.int32)
    fill_visits(key, first, last, log.session, log.item, log.place)
    rest, novel = np.zeros(len(log), np.int32), np.zeros(len(log), np.int32)
    is_new = np.zeros(len(log), np.uint8)
    running = np.zeros(2 * len(log.session_names), np.int32)
    rest_sizes(key, first, last, log.session, log.item, log.place, rest, novel, is_new, running)
    rows = plan.rows
    session, place, item = log.session[rows], log.place[rows], log.item[rows]
    return Truth(key, first, last, session, place, item, rest[rows], novel[rows], is_new[rows])


class _Sessions:
    """The items of each session, one session's behind another's: what its questions' queries are slices of."""

    def __init__(self, log: EvaluationLog) -> None:
        order = np.argsort(log.session, kind="stable")
        self.item = log.item[order]
        lengths = log.lengths()
        self._begin: I64 = np.cumsum(lengths) - lengths
        self._log = log

    def slices(self, rows: I64 | slice) -> tuple[I64, I64]:
        """Return where what came before each of the events *rows* begins and ends."""
        begin = self._begin[self._log.session[rows]]
        return begin, begin + self._log.place[rows]


@dataclass(slots=True)
class _Pass:
    """One thread's: an engine, and a share of the questions."""

    plan: Plan
    candidates: Sequence[Candidate]
    engine: Engine
    cutoffs: I64
    truth: Truth
    judged: Judged
    counted: npt.NDArray[np.bool_]
    number: int
    n_threads: int
    stopped: bool = False
    standing: Standing = field(default_factory=Standing)
    _indexed: list[int] = field(default_factory=list)
    _counting: list[int] = field(default_factory=list)
    _stacked: Parameters | None = None
    _n_types: int = -1
    _popular: Popular | None = None
    _own: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    _asks: U8 = field(default_factory=lambda: np.zeros(0, np.uint8))
    _question: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    _sessions: "_Sessions | None" = None

    def __post_init__(self) -> None:
        """Find this thread's questions."""
        log = self.plan.log
        self._indexed = [place for place, each in enumerate(self.candidates) if not each.counts]
        self._counting = [place for place, each in enumerate(self.candidates) if each.counts]
        mine = np.arange(len(self.plan.rows)) % self.n_threads == self.number
        self._asks = np.zeros(len(log), np.uint8)
        self._asks[self.plan.rows[mine]] = 1
        self._question = np.zeros(len(log), np.int64)
        self._question[self.plan.rows] = np.arange(len(self.plan.rows))
        shape = (len(self.candidates), self.cutoffs.size, len(log.item_names))
        self.judged = self.judged._replace(shown=np.zeros(shape, np.int64))
        self._popular = _new_popular(log, self.engine.denied, self.candidates[0].model.n)
        self._sessions = _Sessions(log)

    def keep(self, kept: Sequence[int]) -> None:
        """Ask only those candidates from now on."""
        self._indexed = [place for place in self._indexed if place in kept]
        self._counting = [place for place in self._counting if place in kept]
        self._stacked = None

    def go(self, stretch: Stretch) -> None:
        """Go through one stretch of the plan."""
        sessions = self._sessions
        assert sessions is not None
        queries = self._numbered(sessions) if stretch.kind == "frozen" else None
        for begin in range(stretch.begin, stretch.end, BATCH):
            if self.stopped:
                return
            end = min(begin + BATCH, stretch.end)
            if queries is None:
                self._learn(begin, end, sessions, asks=stretch.kind == "live")
            else:
                self._ask_frozen(begin, end, sessions, queries)
            self.standing.done += end - begin

    # --- learning, and asking on the way

    def _learn(self, begin: int, end: int, sessions: _Sessions, *, asks: bool) -> None:
        asked = self._asks[begin:end] if asks else np.zeros(end - begin, np.uint8)
        answers = _answers((end - begin) * len(self._indexed), self.candidates[0].model.n)
        batch = self.engine.ask_and_apply(self.plan.log.events[begin:end], asked, self._models(), answers)
        self._note_numbers(begin, end, batch)
        learned = (batch.outcome == state.APPLIED).astype(np.uint8)
        rows = np.flatnonzero(asked)
        question = self._question[begin + rows]
        self.counted[question[learned[rows] == 0]] = False
        self._judge(answers, self._own, rows, question, self._indexed)
        self._ask_counts(begin, end, sessions, asked, learned)
        self._keep_score(question)

    def _note_numbers(self, begin: int, end: int, batch: EventArrays) -> None:
        """Note which item of the log an engine's number stands for. A number is given anew between batches only."""
        size = len(self.engine.items.names)
        if size > len(self._own):
            self._own = np.concatenate((self._own, np.zeros(size, np.int32)))
        self._own[batch.item] = self.plan.log.item[begin:end]

    def _models(self) -> Parameters:
        """Return the candidates as the kernel takes them; which types there are is part of that."""
        n_types = len(self.engine.types)
        if self._stacked is None or n_types != self._n_types:
            self._stacked = candidate.stacked(self.engine, [self.candidates[place] for place in self._indexed])
            self._n_types = n_types
        return self._stacked

    # --- asking with nothing learned

    def _numbered(self, sessions: _Sessions) -> npt.NDArray[np.int32]:
        """Return the sessions' items as the engine's numbers; those that it does not hold are negative."""
        find = self.engine.items.find
        numbers = [find(name) for name in self.plan.log.item_names]
        known = np.array([-1 - item if each is None else each for item, each in enumerate(numbers)], np.int32)
        return known[sessions.item]

    def _ask_frozen(self, begin: int, end: int, sessions: _Sessions, items: npt.NDArray[np.int32]) -> None:
        asked = self._asks[begin:end]
        rows = begin + np.flatnonzero(asked)
        first, last = sessions.slices(rows)
        first = np.maximum(first, last - self.engine.limits.max_session_events)
        names, find = self.plan.log.session_names, self.engine.sessions.ids.find
        slots = [find(names[session]) for session in self.plan.log.session[rows].tolist()]
        own = np.array([-1 if slot is None else slot for slot in slots], np.int64)
        answers = _answers(len(rows) * len(self._indexed), self.candidates[0].model.n)
        self.engine.ask_each(Queries(items, first, last, own), self._models(), answers)
        question = self._question[rows]
        self._judge(answers, self._own, np.arange(len(rows)), question, self._indexed)
        self._ask_counts(begin, end, sessions, asked, np.zeros(end - begin, np.uint8))
        self._keep_score(question)

    # --- counts of events

    def _ask_counts(self, begin: int, end: int, sessions: _Sessions, asks: U8, learns: U8) -> None:
        assert self._popular is not None
        for place in self._counting:
            model = self.candidates[place].model
            answers = _answers(end - begin, model.n)
            first, last = sessions.slices(slice(begin, end))
            items = self.plan.log.item_names
            count_and_show(
                self._popular,
                self.plan.log.item[begin:end],
                asks,
                learns,
                SEEN[model.seen],
                sessions.item,
                first,
                last,
                np.zeros(len(items), np.uint8),
                answers.item,
                answers.n,
            )
            rows = np.flatnonzero(asks)
            identity = np.arange(len(items), dtype=np.int32)
            self._judge(answers, identity, rows, self._question[begin + rows], [place])

    # --- what came out

    def _judge(
        self, answers: AnswerArrays, own: npt.NDArray[np.int32], rows: I64, question: I64, models: Sequence[int]
    ) -> None:
        if len(models):
            numbers = np.array(models, np.int64)
            judge(answers.item, answers.n, own, rows, question, numbers, self.cutoffs, self.truth, self.judged)

    def _keep_score(self, question: I64) -> None:
        ranks = self.judged.rank[0, question].astype(np.float64)
        self.standing.asked += len(question)
        self.standing.reciprocal += float((1.0 / ranks[ranks > 0]).sum())


def _time_answers(plan: Plan, candidates: Sequence[Candidate], engine: Engine) -> dict[str, Floats]:
    """Time single answers from *engine*, at the end of the pass, so from all that it learned; alone, one by one.

    The candidates take turns in being the first, for whom the question's memory is still cold.
    """
    log, sessions = plan.log, _Sessions(plan.log)
    rows = plan.rows[np.unique(np.linspace(0, len(plan.rows) - 1, MOST_TIMED).astype(np.int64))]
    begins, ends = (each.tolist() for each in sessions.slices(rows))
    timed: dict[str, list[float]] = {each.name: [] for each in candidates if not each.counts}
    asked = [each for each in candidates if not each.counts]
    engine.ask(candidates[0].model, items=())  # the first call loads the kernel
    for turn, (row, begin, end) in enumerate(zip(rows.tolist(), begins, ends, strict=True)):
        items = [log.item_names[item] for item in sessions.item[begin:end].tolist()]
        for place in range(len(asked)):
            each = asked[(place + turn) % len(asked)]
            query = items if each.asks else []
            started = perf_counter()
            engine.ask(each.model, session_id=log.events[row].session_id, items=query)
            timed[each.name].append((perf_counter() - started) * 1e6)
    return {each.name: np.array(timed.get(each.name, [])) for each in candidates}


def _answers(rows: int, n: int) -> AnswerArrays:
    return AnswerArrays(
        np.empty((rows, n), np.int32),
        np.empty((rows, n), np.float64),
        np.empty((rows, n), np.uint8),
        np.zeros(rows, np.int32),
    )


def _new_popular(log: EvaluationLog, denied: frozenset[str], n: int) -> Popular:
    """Return counts of nothing, with room for a top from which no session's own items can take too much."""
    names = log.item_names
    longest = int(log.lengths().max(initial=0))
    return Popular(
        events=np.zeros(len(names), np.int64),
        hash=np.array([xxh3_64_intdigest(name.encode()) for name in names], np.uint64),
        denied=np.array([name in denied for name in names], np.uint8),
        at=np.full(len(names), -1, np.int32),
        top=np.zeros(min(len(names), n + longest), np.int32),
        size=np.zeros(1, np.int64),
    )
