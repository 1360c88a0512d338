"""Tuning: the search, dropped sets, the file; and that the search never sees the test part."""

import math
import tomllib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_rec.core.events import Event
from stream_rec.core.model import PRESETS, Model, changed, model
from stream_rec.errors import SettingsError
from stream_rec.evaluate import plan as plans
from stream_rec.evaluate import space
from stream_rec.evaluate.search import FEWEST_SETS, TrialResult, influence
from stream_rec.evaluate.tune import TuneOptions, tune, tuning_end
from stream_rec.evaluate.tune_report import TuneResult
from stream_rec.evaluate.tuned_file import tuned_toml
from stream_rec.service.assembly.engine import build_limits, build_model
from stream_rec.settings import Settings, load, table
from stream_rec.simulator.clickstream import Shape
from stream_rec.simulator.clickstream import events as simulated

pytest.importorskip("optuna")

EVENTS = list(simulated(Shape(seed=11, sessions=500, items=60, duration_ms=86_400_000)))


def written(path: Path, events: Sequence[Event]) -> Path:
    """Write a log as JSON lines."""
    rows = [{"session_id": e.session_id, "item_id": e.item_id, "timestamp": e.timestamp} for e in events]
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


def tuned(log: Path, out: Path, **changes: object) -> TuneResult:
    """Tune quietly, with few sets."""
    options = {"out": str(out), "trials": 20, "threads": 1, **changes}
    settings = load(flags={"events": str(log)})
    return tune(settings, msgspec.convert(options, TuneOptions))


class TestTheTestPartIsNeverSeen:
    """The search never sees the events that the best set is measured on."""

    def test_another_test_part_chooses_the_same(self, tmp_path: Path) -> None:
        """With nonsense in the test part, the same sets are proposed and the same file is written."""
        end = tuning_end(EVENTS, 0.3)
        nonsense = [
            msgspec.structs.replace(event, item_id=f"other{place % 7}", session_id=f"other{place // 3}")
            for place, event in enumerate(EVENTS[end:])
        ]
        logs = [
            written(tmp_path / f"log{j}.jsonl", [*EVENTS[:end], *rest])
            for j, rest in enumerate((EVENTS[end:], nonsense))
        ]
        first, second = (tuned(log, tmp_path / f"{log.stem}.toml", test_share=0.3) for log in logs)
        assert first.tried == second.tried
        assert first.parameters == second.parameters
        assert first.start == second.start
        assert first.test is not None
        assert second.test is not None
        assert first.test.first.metrics != second.test.first.metrics
        chosen = [tomllib.loads((tmp_path / f"log{j}.toml").read_text(encoding="utf-8")) for j in (0, 1)]
        assert {**chosen[0], "events": ""} == {**chosen[1], "events": ""}

    def test_the_test_part_begins_between_two_moments(self) -> None:
        """Events of one time are all in one part; a part that would be empty is refused."""
        events = [Event("s", "i", time) for time in (1, 2, 2, 2, 3)]
        assert 4 == tuning_end(events, 0.2)
        assert 1 == tuning_end(events, 0.4)
        assert 1 == tuning_end(events, 0.6)
        assert 5 == tuning_end(events, 0.0)
        with pytest.raises(SettingsError, match="leaves nothing to tune on"):
            tuning_end([Event("s", "i", 1)] * 3, 0.5)

    def test_only_the_test_part_is_asked_in_the_end(self, tmp_path: Path) -> None:
        """Each event of it that is not the first of its session, and none before."""
        found = tuned(written(tmp_path / "log.jsonl", EVENTS), tmp_path / "t.toml", trials=4)
        end = tuning_end(EVENTS, 0.2)
        assert found.test is not None
        seen: set[str] = set()
        n_questions = 0
        for place, event in enumerate(EVENTS):
            n_questions += place >= end and event.session_id in seen
            seen.add(event.session_id)
        assert n_questions == found.test.questions


