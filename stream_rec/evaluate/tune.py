"""`stream-rec tune`: find the parameters that answer best on a log, without a look at the part that measures them.

The settings end in `tune`: it makes the model to start from, the engines and the plan, and hands them to the search.
The best set is then asked, once, on the test part.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.text import Text

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.model import Model
from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.evaluate import plan as plans
from stream_rec.evaluate import plots
from stream_rec.evaluate.asking import ask_all
from stream_rec.evaluate.candidates import candidate
from stream_rec.evaluate.from_settings import engine_factory, occasion_of, own_model, reading_from, rules_left_out
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
from stream_rec.evaluate.page.tuning import write_tuning
from stream_rec.evaluate.plan import Plan
from stream_rec.evaluate.report import Report, report_of
from stream_rec.evaluate.search import FEWEST, RUNGS, Metric, Search, influence, require_optuna, searched_parameters
from stream_rec.evaluate.tune_report import TuneResult, draw_result, result_lines, result_table
from stream_rec.evaluate.tuned_file import tuned_toml
from stream_rec.settings import Settings

__all__ = ["TuneOptions", "tune", "tuning_end"]

SHORTEST_ANSWER = 20


class TuneOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `tune` takes beside the settings."""

    out: str
    train: str | None = None
    valid: str | None = None
    valid_sessions: plans.WhoseSessions = "same"
    test_share: float = 0.2
    metric: Metric = "MRR"
    trials: int = 96
    most_questions: int = 20_000
    seed: int = 0
    threads: int | None = None
    json: str | None = None
    plot: str | None = None
    html: str | None = None
    command: str = "stream-rec tune"
    """As it was typed: the page shows it."""


class _Parts(NamedTuple):
    """What a log is cut into: the plan of the tuning part, and all events if there is a test part behind it."""

    tuning: Plan
    events: Sequence[Event] | None
    notes: list[str]
    """What of the log makes the figures say less than they seem to."""


def tune(settings: Settings, options: TuneOptions, console: Console | None = None) -> TuneResult:
    """Search, measure the best set on the test part, and write it to `out`.

    Raises as `run` does, and SettingsError for contradicting options.
    """
    _check(options)
    plots.check_place(options.plot)
    check_page(options.html)
    began = datetime.now(UTC)
    start = own_model(settings, max(SHORTEST_ANSWER, settings.n))
    new_engine = engine_factory(settings)
    report = console or report_console(options.json)
    with progress_bar() as on_progress:
        parts = _read_parts(settings, options)
        for note in parts.notes:  # before the search, which takes minutes
            report.print(Text(f"note: {note}"))
        announce_compilation()
        search = Search(
            plan=parts.tuning,
            start=start,
            new_engine=new_engine,
            metric=options.metric,
            n_trials=options.trials,
            seed=options.seed,
            threads=options.threads,
            on_progress=on_progress,
        )
        search.run()
        best = search.best()
        test = None
        if parts.events is not None:
            plan = _test_plan(parts.events, begin=len(parts.tuning.log))
            test = _ask_test_part(plan, best, start, new_engine, options.threads, options.seed, on_progress)
    result = _result(search, best, test, parts.notes)
    written = settings if options.train is None else reading_from(settings, options.train)
    comments = ["Written by `stream-rec tune`; `stream-rec run --config` takes it.", *result_lines(result)]
    _write(options.out, tuned_toml(written, best, comments))
    report.print(result_table(result, options.out), crop=False)
    if options.json is not None:
        write_json(result, options.json)
    if options.plot is not None:
        plots.save(draw_result(result), options.plot)
    if options.html is not None:
        occasion = occasion_of(settings, options.command, began, _sources(options))
        write_tuning(options.html, result, occasion, search.plan.log.events if parts.events is None else parts.events)
    return result


def _sources(options: TuneOptions) -> dict[str, str]:
    return {"learned": options.train or "", "asked": options.valid or ""}


def _check(options: TuneOptions) -> None:
    if not 0 <= options.test_share < 1:
        raise SettingsError("test_share", f"is {options.test_share}; expected a share from 0 to below 1")
    if (options.train is None) != (options.valid is None):
        raise SettingsError("train", "and valid go together: the first is learned, the second asked while tuning")
    if Path(options.out).suffix != ".toml":
        raise SettingsError("out", f"{options.out!r} is not a .toml file, which `run --config` needs")
    if Path(options.out).exists():
        raise SettingsError("out", f"{options.out!r} exists already; name another file, or remove it")
    require_optuna()


