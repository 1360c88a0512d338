"""Questions: what is asked as numbers, and the names of what comes out, with the reasons if they are wanted.

Changes nothing of what is held. Knows nothing of events.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.engine.models import Models
from stream_rec.core.engine.rows import all_named, named, new_rows
from stream_rec.core.engine.state import EngineState
from stream_rec.core.events import Answer, Recommendation, Request
from stream_rec.core.index import AnswerArrays, Queries, Spread, field
from stream_rec.core.model import EXPLAINED, AnsweredQuery, CompiledRules, Explaining, Model, Names, ScoredItem, explain

__all__ = ["Answering", "NextItemQuery"]

NOTHING: Final = np.empty(0, np.int32)
MOST_ROWS: Final = 1 << 20  # items of the answers of one call: 13 MB


class NextItemQuery(NamedTuple):
    """What next for a session, or after *items*; with both, the session is nobody's neighbour."""

    session_id: str | None = None
    items: Sequence[str] | None = None


class Answering:
    """Asks the index what is *held*, with *models* and under the rules of the *rulebook*."""

    def __init__(self, held: EngineState, models: Models, rulebook: CompiledRules) -> None:
        self._held = held
        self._models = models
        self._rulebook = rulebook
        self._row = new_rows(1, models.split.models[0].n)
        """For what is asked alone: the next question writes over it."""

    def answer(self, requests: Sequence[Request], offsets: Mapping[str, int]) -> list[Answer]:
        """Answer each request from the present state; those with the same parameters go through the kernel together."""
        alike: dict[tuple[int, bool], tuple[Model, list[int]]] = {}
        for place, request in enumerate(requests):
            point = self._models.variant(request)
            alike.setdefault((id(point), request.explain), (point, []))[1].append(place)
        answers: list[Answer] = [None] * len(requests)  # type: ignore[list-item]  # each is filled in below
        as_of = self._held.index.watermark
        for point, places in alike.values():
            asked = requests if len(alike) == 1 else [requests[place] for place in places]
            for place, request, items in zip(places, asked, self._answer_alike(point, asked), strict=True):
                answers[place] = Answer(request.session_id, request.request_id, items, as_of, dict(offsets), point.name)
        return answers

    def _answer_alike(self, point: Model, requests: Sequence[Request]) -> Iterator[list[Recommendation]]:
        """Answer requests that have the same parameters, and are all to be explained or none."""
        if requests[0].explain:  # from what the kernel leaves of its last query
            for request in requests:
                yield self.ask(point, request, Explaining(hide_sessions=request.hide_sessions))
            return
        held, stacked = self._held, self._models.alone(point)
        at_most = max(1, MOST_ROWS // point.n)
        for begin, end, policy in self._rulebook.policies(requests, held.items.find, at_most):
            answers = new_rows(end - begin, point.n)
            held.index.ask_many(stacked, self._queries(requests[begin:end]), policy, answers)
            yield from all_named(held.items.names, answers)

    def ask(self, point: Model, request: Request, how: Explaining | None) -> list[Recommendation]:
        """Answer *request* with *point*, and tell why if it is told *how*."""
        held, items = self._held, request.items
        parameters = self._models.parameters(point)
        rows = self._row if point.n <= self._row.item.shape[1] else new_rows(1, point.n)
        self._row = rows
        slot = None if request.session_id is None else held.sessions.ids.find(request.session_id)
        ((_, _, policy),) = self._rulebook.policies([request], held.items.find, 1)
        own = -1 if slot is None else slot
        query = None if items is None and slot is not None else self._query(items or ())
        if query is None:
            held.index.ask_session(parameters, own, policy, rows, 0)
        else:
            held.index.ask_items(parameters, query, own, policy, rows, 0)
        answer = named(held.items.names, rows, 0)
        if how is None:
            return answer
        seen = held.index.events_of(own)[0] if query is None else query
        boosts = self._rulebook.boosts(policy, held.index.state.item["row"], rows.item[0, : len(answer)])
        return self._explained(answer, rows, AnsweredQuery(parameters, seen.tolist(), own, boosts), how)

    def _explained(
        self, answer: list[Recommendation], rows: AnswerArrays, asked: AnsweredQuery, how: Explaining
    ) -> list[Recommendation]:
        """Return the *answer*, in row 0, with why its items are that to what was *asked* last."""
        n = min(len(answer), EXPLAINED)
        columns = (column[0, :n].tolist() for column in (rows.item, rows.score, rows.source))
        names = Names(self._held.items.names, self._held.sessions.ids.names)
        reasons = explain(self._held.index, names, asked, list(map(ScoredItem, *columns)), how)
        told = [msgspec.structs.replace(each, why=why) for each, why in zip(answer, reasons, strict=False)]
        return told + answer[n:]

    def ask_many(
        self, point: Model, questions: Sequence[NextItemQuery], exclude: Sequence[str], spread: Spread, parts: int
    ) -> list[list[Recommendation]]:
        """Return what *point* recommends for each of *questions*, cut into *parts* for *spread* to run."""
        held, answers = self._held, new_rows(len(questions), point.n)
        current = (None if each.items is None else tuple(each.items[-1:]) for each in questions)
        asked = [Request(items=items, exclude=tuple(exclude)) for items in current]
        for begin, end, policy in self._rulebook.policies(asked, held.items.find, max(1, len(questions))):
            part = AnswerArrays._make(array[begin:end] for array in answers)
            queries = self._queries(questions[begin:end])
            held.index.ask_many(self._models.alone(point), queries, policy, part, spread, parts)
        return list(all_named(held.items.names, answers))

    # --- from names to numbers

    def _queries(self, questions: Sequence[NextItemQuery] | Sequence[Request]) -> Queries:
        """Return questions as numbers; where a session's own events are the query, the kernel reads them."""
        find = self._held.sessions.ids.find
        parts, begins, ends, owns = [NOTHING], [], [], []
        end = 0
        for each in questions:
            slot = None if each.session_id is None else find(each.session_id)
            owns.append(-1 if slot is None else slot)
            if each.items is None and slot is not None:
                begins.append(field.OWN_EVENTS)
                ends.append(field.OWN_EVENTS)
                continue
            begins.append(end)
            if each.items:
                parts.append(self._query(each.items))
                end += len(each.items)
            ends.append(end)
        items = np.concatenate(parts) if end else NOTHING
        return Queries(items, np.array(begins, np.int64), np.array(ends, np.int64), np.array(owns, np.int64))

    def _query(self, names: Sequence[str]) -> npt.NDArray[np.int32]:
        """Number the query's items; those that nobody holds get negative numbers, equal ones alike."""
        find = self._held.items.find
        strangers: dict[str, int] = {}
        numbers = [find(name) for name in names]
        for place, number in enumerate(numbers):
            if number is None:
                numbers[place] = -1 - strangers.setdefault(names[place], len(strangers))
        return np.array(numbers, np.int32)
