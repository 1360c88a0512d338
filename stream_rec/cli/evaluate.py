"""`stream-rec evaluate` and `stream-rec tune`: measure a model on a log, and search for a better one."""

from collections.abc import Callable
from typing import Any

import click

from stream_rec.cli.common import command, typed_command, with_settings
from stream_rec.cli.completion import file_option
from stream_rec.settings import Settings

__all__ = ["evaluate", "tune"]


def _with_split_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options that say how the log is split and which questions are asked."""
    for option in reversed(_SPLIT_OPTIONS):
        command = option(command)
    return command


_SPLIT_OPTIONS = (
    file_option("--train", metavar="SRC", help="Hold-out: the log to learn, in place of --events."),
    file_option("--test", metavar="SRC", help="Hold-out: the log to ask about; it is not learned."),
    click.option("--test-sessions", type=click.Choice(["same", "own"]), default="same", show_default=True,
                 help="Whether an id in --test is the session of that id in --train, or one of its own."),
    click.option("--hold-out-since", "since", metavar="TIME",
                 help="Hold out the sessions that begin at this time or later."),
    click.option("--hold-out-days", "last_days", type=float, metavar="N",
                 help="Hold out the sessions of the last N days."),
    click.option("--hold-out-share", "share", type=float, metavar="X",
                 help="Hold out this share of the sessions, drawn with --seed."),
    click.option("--questions", type=click.Choice(["next", "last"]), default="next", show_default=True,
                 help="Ask for each next item of a session, or only for its last one."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random draws."),
    click.option("--threads", type=click.IntRange(1), help="Threads that ask in parallel; by default one per "
                 "processor, at most 4. Each holds an index of its own."),
    file_option("--json", metavar="OUT", help="Write all figures to this file as JSON; - is standard output, "
                 "and the tables then go to standard error."),
    file_option("--html", metavar="OUT", help="Write a page to this file: the log, tables, charts and parameters. It "
                "holds all that it needs."),
    file_option("--plot", metavar="OUT", help="Draw charts into this .png file (needs stream-rec[evaluate])."),
)  # fmt: skip


@command()
@_with_split_options
@click.option("--window", metavar="DURATION", help="Ask about each window of time with what was learned before it.")
@click.option("--refresh", type=click.Choice(["live", "window", "both"]), default="both", show_default=True,
              help="With --window: learn each event at once, each window at its end, or compare both.")  # fmt: skip
@click.option("--cutoffs", default="5,10,20", show_default=True, help="Cut-offs: how many items of an answer count.")
@click.option("--compare", metavar="NAME", multiple=True, help="Also ask this preset, the model of this TOML file, or "
              "all presets. Repeatable.")  # fmt: skip
@click.option("--baselines/--no-baselines", default=True, help="Also ask simple models.  [default: baselines]")
@click.option("--most-questions", type=click.IntRange(1), help="Ask at most this many questions, of sessions drawn "
              "with --seed. The whole log is learned.  [default: all]")  # fmt: skip
@click.option("--draws", type=click.IntRange(1), default=1000, show_default=True, help="Bootstrap samples.")
@with_settings
def evaluate(settings: Settings, **options: Any) -> None:  # noqa: ANN401 (what click made of the options)
    """Measure how good the recommendations are on a log, beside simple baselines.

    Before each event, asks which item comes next; then learns the event (prequential). These are the answers of a live
    service. With --train and --test, or --hold-out-..., learns one part and asks about the other.

    \b
      stream-rec evaluate --events clicks.csv --html report.html
      stream-rec evaluate --events clicks.csv --hold-out-days 7 --compare all
      stream-rec evaluate --events clicks.csv --window 1d
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    from stream_rec.evaluate.command import EvaluateOptions
    from stream_rec.evaluate.command import evaluate as run_evaluation

    run_evaluation(settings, EvaluateOptions(**options, command=typed_command()))


@command()
@file_option("--out", required=True, metavar="FILE", help="The .toml file to write, for `run --config`.")
@file_option("--train", metavar="SRC", help="The log to learn, in place of --events.")
@file_option("--valid", metavar="SRC", help="With --train: the log to compare parameter sets on, without learning it.")
@click.option("--valid-sessions", type=click.Choice(["same", "own"]), default="same", show_default=True,
              help="Whether an id in --valid is the session of that id in --train, or one of its own.")  # fmt: skip
@click.option("--test-share", type=float, default=0.2, show_default=True, help="The last share of --events, which "
              "the search never sees; the best set is measured on it. 0: no such part.")  # fmt: skip
@click.option("--metric", type=click.Choice(["MRR", "HR", "NDCG"]), default="MRR", show_default=True,
              help="The metric to maximise, over the first 20 items, or --n if that is more.")  # fmt: skip
@click.option("--trials", type=click.IntRange(1), default=96, show_default=True, help="Parameter sets to try.")
@click.option("--most-questions", type=click.IntRange(1), default=20_000, show_default=True,
              help="Ask at most this many questions, of sessions drawn with --seed.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random draws.")
@click.option("--threads", type=click.IntRange(1), help="Threads that ask in parallel; by default one per processor, "
              "at most 4.")  # fmt: skip
@file_option(
    "--json",
    metavar="OUT",
    help="Write all sets and figures to this file as JSON; - is standard "
    "output, and the tables then go to standard error.",
)
@file_option("--html", metavar="OUT", help="Write a page to this file: the log, the search, the best sets and their "
             "figures. It holds all that it needs.")  # fmt: skip
@file_option("--plot", metavar="OUT", help="Draw which parameters mattered into this .png file.")
@with_settings
def tune(settings: Settings, **options: Any) -> None:  # noqa: ANN401 (what click made of the options)
    """Find the parameters that answer best on a log, and write them to a file for `run --config`.

    Searches on the first part of the log, asking before it learns each event. Measures the best set on the rest, which
    the search never sees. Starts from --preset. Needs stream-rec[evaluate].

    \b
      stream-rec tune --events clicks.csv --out tuned.toml --html tuned.html
      stream-rec run --config tuned.toml
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    from stream_rec.evaluate.tune import TuneOptions
    from stream_rec.evaluate.tune import tune as run_tuning

    run_tuning(settings, TuneOptions(**options, command=typed_command()))
