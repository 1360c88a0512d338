"""`stream-rec evaluate` and `stream-rec tune`: the laboratory from the command line."""

from collections.abc import Callable
from typing import Any

import click

from stream_rec.cli.common import with_settings
from stream_rec.settings import Settings

__all__ = ["evaluate", "tune"]


def _evaluation(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options of how a log is split and asked."""
    for option in reversed(_EVALUATION):
        command = option(command)
    return command


_EVALUATION = (
    click.option("--train", metavar="SRC", help="Hold-out: a log that is learned once, in place of --events."),
    click.option("--test", metavar="SRC", help="Hold-out: a log that is asked, and not learned."),
    click.option("--hold-out-since", "since", metavar="TIME", help="Hold out the sessions that begin then or later."),
    click.option("--hold-out-days", "last_days", type=float, metavar="N", help="Hold out those of the last days."),
    click.option("--hold-out-share", "share", type=float, metavar="X", help="Hold out a share of them, by --seed."),
    click.option("--questions", type=click.Choice(["next", "last"]), default="next", show_default=True,
                 help="Ask for each next item of a session, or for its last only."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn by chance."),
    click.option("--threads", type=click.IntRange(1), help="How many ask side by side; by default as many as there "
                 "are processors, at most 4. Each holds an index of its own."),
    click.option("--json", metavar="OUT", help="Write all figures there as JSON."),
    click.option("--plot", metavar="OUT", help="Draw them there, as .png or .html (needs stream-rec[evaluate])."),
)  # fmt: skip


@click.command()
@_evaluation
@click.option("--window", metavar="DURATION", help="Ask through a window of time with what was known before it.")
@click.option("--refresh", type=click.Choice(["live", "window", "both"]), default="both", show_default=True,
              help="With --window: learn each event at once, or each window at its end; both compares.")  # fmt: skip
@click.option("--cutoffs", default="5,10,20", show_default=True, help="How many items of an answer count.")
@click.option("--compare", metavar="NAME", multiple=True, help="Also ask this preset, the model of this TOML file, or "
              "all presets. May be repeated.")  # fmt: skip
@click.option("--baselines/--no-baselines", default=True, help="Also ask the simple models.  [default: baselines]")
@click.option("--most-questions", type=click.IntRange(1), help="Ask at most so many, of sessions drawn by --seed; the "
              "whole log is learned.  [default: all]")  # fmt: skip
@click.option("--draws", type=click.IntRange(1), default=1000, show_default=True, help="Of the bootstrap.")
@with_settings
def evaluate(settings: Settings, **given: Any) -> None:  # noqa: ANN401 (whatever click made of the options)
    """Tell how good the recommendations are on a log, beside simple baselines.

    Asks before each event which item comes next, then learns it (prequential): what a live service would have
    answered. With --train and --test, or --hold-out-..., learns one part once and asks the other.

    \b
      stream-rec evaluate --events clicks.csv --plot report.html
      stream-rec evaluate --events clicks.csv --hold-out-days 7 --compare all
      stream-rec evaluate --events clicks.csv --window 1d
    """  # noqa: D301 (click knows a paragraph to leave alone by this very character)
    from stream_rec.evaluate.command import Options
    from stream_rec.evaluate.command import evaluate as run_evaluation

    _announce_evaluation()
    run_evaluation(settings, Options(**given))


@click.command()
@click.option("--out", required=True, metavar="FILE", help="The .toml file to write, for `run --config`.")
@click.option("--train", metavar="SRC", help="A log that is learned once, in place of --events.")
@click.option("--valid", metavar="SRC", help="With --train: the log that sets are chosen by, and that is not learned.")
@click.option("--test-share", type=float, default=0.2, show_default=True, help="The last share of --events, which no "
              "set is chosen by, and the best is judged by; 0 leaves none.")  # fmt: skip
@click.option("--metric", type=click.Choice(["MRR", "HR", "NDCG"]), default="MRR", show_default=True,
              help="What is best, at the 20 first items or the --n, if that is more.")  # fmt: skip
@click.option("--trials", type=click.IntRange(1), default=96, show_default=True, help="Sets of parameters to try.")
@click.option("--most-questions", type=click.IntRange(1), default=20_000, show_default=True,
              help="Ask at most so many, of sessions drawn by --seed.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn by chance.")
@click.option("--threads", type=click.IntRange(1), help="How many ask side by side; by default as many as there are "
              "processors, at most 4.")  # fmt: skip
@click.option("--json", metavar="OUT", help="Write all sets and figures there as JSON.")
@click.option("--plot", metavar="OUT", help="Draw what mattered there, as .png or .html.")
@with_settings
def tune(settings: Settings, **given: Any) -> None:  # noqa: ANN401 (whatever click made of the options)
    """Find the parameters that answer best on a log, and write them as a file for `run --config`.

    Chooses on the first part of the log, asking before it learns, and judges the best on the rest, which the search
    never sees. Starts from --preset. Needs stream-rec[evaluate].

    \b
      stream-rec tune --events clicks.csv --out tuned.toml --plot tuned.html
      stream-rec run --config tuned.toml
    """  # noqa: D301 (click knows a paragraph to leave alone by this very character)
    from stream_rec.evaluate.tune import TuneOptions
    from stream_rec.evaluate.tune import tune as run_tuning

    _announce_evaluation()
    run_tuning(settings, TuneOptions(**given))


def _announce_evaluation() -> None:
    """Say what the silence of a first evaluation is: it has kernels of its own."""
    from stream_rec.service.assembly import warm_up

    if warm_up.is_cold(kernel="ask_and_apply"):
        click.echo(warm_up.COMPILING_MANY, err=True)