class TestTheSearch:
    """Generations of sets, asked side by side."""

    def test_it_is_the_same_for_the_same_seed(self, tmp_path: Path) -> None:
        """Whatever the threads; and another for another seed."""
        log = written(tmp_path / "log.jsonl", EVENTS)
        first, again, other = (
            tuned(log, tmp_path / f"{name}.toml", seed=seed, threads=threads)
            for name, seed, threads in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1))
        )
        assert first.tried == again.tried
        assert first.tried != other.tried
        assert (tmp_path / "a.toml").read_bytes() == (tmp_path / "b.toml").read_bytes()

    def test_poor_sets_are_dropped_early_and_the_best_are_asked_all(self, tmp_path: Path) -> None:
        """Of 16, half go at each place; what is written was asked every question, and is better than the start."""
        log = written(tmp_path / "log.jsonl", EVENTS)
        found = tuned(log, tmp_path / "t.toml", trials=16)
        asked = sorted(each.questions for each in found.tried)
        finished = [each for each in found.tried if each.finished]
        assert found.questions == asked[-1] == finished[0].questions
        assert len(finished) < 16
        assert all(each.questions < found.questions for each in found.tried if not each.finished)
        assert found.best == max(found.start, *(each.value for each in finished))
        assert found.improved == (found.best > found.start)
        first_dropped = [each for each in found.tried if each.questions == asked[0]]
        assert asked[0] == found.early_questions
        assert all(each.early_value == each.value for each in first_dropped)
        assert all(each.early_value > 0 for each in found.tried)

    def test_a_value_equals_the_evaluation_of_the_file(self, tmp_path: Path) -> None:
        """The file's parameters, asked alone over the same questions, give the value that they were chosen by."""
        from stream_rec.core.engine import Engine  # noqa: PLC0415  # this test only
        from stream_rec.evaluate.asking import ask_all  # noqa: PLC0415
        from stream_rec.evaluate.candidates import candidate  # noqa: PLC0415

        log, out = written(tmp_path / "log.jsonl", EVENTS), tmp_path / "t.toml"
        found = tuned(log, out, trials=16)
        settings = load(config=out)
        point = changed(build_model(settings), n=20)
        plan = plans.prequential(EVENTS[: tuning_end(EVENTS, 0.2)])
        asked = ask_all(plan, [candidate(point)], lambda: Engine(limits=build_limits(settings)), cutoffs=(20,))
        rank = asked.scores.rank[0].astype(float)
        assert found.best == pytest.approx(float((1 / rank[rank > 0]).sum() / rank.size))
        assert 0 < found.early_questions < rank.size
        best = next(each for each in found.tried if each.value == found.best)
        early = rank[: found.early_questions]
        assert best.early_value == pytest.approx(float((1 / early[early > 0]).sum() / early.size))

    def test_questions_are_thinned_by_whole_sessions(self) -> None:
        """At most so many; a session is asked for all of its events or for none."""
        plan = plans.prequential(EVENTS)
        thin = plans.thinned(plan, 300, seed=1)
        assert 250 < len(thin.rows) <= 300
        asked = set(plan.log.session[thin.rows].tolist())
        assert len(thin.rows) == sum(session in asked for session in plan.log.session[plan.rows].tolist())
        assert plans.thinned(plan, 300, seed=1).rows.tolist() == thin.rows.tolist()
        assert plans.thinned(plan, 300, seed=2).rows.tolist() != thin.rows.tolist()
        assert plans.thinned(plan, 10**9, seed=1) is plan

    def test_a_plan_in_parts_is_the_same_plan(self) -> None:
        """Cut where the shares of its questions are behind, and nowhere else."""
        plan = plans.prequential(EVENTS)
        parts = plans.in_parts(plan, [0.25, 0.5])
        assert 3 == len(parts.stretches)
        assert all(one.end == two.begin for one, two in pairwise(parts.stretches))
        assert (0, len(EVENTS)) == (parts.stretches[0].begin, parts.stretches[-1].end)
        assert len(plan.rows) // 4 == pytest.approx(int((plan.rows < parts.stretches[0].end).sum()), abs=1)

    def test_influence_finds_the_parameter_that_matters(self) -> None:
        """The metric depends on k and on nothing else."""
        rng = np.random.default_rng(3)
        tried = []
        for number in range(200):
            parameters: dict[str, Any] = {name: float(rng.random()) for name in space.SEARCHED}
            parameters |= {name: str(rng.integers(3)) for name in space.CHOICES}
            early = float(parameters["k"]) ** 2
            # How far a set got, and its value there, say nothing: they were not measured of all sets alike.
            value, n_asked = float(rng.random()), int(rng.integers(1, 100))
            tried.append(TrialResult(number, parameters, value, n_asked, finished=False, early_value=early))
        found = influence(tried)
        assert "k" == next(iter(found))
        assert found["k"] > 0.9
        assert all(share < 0.1 for name, share in found.items() if name != "k")
        assert {} == influence(tried[: FEWEST_SETS - 1])
        assert influence(tried[:FEWEST_SETS])


