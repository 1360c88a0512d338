"""The demo over the bundled sample, with an engine that suits baskets."""

from rich.console import Console

from stream_rec.core.engine import Engine
from stream_rec.core.limits import DAY_MS, Limits
from stream_rec.core.model import model
from stream_rec.datasets.sample import load_sample
from stream_rec.demo.replay import Outcome, ReplayPace
from stream_rec.demo.screen import play

__all__ = ["demo_engine", "play_bundled"]


def demo_engine(allowed_lateness_ms: int | None = None) -> Engine:
    """Return VMIS-kNN for baskets: it does not recommend items of the basket again, and the end of a basket counts.

    Its parameters were chosen on events of the demo's own last fifth: the demo's figures are not held-out figures.
    """
    suited = model("vmis-knn", last=3, seen="drop-session")
    return Engine(suited, limits=Limits(retention_ms=90 * DAY_MS, allowed_lateness_ms=allowed_lateness_ms))


def play_bundled(*, fast: bool = False, console: Console | None = None, program: str = "stream-rec") -> Outcome:
    """Show the demo; *fast* skips the slow part. *program* is the command shown under "try next"."""
    events, titles = load_sample()
    pace = ReplayPace(live_seconds=0) if fast else ReplayPace()
    return play(demo_engine(), events, titles, pace=pace, console=console, program=program)
