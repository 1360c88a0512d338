"""Learned orders in an evaluation: asked the same questions, learned only from what came before."""

import random

import numpy as np
import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.limits import Limits
from stream_rec.core.model import model
from stream_rec.evaluate import plan as plans
from stream_rec.evaluate.asking import PassResult, ask_all
from stream_rec.evaluate.candidates import candidate, learned
from stream_rec.evaluate.report import report_of
from stream_rec.evaluate.tables import verdict

OWN = model("default", seen="keep", n=10)
N_ITEMS = 40


def returning(n: int) -> list[Event]:
    """Sessions that go back to their first item at their fifth event: no model of neighbours says so."""
    chance = random.Random(3)
    events = []
    for number in range(n):
        items = [f"i{chance.randrange(N_ITEMS)}" for _ in range(4)]
        events += [Event(f"s{number}", item, 60_000 * number + place) for place, item in enumerate([*items, items[0]])]
    return events


def asked(plan: plans.Plan, threads: int) -> PassResult:
    """Ask the model in its own order and in each learned one."""
    limits = Limits(retention_ms=None)
    listed = [candidate(OWN), *learned(OWN)]
    return ask_all(plan, listed, lambda: Engine(limits=limits), cutoffs=(10,), threads=threads, times=False)


@pytest.fixture(scope="module")
def live() -> PassResult:
    """One pass over a log that is learned as it goes."""
    return asked(plans.prequential(returning(1_500)), threads=1)


class TestLive:
    """A log that is learned as it goes."""

    def test_learned_orders_beat_the_models_own(self, live: PassResult) -> None:
        """Once there are enough examples, the last question of a session is answered first."""
        found = report_of(live, draws=10, seed=0)
        assert [each.name for each in found.models] == [
            "default",
            "default+linear",
            "default+hidden",
            "default+rerank",
        ]
        own, linear, hidden, played = (each.metrics["MRR@10"].value or 0.0 for each in found.models)
        assert min(linear, hidden) > own + 0.02
        assert played > own + 0.02

    def test_the_verdict_says_that_no_run_answers_so(self, live: PassResult) -> None:
        """The best is named, and that it is a measurement."""
        sentences = list(verdict(report_of(live, draws=10, seed=0)))
        assert any("in a learned order, in which `run` does not answer yet" in each for each in sentences)

    def test_nothing_is_played_before_there_are_enough_examples(self, live: PassResult) -> None:
        """The first fit has no example: the order that is played is the model's own."""
        first = live.plan.rows < 5_000
        own, played = live.scores.rank[0, first], live.scores.rank[3, first]
        assert own.tolist() == played.tolist()

    def test_the_number_of_threads_changes_nothing(self, live: PassResult) -> None:
        """Each thread learns by itself, and learns the same."""
        again = asked(live.plan, threads=2)
        assert np.array_equal(live.scores.rank, again.scores.rank)

    def test_the_models_own_order_is_what_it_is_alone(self, live: PassResult) -> None:
        """Asking in learned orders, too, changes no other answer."""
        limits = Limits(retention_ms=None)
        alone = ask_all(live.plan, [candidate(OWN)], lambda: Engine(limits=limits), cutoffs=(10,), times=False)
        assert np.array_equal(live.scores.rank[0], alone.scores.rank[0])


def test_a_hold_out_asks_frozen_weights() -> None:
    """Weights are learned from the first part; sessions of the second are asked and learned by nothing."""
    events = returning(1_400)
    train = [event for event in events if int(event.session_id[1:]) < 1_200]
    plan = plans.hold_out_files(train, events[len(train) :])
    found = asked(plan, threads=1)
    rank = found.scores.rank[:, found.plan.log.place[found.plan.rows] == 4].astype(float)
    share_first = (rank == 1).mean(axis=1)
    assert share_first[3] > share_first[0] + 0.3