# --- the tuning part


def _read_parts(settings: Settings, options: TuneOptions) -> _Parts:
    """Read the log or logs. The plan holds nothing of the test part, which is the last share of the log by time."""
    if options.train is not None and options.valid is not None:
        learned = read_events(reading_from(settings, options.train))
        asked = read_events(reading_from(settings, options.valid))
        events, noted = plans.sessions_of("valid", learned.events, asked.events, options.valid_sessions)
        plan = plans.hold_out_files(learned.events, events)
        both = learned.rejected + asked.rejected
        notes = [
            *notes_on(learned, settings),
            *notes_on(asked, settings),
            *noted,
            *_left_out(both),
            *rules_left_out(settings),
        ]
        return _Parts(_for_rungs(plan, options.most_questions, options.seed), None, notes)
    reading = read_events(settings)
    events = reading.events
    tuning = events[: tuning_end(events, options.test_share)]
    notes = [*notes_on(reading, settings), *_left_out(reading.rejected), *rules_left_out(settings)]
    plan = _for_rungs(plans.prequential(tuning), options.most_questions, options.seed)
    return _Parts(plan, events if len(tuning) < len(events) else None, notes)


def _left_out(rejected: Mapping[str, int]) -> list[str]:
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(rejected.items()) if n)
    return (
        [f"{sum(rejected.values()):,} records are left out ({reasons}): `stream-rec check` shows some"]
        if reasons
        else []
    )


def tuning_end(events: Sequence[Event], test_share: float) -> int:
    """Return how many events come before the test part, whose first event is later than all of them."""
    end = len(events) - round(test_share * len(events))
    while 0 < end < len(events) and events[end - 1].timestamp == events[end].timestamp:
        end -= 1
    if end == 0:
        raise SettingsError("test_share", f"{test_share} leaves nothing to tune on: the log has too few timestamps")
    return end


def _for_rungs(plan: Plan, most_questions: int, seed: int) -> Plan:
    """Return *plan* with at most so many questions, cut where the search drops sets."""
    thin = plans.thinned(plan, most_questions, seed)
    return plans.in_parts(thin, [share for share in RUNGS if share * len(thin.rows) >= FEWEST])


# --- the test part


def _test_plan(events: Sequence[Event], begin: int) -> Plan:
    """Return a plan that learns *events* up to *begin*, and asks the rest live."""
    whole = plans.prequential(events)
    stretches = [plans.Stretch("learn", 0, begin), plans.Stretch("live", begin, len(events))]
    return Plan("test part", whole.log, stretches, whole.rows[whole.rows >= begin])


def _ask_test_part(  # all that decides the figures, spelled out
    plan: Plan,
    best: Model,
    start: Model,
    new_engine: Callable[[], Engine],
    threads: int | None,
    seed: int,
    on_progress: OnProgress,
) -> Report:
    """Ask the best set and the start, and no other."""
    models = [msgspec.structs.replace(best, name="tuned"), *([start] if best != start else [])]
    result = ask_all(
        plan,
        [candidate(model) for model in models],
        new_engine,
        cutoffs=sorted({5, 10, best.n}),
        threads=threads,
        on_progress=lambda progress: report_progress(on_progress, progress, plan),
    )
    return report_of(result, seed=seed)


# --- the output


def _result(search: Search, best: Model, test: Report | None, notes: list[str]) -> TuneResult:
    finished = [each.value for each in search.tried if each.finished]
    return TuneResult(
        metric=search.metric_name,
        questions=len(search.plan.rows),
        start=search.start_value,
        best=max(search.start_value, *finished),
        parameters=searched_parameters(best),
        improved=best is not search.start,
        tried=search.tried,
        influence=influence(search.tried),
        early_questions=search.n_early,
        test=test,
        notes=notes,
    )


def _write(path: str, content: str) -> None:
    try:
        Path(path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise StreamRecError(f"cannot write {path!r}: {error.strerror}") from error
