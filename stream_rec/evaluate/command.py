"""`stream-rec evaluate` and what it shares with `tune`: options -> a plan, candidates, a report in every form."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Model, changed, model
from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.evaluate import plan as plans
from stream_rec.evaluate import plots
from stream_rec.evaluate.asking import PassResult, Standing, ask_all
from stream_rec.evaluate.candidates import Candidate, baselines, with_names
from stream_rec.evaluate.kernel.judge import Judged
from stream_rec.evaluate.log import Reading, read_events
from stream_rec.evaluate.plan import Plan
from stream_rec.evaluate.report import Report, report_of
from stream_rec.evaluate.tables import print_report
from stream_rec.service.assembly.engine import build_limits, build_model, read_denied
from stream_rec.settings import Settings, load
from stream_rec.units import parse_duration

__all__ = ["Options", "bar", "evaluate", "make_plan", "maker", "own_model", "read_plan", "write_json"]

OnProgress = Callable[[str, int, int], None]

ALL: Final = "all"
SAME_IN_ALL: Final = ("name", "n", "seen", "fallbacks")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `evaluate` takes beside the settings, as the command line hands it over."""

    train: str | None = None
    test: str | None = None
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

    def cuts(self) -> list[int]:
        """Return the cut-offs. Raises SettingsError."""
        try:
            cuts = sorted({int(each) for each in self.cutoffs.split(",")})
        except ValueError:
            cuts = [0]
        if cuts[0] < 1 or cuts[-1] > MOST_CUTOFF:
            raise SettingsError(
                "cutoffs", f"{self.cutoffs!r} are not whole numbers from 1 to {MOST_CUTOFF}, as in 5,10,20"
            )
        return cuts


MOST_CUTOFF: Final = 1000


def evaluate(settings: Settings, options: Options, console: Console | None = None) -> Report:
    """Ask, and tell: the table on *console*, JSON and plot where they are wanted. Raises as `run` does."""
    plots.check_place(options.plot)
    cuts = options.cuts()
    candidates = _candidates(settings, options, cuts[-1])
    with bar() as watch:
        parts, refused = _plans(settings, options)
        asked = [_ask(plan, candidates, settings, options, watch) for plan in parts]
    report = report_of(_joined(asked), draws=options.draws, seed=options.seed, refused=dict(refused))
    print_report(report, console)
    if options.json is not None:
        write_json(report, options.json)
    if options.plot is not None:
        plots.write_plot(report, options.plot)
    return report


def _ask(
    plan: Plan, candidates: Sequence[Candidate], settings: Settings, options: Options, watch: OnProgress
) -> PassResult:
    return ask_all(
        plan if options.most_questions is None else plans.thinned(plan, options.most_questions, options.seed),
        candidates,
        maker(settings),
        cutoffs=options.cuts(),
        threads=options.threads,
        watch=lambda standing: watch_plan(watch, standing, plan),
    )


# --- who is asked


def own_model(settings: Settings, n: int) -> Model:
    """Return the model that `run` would answer with, under a name that says whether it is a preset as it is."""
    point = changed(build_model(settings), n=n)
    plain = {key: getattr(point, key) for key in SAME_IN_ALL}
    is_preset = msgspec.structs.replace(PRESETS[settings.preset], **plain) == point
    return point if is_preset else changed(point, name=f"{settings.preset}*")


def _candidates(settings: Settings, options: Options, n: int) -> list[Candidate]:
    own = own_model(settings, n)
    points = [own]
    for name in options.compare:
        if name == ALL:
            points += [_preset(preset, own) for preset in PRESETS if preset != own.name]
        else:
            points.append(_preset(name, own) if name in PRESETS else _from_file(name, settings, n))
    listed = [Candidate(point.name, point) for point in points]
    return with_names([*listed, *(baselines(own) if options.baselines else [])])


def _preset(name: str, like: Model) -> Model:
    return model(name, n=like.n, seen=like.seen, fallbacks=like.fallbacks)


def _from_file(path: str, settings: Settings, n: int) -> Model:
    if not Path(path).is_file():
        known = ", ".join([*PRESETS, ALL])
        raise SettingsError("compare", f"{path!r} is neither a preset ({known}) nor a TOML file of settings")
    other = load(config=path, flags={"events": settings.events})
    return changed(build_model(other), n=n, name=Path(path).stem)


