"""The display of the demo: live on a terminal, plain lines in a pipe.

Everything shown comes from a `Replay`; this module adds titles, colours and time to read.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from stream_rec.core.events import Answer, Event, Recommendation
from stream_rec.demo.replay import CUT, DemoEngine, Outcome, Replay, ReplayPace, ReplayStep

__all__ = ["SHOWN", "play"]

SHOWN = 5
"""Items of an answer that are shown."""

NEXT_COMMANDS = (
    ("simulate --sessions 10000 > clicks.jsonl", "a click log of any size, and its counts as JSON"),
    ("check --events clicks.jsonl", "what a run would accept, and what not"),
    ("run --events clicks.jsonl --recommendations recs.jsonl", "an answer for each click"),
)


def play(
    engine: DemoEngine,
    events: Sequence[Event],
    titles: Mapping[str, str],
    *,
    pace: ReplayPace | None = None,
    console: Console | None = None,
    program: str = "stream-rec",
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Replay *events* (in time order) through *engine*, show the replay, and return its figures.

    In a pipe there are no animations and no pauses. An interrupt (Ctrl-C) ends the replay with a summary so far, and
    sets `interrupted`.
    """
    console = console or Console(highlight=False)
    replay = Replay(engine, events, pace or ReplayPace(), clock)
    screen = _Screen(console, titles, sleep)
    try:
        screen.warm_up(replay)
        screen.learn(replay)
        screen.follow(replay)
        screen.answer_all(replay)
    except KeyboardInterrupt:
        replay.outcome.interrupted = True
    screen.summary(replay.outcome, program)
    return replay.outcome


