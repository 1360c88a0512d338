"""How long single answers take at the end of a pass, asked with as much of a session as a service reads."""

from collections.abc import Sequence
from time import perf_counter
from typing import Final

import numpy as np

from stream_rec.core.dtypes import F64, I64
from stream_rec.core.engine import Engine
from stream_rec.evaluate.candidates import Candidate
from stream_rec.evaluate.log import EvaluationLog
from stream_rec.evaluate.plan import Plan

__all__ = ["SessionItems", "time_answers"]

MOST_TIMED: Final = 2000
"""Answers of each candidate that are timed one by one."""


class SessionItems:
    """The items of all sessions, session after session. The query of a question is a slice of them.

    A slice has the last *most* events of its session, since a store keeps no more of it.
    """

    def __init__(self, log: EvaluationLog, most: int) -> None:
        order = np.argsort(log.session, kind="stable")
        self.item = log.item[order]
        lengths = log.lengths()
        self._begin: I64 = np.cumsum(lengths) - lengths
        self._log = log
        self._most = most

    def slices(self, rows: I64 | slice) -> tuple[I64, I64]:
        """Return the slices of what came before each of the events *rows*: begins and ends."""
        begin = self._begin[self._log.session[rows]]
        end = begin + self._log.place[rows]
        return np.maximum(begin, end - self._most), end


def time_answers(plan: Plan, candidates: Sequence[Candidate], engine: Engine) -> dict[str, F64]:
    """Time single answers, one by one, from *engine* at the end of the pass, when it has learned everything.

    The candidates take turns in being first, because the first one finds cold caches.
    """
    log, sessions = plan.log, SessionItems(plan.log, engine.limits.max_session_events)
    rows = plan.rows[np.unique(np.linspace(0, len(plan.rows) - 1, MOST_TIMED).astype(np.int64))]
    begins, ends = (each.tolist() for each in sessions.slices(rows))
    asked = [each for each in candidates if not each.counts and each.order is None]
    timed: dict[str, list[float]] = {each.name: [] for each in asked}
    engine.ask(candidates[0].model, items=())  # the first call loads the kernel
    for turn, (row, begin, end) in enumerate(zip(rows.tolist(), begins, ends, strict=True)):
        items = [log.item_names[item] for item in sessions.item[begin:end].tolist()]
        session = log.events[row].session_id
        is_retained = engine.sessions.ids.find(session) is not None
        for place in range(len(asked)):
            each = asked[(place + turn) % len(asked)]
            query = _query_of(each, items, is_retained=is_retained)
            started = perf_counter()
            engine.ask(each.model, session_id=session, items=query)
            timed[each.name].append((perf_counter() - started) * 1e6)
    return {each.name: np.array(timed.get(each.name, [])) for each in candidates}


def _query_of(asked: Candidate, items: list[str], *, is_retained: bool) -> list[str] | None:
    """Return the query to time after *items*: what a service reads of them, so that it takes as long.

    That is what the model looks at, and what it may not recommend. Where the latter is more, the service has it in its
    store (None): to look up thousands of names, as for a query from outside, is no part of its answer.
    """
    if not asked.asks:
        return []
    if asked.model.seen != "drop-session" or len(items) <= asked.model.last:
        return items[-asked.model.last :]
    return None if is_retained else items
