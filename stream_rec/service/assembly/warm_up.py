"""Makes the kernels ready before the first record: loaded from Numba's cache, or compiled, once on a machine.

Knows nothing of the log. Its engine is dropped; the compiled code stays in the process.
"""

from typing import Final

import numpy as np

from stream_rec.core import rerank
from stream_rec.core.engine import Engine, NextItemQuery
from stream_rec.core.events import Event, Request
from stream_rec.core.index import AnswerArrays, code_cache
from stream_rec.core.index.code_cache import kept_in
from stream_rec.core.model import stack_models
from stream_rec.core.outcome import Observation
from stream_rec.core.quality import Quality

__all__ = [
    "COMPILING",
    "COMPILING_AGAIN",
    "COMPILING_ANSWERS",
    "COMPILING_LEARNING",
    "COMPILING_MANY",
    "can_keep",
    "is_cold",
    "is_cold_to_learn",
    "kept_in",
    "warm_up",
    "warm_up_all",
    "warm_up_evaluation",
]

COMPILING: Final = "compiling the kernels, once, about 20 s"
COMPILING_ANSWERS: Final = "compiling the kernels that answer over HTTP, once, about a minute"
COMPILING_LEARNING: Final = "compiling the kernels that learn an order, once, about half a minute"
COMPILING_MANY: Final = "compiling the kernels of the evaluation, once, about a minute"
COMPILING_AGAIN: Final = (
    "compiling the kernels, about 20 s, at each start: no folder to keep them in; NUMBA_CACHE_DIR may name one"
)


def can_keep() -> bool:
    """Return whether there is a folder for compiled code."""
    return kept_in() is not None


def is_cold(*, answers_events: bool = True, kernel: str | None = None) -> bool:
    """Return whether the cache holds no file of the code that a run needs. Cheap.

    *kernel* names another kernel that is needed. What learns an order is not asked for: see `is_cold_to_learn`.
    """
    return code_cache.is_cold(kernel or ("apply_and_ask" if answers_events else "apply"))


def is_cold_to_learn() -> bool:
    """Return whether the cache holds no file of the code that learns an order. Cheap."""
    return rerank.is_cold()


def warm_up(
    *,
    answers_events: bool = True,
    answers_requests: bool = False,
    keeps_snapshots: bool = False,
    replays: bool = False,
    learns: bool = False,
) -> None:
    """Call what a run will call, so that no record waits. One that *replays* also applies unanswered."""
    engine = Engine()
    events = [Event("s", "a", 0), Event("t", "a", 1), Event("t", "b", 2)]
    quality = Quality(engine.split)
    if answers_events:
        engine.apply_and_answer(events, observation=Observation(quality, np.ones(len(events), np.uint8)))
    if replays or not answers_events:
        engine.apply(events)
    if answers_requests:
        quality.on_answered(engine.answer([Request(session_id="t"), Request(items=("a",))]))
        engine.answer([Request(session_id="t", explain=True), Request(items=("a",), explain=True)])
        engine.listed("trending", Request())
    if learns:
        rerank.Learner(engine.index).fit(engine.parameters(engine.model), boundary=2)
    engine.stats()
    engine.forget(session_id="t", evaluator=quality)
    if keeps_snapshots:
        engine.import_state(engine.export_state())


def warm_up_all(*, learns: bool = False) -> None:
    """Call every kernel that a run may need; those of an evaluation are not among them. One may learn an order."""
    warm_up(answers_requests=True, keeps_snapshots=True, replays=True, learns=learns)
    engine = Engine()
    engine.apply([Event("t", "a", 0)])
    engine.ask(engine.model, session_id="t")
    engine.ask(engine.model, items=["a"])
    engine.ask_many(engine.model, [NextItemQuery("t"), NextItemQuery("t")], parts=2)
    # Where sessions are cut from users, an event that brings an id is looked up before it is applied.
    Engine(session_gap_ms=1).apply([Event("", "a", 0, event_id="e", user_id="u")])


def warm_up_evaluation() -> None:
    """Call what only an evaluation calls: asking many models at once, and learning an order."""
    engine = Engine()
    stacked = stack_models([engine.parameters(engine.model)])
    n = engine.model.n
    answers = AnswerArrays(
        np.empty((3, n), np.int32), np.empty((3, n), np.float64), np.empty((3, n), np.uint8), np.zeros(3, np.int32)
    )
    engine.ask_and_apply(
        [Event("s", "a", 0), Event("t", "a", 1), Event("t", "b", 2)], np.ones(3, np.uint8), stacked, answers
    )
    rerank.Learner(engine.index).fit(engine.parameters(engine.model), boundary=2)