class TestTheFile:
    """The file for `run --config`."""

    @pytest.mark.parametrize("preset", list(PRESETS))
    def test_every_point_can_be_written(self, preset: str, tmp_path: Path) -> None:
        """A preset, written in full over the settings of another, is read back as it is."""
        for base in ("default", "vstan"):
            settings = load(flags={"events": "a.jsonl", "preset": base, "n": "7", "seen": "keep"})
            point = changed(model(preset), n=7, seen="keep", name=base)
            path = tmp_path / f"{base}.toml"
            path.write_text(tuned_toml(settings, point, ["why"]), encoding="utf-8")
            back = build_model(load(config=path))
            assert _plain(point) == _plain(back)

    def test_settings_go_along(self, tmp_path: Path) -> None:
        """The file has every setting that is not the default, such as how the log is read."""
        flags = {
            "events": 'a "quoted" \\ name.csv',
            "fields": ("session_id=Visit", "item_id=Die Ware"),
            "timestamp_unit": "s",
            "retention_ms": "none",
            "max_bytes": "64MiB",
            "allowed_lateness_ms": "90m",
            "types": ("view=1", "buy=2.5"),
            "deny": ("a", "b\tc"),
            "fallbacks": False,
            "sampling": "random",
            "every_time": True,
        }
        settings = load(flags=flags)
        path = tmp_path / "t.toml"
        path.write_text(tuned_toml(settings, build_model(settings), []), encoding="utf-8")
        back = load(config=path)
        for setting in table():
            if setting.name not in space.SEARCHED:
                assert getattr(settings, setting.name) == getattr(back, setting.name), setting.name
        assert _plain(build_model(settings)) == _plain(build_model(back))

    def test_every_setting_of_the_model_is_searched_or_given(self) -> None:
        """All parameters of the formulas are searched; sampling, rules, order and new items are the operator's."""
        newest = {"newest_fallback", "newest_share", "newest_within_ms"}
        sampled = {"sampling", "sampling_seed", "require_type", "min_type_weight", "bonus_type", "bonus"}
        parameters = set(Model.__struct_fields__) - {"name"}
        assert parameters - {"n", "seen", "fallbacks", "rerank", "every_time"} - newest - sampled == set(space.SEARCHED)
        assert parameters <= set(Settings.__struct_fields__)

    def test_proposals_lie_in_the_space(self) -> None:
        """The presets, as the search begins with them, and the ends of every range are valid models."""
        for point in PRESETS.values():
            begun = space.nearest_proposal(point)
            assert set(space.SEARCHED) == begun.keys()
            space.trial_model(point, begun, "x")
        for end in (0, 1):
            ends = {name: each[end] for name, each in {**space.WHOLE, **space.DECAYS, **space.SHARES}.items()}
            assert "x" == space.trial_model(model(), ends, "x").name

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"out": "t.json"}, "out"),
            ({"out": "there.toml"}, "out"),
            ({"test_share": 1.0}, "test_share"),
            ({"train": "a.csv"}, "train"),
            ({"plot": "x.gif"}, "plot"),
        ],
    )
    def test_misuse_is_refused_before_anything_is_asked(
        self, changes: dict[str, object], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the option's name; a file that is there is not overwritten."""
        monkeypatch.chdir(tmp_path)
        Path("there.toml").write_text("mine", encoding="utf-8")
        options = msgspec.convert({"out": "t.toml", **changes}, TuneOptions)
        with pytest.raises(SettingsError) as caught:
            tune(load(flags={"events": "nowhere.jsonl"}), options)
        assert key == caught.value.key
        assert "mine" == Path("there.toml").read_text(encoding="utf-8")

    def test_what_is_odd_about_the_log_is_said(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Before the search, and in the result: copies make every metric look better."""
        log = written(tmp_path / "log.jsonl", [*EVENTS, *EVENTS[:100]])
        found = tuned(log, tmp_path / "t.toml", trials=2)
        (note,) = found.notes
        assert "100 events" in note
        assert capsys.readouterr().out.startswith("note: 100 events")
        assert [] == tuned(written(tmp_path / "plain.jsonl", EVENTS), tmp_path / "u.toml", trials=2).notes

    def test_a_log_to_compare_on_that_was_learned_is_said(self, tmp_path: Path) -> None:
        """Every metric would be too good."""
        log = str(written(tmp_path / "log.jsonl", EVENTS))
        (note,) = tuned(tmp_path, tmp_path / "t.toml", trials=2, train=log, valid=log, valid_sessions="own").notes
        assert "events of --valid are in --train too" in note

    def test_records_that_are_left_out_are_said(self, tmp_path: Path) -> None:
        """By reason: a log of which half is refused is not the log that was meant."""
        log = written(tmp_path / "log.jsonl", EVENTS)
        log.write_bytes(log.read_bytes() + b"nonsense\n{}\n")
        (note,) = tuned(log, tmp_path / "t.toml", trials=2).notes
        assert note.startswith("2 records are left out (missing_field 1, not_json 1)")

    def test_a_log_to_compare_on_may_number_its_sessions_again(self, tmp_path: Path) -> None:
        """Its ids then are no sessions of the log that is learned."""
        later = [msgspec.structs.replace(each, timestamp=each.timestamp + 10 * 86_400_000) for each in EVENTS]
        logs = {
            "train": str(written(tmp_path / "train.jsonl", EVENTS)),
            "valid": str(written(tmp_path / "valid.jsonl", later)),
        }
        (note,) = tuned(tmp_path, tmp_path / "t.toml", trials=2, **logs).notes
        assert "if --valid numbers its sessions again, say --valid-sessions own" in note
        own = tuned(tmp_path, tmp_path / "u.toml", trials=2, valid_sessions="own", **logs)
        assert [] == own.notes

    def test_it_is_drawn_and_kept(self, tmp_path: Path) -> None:
        """A picture of the search, and all of it as JSON."""
        pytest.importorskip("matplotlib")
        log = written(tmp_path / "log.jsonl", EVENTS)
        found = tuned(log, tmp_path / "t.toml", plot=str(tmp_path / "t.png"), json=str(tmp_path / "t.json"))
        assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
        kept = msgspec.json.decode((tmp_path / "t.json").read_bytes())
        assert len(found.tried) == len(kept["tried"]) == 20


def _plain(point: Model) -> dict[str, object]:
    """What a model means: no name, and one word for what does not matter."""
    values: dict[str, object] = msgspec.structs.asdict(point)
    values.pop("name")
    for name in ("age_days", "place_decay"):
        values[name] = math.inf if values[name] is None else values[name]
    values["places"] = min(10**6, 10**6 if point.places is None else point.places)
    return values
