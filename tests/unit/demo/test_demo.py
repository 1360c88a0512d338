"""The demo: three acts in order, an honest score, and a quiet pipe."""

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from rich.console import Console

from stream_rec.core.events import Answer, Event, Recommendation
from stream_rec.datasets.sample import load_sample
from stream_rec.demo import Outcome, ReplayPace, play
from stream_rec.demo.bundled import play_bundled
from stream_rec.demo.replay import Replay, Score

N_ITEMS = 10
TITLES = {f"i{i}": f"ITEM {i}" for i in range(N_ITEMS)}


def log(sessions: int = 40, length: int = 7) -> list[Event]:
    """Baskets one after the other: each takes item after item, from another start."""
    return [
        Event(f"s{session}", f"i{(session + place) % N_ITEMS}", session)
        for session in range(sessions)
        for place in range(length)
    ]


class Oracle:
    """Recommends the item that these logs take next, with *decoys* before it."""

    def __init__(self, decoys: int = 0, interrupt_at: int | None = None) -> None:
        self.calls: list[tuple[str, int]] = []
        self.seen: list[Event] = []
        self._decoys = decoys
        self._interrupt_at = interrupt_at

    def apply(self, events: Sequence[Event]) -> None:
        """Remember them, until it is time to interrupt."""
        if self._interrupt_at is not None and len(self.seen) >= self._interrupt_at:
            raise KeyboardInterrupt
        self.calls.append(("apply", len(events)))
        self.seen.extend(events)

    def apply_and_answer(self, events: Sequence[Event]) -> tuple[None, Sequence[Answer | None]]:
        """Remember them, and answer for each."""
        self.apply(events)
        self.calls[-1] = ("ask", len(events))
        return None, [self._answer(event) for event in events]

    def _answer(self, event: Event) -> Answer:
        following = f"i{(int(event.item_id[1:]) + 1) % N_ITEMS}"
        names = [f"decoy{i}" for i in range(self._decoys)] + [following]
        items = [Recommendation(name, 1.0, "followed") for name in names]
        return Answer(event.session_id, None, items, event.timestamp, {}, "oracle")


def ticking() -> Iterator[float]:
    return (0.001 * i for i in count())


def show(
    engine: Oracle, pace: ReplayPace, events: list[Event] | None = None, *, terminal: bool = False
) -> tuple[str, Outcome, list[float]]:
    clock, pauses, out = ticking(), list[float](), io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, highlight=False, _environ={})
    outcome = play(
        engine,
        log() if events is None else events,
        TITLES,
        pace=pace,
        console=console,
        clock=clock.__next__,
        sleep=pauses.append,
    )
    return out.getvalue(), outcome, pauses


def test_every_event_is_replayed_once_in_order() -> None:
    """Three acts, one log."""
    engine = Oracle()
    _, outcome, _ = show(engine, ReplayPace(timed_singly=10))
    assert log() == engine.seen
    assert (280, 40, N_ITEMS) == (outcome.events, outcome.sessions, outcome.items)
    assert {"apply", "ask"} == {kind for kind, _ in engine.calls}


def test_the_score_of_an_oracle_is_one() -> None:
    """All but the first event of a session are judged, by the answer before them."""
    _, outcome, _ = show(Oracle(), ReplayPace())
    n_after_past = 8 * 6  # 80 % of 40 sessions are the past
    assert n_after_past == outcome.score.asked
    assert outcome.score.hit_rate == 1
    assert outcome.score.mean_reciprocal_rank == 1
    assert outcome.score.best_seller_hit_rate == 1  # there are only ten items


@pytest.mark.parametrize(("decoys", "rate", "mrr"), [(4, 1, 0.2), (19, 1, 0.05), (20, 0, 0)])
def test_the_place_counts(decoys: int, rate: float, mrr: float) -> None:
    """Place 20 is a hit, place 21 is none."""
    _, outcome, _ = show(Oracle(decoys), ReplayPace())
    assert outcome.score.hit_rate == rate
    assert outcome.score.mean_reciprocal_rank == pytest.approx(mrr)


def test_a_session_never_answered_for_is_not_judged() -> None:
    """The first event of a session has nothing to be judged by."""
    score = Score()
    assert score.rank(Event("s", "i", 1)) is None
    assert score.asked == 0


def test_shown_sessions_are_chosen_by_length_alone() -> None:
    """The first ones after the past that fit; their steps say where they begin and end."""
    events = log(sessions=20, length=3) + log(sessions=30, length=7)[140:]
    replay = Replay(Oracle(), events, ReplayPace(past=0.3, visitors=2), ticking().__next__)
    list(replay.learn())
    steps = list(replay.follow())
    assert ["s20"] * 7 + ["s21"] * 7 == [step.event.session_id for step in steps]
    assert [1, 8] == [at for at, step in enumerate(steps, start=1) if step.is_first]
    assert [7, 14] == [at for at, step in enumerate(steps, start=1) if step.is_last]
    assert [None, *[1] * 6] * 2 == [step.rank for step in steps]


