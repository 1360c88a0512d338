"""Live quality: figures checked by hand, how the service feeds the evaluator, and what reports show."""

import math
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, Event, EventDecoder, Recommendation
from stream_rec.core.model import PRESETS, Trial, changed
from stream_rec.core.outcome import Observation
from stream_rec.core.quality import ModelShare, Quality, QualityReport
from stream_rec.core.quality.report import figures
from stream_rec.service.assembly.batch_job import build_batch_job
from stream_rec.service.batches import Batch
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.processing.processor import AnswerPolicy, Processor
from stream_rec.service.reporting.quality_lines import quality_lines
from stream_rec.service.reporting.status import StatsTaker, Status, read_status, status_lines
from stream_rec.service.state import ServiceState
from stream_rec.settings import load
from stream_rec.transport.records import Record

SHARE = ModelShare("sknn", 1.0, shadow=False)
MODELS: Final = '{"arm": {"preset": "stan", "share": 0.5}, "quiet": {"last": 1, "shadow": true}}'


def record(place: int, value: dict[str, Any] | bytes) -> Record:
    data = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Record(value=data, topic="clicks", partition=0, offset=place)


def click(session: str, item: str, time: int, **more: str) -> dict[str, Any]:
    return {"session_id": session, "item_id": item, "timestamp": time, **more}


def answer(session: str, *items: str, model: str = "sknn") -> Answer:
    return Answer(session, None, [Recommendation(item, 1.0, "popular") for item in items], 0, {}, model)


def processor(*trials: Trial, **given: Any) -> Processor:
    engine = Engine("sknn", trials=trials)
    quality = Quality(engine.split, n=5, windows_ms=(60_000,))
    return Processor(engine, quality=quality, policy=AnswerPolicy(**given))


DECODE = RecordDecoder(EventDecoder())


def process(made: Processor, records: list[Record]) -> None:
    made.process_events(DECODE(records).batch(records))


def counts_of(quality: Quality | None) -> list[tuple[str, int, int]]:
    """The model, its answers, and how many of them were scored."""
    assert quality is not None
    return [(each.model, each.answers, each.scored) for each in quality.report(1).windows[0].models]


class TestFigures:
    """From counts by rank to figures."""

    def test_a_hit_counts_by_its_rank(self) -> None:
        """Four answers: two misses, a hit at rank 1 and one at rank 4; one of the hits on a new item."""
        found = figures(SHARE, 9, [2, 1, 0, 0, 1], [1, 0, 0, 0, 1], 3, 12)
        assert (9, 4, 0.5, 0.3125) == (found.answers, found.scored, found.hr, found.mrr)
        assert (2, 0.5, 0.25) == (found.novel_scored, found.hr_novel, found.coverage)

    def test_the_interval_of_a_share_is_wilsons(self) -> None:
        """As in Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3."""
        for hits, n, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
            found = figures(SHARE, n, [n - hits, hits], [0, 0], 0, 1)
            assert pytest.approx([low, high], abs=5e-5) == [found.hr_low, found.hr_high]

    def test_the_interval_of_a_mean_is_the_normal_one(self) -> None:
        """Of 100 answers half at the first place and half at none, the deviation is a half."""
        found = figures(SHARE, 100, [50, 50], [0, 0], 0, 1)
        half = 1.959964 * 0.5 / math.sqrt(100)
        assert pytest.approx([0.5 - half, 0.5 + half]) == [found.mrr_low, found.mrr_high]

    def test_without_scored_answers_there_are_no_figures(self) -> None:
        """None, not 0."""
        found = figures(SHARE, 3, [0, 0], [0, 0], 0, 0)
        assert [None] * 6 == [found.hr, found.hr_low, found.mrr, found.mrr_high, found.hr_novel, found.coverage]


