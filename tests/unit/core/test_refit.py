"""A refit beside an index that goes on: what leaves before it was copied, or is forgotten, makes it void."""

import numpy as np
import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Forget
from stream_rec.core.index import field
from stream_rec.core.limits import Limits
from stream_rec.core.rerank import Refit

ALL = 1 << 20
MINUTE_MS = 60_000


def engine_of(limits: Limits) -> Engine:
    """Return an engine with twenty sessions of three events."""
    engine = Engine(limits=limits)
    engine.apply([event for number in range(20) for event in session(number)])
    return engine


def session(number: int, n_events: int = 3) -> list[Event]:
    return [Event(f"s{number}", f"i{number % 4 + j}", MINUTE_MS * number + 1_000 * j) for j in range(n_events)]


def refit_of(engine: Engine, most_events: int = ALL) -> Refit:
    boundary = int(engine.index.view.counter(field.WATERMARK))
    return Refit(engine.index, engine.parameters(engine.model), boundary, most_events=most_events)


def test_evicted_before_it_was_copied() -> None:
    """A session that left before its turn makes the refit void; the oldest are copied first, and may then leave."""
    engine = engine_of(Limits(max_sessions=20))
    early, late = refit_of(engine), refit_of(engine)
    assert early.n_events == 60
    early.step(9)
    engine.apply([event for number in range(20, 23) for event in session(number)])
    early.step(ALL)
    assert (early.is_copied, early.is_void) == (True, False)
    assert early.learn().questions == 40
    with pytest.raises(ValueError, match="start another refit"):
        late.step(ALL)
    assert late.is_void
    assert not late.is_copied
    with pytest.raises(ValueError, match="start another refit"):
        late.step(ALL)


def test_forgotten_at_any_time() -> None:
    """A session that is forgotten makes the refit void, if it was copied too."""
    engine = engine_of(Limits())
    refit = refit_of(engine)
    refit.step(ALL)
    assert not refit.is_void
    engine.apply([Forget(session_id="s3")])
    assert refit.is_void


@pytest.mark.parametrize("comes", ["forgotten, and again", "late", "one too many"])
def test_a_session_that_is_not_as_it_was(comes: str) -> None:
    """What changes the events of a session up to the boundary before they were copied makes the refit void."""
    engine = engine_of(Limits(max_session_events=3 if comes == "one too many" else 50))
    refit = refit_of(engine)
    if comes == "forgotten, and again":
        engine.apply([Forget(session_id="s12"), *session(12, n_events=2)])
    else:
        time = MINUTE_MS * 12 + 1_500 if comes == "late" else MINUTE_MS * 40
        engine.apply([Event("s12", "other", time)])
    with pytest.raises(ValueError, match="start another refit"):
        refit.step(ALL)
    assert refit.is_void


def test_full_sessions_are_copied_first() -> None:
    """A session that will drop its oldest event at its next is copied before all others, and may then go on."""
    engine = engine_of(Limits(max_session_events=4))
    engine.apply([Event("s12", "other", MINUTE_MS * 19 + 3_000)])
    refit = refit_of(engine)
    refit.step(4)
    engine.apply([Event("s12", "another", MINUTE_MS * 40)])
    refit.step(ALL)
    assert not refit.is_void


def test_the_newest_sessions_are_copied() -> None:
    """Whole sessions, the newest first, as many as fit."""
    engine = engine_of(Limits())
    refit = refit_of(engine, most_events=11)
    assert refit.n_events == 9
    refit.step(ALL)
    assert refit.learn().questions == 6


def test_an_empty_index_gives_the_start() -> None:
    """Nothing to copy, nothing to learn."""
    engine = Engine()
    refit = Refit(engine.index, engine.parameters(engine.model), 0)
    assert refit.is_copied
    fit = refit.learn()
    assert (fit.questions, fit.best) == (0, "plain")
    assert np.count_nonzero(fit.weights.linear) == len(fit.weights.linear)