def test_interleaved_sessions_are_followed_to_their_ends() -> None:
    """Where visits overlap, each step is its own visitor's."""
    events = sorted(log(sessions=4), key=lambda event: event.item_id)
    pace = ReplayPace(past=0, visitors=4)
    replay = Replay(Oracle(), events, pace, ticking().__next__)
    lengths = Counter(step.visitor for step in replay.follow())
    assert {1: 7, 2: 7, 3: 7, 4: 7} == lengths
    assert replay.n_left == 0


def test_a_pipe_gets_plain_text_at_once() -> None:
    """No control codes, no waiting."""
    text, _, pauses = show(Oracle(), ReplayPace())
    assert "\x1b" not in text
    assert "\r" not in text
    assert not pauses
    assert "next? ITEM 3" in text
    assert "HR@20" in text
    assert "stream-rec run" in text


def test_a_terminal_gets_time_to_read() -> None:
    """The pauses between the steps add up to the seconds asked for; hits are ticked."""
    text, _, pauses = show(Oracle(), ReplayPace(live_seconds=7.0), terminal=True)
    assert len(pauses) == 35
    assert sum(pauses) == pytest.approx(7.0)
    assert "visitor 5 of 5" in text
    assert "ITEM 9" in text
    assert "✓" in text


def test_fast_leaves_the_live_act_out() -> None:
    """With no time for act two, no visitor is shown, and every event is answered."""
    text, outcome, pauses = show(Oracle(), ReplayPace(live_seconds=0), terminal=True)
    assert not pauses
    assert "visitor" not in text
    assert outcome.answered == 8 * 7


def test_an_interrupt_ends_with_the_summary() -> None:
    """Ctrl-C is no crash: what went by is summed up."""
    text, outcome, _ = show(Oracle(interrupt_at=240), ReplayPace())
    assert outcome.interrupted
    assert "Interrupted; the figures so far" in text
    assert 0 < outcome.answered


def test_an_event_without_an_answer() -> None:
    """What was not applied has no answer: the one before it stands."""

    class Silent(Oracle):
        def apply_and_answer(self, events: Sequence[Event]) -> tuple[None, Sequence[None]]:
            self.apply(events)
            return None, [None] * len(events)

    for terminal in (False, True):
        text, outcome, _ = show(Silent(), ReplayPace(), terminal=terminal)
        assert (0, 8 * 7) == (outcome.score.asked, outcome.answered)
        assert ("nothing to say yet" in text) is not terminal


def test_a_log_too_short_for_three_acts() -> None:
    """One event, or none, is no error."""
    for events in ([], log(sessions=1, length=1)):
        _, outcome, _ = show(Oracle(), ReplayPace(), events)
        assert len(events) == outcome.events


def test_an_interrupt_while_showing_restores_the_terminal() -> None:
    """The cursor hidden for the show is shown again."""
    text, outcome, _ = show(Oracle(interrupt_at=240), ReplayPace(), terminal=True)
    assert outcome.interrupted
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_latency_is_that_of_single_answers() -> None:
    """With a clock that ticks once a reading, each single answer takes one tick."""
    _, outcome, _ = show(Oracle(), ReplayPace(timed_singly=5))
    assert outcome.micros_at(50) == pytest.approx(1000)
    assert outcome.micros_at(99) == pytest.approx(1000)
    assert len(outcome.micros) == 35 + 5


def test_the_demo_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real engine on the first baskets of the sample answers, and beats the best sellers."""
    events, titles = load_sample()
    some = events[:10_000]
    monkeypatch.setattr("stream_rec.demo.bundled.load_sample", lambda: (some, titles))
    out = io.StringIO()
    outcome = play_bundled(console=Console(file=out, width=100, _environ={}))
    assert len(some) == outcome.events
    assert outcome.score.hit_rate > 2 * outcome.score.best_seller_hit_rate
    assert "visitor 5" in out.getvalue()
    n_past = re.search(r"([\d,]+) sold items\n +([\d,]+) events of", out.getvalue())
    assert n_past is not None
    assert n_past[1] == n_past[2]


def test_suggested_commands_can_be_typed() -> None:
    """If the shell does not find the program, its path is shown."""
    found = show(Oracle(), ReplayPace(live_seconds=0))[0]
    assert "\n  stream-rec check --events" in found
    out = io.StringIO()
    play(
        Oracle(),
        log(),
        TITLES,
        pace=ReplayPace(live_seconds=0),
        console=Console(file=out),
        program=".venv/bin/stream-rec",
    )
    assert 3 == out.getvalue().count("\n  .venv/bin/stream-rec ")
    assert "nothing to say yet" not in out.getvalue()