def maker(settings: Settings) -> Callable[[], Engine]:
    """Return what makes empty engines as `run` would; sessions were cut from users before."""
    denied = read_denied(settings)
    limits: Limits = build_limits(settings)
    return lambda: Engine(limits=limits, type_weights=settings.types, deny=denied)


# --- what is asked


def _plans(settings: Settings, options: Options) -> tuple[list[Plan], Counter[str]]:
    """Return one plan, or two over the same questions where live and window are compared."""
    _only_one(options, None if options.train is None else "train")
    if options.window is None or options.refresh != "both":
        plan, refused = read_plan(settings, options)
        return [plan], refused
    reading = read_events(settings)
    width = _window_ms(options)
    both = [plans.windows(reading.events, width, options.questions, live=live) for live in (True, False)]
    return both, reading.refused


def read_plan(settings: Settings, options: Options) -> tuple[Plan, Counter[str]]:
    """Read the log or logs, and plan the pass that *options* describe. Raises SettingsError."""
    if (options.train is None) != (options.test is None):
        raise SettingsError("train", "and test go together: one is learned, the other asked")
    if options.train is not None and options.test is not None:
        learned = read_events(_reading_from(settings, options.train))
        asked = read_events(_reading_from(settings, options.test))
        plan = plans.hold_out_files(learned.events, asked.events, options.questions)
        return plan, learned.refused + asked.refused
    reading: Reading = read_events(settings)
    return make_plan(reading.events, options), reading.refused


def _reading_from(settings: Settings, path: str) -> Settings:
    return msgspec.structs.replace(settings, events=path)


def make_plan(events: Sequence[Event], options: Options) -> Plan:
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


def _only_one(options: Options, given: str | None) -> None:
    """Refuse two ways of splitting at once."""
    ways = {"since": "hold_out_since", "last_days": "hold_out_days", "share": "hold_out_share", "window": "window"}
    chosen = [key for name, key in ways.items() if getattr(options, name) is not None] + ([given] if given else [])
    if len(chosen) > 1:
        raise SettingsError(chosen[0], f"and {chosen[1]} split the log in two ways; choose one")


def _window_ms(options: Options) -> int:
    try:
        width = parse_duration(options.window or "")
    except ValueError:
        width = 0
    if width < 1:
        raise SettingsError("window", f"{options.window!r} is no duration such as 12h or 1d")
    return width


def _millis(time: str) -> int:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        raise SettingsError("hold_out_since", f"{time!r} is no time such as 2024-05-01 or 2024-05-01T12:00Z") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _joined(asked: Sequence[PassResult]) -> PassResult:
    """Return passes over the same questions as one, each model named after its way of learning."""
    if len(asked) == 1:
        return asked[0]
    live, window = asked
    counted = live.counted & window.counted
    parts = [(live, "live"), (window, "window")]
    renamed = {
        part: [Candidate(f"{each.name} {part}", each.model, each.is_baseline) for each in one.candidates]
        for one, part in parts
    }
    judged = Judged(*(np.concatenate([getattr(one.judged, name) for one in (live, window)]) for name in Judged._fields))
    micros = {f"{name} {part}": taken for one, part in parts for name, taken in one.micros.items()}
    candidates = [*renamed["live"], *renamed["window"]]
    seconds = live.seconds + window.seconds
    return PassResult(window.plan, candidates, live.cutoffs, live.truth, judged, counted, micros, seconds)


# --- what is told


def write_json(report: msgspec.Struct, path: str) -> None:
    """Write a report as JSON. Raises StreamRecError."""
    content = msgspec.json.format(msgspec.json.encode(report), indent=1)
    try:
        Path(path).write_bytes(content + b"\n")
    except OSError as error:
        raise StreamRecError(f"cannot write {path!r}: {error.strerror}") from error


@contextmanager
def bar() -> Iterator[OnProgress]:
    """Show a progress bar to whoever watches: a text, how much is done, of how much."""
    console = Console(stderr=True)
    line = Progress(
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with line:
        task = line.add_task("reading", total=None)
        yield lambda text, done, total: line.update(task, description=text, completed=done, total=total)


def watch_plan(watch: OnProgress, standing: Standing, plan: Plan) -> None:
    """Tell how far a pass is, and how good the first model was so far."""
    told = f"{standing.asked:,} questions, MRR {standing.mrr:.4f}" if standing.asked else "learning"
    total = sum(stretch.end - stretch.begin for stretch in plan.stretches)
    watch(told, standing.done, total)