class TestRequests:
    """Answers to requests."""

    def test_the_newest_answer_is_scored(self) -> None:
        """Only by the next event, and once."""
        made = processor(answers_events=False)
        process(made, [record(0, click("s", "a", 1000))])
        assert made.quality is not None
        made.quality.on_answered([answer("s", "b", "c"), answer("t", "b")])
        made.quality.on_answered([answer("s", "c", "b"), answer("s", "x", model="someone's")])
        process(made, [record(1, click("s", "b", 2000)), record(2, click("s", "c", 3000))])
        (found,) = made.quality.report(4).windows[0].models
        assert (3, 1, 1.0, 0.5, 0.5) == (found.answers, found.scored, found.hr, found.mrr, found.coverage)

    def test_requests_count_unless_they_are_trials(self) -> None:
        """A request that names a model, a preset or its parameters is not a visitor's."""
        made = processor(Trial(model=PRESETS["stan"], shadow=True), answers_events=False)
        process(made, [record(0, click("s", "a", 1000))])
        asks: list[dict[str, Any]] = [{}, {"n": 3}, {"model": "stan"}, {"preset": "stan"}, {"m": 9}, {"k": 9}]
        asks += [{"last": 1}, {"fallbacks": False}, {"explain": True}, {"seen": "keep"}]
        made.process_requests([record(place, {"session_id": "s", **ask}) for place, ask in enumerate(asks)])
        made.process_requests([record(0, {"items": ["a"]}), record(0, b"not JSON")])
        assert [("sknn", 3, 0), ("stan", 3, 0)] == counts_of(made.quality)
        process(made, [record(1, click("s", "b", 2000))])
        assert [("sknn", 3, 1), ("stan", 3, 1)] == counts_of(made.quality)

    def test_an_expired_request_does_not_count(self) -> None:
        """Its answer reached no visitor."""
        made = processor(answers_events=False, request_ttl_ms=10, clock_ms=lambda: 1_000)
        process(made, [record(0, click("s", "a", 1000))])
        old = msgspec.structs.replace(record(0, {"session_id": "s"}), timestamp_ms=1)
        (refused,) = made.process_requests([old]).answers
        assert ("expired", "sknn") == (refused.reason, refused.model)
        assert [("sknn", 0, 0)] == counts_of(made.quality)

    def test_an_answer_before_the_first_event_does_not_count(self) -> None:
        """There is no event time yet to count it under."""
        made = processor(answers_events=False)
        made.process_requests([record(0, {"session_id": "s"})])
        assert [("sknn", 0, 0)] == counts_of(made.quality)


class TestEvents:
    """Which events of the log count."""

    LOG = (
        click("s", "a", 10_000, event_id="1"),
        click("s", "b", 11_000, event_id="2"),
        click("s", "b", 11_000, event_id="2"),
        click("t", "a", 12_000_000),
        click("s", "c", 1),
        click("t", "b", 12_001_000),
    )

    def test_an_event_that_is_not_applied_scores_nothing(self) -> None:
        """A duplicate and a late event; the other two follow an answer."""
        made = processor()
        process(made, [record(place, each) for place, each in enumerate(self.LOG)])
        assert made.counters.n_duplicates == made.counters.dead["late"] == 1
        assert [("sknn", 2, 1)] == counts_of(made.quality), "the first two have left the window"

    def test_events_of_another_process_are_not_counted(self) -> None:
        """A partition that moves to another process takes the answers of its sessions along."""
        made = processor()
        records = [record(place, click("s", item, 1000 + place)) for place, item in enumerate("abcd")]
        for each, ours in zip(records, (True, True, False, True), strict=True):
            made.process_events(DECODE([each]).batch([each], _mask(ours)))
        assert [("sknn", 3, 1)] == counts_of(made.quality)

    def test_a_forgotten_session_leaves_no_answer(self) -> None:
        """Law 7: an order in the log erases answers that wait for an event."""
        made = processor()
        process(made, [record(0, click("s", "a", 1000)), record(1, b'{"type":"forget","session_id":"s"}')])
        process(made, [record(2, click("s", "b", 2000))])
        assert [("sknn", 2, 0)] == counts_of(made.quality)

    def test_a_window_holds_its_last_sixty_steps(self) -> None:
        """Here a second each: an answer and its items leave with their step, also after the table was rebuilt."""
        for later, inside in ((59_999, True), (60_000, False)):
            made = processor()
            quality = made.quality
            assert quality is not None
            process(made, [record(0, click("s", "a", 120_000))])
            quality.on_answered([answer("t", "a", "b")])
            made.process_events(_followed(click("u", "c", 120_000 + later)))
            for _ in range(2):
                (found,) = quality.report(4).windows[0].models
                assert ((2, 0.5) if inside else (0, 0.0)) == (found.answers, found.coverage)
                quality._reserve(1 << 14)

    def test_the_sessions_own_model_and_every_shadow_are_scored(self) -> None:
        """By the same events."""
        arm = Trial(model=changed(PRESETS["stan"], name="arm"), share=0.5)
        made = processor(arm, Trial(model=PRESETS["v-sknn"], shadow=True))
        log = [click(f"s{j % 20}", f"i{j % 7}", 1000 + j) for j in range(200)]
        process(made, [record(place, each) for place, each in enumerate(log)])
        main, other, shadow = counts_of(made.quality)
        assert ("v-sknn", 200, 180) == shadow
        assert (200, 180) == (main[1] + other[1], main[2] + other[2])
        in_arm = sum(made.engine.split.of(f"s{j}").name == "arm" for j in range(20))
        assert ("arm", 10 * in_arm, 9 * in_arm) == other

    def test_with_sessions_cut_from_users_answers_belong_to_a_session(self) -> None:
        """The next visit of a user does not score the answer of the last one."""
        engine = Engine("sknn", session_gap_ms=5_000)
        quality = Quality(engine.split, windows_ms=(600_000,))
        events = [Event("", item, time, user_id="u") for item, time in (("a", 0), ("b", 1000), ("c", 60_000))]
        for event in events:
            engine.apply_and_answer([event], observation=Observation(quality, np.ones(1, np.uint8)))
        assert [("sknn", 3, 1)] == counts_of(quality)


