"""A batch that stops where something is to be done between two of its events, and goes on behind it."""

from collections.abc import Callable, Sequence

import numpy as np

from stream_rec.core.dtypes import I32, U8
from stream_rec.core.engine.learning import Played
from stream_rec.core.engine.models import Models
from stream_rec.core.index import AnswerArrays, EventArrays, Index, Parameters, Policy, field
from stream_rec.core.rerank import Reranker

__all__ = ["Stops", "Turns"]


class Stops:
    """Applies a batch up to each marked event, calls *before* there, and goes on."""

    def __init__(self, index: Index, batch: EventArrays, asks: U8, before: Callable[[int, int], None]) -> None:
        self._index = index
        self._batch = batch
        self._asks = asks
        self._before = before
        self._marked = np.flatnonzero(asks).tolist()
        self._n_called = 0

    def go_on(self, stacked: Parameters, reached: int, answers: AnswerArrays) -> tuple[int, int]:
        """Do the same as `Index.ask_and_apply`."""
        while self._n_called < len(self._marked):
            place = self._marked[self._n_called]
            if place > reached:
                part = EventArrays._make(each[:place] for each in self._batch)
                reached, need = self._index.ask_and_apply(stacked, part, reached, self._asks, answers)
                if need != field.DONE:
                    return reached, need
            self._before(place, int(self._batch.session[place]))
            self._n_called += 1
        return self._index.ask_and_apply(stacked, self._batch, reached, self._asks, answers)


class Turns:
    """Applies a batch up to each event that is answered, and answers it, by learned weights where there are some."""

    def __init__(
        self,
        index: Index,
        rows: I32,
        models: Models,
        played: Sequence[Played | None],
        policy: Policy,
        answers: AnswerArrays,
    ) -> None:
        self._index = index
        self._rows = rows
        self._models = [models.parameters(each) for each in models.split.models]
        self._played = played
        self._policy = policy
        self._answers = answers
        self._places = np.flatnonzero((rows >= 0).any(axis=1)).tolist()
        self._n_answered = 0
        self._reranker = Reranker(index)

    def go_on(self, batch: EventArrays, reached: int) -> tuple[int, int]:
        """Do the same as `Index.apply_and_ask`, to a batch or its first part."""
        index, n = self._index, batch.time.size
        while self._n_answered < len(self._places) and self._places[self._n_answered] < n:
            place = self._places[self._n_answered]
            part = EventArrays._make(each[: place + 1] for each in batch)
            reached, need = index.apply(part, reached)
            if need != field.DONE:
                return reached, need
            if batch.outcome[place] == field.APPLIED:
                self._answer(int(batch.session[place]), self._rows[place].tolist())
            self._n_answered += 1
        return index.apply(batch, reached)

    def _answer(self, session: int, rows: Sequence[int]) -> None:
        for model, played, row in zip(self._models, self._played, rows, strict=True):
            if row < 0:
                continue
            if played is None:
                self._index.ask_session(model, session, self._policy, self._answers, row)
            else:
                self._reranker.ask_session(played.model, played.weights, session, self._answers, row, self._policy)
