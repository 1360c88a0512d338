"""`stream-rec evaluate`: options -> plans and candidates -> a report as a table, JSON and a figure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
from rich.console import Console

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.model import PRESETS, Model, changed
from stream_rec.core.model import model as preset_model
from stream_rec.errors import SettingsError
from stream_rec.evaluate import plan as plans
from stream_rec.evaluate import plots
from stream_rec.evaluate.asking import PassResult, ask_all
from stream_rec.evaluate.candidates import Candidate, baselines, candidate, learned, with_names
from stream_rec.evaluate.from_settings import engine_factory, occasion_of, own_model, reading_from, rules_left_out
from stream_rec.evaluate.kernel.scoring import AnswerScores
from stream_rec.evaluate.log import notes_on, read_events
from stream_rec.evaluate.output import (
    OnProgress,
    announce_compilation,
    progress_bar,
    report_console,
    report_progress,
    write_json,
)
from stream_rec.evaluate.page.document import check_page
from stream_rec.evaluate.page.evaluation import write_evaluation
from stream_rec.evaluate.plan import Plan
from stream_rec.evaluate.report import Report, report_of
from stream_rec.evaluate.tables import print_report
from stream_rec.nearest import did_you_mean
from stream_rec.service.assembly.engine import build_model
from stream_rec.settings import Settings, load
from stream_rec.units import parse_duration

__all__ = ["EvaluateOptions", "evaluate", "make_plan"]

ALL_PRESETS: Final = "all"
MOST_CUTOFF: Final = 1000


class EvaluateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `evaluate` takes beside the settings, as the command line passes it."""

    train: str | None = None
    test: str | None = None
    test_sessions: plans.WhoseSessions = "same"
    since: str | None = None
    last_days: float | None = None
    share: float | None = None
    window: str | None = None
    refresh: Literal["live", "window", "both"] = "both"
    questions: Literal["next", "last"] = "next"
    cutoffs: str = "5,10,20"
    compare: Sequence[str] = ()
    baselines: bool = True
    most_questions: int | None = None
    draws: int = 1000
    seed: int = 0
    threads: int | None = None
    json: str | None = None
    plot: str | None = None
    html: str | None = None
    command: str = "stream-rec evaluate"
    """As it was typed: the page shows it."""

    def cuts(self) -> list[int]:
        """Return the cut-offs, ascending. Raises SettingsError."""
        try:
            cuts = sorted({int(each) for each in self.cutoffs.split(",")})
        except ValueError:
            cuts = [0]
        if cuts[0] < 1 or cuts[-1] > MOST_CUTOFF:
            raise SettingsError(
                "cutoffs", f"{self.cutoffs!r} is not a list of whole numbers from 1 to {MOST_CUTOFF}, such as 5,10,20"
            )
        return cuts


def evaluate(settings: Settings, options: EvaluateOptions, console: Console | None = None) -> Report:
    """Ask all candidates; print the table on *console*, write JSON, a plot and a page if wanted. Raises as `run`."""
    plots.check_place(options.plot)
    check_page(options.html)
    began = datetime.now(UTC)
    cutoffs = options.cuts()
    candidates = _candidates(settings, options, cutoffs[-1])
    new_engine = engine_factory(settings)
    with progress_bar() as on_progress:
        parts, rejected, notes = _plans(settings, options)
        announce_compilation()
        results = [_ask(plan, candidates, new_engine, cutoffs, options, on_progress) for plan in parts]
    report = report_of(_joined(results), draws=options.draws, seed=options.seed, refused=dict(rejected))
    report = msgspec.structs.replace(report, notes=[*_rules_left_out(settings, options), *notes])
    print_report(report, console or report_console(options.json))
    if options.json is not None:
        write_json(report, options.json)
    if options.plot is not None:
        plots.write_plot(report, options.plot)
    if options.html is not None:
        sources = {"learned": options.train or "", "asked": options.test or ""}
        occasion = occasion_of(settings, options.command, began, sources)
        write_evaluation(options.html, report, occasion, parts[0].log.events)
    return report


def _ask(  # all that decides the figures, spelled out
    plan: Plan,
    candidates: Sequence[Candidate],
    new_engine: Callable[[], Engine],
    cutoffs: Sequence[int],
    options: EvaluateOptions,
    on_progress: OnProgress,
) -> PassResult:
    return ask_all(
        plan if options.most_questions is None else plans.thinned(plan, options.most_questions, options.seed),
        candidates,
        new_engine,
        cutoffs=cutoffs,
        threads=options.threads,
        on_progress=lambda progress: report_progress(on_progress, progress, plan),
    )


# --- the candidates


def _candidates(settings: Settings, options: EvaluateOptions, n: int) -> list[Candidate]:
    own = changed(own_model(settings, n), rerank="none")
    models = [own]
    for name in options.compare:
        if name == ALL_PRESETS:
            models += [_preset(preset, own) for preset in PRESETS if preset != own.name]
        else:
            models.append(_preset(name, own) if name in PRESETS else _from_file(name, settings, n))
    listed = [candidate(model) for model in models]
    if settings.rerank != "off":
        listed[1:1] = learned(own)
    return with_names([*listed, *(baselines(own) if options.baselines else [])])