def _followed(value: dict[str, Any]) -> Batch:
    """An event that another process answers for."""
    records = [record(9, value)]
    return DECODE(records).batch(records, _mask(*[False]))


def _mask(*values: bool) -> Any:
    return np.array(values, np.bool_)


def test_a_report_has_a_line_for_each_model() -> None:
    """Of the longest window; one model has no name in it, and nothing is reported before an answer is scored."""
    engine = Engine("sknn", trials=[Trial(model=PRESETS["stan"], shadow=True)])
    assert [] == quality_lines(Quality(engine.split).report(1))
    made = processor(Trial(model=PRESETS["stan"], shadow=True))
    process(made, [record(j, click("s", "ab"[j % 2], 1000 + j)) for j in range(11)])
    assert made.quality is not None
    report = made.quality.report(2)
    lines = quality_lines(report)
    assert lines[0].startswith("sknn: HR@5 0.9000 +-0.19")
    assert lines[0].endswith("of 10 answers in the last 1m")
    assert lines[1].startswith("stan (shadow): HR@5 ")
    alone = msgspec.structs.replace(report.windows[0], models=report.windows[0].models[:1])
    assert quality_lines(QualityReport(5, [alone]))[0].startswith("HR@5 0.9000 ")


class TestService:
    """Where the figures are reported."""

    def run(self, folder: Path, **flags: object) -> list[str]:
        """Run over a log of a hundred events; return the summary."""
        log = [click(f"s{j % 9}", f"i{j % 4}", 1000 + j) for j in range(100)]
        (folder / "clicks.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, log)))
        given = {"events": str(folder / "clicks.jsonl"), "recommendations": str(folder / "recs.jsonl"), **flags}
        with closing(build_batch_job(load(flags={"models": MODELS, "output_mode": "overwrite", **given}))) as job:
            job.run()
            return [line for line in job.summary() if line.startswith("quality")]

    def test_a_run_over_files_sums_up_each_model(self, tmp_path: Path) -> None:
        """With one line each, and the answers name their model."""
        lines = self.run(tmp_path, quality_windows=("1h",), quality_n="3", n="5")
        names = [line[15:].split(": HR@3 ")[0] for line in lines]
        assert ["default", "arm", "quiet (shadow)"] == names
        answers = map(msgspec.json.decode, (tmp_path / "recs.jsonl").read_bytes().splitlines())
        assert {"default", "arm"} == {each["model"] for each in answers}

    def test_it_can_be_switched_off(self, tmp_path: Path) -> None:
        """It is off if no answers are given; the cut-off is never beyond the length of answers."""
        assert [] == self.run(tmp_path, quality=False)
        assert [] == self.run(tmp_path, answer="none")
        assert "HR@2 " in self.run(tmp_path, n="2")[0]

    def test_the_status_reports_it(self, tmp_path: Path) -> None:
        """Computed once a second on the engine's thread, read back, and shown to people."""
        made = processor(Trial(model=PRESETS["stan"], share=0.25))
        process(made, [record(j, click("s", "ab"[j % 2], 1000 + j)) for j in range(11)])
        taker = StatsTaker(lambda: 5.0, made.quality)
        taker.idle(made.engine)
        status = Status(
            state=ServiceState.READY,
            at_ms=0,
            pid=1,
            generation=1,
            owned=[],
            lag={},
            commits=0,
            counts=made.counters,
            stats=taker.stats,
            last_snapshot=None,
            models=taker.models,
            quality=taker.quality,
        )
        (tmp_path / "status").write_bytes(msgspec.json.encode(status))
        assert status == read_status(tmp_path / "status")
        assert [ModelShare("sknn", 0.75, shadow=False), ModelShare("stan", 0.25, shadow=False)] == status.models
        assert sum(line.startswith("quality        ") for line in status_lines(tmp_path / "status")[1]) == 1
