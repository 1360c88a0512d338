"""The parts of the evaluation: metrics by hand, plans, intervals, reports; and that nothing leaks."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Recommendation
from stream_rec.core.limits import DAY_MS, Limits
from stream_rec.core.model import PRESETS, Model, changed
from stream_rec.errors import SettingsError
from stream_rec.evaluate import plan as plans
from stream_rec.evaluate import plots
from stream_rec.evaluate.asking import PassProgress, PassResult, ask_all
from stream_rec.evaluate.bootstrap import draw, interval, means
from stream_rec.evaluate.candidates import BASELINES, Candidate, baselines, candidate, with_names
from stream_rec.evaluate.command import EvaluateOptions, make_plan
from stream_rec.evaluate.log import log_of
from stream_rec.evaluate.metrics import Sums, session_sums
from stream_rec.evaluate.plan import Plan
from stream_rec.evaluate.report import Report, report_of
from stream_rec.evaluate.tables import verdict

KEEP_ALL = Limits(retention_ms=None)


def log(text: str) -> list[Event]:
    """`a:x a:y b:x` is three events, a second apart."""
    pairs = (word.split(":") for word in text.split())
    return [Event(session, item, 1000 * (place + 1)) for place, (session, item) in enumerate(pairs)]


def asked(plan: Plan, *points: Model | Candidate, cutoffs: Sequence[int] = (1, 2, 3)) -> PassResult:
    """Ask *points*, whose answers are cut to the last cut-off."""
    listed = [each if isinstance(each, Candidate) else candidate(changed(each, n=max(cutoffs))) for each in points]
    return ask_all(plan, listed, lambda: Engine(limits=KEEP_ALL), cutoffs=cutoffs, threads=2, times=False)


def figures(found: PassResult, model: int = 0) -> dict[str, float]:
    """All averages of one model."""
    sums = session_sums(found)
    return dict(zip(sums.names, means(sums)[:, model].tolist(), strict=True))


SR = Model(name="sr", rules=1.0, rules_steps=5, idf="none", fallbacks=False, seen="keep")


class TestMetrics:
    """By hand: session a is learned, then b follows it, and turns off once."""

    # b's questions: after x, the answer is y z w by the rules 1, 1/2, 1/3; after x y it is z w.
    LOG = log("a:x a:y a:z a:w b:x b:z b:q")

    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            # After x came z, second in the answer; after z came q, which nobody had: the answer is w.
            ("HR@1", 0.0),
            ("HR@2", 1 / 2),
            ("MRR@1", 0.0),
            ("MRR@3", (1 / 2 + 0) / 2),
            ("NDCG@3", (1 / math.log2(3) + 0) / 2),
            # The rest of b after x is {z, q}: one of the three answered; after z it is {q}: none of one.
            ("precision@1", 0.0),
            ("precision@2", (1 / 2 + 0) / 2),
            ("precision@3", (1 / 3 + 0) / 2),
            ("recall@3", (1 / 2 + 0) / 2),
            # The hit at the second place has a precision of 1/2; of at most two relevant ones.
            ("MAP@3", ((1 / 2) / 2 + 0) / 2),
            ("MAP@1", 0.0),
        ],
    )
    def test_by_hand(self, metric: str, expected: float) -> None:
        """Each metric is what its formula gives on paper; nothing is repeated here, so its novel form is the same."""
        found = figures(asked(plans.hold_out_files(self.LOG[:4], self.LOG[4:]), SR))
        assert expected == pytest.approx(found[metric])
        assert expected == pytest.approx(found[f"novel {metric}"])

    def test_novel_metrics_leave_out_seen_items(self) -> None:
        """Of b's questions x->y, y->x and x->z two have a new item; x is no hit of the rest's novel forms."""
        train, test = log("a:x a:y a:x a:z"), log("b:x b:y b:x b:z")
        found = asked(plans.hold_out_files(train, test), SR)
        assert [1, 0, 1] == found.truth.is_new.tolist()
        assert [3, 2, 1] == found.truth.rest.tolist()
        assert [2, 1, 1] == found.truth.novel.tolist()
        everything = figures(found)
        # After x: y 1 + z 1 (from the second x) + z 1/3: z, y. After y: x, z. After x once more: z, y.
        assert [2, 1, 1] == found.scores.rank[0].tolist()
        assert (1 / 2 + 1) / 2 == pytest.approx(everything["novel MRR@3"])
        assert (1 / 2 + 1 + 1) / 3 == pytest.approx(everything["MRR@3"])
        assert [2, 2, 1] == found.scores.hits[0, :, 2].tolist()
        assert [2, 1, 1] == found.scores.novel_hits[0, :, 2].tolist()

    def test_the_answers_are_counted(self) -> None:
        """The report has coverage, popularity and length of the answers."""
        plan = plans.hold_out_files(self.LOG[:4], self.LOG[4:])
        found = report_of(asked(plan, SR), draws=10).first
        # Shown: y z w, then w; of five items.
        assert 3 / 5 == pytest.approx(found.coverage["coverage@3"])
        assert (3 + 1) / 2 == pytest.approx(found.length)
        # Counts: y 1, z 2, w 1, w 1, of the most frequent one's 2.
        assert (1 + 2 + 1 + 1) / 4 / 2 == pytest.approx(found.popularity["popularity@3"])
        assert [0.0, 0.5, 0.5] == pytest.approx(found.hr_by_k)

    def test_a_metric_without_a_question_is_none(self) -> None:
        """Where no next item is new, the novel forms have no value, no interval and no comparison."""
        plan = plans.hold_out_files(log("a:x a:x"), log("b:x b:x"))
        found = report_of(asked(plan, SR, changed(SR, name="other")), draws=10)
        assert found.first.metrics["novel HR@1"].value is None
        assert found.models[1].behind["novel HR@1"].low is None
        assert found.first.metrics["HR@1"].value is not None


class TestNothingLeaks:
    """What is asked for is not known yet."""

    def test_a_new_item_is_never_a_hit(self) -> None:
        """Learned before it is asked for, popularity alone would find it."""
        events = log("a:x a:y b:x b:z c:x c:w d:y d:v")
        listed = [candidate(changed(point, n=20)) for point in PRESETS.values()]
        found = asked(plans.prequential(events), *listed, *baselines(listed[0].model), cutoffs=(20,))
        assert 4 == len(found.plan.rows)
        assert not found.scores.rank.any()

    def test_test_sessions_are_not_learned(self) -> None:
        """Only b, another test session, has the answer for c: a hit when asked live, a miss when held out."""
        train, test = log("a:x a:y"), log("b:x b:z c:x c:z")
        plan = plans.hold_out_files(train, test)
        found = asked(plan, *PRESETS.values(), *baselines(changed(Model(), n=3)))
        assert not found.scores.rank.any()
        live = asked(plans.prequential([*train, *test]), changed(SR, rules_m=1000))
        assert [0, 0, 1] == live.scores.rank[0].tolist()

    def test_a_window_is_not_learned_while_it_is_asked(self) -> None:
        """The same question, with the window's own events learned at once and at its end."""
        events = log("a:x a:y b:x b:z c:x c:z")
        frozen, live = (plans.windows(events, 2000, live=live) for live in (False, True))
        assert frozen.rows.tolist() == live.rows.tolist() == [3, 5]
        assert [0, 1] == asked(frozen, SR).scores.rank[0].tolist()
        wide_frozen, wide_live = (plans.windows(events, 4000, live=live) for live in (False, True))
        assert [1] == asked(wide_live, SR).scores.rank[0].tolist()
        assert [1] == asked(wide_frozen, SR).scores.rank[0].tolist()
        one, other = (plans.windows(events[2:], 2000, live=live) for live in (False, True))
        assert ([1], [1]) == (asked(one, SR).scores.rank[0].tolist(), asked(other, SR).scores.rank[0].tolist())

    def test_a_session_is_not_its_own_neighbour_where_part_of_it_was_learned(self) -> None:
        """The window begins in the middle of a: no other session went from x to y, so y is not recommended."""
        plan = plans.windows(log("a:x a:y a:x a:y"), 2000)
        assert [0, 0] == asked(plan, SR).scores.rank[0].tolist()

    def test_a_refused_event_is_no_question(self) -> None:
        """A duplicate id: asked for before it is known to be one, and not counted."""
        events = [*log("a:x a:y"), Event("a", "y", 3000, event_id="e"), Event("a", "z", 3000, event_id="e")]
        found = asked(plans.prequential(events), SR)
        assert [True, True, False] == found.counted.tolist()
        assert 2 == report_of(found, draws=10).questions