class _Screen:
    def __init__(self, console: Console, titles: Mapping[str, str], sleep: Callable[[float], None]) -> None:
        self._console = console
        self._titles = titles
        self._sleep = sleep
        self._moves = console.is_terminal and not console.is_dumb_terminal
        self._tick = "✓" if console.encoding.startswith("utf") else "+"

    def warm_up(self, replay: Replay) -> None:
        """Show that the engine warms up, the only silent wait."""
        with self._console.status("Warming up") if self._moves else nullcontext():
            replay.warm_up()

    def learn(self, replay: Replay) -> None:
        """Act one."""
        self._heading("1", f"Learn from the past: {replay.n_past:,} sold items")
        self._bar(replay.learn(), replay.n_past, lambda: "")
        out = replay.outcome
        rate = _rate(out.learned, out.learning_seconds)
        self._line(f"{out.events:,} events of {out.sessions:,} baskets, {rate} events/s")

    def follow(self, replay: Replay) -> None:
        """Act two."""
        if not replay.n_visitors:
            return
        self._heading(
            "2",
            f"Follow {replay.n_visitors} visitors: what they take, and what is recommended next",
        )
        self._line(f"{self._tick} the item was among the {SHOWN} recommended just before it")
        pause = replay.pace.live_seconds / replay.n_steps if self._moves else 0.0
        visits: defaultdict[int, list[ReplayStep]] = defaultdict(list)
        live_or_not = Live(console=self._console, auto_refresh=False)
        with live_or_not if self._moves else nullcontext() as live:
            for step in replay.follow():
                steps = visits[step.visitor]
                steps.append(step)
                if live is not None:
                    live.update(self._visitor(steps, replay), refresh=True)
                    self._sleep(pause)
                    if step.is_last:
                        live.update(Text(""))
                        live.console.print(self._visitor(steps, replay, fixed=False))
                elif step.is_last:
                    self._plain_visitor(steps)

    def answer_all(self, replay: Replay) -> None:
        """Act three."""
        number = "3" if replay.n_visitors else "2"
        n_left = replay.n_left
        self._heading(number, f"Answer after each of the {n_left:,} events that are left")
        score = replay.outcome.score
        self._bar(replay.answer_all(), n_left, lambda: f"HR@{CUT} {score.hit_rate:.1%}")
        out = replay.outcome
        rate = _rate(out.answered, out.answering_seconds)
        self._line(f"{n_left:,} more answers, {rate} answers/s")

    def summary(self, out: Outcome, program: str) -> None:
        """Show the figures, and what to try next with *program*."""
        score = out.score
        table = Table(show_header=False, box=None, padding=(0, 2), pad_edge=False)
        table.add_column(style="dim")
        table.add_column(justify="right", style="bold")
        table.add_column(style="dim")
        single = out.micros_at(50), out.micros_at(99)
        for row in (
            ("events", f"{out.events:,}", "an item in a basket"),
            ("sessions", f"{out.sessions:,}", "baskets"),
            ("items", f"{out.items:,}", ""),
            ("learned", _rate(out.learned, out.learning_seconds), "events/s"),
            ("learned and answered", _rate(out.answered, out.answering_seconds), "events/s"),
            ("one of them alone", f"{single[0]:,.0f} µs", f"median; 99 % in {single[1]:,.0f} µs"),
            (f"HR@{CUT}", f"{score.hit_rate:.1%}", f"next items among the {CUT} recommended"),
            ("", f"{score.best_seller_hit_rate:.1%}", f"among the {CUT} best sellers instead"),
            (f"MRR@{CUT}", f"{score.mean_reciprocal_rank:.3f}", "1 / place of the next item, mean"),
        ):
            table.add_row(*row)
        self._heading("", "Interrupted; the figures so far" if out.interrupted else "The figures")
        self._console.print(Padding(table, (0, 2)))
        self._heading("", "Try next")
        for command, act in NEXT_COMMANDS:
            self._console.print(Text(f"  # {act}", style="dim"))
            self._console.print(Text(f"  {program} {command}"), soft_wrap=True)

    def _heading(self, number: str, text: str) -> None:
        self._console.print()
        self._console.print(Text(f"{number}  {text}" if number else text, style="bold"))

    def _line(self, text: str) -> None:
        self._console.print(Text(f"   {text}", style="dim"))

    def _bar(self, batches: Iterable[int], total: int, note: Callable[[], str]) -> None:
        """Drive *batches*, with a progress bar on a terminal."""
        if not self._moves:
            for _ in batches:
                pass
            return
        columns = (
            TextColumn("  "),
            BarColumn(),
            TaskProgressColumn(show_speed=True),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]} {task.fields[note]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("", total=total, rate="", note="")
            for count in batches:
                progress.update(task, advance=count, note=note())
                speed = progress.tasks[0].speed
                progress.update(task, rate="" if speed is None else f"{speed:,.0f} events/s")

    def _visitor(self, steps: Sequence[ReplayStep], replay: Replay, *, fixed: bool = True) -> RenderableType:
        """Return the basket so far on the left, and the newest answer on the right.

        A *fixed* height has room for the longest basket, so that the display does not jump.
        """
        basket = Table(box=None, padding=(0, 1), header_style="dim")
        basket.add_column(width=1)
        basket.add_column("taken", ratio=1, no_wrap=True)
        for step in steps:
            basket.add_row(self._mark(step), self._title(step.event.item_id))
        both = Table.grid(expand=True, padding=(0, 2))
        both.add_column(ratio=1)
        both.add_column(ratio=1)
        both.add_row(basket, self._answer(steps[-1].answer))
        last = steps[-1]
        title = f"visitor {last.visitor} of {replay.n_visitors} · basket {last.event.session_id}"
        return Panel(
            Group(both),
            title=title,
            title_align="left",
            subtitle=f"{self._hits(steps)} · answered in {last.micros:,.0f} µs",
            subtitle_align="right",
            height=max(SHOWN, replay.pace.longest) + 3 if fixed else None,
        )

    def _answer(self, answer: Answer | None) -> Table:
        table = Table(box=None, padding=(0, 1), header_style="dim")
        table.add_column(width=1, style="dim")
        table.add_column("recommended next", ratio=1, no_wrap=True, style="cyan")
        for place, recommended in enumerate(_shown(answer), start=1):
            table.add_row(str(place), self._title(recommended.item_id))
        return table

    def _plain_visitor(self, steps: Sequence[ReplayStep]) -> None:
        print_line = self._console.print
        print_line(Text(f"   visitor {steps[0].visitor}, basket {steps[0].event.session_id}"))
        for step in steps:
            mark = self._mark(step).plain or " "
            print_line(Text(f"   {mark} {self._title(step.event.item_id)}"), soft_wrap=True)
            items = _shown(step.answer)
            titles = " | ".join(self._title(recommended.item_id) for recommended in items)
            print_line(Text(f"       next? {titles or '(nothing to say yet)'}"), soft_wrap=True)

    def _mark(self, step: ReplayStep) -> Text:
        return Text(self._tick if _was_shown(step) else "", style="bold green")

    def _hits(self, steps: Sequence[ReplayStep]) -> str:
        return f"{self._tick} {sum(map(_was_shown, steps))} of {len(steps) - 1}"

    def _title(self, item_id: str) -> str:
        return self._titles.get(item_id, item_id)


def _shown(answer: Answer | None) -> Sequence[Recommendation]:
    return [] if answer is None else answer.items[:SHOWN]


def _was_shown(step: ReplayStep) -> bool:
    return step.rank is not None and step.rank <= SHOWN


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}" if seconds > 0 else "-"
