"""Learned orders beside the models: learned from what was asked before, never from what is asked."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream_rec.core.dtypes import I64
from stream_rec.core.engine import Engine
from stream_rec.core.index import AnswerArrays, Queries, field
from stream_rec.core.model import stack_models
from stream_rec.core.rerank import FORMS, CandidateModel, Fit, Learner, Reranker, space_for
from stream_rec.evaluate.candidates import Candidate

__all__ = ["BatchAsking", "LearnedOrders"]

MOST_FITS: Final = 40
FEWEST_EVENTS: Final = 5_000
MOST_EVENTS: Final = 50_000
_FORMS: Final = tuple(FORMS)


class LearnedOrders:
    """Asks *candidates*, which share one model and differ in their order only, of *engine*.

    Weights are fitted again after each FEWEST_EVENTS to MOST_EVENTS events of the log, MOST_FITS times at most in a log
    that is not longer than that allows, and only before a batch with one of the events *rows*, [Q], ascending, that are
    asked for, in this thread or another.
    """

    def __init__(self, engine: Engine, candidates: Sequence[Candidate], n_events: int, rows: I64) -> None:
        self._engine = engine
        self._model = candidates[0].model
        assert all(each.model == self._model for each in candidates), "one model in several orders"
        self._orders = [each.order for each in candidates]
        self._reranker = Reranker(engine.index)
        self._learner = Learner(engine.index)
        self._every = min(max(n_events // MOST_FITS, FEWEST_EVENTS), MOST_EVENTS)
        self._rows_asked = rows
        self._next = 0
        self._fit: Fit | None = None

    def fit(self) -> None:
        """Learn from what the engine retains."""
        boundary = int(self._engine.index.view.counter(field.WATERMARK))
        self._fit = self._learner.fit(self._engine.parameters(self._model), boundary)

    def asking(self, begin: int, end: int) -> "BatchAsking | None":
        """Return what asks before the events from *begin* up to *end* of the log; learn before, if it is time.

        None if none of them is asked for.
        """
        first, last = np.searchsorted(self._rows_asked, (begin, end))
        if first == last:
            return None
        if self._fit is None or begin >= self._next:
            self.fit()
            self._next = begin + self._every
        return BatchAsking(self, end - begin)

    def ask_each(self, queries: Queries) -> AnswerArrays:
        """Answer each of Q queries in each order, into Q x orders rows."""
        assert self._fit is not None, "fitted before"
        n_queries, n = len(queries.own), self._model.n
        parameters = self._engine.parameters(self._model)
        by_form = space_for(n_queries * len(FORMS), n)
        candidates = CandidateModel.of(parameters, self._fit.n_candidates)
        self._reranker.ask(candidates, self._fit.weights, queries, by_form)
        rows: I64 = (np.arange(n_queries)[:, None] * len(FORMS) + self._rows()).ravel()
        answers = AnswerArrays._make(each[rows] for each in by_form)
        own = self._rows() == _FORMS.index("plain")
        if own.any():  # with the fallbacks that the model has
            plain = space_for(n_queries, n)
            self._engine.ask_each(queries, stack_models([parameters]), plain)
            rows = np.flatnonzero(np.tile(own, n_queries))
            query = np.repeat(np.arange(n_queries), int(own.sum()))
            answers.item[rows] = plain.item[query]
            answers.score[rows] = plain.score[query]
            answers.source[rows] = plain.source[query]
            answers.n[rows] = plain.n[query]
        return answers

    def ask_session(self, session: int) -> AnswerArrays:
        """Answer for *session* in each order."""
        items = self._engine.index.view.events_of(session)[0].astype(np.int32)
        own = np.array([session], np.int64)
        return self.ask_each(Queries(items, np.zeros(1, np.int64), np.array([len(items)], np.int64), own))

    def space_for(self, n_questions: int) -> AnswerArrays:
        """Return space for the answers to so many questions in each order."""
        return space_for(n_questions * len(self._orders), self._model.n)

    def _rows(self) -> I64:
        assert self._fit is not None, "fitted before"
        best = self._fit.best()
        return np.array([_FORMS.index(best if each == "rerank" else each or "plain") for each in self._orders])


class BatchAsking:
    """The answers to one batch of events, before each that is asked for."""

    def __init__(self, orders: LearnedOrders, n_events: int) -> None:
        self._orders = orders
        self.answers = orders.space_for(n_events)

    def ask(self, place: int, session: int) -> None:
        """Answer for *session* before event *place* of the batch."""
        own = self._orders.ask_session(session)
        rows = slice(place * len(own.n), (place + 1) * len(own.n))
        self.answers.item[rows] = own.item
        self.answers.score[rows] = own.score
        self.answers.source[rows] = own.source
        self.answers.n[rows] = own.n