class TestPlans:
    """Which part is learned, and which is asked."""

    LOG = log("a:x b:x a:y b:y c:x c:y d:x d:y d:z")

    def test_prequential_asks_all_but_the_first(self) -> None:
        """All events but the first of a session are asked, or only its last."""
        assert [2, 3, 5, 7, 8] == plans.prequential(self.LOG).rows.tolist()
        assert [2, 3, 5, 8] == plans.prequential(self.LOG, "last").rows.tolist()

    def test_hold_out_by_time(self) -> None:
        """Sessions that begin at that time or later are asked as a whole; of others, earlier events are learned."""
        plan = plans.hold_out_since(self.LOG, 4000)
        assert ["a", "b", "a"] == [event.session_id for event in plan.log.events[:3]]
        assert ["c", "c", "d", "d", "d"] == [event.session_id for event in plan.log.events[3:]]
        assert [("learn", 0, 3), ("frozen", 3, 8)] == [tuple(each) for each in plan.stretches]
        assert [4, 6, 7] == plan.rows.tolist()

    def test_a_test_log_that_numbers_its_sessions_anew(self) -> None:
        """Sessions that go on after hours are counted, and may be made sessions of their own."""
        day = [msgspec.structs.replace(each, timestamp=each.timestamp + DAY_MS) for each in log("a:x a:y c:x c:z")]
        train = log("a:x a:z b:x")
        assert (1, 2) == plans.far_continued(train, day)
        assert (0, 2) == plans.far_continued(train, log("a:y b:z"))
        glued = plans.hold_out_files(train, day)
        own = plans.hold_out_files(train, plans.with_own_sessions(day))
        assert (3, 2) == (len(glued.rows), len(own.rows))

    def test_hold_out_by_days(self) -> None:
        """Days are counted back from the last event."""
        days = 3000 / DAY_MS
        assert plans.hold_out_since(self.LOG, 6000).rows.tolist() == plans.hold_out_days(self.LOG, days).rows.tolist()

    def test_hold_out_at_random(self) -> None:
        """Half of the sessions, whole, the same for the same seed, others for another."""

        def held(seed: int) -> set[str]:
            plan = plans.hold_out_random(self.LOG, 0.5, seed)
            learned = {event.session_id for event in plan.log.events[: plan.stretches[0].end]}
            asked = {event.session_id for event in plan.log.events[plan.stretches[1].begin :]}
            assert learned.isdisjoint(asked)
            assert {"a", "b", "c", "d"} == learned | asked
            assert 2 == len(asked)
            return asked

        assert held(1) == held(1)
        assert 1 < len({frozenset(held(seed)) for seed in range(8)})

    def test_windows_meet_without_a_gap(self) -> None:
        """Every event is learned once, in order; every window but the first is asked."""
        plan = plans.windows(self.LOG, 2500)
        learned = [(each.begin, each.end) for each in plan.stretches if each.kind == "learn"]
        assert (0, 9) == (learned[0][0], learned[-1][1])
        assert all(one[1] == two[0] for one, two in pairwise(learned))
        assert [each[1:] for each in plan.stretches if each.kind == "frozen"] == learned[1:]

    @pytest.mark.parametrize(
        ("options", "key"),
        [
            (EvaluateOptions(since="2030-01-01"), "events"),
            (EvaluateOptions(since="1969-01-01"), "events"),
            (EvaluateOptions(since="soon"), "hold_out_since"),
            (EvaluateOptions(share=1.5), "hold_out_share"),
            (EvaluateOptions(window="0s"), "window"),
            (EvaluateOptions(window="often"), "window"),
        ],
    )
    def test_an_empty_split_is_refused(self, options: EvaluateOptions, key: str) -> None:
        """By the option's name."""
        with pytest.raises(SettingsError) as caught:
            make_plan(self.LOG, options)
        assert key == caught.value.key

    def test_a_log_without_a_question_is_refused(self) -> None:
        """Sessions of one event have no next item."""
        with pytest.raises(SettingsError, match="hold no question"):
            plans.prequential(log("a:x b:y"))

    def test_places_count_a_sessions_events(self) -> None:
        """Places count the events of a session, however sessions interleave."""
        assert [0, 0, 1, 1, 0, 1, 0, 1, 2] == log_of(self.LOG).place.tolist()


