"""One pass over a log: asks all candidates each question, and learns each event when the plan says so.

Threads share the questions. Each thread learns the whole log into its own engine, which is cheap, and asks its share of
the questions, which is not; the kernels run without the interpreter's lock. Which thread asks a question changes no
answer. Knows nothing of files or averages.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import numpy as np
from xxhash import xxh3_64_intdigest

from stream_rec.core.dtypes import F64, I32, I64, U8, Mask
from stream_rec.core.engine import Engine
from stream_rec.core.index import AnswerArrays, EventArrays, Parameters, Queries
from stream_rec.core.index import field as state
from stream_rec.evaluate import candidates as candidate
from stream_rec.evaluate.candidates import Candidate
from stream_rec.evaluate.kernel.popular import DROP_CURRENT, DROP_SESSION, KEEP, PopularityCounts, count_and_answer
from stream_rec.evaluate.kernel.scoring import (
    EMPTY,
    AnswerScores,
    GroundTruth,
    fill_occurrences,
    rest_sizes,
    score_answers,
)
from stream_rec.evaluate.learned import LearnedOrders
from stream_rec.evaluate.log import EvaluationLog
from stream_rec.evaluate.plan import Plan, Stretch
from stream_rec.evaluate.timing import SessionItems, time_answers

__all__ = ["PassProgress", "PassResult", "ask_all"]

BATCH: Final = 512
MOST_THREADS: Final = 4  # each holds an index of its own
SEEN: Final = {"keep": KEEP, "drop-current": DROP_CURRENT, "drop-session": DROP_SESSION}

AfterStretch = Callable[[AnswerScores, int], Sequence[int]]
"""Takes the scores so far and how many events went by; returns the candidates (by place) that are asked further."""


@dataclass(frozen=True, slots=True)
class PassResult:
    """The outcome of one pass: P candidates, Q questions, C cut-offs."""

    plan: Plan
    candidates: Sequence[Candidate]
    cutoffs: I64
    truth: GroundTruth
    scores: AnswerScores
    counted: Mask
    """[Q] False if the engine rejected the event asked for, as late or as a duplicate"""
    micros: dict[str, F64]
    """By candidate, the time of each timed answer"""
    seconds: float


@dataclass(slots=True)
class PassProgress:
    """How far a pass is, and the score of the first candidate so far."""

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
    new_engine: Callable[[], Engine],
    *,
    cutoffs: Sequence[int] = (5, 10, 20),
    threads: int | None = None,
    on_progress: Callable[[PassProgress], None] = lambda _: None,
    times: bool = True,
    after_stretch: AfterStretch | None = None,
) -> PassResult:
    """Ask all *candidates* the plan's questions. Their answers must be at least as long as the largest cut-off.

    Without *times* no answer is timed. *after_stretch* is called after each stretch of the plan, and returns the
    candidates that are asked further.
    """
    started = perf_counter()
    cuts = np.array(sorted(cutoffs), np.int64)
    assert all(each.model.n >= cuts[-1] for each in candidates), "answers reach to the last cut-off"
    truth = _ground_truth(plan)
    n_threads = min(threads or os.cpu_count() or 1, MOST_THREADS)
    scores = _no_scores(len(candidates), len(plan.rows), cuts.size, 0)
    counted = np.ones(len(plan.rows), np.bool_)
    workers = [
        _Worker(plan, candidates, new_engine(), cuts, truth, scores, counted, number, n_threads)
        for number in range(n_threads)
    ]
    _run_workers(
        plan, workers, on_progress, lambda done: None if after_stretch is None else after_stretch(scores, done)
    )
    shown = np.sum([each.scores.shown for each in workers], axis=0)
    micros = time_answers(plan, candidates, workers[0].engine) if times else {}
    seconds = perf_counter() - started
    return PassResult(plan, candidates, cuts, truth, scores._replace(shown=shown), counted, micros, seconds)


def _run_workers(
    plan: Plan,
    workers: Sequence["_Worker"],
    on_progress: Callable[[PassProgress], None],
    after_stretch: Callable[[int], Sequence[int] | None],
) -> None:
    """Run *workers* in parallel, stretch by stretch. If one fails, or this thread is interrupted, all stop."""
    with ThreadPoolExecutor(len(workers)) as pool:
        try:
            for stretch in plan.stretches:
                _wait(
                    {pool.submit(each.go, stretch) for each in workers}, lambda: on_progress(_total_progress(workers))
                )
                kept = after_stretch(stretch.end)
                for one in workers:
                    if kept is not None:
                        one.keep(kept)
        finally:
            for one in workers:
                one.stopped = True


def _wait(running: set[Future[None]], on_progress: Callable[[], None]) -> None:
    while running:
        done, running = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
        for each in done:
            each.result()
        on_progress()


def _total_progress(workers: Sequence["_Worker"]) -> PassProgress:
    parts = [each.progress for each in workers]
    return PassProgress(
        min(each.done for each in parts),
        sum(each.asked for each in parts),
        sum(each.reciprocal for each in parts),
    )


def _no_scores(models: int, questions: int, cuts: int, items: int) -> AnswerScores:
    each = (models, questions, cuts)
    return AnswerScores(
        rank=np.zeros((models, questions), np.uint16),
        length=np.zeros((models, questions), np.uint16),
        hits=np.zeros(each, np.uint16),
        novel_hits=np.zeros(each, np.uint16),
        precision=np.zeros(each, np.float32),
        novel_precision=np.zeros(each, np.float32),
        shown=np.zeros((models, cuts, items), np.int64),
    )


def _ground_truth(plan: Plan) -> GroundTruth:
    """Find what came next, for each question. O(events)."""
    log = plan.log
    size = 1 << max(4, (2 * len(log)).bit_length())
    key = np.full(size, EMPTY, np.uint64)
    first, last = np.zeros(size, np.int32), np.zeros(size, np.int32)
    fill_occurrences(key, first, last, log.session, log.item, log.place)
    rest, novel = np.zeros(len(log), np.int32), np.zeros(len(log), np.int32)
    is_new = np.zeros(len(log), np.uint8)
    running = np.zeros(2 * len(log.session_names), np.int32)
    rest_sizes(key, first, last, log.session, log.item, log.place, rest, novel, is_new, running)
    rows = plan.rows
    session, place, item = log.session[rows], log.place[rows], log.item[rows]
    return GroundTruth(key, first, last, session, place, item, rest[rows], novel[rows], is_new[rows])


@dataclass(slots=True)
class _Worker:
    """The work of one thread: an engine, and a share of the questions."""

    plan: Plan
    candidates: Sequence[Candidate]
    engine: Engine
    cutoffs: I64
    truth: GroundTruth
    scores: AnswerScores
    counted: Mask
    number: int
    n_threads: int
    stopped: bool = False
    progress: PassProgress = field(default_factory=PassProgress)
    _by_index: list[int] = field(default_factory=list)
    _by_count: list[int] = field(default_factory=list)
    _by_order: list[int] = field(default_factory=list)
    _learned: LearnedOrders | None = None
    _stacked: Parameters | None = None
    _n_types: int = -1
    _popularity: PopularityCounts | None = None
    _log_items: I32 = field(default_factory=lambda: np.zeros(0, np.int32))
    _asks: U8 = field(default_factory=lambda: np.zeros(0, np.uint8))
    _question: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    _sessions: "SessionItems | None" = None

    def __post_init__(self) -> None:
        """Find this thread's questions."""
        log = self.plan.log
        self._by_index = [place for place, each in enumerate(self.candidates) if not each.counts and each.order is None]
        self._by_order = [place for place, each in enumerate(self.candidates) if each.order is not None]
        if self._by_order:
            ordered = [self.candidates[place] for place in self._by_order]
            self._learned = LearnedOrders(self.engine, ordered, len(log), self.plan.rows)
        self._by_count = [place for place, each in enumerate(self.candidates) if each.counts]
        mine = np.arange(len(self.plan.rows)) % self.n_threads == self.number
        self._asks = np.zeros(len(log), np.uint8)
        self._asks[self.plan.rows[mine]] = 1
        self._question = np.zeros(len(log), np.int64)
        self._question[self.plan.rows] = np.arange(len(self.plan.rows))
        shape = (len(self.candidates), self.cutoffs.size, len(log.item_names))
        self.scores = self.scores._replace(shown=np.zeros(shape, np.int64))
        self._popularity = _new_counts(log, self.engine.denied, self.candidates[0].model.n)
        self._sessions = SessionItems(log, self.engine.limits.max_session_events)

    def keep(self, kept: Sequence[int]) -> None:
        """Ask only the candidates *kept* from now on."""
        self._by_index = [place for place in self._by_index if place in kept]
        self._by_count = [place for place in self._by_count if place in kept]
        assert all(place in kept for place in self._by_order), "learned orders are never dropped"
        self._stacked = None

    def go(self, stretch: Stretch) -> None:
        """Go through one stretch of the plan."""
        sessions = self._sessions
        assert sessions is not None
        queries = self._engine_items(sessions) if stretch.kind == "frozen" else None
        if queries is not None and self._learned is not None:
            self._learned.fit()
        for begin in range(stretch.begin, stretch.end, BATCH):
            if self.stopped:
                return
            end = min(begin + BATCH, stretch.end)
            if queries is None:
                self._learn(begin, end, sessions, asks=stretch.kind == "live")
            else:
                self._ask_frozen(begin, end, sessions, queries)
            self.progress.done += end - begin

    # --- learning, and asking on the way

    def _learn(self, begin: int, end: int, sessions: SessionItems, *, asks: bool) -> None:
        asked = self._asks[begin:end] if asks else np.zeros(end - begin, np.uint8)
        answers = _new_answers((end - begin) * len(self._by_index), self.candidates[0].model.n)
        ordered = None
        if self._learned is not None and asks:
            ordered = self._learned.asking(begin, end)
        before = None if ordered is None else ordered.ask
        batch = self.engine.ask_and_apply(self.plan.log.events[begin:end], asked, self._parameters(), answers, before)
        self._map_items(begin, end, batch)
        learned = (batch.outcome == state.APPLIED).astype(np.uint8)
        rows = np.flatnonzero(asked)
        question = self._question[begin + rows]
        self.counted[question[learned[rows] == 0]] = False
        self._score(answers, self._log_items, rows, question, self._by_index)
        if ordered is not None:
            self._score(ordered.answers, self._log_items, rows, question, self._by_order)
        self._ask_counts(begin, end, sessions, asked, learned)
        self._count_progress(question)

    def _map_items(self, begin: int, end: int, batch: EventArrays) -> None:
        """Map the engine's item ordinals to those of the log. The engine reuses an ordinal only between batches."""
        size = len(self.engine.items.names)
        if size > len(self._log_items):
            self._log_items = np.concatenate((self._log_items, np.zeros(size, np.int32)))
        self._log_items[batch.item] = self.plan.log.item[begin:end]

    def _parameters(self) -> Parameters:
        """Return the candidates as the kernel takes them. They depend on the event types seen so far."""
        n_types = len(self.engine.types)
        if self._stacked is None or n_types != self._n_types:
            self._stacked = candidate.stacked(self.engine, [self.candidates[place] for place in self._by_index])
            self._n_types = n_types
        return self._stacked

    # --- asking with nothing learned

    def _engine_items(self, sessions: SessionItems) -> I32:
        """Return the sessions' items as the engine's ordinals; items that it does not have are negative."""
        find = self.engine.items.find
        numbers = [find(name) for name in self.plan.log.item_names]
        known = np.array([-1 - item if each is None else each for item, each in enumerate(numbers)], np.int32)
        return known[sessions.item]

    def _ask_frozen(self, begin: int, end: int, sessions: SessionItems, items: I32) -> None:
        asked = self._asks[begin:end]
        rows = begin + np.flatnonzero(asked)
        first, last = sessions.slices(rows)
        names, find = self.plan.log.session_names, self.engine.sessions.ids.find
        ordinals = [find(names[session]) for session in self.plan.log.session[rows].tolist()]
        own = np.array([-1 if ordinal is None else ordinal for ordinal in ordinals], np.int64)
        answers = _new_answers(len(rows) * len(self._by_index), self.candidates[0].model.n)
        queries = Queries(items, first, last, own)
        self.engine.ask_each(queries, self._parameters(), answers)
        question = self._question[rows]
        self._score(answers, self._log_items, np.arange(len(rows)), question, self._by_index)
        if self._learned is not None:
            ordered = self._learned.ask_each(queries)
            self._score(ordered, self._log_items, np.arange(len(rows)), question, self._by_order)
        self._ask_counts(begin, end, sessions, asked, np.zeros(end - begin, np.uint8))
        self._count_progress(question)

    # --- counts of events

    def _ask_counts(self, begin: int, end: int, sessions: SessionItems, asks: U8, learns: U8) -> None:
        assert self._popularity is not None
        for place in self._by_count:
            model = self.candidates[place].model
            answers = _new_answers(end - begin, model.n)
            first, last = sessions.slices(slice(begin, end))
            items = self.plan.log.item_names
            count_and_answer(
                self._popularity,
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
            self._score(answers, identity, rows, self._question[begin + rows], [place])

    # --- scores

    def _score(self, answers: AnswerArrays, own: I32, rows: I64, question: I64, models: Sequence[int]) -> None:
        if len(models):
            numbers = np.array(models, np.int64)
            score_answers(answers.item, answers.n, own, rows, question, numbers, self.cutoffs, self.truth, self.scores)

    def _count_progress(self, question: I64) -> None:
        ranks = self.scores.rank[0, question].astype(np.float64)
        self.progress.asked += len(question)
        self.progress.reciprocal += float((1.0 / ranks[ranks > 0]).sum())


def _new_answers(rows: int, n: int) -> AnswerArrays:
    return AnswerArrays(
        np.empty((rows, n), np.int32),
        np.empty((rows, n), np.float64),
        np.empty((rows, n), np.uint8),
        np.zeros(rows, np.int32),
    )


def _new_counts(log: EvaluationLog, denied: frozenset[str], n: int) -> PopularityCounts:
    """Return empty counts. The top is long enough for an answer of *n* items after a session's own are removed."""
    names = log.item_names
    longest = int(log.lengths().max(initial=0))
    return PopularityCounts(
        events=np.zeros(len(names), np.int64),
        hash=np.array([xxh3_64_intdigest(name.encode()) for name in names], np.uint64),
        denied=np.array([name in denied for name in names], np.uint8),
        at=np.full(len(names), -1, np.int32),
        top=np.zeros(min(len(names), n + longest), np.int32),
        size=np.zeros(1, np.int64),
    )