def _preset(name: str, like: Model) -> Model:
    return preset_model(name, n=like.n, seen=like.seen, fallbacks=like.fallbacks)


def _from_file(path: str, settings: Settings, n: int) -> Model:
    if not Path(path).is_file():
        known = ", ".join([*PRESETS, ALL_PRESETS])
        question = did_you_mean(path, [*PRESETS, ALL_PRESETS])
        message = f"{path!r} is neither a preset ({known}) nor a TOML file of settings{question}"
        raise SettingsError("compare", message)
    return changed(build_model(_settings_in(path, settings)), n=n, name=Path(path).stem)


def _settings_in(path: str, settings: Settings) -> Settings:
    return load(config=path, flags={"events": settings.events})


def _rules_left_out(settings: Settings, options: EvaluateOptions) -> list[str]:
    """Return the notes on rules of *settings*, and of the files that are compared, that change nothing here."""
    files = [name for name in options.compare if name not in {*PRESETS, ALL_PRESETS}]
    of_files = [f"{name}: {note}" for name in files for note in rules_left_out(_settings_in(name, settings))]
    return [*rules_left_out(settings), *of_files]


# --- the plans


class _Planned(NamedTuple):
    """The passes over a log, and what reading it has found."""

    plans: list[Plan]
    rejected: Counter[str]
    notes: list[str]


def _plans(settings: Settings, options: EvaluateOptions) -> _Planned:
    """Return one plan, or two over the same questions to compare live with window."""
    _only_one(options, None if options.train is None else "train")
    if options.window is None or options.refresh != "both":
        return _read_plan(settings, options)
    reading = read_events(settings)
    width = _window_ms(options)
    both = [plans.windows(reading.events, width, options.questions, live=live) for live in (True, False)]
    return _Planned(both, reading.rejected, notes_on(reading, settings))


def _read_plan(settings: Settings, options: EvaluateOptions) -> _Planned:
    """Read the log or logs, and plan the pass that *options* describe. Raises SettingsError."""
    if (options.train is None) != (options.test is None):
        raise SettingsError("train", "and test go together: the first is learned, the second asked")
    if options.train is not None and options.test is not None:
        learned = read_events(reading_from(settings, options.train))
        asked = read_events(reading_from(settings, options.test))
        test, noted = plans.sessions_of("test", learned.events, asked.events, options.test_sessions)
        plan = plans.hold_out_files(learned.events, test, options.questions)
        notes = [*notes_on(learned, settings), *notes_on(asked, settings), *noted]
        return _Planned([plan], learned.rejected + asked.rejected, notes)
    reading = read_events(settings)
    return _Planned([make_plan(reading.events, options)], reading.rejected, notes_on(reading, settings))


def make_plan(events: Sequence[Event], options: EvaluateOptions) -> Plan:
    """Plan a pass over one log. Raises SettingsError."""
    which = options.questions
    if options.since is not None:
        return plans.hold_out_since(events, _millis(options.since), which)
    if options.last_days is not None:
        return plans.hold_out_days(events, options.last_days, which)
    if options.share is not None:
        if not 0 < options.share < 1:
            raise SettingsError("hold_out_share", f"is {options.share}; expected a share between 0 and 1")
        return plans.hold_out_random(events, options.share, options.seed, which)
    if options.window is not None:
        return plans.windows(events, _window_ms(options), which, live=options.refresh == "live")
    return plans.prequential(events, which)


def _only_one(options: EvaluateOptions, given: str | None) -> None:
    """Refuse two ways of splitting the log at once."""
    ways = {"since": "hold_out_since", "last_days": "hold_out_days", "share": "hold_out_share", "window": "window"}
    chosen = [key for name, key in ways.items() if getattr(options, name) is not None] + ([given] if given else [])
    if len(chosen) > 1:
        raise SettingsError(chosen[0], f"and {chosen[1]} split the log in two ways; choose one")


def _window_ms(options: EvaluateOptions) -> int:
    try:
        width = parse_duration(options.window or "")
    except ValueError:
        width = 0
    if width < 1:
        raise SettingsError("window", f"{options.window!r} is not a duration such as 12h or 1d")
    return width


def _millis(time: str) -> int:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        raise SettingsError(
            "hold_out_since", f"{time!r} is not a time such as 2024-05-01 or 2024-05-01T12:00Z"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _joined(results: Sequence[PassResult]) -> PassResult:
    """Join passes over the same questions into one. The name of each model says how it learned."""
    if len(results) == 1:
        return results[0]
    live, window = results
    counted = live.counted & window.counted
    parts = [(live, "live"), (window, "window")]
    renamed = {part: [replace(each, name=f"{each.name} {part}") for each in one.candidates] for one, part in parts}
    scores = AnswerScores(
        *(np.concatenate([getattr(one.scores, name) for one in (live, window)]) for name in AnswerScores._fields)
    )
    micros = {f"{name} {part}": times for one, part in parts for name, times in one.micros.items()}
    candidates = [*renamed["live"], *renamed["window"]]
    seconds = live.seconds + window.seconds
    return PassResult(window.plan, candidates, live.cutoffs, live.truth, scores, counted, micros, seconds)