class TestBootstrap:
    """Intervals from sessions drawn again with replacement."""

    @staticmethod
    def sums(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> Sums:
        """One metric of one model, one question a session."""
        return Sums(["m"], values[None, None, :], np.ones((1, len(values))))

    def test_it_is_as_wide_as_theory_says(self) -> None:
        """Of a share of 1,000 sessions: 1.96 standard errors to either side, and the true share within."""
        hits = (np.random.default_rng(5).random(1000) < 0.3).astype(np.float64)
        low, high = (each.item() for each in interval(draw(self.sums(hits), 4000, 1).value))
        error = math.sqrt(hits.mean() * (1 - hits.mean()) / 1000)
        assert 2 * 1.96 * error == pytest.approx(high - low, rel=0.05)
        assert low < hits.mean() < high

    def test_it_covers_the_truth_as_often_as_it_says(self) -> None:
        """In some 95 of 100 samples from a known distribution."""
        rng = np.random.default_rng(6)
        covered = 0
        for seed in range(200):
            sample = rng.exponential(2.0, 150)
            low, high = (each.item() for each in interval(draw(self.sums(sample), 400, seed).value))
            covered += low <= 2.0 <= high
        assert 0.90 <= covered / 200 <= 0.98

    def test_sessions_are_drawn_whole(self) -> None:
        """Ten equal questions in each of 20 sessions give the same interval as one each."""
        hits = (np.random.default_rng(7).random(20) < 0.5).astype(np.float64)
        one = draw(self.sums(hits), 2000, 3).value
        ten = draw(Sums(["m"], hits[None, None, :] * 10, np.full((1, 20), 10.0)), 2000, 3).value
        assert np.allclose(one, ten)

    def test_a_seed_gives_the_same_interval(self) -> None:
        """The same seed gives the same interval, another seed another."""
        values = np.random.default_rng(8).random(50)
        first, again, other = (draw(self.sums(values), 100, seed).value for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_models_are_compared_on_the_same_draws(self) -> None:
        """A model that is better by .1 in every session is surely better by .1, however much sessions differ."""
        values = np.random.default_rng(9).random(30)
        both = Sums(["m"], np.stack([values + 0.1, values])[None], np.ones((1, 30)))
        drawn = draw(both, 500, 4).value
        low, high = interval(drawn[:, :, 0] - drawn[:, :, 1])
        assert 0.1 == pytest.approx(low.item()) == pytest.approx(high.item())
        alone = interval(drawn[:, :, 0])
        assert 0.1 < (alone[1] - alone[0]).item()


class TestCandidates:
    """The candidates of an evaluation."""

    def test_every_baseline_is_described(self) -> None:
        """Each baseline has a description."""
        assert list(BASELINES) == [each.name for each in baselines(Model())]
        assert all(each.is_baseline for each in baselines(Model()))

    def test_the_same_name_twice_is_refused(self) -> None:
        """Figures would be mixed up."""
        with pytest.raises(SettingsError, match="'stan' is compared with itself"):
            with_names([candidate(PRESETS["stan"]), candidate(PRESETS["stan"])])

    def test_they_answer_as_the_engine_does(self) -> None:
        """Side by side in one kernel call, each candidate ranks as `Engine.ask` would, tables of any length."""
        events = log("a:x a:y b:y b:z c:x c:z c:y d:z d:x e:x e:y e:z")
        points = [
            changed(point, n=3) for point in (*PRESETS.values(), SR, changed(PRESETS["default"], last=2, places=0))
        ]
        found = asked(plans.prequential(events), *(Candidate(str(j), each) for j, each in enumerate(points)))
        engine = Engine(limits=KEEP_ALL)
        question = 0
        for row, event in enumerate(events):
            if row in found.plan.rows:
                for place, point in enumerate(points):
                    answer = [each.item_id for each in engine.ask(point, session_id=event.session_id)]
                    expected = answer.index(event.item_id) + 1 if event.item_id in answer else 0
                    assert expected == found.scores.rank[place, question], (place, row)
                question += 1
            engine.apply([event])
        assert question == len(found.plan.rows)

    def test_a_long_session_is_asked_as_in_a_run(self) -> None:
        """The store keeps its last events only: baselines may recommend older items, and no longer query is timed.

        Nor is it timed to name items that the model does not look at: the store knows what a visitor has seen (-1).
        """
        sizes = []

        class Watched(Engine):
            def ask(self, *args: Any, **fields: Any) -> list[Recommendation]:
                sizes.append(-1 if fields["items"] is None else len(fields["items"]))
                return super().ask(*args, **fields)

        events = log("b:x b:x b:x a:x " + "a:y a:z " * 6 + "a:x")
        listed = [candidate(changed(Model(), n=1, last=last, seen="drop-session")) for last in (2, 10)]
        listed.append(candidate(changed(Model(), name="seen", n=1, last=2, seen="keep")))
        named = [Candidate(f"m{place}", each.model) for place, each in enumerate(listed)]
        popular = next(each for each in baselines(listed[0].model) if each.name == "popularity")
        limits = Limits(retention_ms=None, max_session_events=3)
        plan = plans.prequential(events)
        found = ask_all(plan, [*named, popular], lambda: Watched(limits=limits), cutoffs=(1,), threads=1)
        assert 1 == found.scores.rank[3, -1]  # x, which left the store long ago
        assert {-1, 0, 1, 2, 3} == set(sizes)
        assert [-1, 2, 3] == sorted(sizes[-3:])


class TestReport:
    """The report of an evaluation."""

    EVENTS = log(" ".join(f"s{j}:{'xyzw'[(j + i) % 4]}" for j in range(40) for i in range(3)))

    def report(self, seed: int = 0) -> Report:
        """Two models and the baselines on a log with a pattern."""
        listed = [candidate(changed(PRESETS[name], n=3)) for name in ("default", "sknn")]
        found = ask_all(
            plans.prequential(self.EVENTS),
            [*listed, *baselines(listed[0].model)],
            lambda: Engine(limits=KEEP_ALL),
            cutoffs=(1, 3),
            threads=1,
        )
        return report_of(found, draws=50, seed=seed)

    def test_it_is_the_same_each_time(self) -> None:
        """Two reports are equal, except for the measured times."""

        def plain(report: Report) -> list[object]:
            return [
                (each.name, each.metrics, each.behind, each.coverage, each.popularity, each.hr_by_k, each.over_time)
                for each in report.models
            ]

        assert plain(self.report()) == plain(self.report())
        assert plain(self.report()) != plain(self.report(seed=1))

    def test_it_reads_back_from_json(self) -> None:
        """A report consists of plain values."""
        report = self.report()
        assert report == msgspec.json.decode(msgspec.json.encode(report), type=Report)
        assert {"p50", "p90", "p99"} == report.first.micros.keys()
        assert 80 == report.questions
        assert 40 == report.sessions

    def test_the_verdict_names_the_best(self) -> None:
        """In a sentence for the best baseline, and one for the best other model."""
        lines = list(verdict(self.report()))
        assert "default" in lines[0]
        assert "baseline" in lines[0]
        assert "sknn" in lines[1]

    def test_it_is_drawn(self, tmp_path: Path) -> None:
        """As a picture."""
        pytest.importorskip("matplotlib")
        report, path = self.report(), tmp_path / "plot.png"
        plots.write_plot(report, str(path))
        assert path.read_bytes().startswith(b"\x89PNG")
        figure = plots.draw_report(report)
        over_time, by_k, latency = figure.axes
        assert 7 == len(over_time.lines) == len(by_k.lines)
        assert report.first.hr_by_k == pytest.approx(np.asarray(by_k.lines[0].get_ydata()).tolist())
        assert 2 == len(latency.patches)

    def test_a_plot_in_another_format_is_refused(self) -> None:
        """Before anything is asked."""
        for name in ("plot.gif", "plot.html"):
            with pytest.raises(SettingsError, match=r"does not end in .png; for a page .* say --html"):
                plots.check_place(name)

    def test_progress_is_reported(self) -> None:
        """All events in the end, and the first model's metric so far."""
        seen: list[PassProgress] = []
        plan = plans.prequential(self.EVENTS)
        listed = [candidate(changed(PRESETS["default"], n=3))]
        found = ask_all(plan, listed, Engine, cutoffs=(3,), threads=2, on_progress=seen.append, times=False)
        assert (120, 80) == (seen[-1].done, seen[-1].asked)
        assert figures(found)["MRR@3"] == pytest.approx(seen[-1].mrr)
