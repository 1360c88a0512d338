"""Queries: ids to ordinals, the kernel's answers back to ids, and explanations if they are wanted.

Changes nothing in the state. Knows nothing of events.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.engine.learned_why import by_weights
from stream_rec.core.engine.learning import Learning, Played
from stream_rec.core.engine.models import Models
from stream_rec.core.engine.newest import NewestItems
from stream_rec.core.engine.rows import all_named, named, new_rows
from stream_rec.core.engine.state import EngineState
from stream_rec.core.events import Answer, Recommendation, Request
from stream_rec.core.index import AnswerArrays, ParallelMap, Queries, Workspace, field
from stream_rec.core.model import (
    EXPLAINED,
    AnsweredQuery,
    CompiledRules,
    Explaining,
    Model,
    Names,
    ScoredItem,
    explain,
    mixes_newest,
    without_newest,
)
from stream_rec.core.rerank import Reranker
from stream_rec.core.shown import Impressions

__all__ = ["NextItemQuery", "QueryAnswerer"]

_NO_ITEMS: Final = np.empty(0, np.int32)
_MOST_ROWS: Final = 1 << 20  # items of the answers of one call: 13 MB


def _never(_: Model) -> Played | None:
    return None


def _one_query(items: npt.NDArray[np.int32] | None, own: int) -> Queries:
    """Return the query of *items*, or of the events of session *own*."""
    ends = (field.OWN_EVENTS, field.OWN_EVENTS) if items is None else (0, items.size)
    begin, end, session = (np.array([each], np.int64) for each in (*ends, own))
    return Queries(_NO_ITEMS if items is None else items, begin, end, session)


class NextItemQuery(NamedTuple):
    """What comes next in a session, or after *items*; with both, the session may not be a neighbour."""

    session_id: str | None = None
    items: Sequence[str] | None = None


class QueryAnswerer:
    """Answers queries from *state*, with *models* and under *rules*, with the *newest* items where a model wants them.

    Queries that run side by side need a *workspace* each, a settled index and compiled rules (`can_share`).
    """

    def __init__(
        self,
        state: EngineState,
        models: Models,
        rules: CompiledRules,
        newest: NewestItems,
        impressions: Impressions | None = None,
        learning: Learning | None = None,
    ) -> None:
        self._state = state
        self._models = models
        self._rules = rules
        self._played = _never if learning is None or not learning.is_on else learning.played
        self._newest = newest
        self._impressions = None if impressions is None or impressions.rules.at_most is None else impressions

    def can_share(self, requests: Sequence[Request]) -> bool:
        """Return whether *requests* can be answered beside others: without rules that must be compiled first."""
        return self._rules.are_compiled(self._without_ignored(requests))

    def _without_ignored(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Return *requests* that exclude also what their sessions have ignored."""
        impressions = self._impressions
        if impressions is None:
            return requests
        watermark = self._state.index.view.watermark
        found = []
        for request in requests:
            ignored = impressions.ignored(request.session_id, watermark)
            excluded = (*request.exclude, *ignored)
            found.append(msgspec.structs.replace(request, exclude=excluded) if ignored else request)
        return found

    def answer(
        self,
        requests: Sequence[Request],
        offsets: Mapping[str, int],
        workspace: Workspace | None = None,
        *,
        popular_only: bool = False,
    ) -> list[Answer]:
        """Answer each request from the present state; requests with equal parameters are one kernel call.

        With *popular_only* no model puts in the newest items of the catalogue.
        """
        requests = self._without_ignored(requests)
        alike: dict[tuple[int, bool], tuple[Model, list[int]]] = {}
        for place, request in enumerate(requests):
            point = self._models.variant(request)
            if popular_only and mixes_newest(point):
                point = without_newest(point)
            alike.setdefault((id(point), request.explain), (point, []))[1].append(place)
        answers: list[Answer] = [None] * len(requests)  # type: ignore[list-item]  # each is filled in below
        as_of = self._state.index.view.watermark
        for point, places in alike.values():
            asked = requests if len(alike) == 1 else [requests[place] for place in places]
            played = self._played(point)
            weights = None if played is None else played.name
            found = self._answer_alike(point, asked, workspace, played)
            for place, request, items in zip(places, asked, found, strict=True):
                answers[place] = Answer(
                    request.session_id, request.request_id, items, as_of, dict(offsets), point.name, weights=weights
                )
        return answers

    def _answer_alike(
        self, point: Model, requests: Sequence[Request], workspace: Workspace | None, played: Played | None
    ) -> Iterator[list[Recommendation]]:
        """Answer requests with equal parameters, of which all or none are explained."""
        if requests[0].explain:  # from the trace of the last query
            for request in requests:
                yield self._ask(point, request, Explaining(hide_sessions=request.hide_sessions), workspace)
            return
        state, stacked = self._state, self._models.alone(point)
        at_most = max(1, _MOST_ROWS // point.n)
        for begin, end, policy in self._rules.policies(requests, state.items.find, at_most):
            answers = new_rows(end - begin, point.n)
            queries = self._encode_queries(requests[begin:end])
            if played is None:
                state.index.ask_many(stacked, queries, policy, answers, map, 1, workspace)
            else:
                Reranker(state.index).ask(played.model, played.weights, queries, answers, policy, workspace)
            lists = all_named(state.items.names, answers)
            if mixes_newest(point):
                lists = map(partial(self._with_newest, point), lists, requests[begin:end])
            yield from lists

    def _with_newest(
        self, point: Model, answer: list[Recommendation], request: Request, *, explains: bool = False
    ) -> list[Recommendation]:
        """Return the *answer* to *request* with the newest items of the catalogue, as *point* wants them."""
        session = None if request.session_id is None else self._state.sessions.ids.find(request.session_id)
        touched = self._newest.touched_by(session, request, point.seen)
        return self._newest.mixed(point, answer, request, touched, explains=explains)

    def ask(
        self, point: Model, request: Request, how: Explaining | None, workspace: Workspace | None = None
    ) -> list[Recommendation]:
        """Answer *request* with *point*, and explain the answer if *how* is given."""
        if self._impressions is not None:
            (request,) = self._without_ignored((request,))
        return self._ask(point, request, how, workspace)

    def _ask(
        self, point: Model, request: Request, how: Explaining | None, workspace: Workspace | None
    ) -> list[Recommendation]:
        state, items = self._state, request.items
        parameters = self._models.parameters(point)
        if workspace is None:
            workspace = state.index.arrays.workspace
        rows = workspace.row
        if rows is None or point.n > rows.item.shape[1]:
            workspace.row = rows = new_rows(1, point.n)
        session = None if request.session_id is None else state.sessions.ids.find(request.session_id)
        ((_, _, policy),) = self._rules.policies([request], state.items.find, 1)
        own = -1 if session is None else session
        query = None if items is None and session is not None else self._encode_items(items or ())
        played = self._played(point)
        if played is not None:
            queries = _one_query(query, own)
            Reranker(state.index).ask(played.model, played.weights, queries, rows, policy, workspace)
        elif query is None:
            state.index.ask_session(parameters, own, policy, rows, 0, workspace)
        else:
            state.index.ask_items(parameters, query, own, policy, rows, 0, workspace)
        answer = named(state.items.names, rows, 0)
        if how is None:
            return self._with_newest(point, answer, request) if mixes_newest(point) else answer
        seen = state.index.view.events_of(own)[0] if query is None else query
        boosts = self._rules.boosts(policy, state.index.state.item["row"], rows.item[0, : len(answer)])
        asked = AnsweredQuery(parameters, seen.tolist(), own, boosts, workspace)
        explained = self._explained(answer, rows, asked, how, played)
        return self._with_newest(point, explained, request, explains=True) if mixes_newest(point) else explained

    def _explained(
        self,
        answer: list[Recommendation],
        rows: AnswerArrays,
        asked: AnsweredQuery,
        how: Explaining,
        played: Played | None,
    ) -> list[Recommendation]:
        """Return the *answer* in row 0 to the last query, *asked*, with explanations of its items."""
        n = min(len(answer), EXPLAINED)
        columns = (column[0, :n].tolist() for column in (rows.item, rows.score, rows.source))
        names = Names(self._state.items.names, self._state.sessions.ids.names)
        scored = list(map(ScoredItem, *columns))
        reasons = explain(self._state.index.view, names, asked, scored, how)
        if played is not None:
            reasons = by_weights(played, Reranker(self._state.index).last_room(asked.workspace), asked, scored, reasons)
        explained = [msgspec.structs.replace(each, why=why) for each, why in zip(answer, reasons, strict=False)]
        return explained + answer[n:]

    def ask_many(
        self,
        point: Model,
        queries: Sequence[NextItemQuery],
        exclude: Sequence[str],
        parallel_map: ParallelMap,
        parts: int,
        workspace: Workspace | None = None,
    ) -> list[list[Recommendation]]:
        """Return what *point* recommends for each of *queries*, in *parts* that *parallel_map* runs."""
        state, answers, played = self._state, new_rows(len(queries), point.n), self._played(point)
        current = (None if each.items is None else tuple(each.items[-1:]) for each in queries)
        asked: Sequence[Request] = [Request(items=items, exclude=tuple(exclude)) for items in current]
        if self._impressions is not None:
            pairs = zip(asked, queries, strict=True)
            asked = self._without_ignored(
                [msgspec.structs.replace(each, session_id=of.session_id) for each, of in pairs]
            )
        for begin, end, policy in self._rules.policies(asked, state.items.find, max(1, len(queries))):
            part = AnswerArrays._make(array[begin:end] for array in answers)
            encoded = self._encode_queries(queries[begin:end])
            if played is None:
                state.index.ask_many(self._models.alone(point), encoded, policy, part, parallel_map, parts, workspace)
            else:  # one part: the room that re-ranking needs is that of a workspace
                Reranker(state.index).ask(played.model, played.weights, encoded, part, policy, workspace)
        lists = list(all_named(state.items.names, answers))
        if not mixes_newest(point):
            return lists
        whole = (
            msgspec.structs.replace(each, session_id=of.session_id, items=of.items)
            for each, of in zip(asked, queries, strict=True)
        )
        return list(map(partial(self._with_newest, point), lists, whole))

    # --- from ids to ordinals

    def _encode_queries(self, queries: Sequence[NextItemQuery] | Sequence[Request]) -> Queries:
        """Return queries in ordinals; the kernel itself reads the events of a session that is the query."""
        find = self._state.sessions.ids.find
        parts, begins, ends, owns = [_NO_ITEMS], [], [], []
        end = 0
        for each in queries:
            session = None if each.session_id is None else find(each.session_id)
            owns.append(-1 if session is None else session)
            if each.items is None and session is not None:
                begins.append(field.OWN_EVENTS)
                ends.append(field.OWN_EVENTS)
                continue
            begins.append(end)
            if each.items:
                parts.append(self._encode_items(each.items))
                end += len(each.items)
            ends.append(end)
        items = np.concatenate(parts) if end else _NO_ITEMS
        return Queries(items, np.array(begins, np.int64), np.array(ends, np.int64), np.array(owns, np.int64))

    def _encode_items(self, names: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return the ordinals of the query's items; those without one get negative numbers, equal ones equal."""
        find = self._state.items.find
        unknown: dict[str, int] = {}
        ordinals = list(map(find, names))
        if None in ordinals:
            for place, ordinal in enumerate(ordinals):
                if ordinal is None:
                    ordinals[place] = -1 - unknown.setdefault(names[place], len(unknown))
        return np.array(ordinals, np.int32)
