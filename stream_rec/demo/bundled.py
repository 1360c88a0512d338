"""The demo as it comes: the bundled sample, and an engine that suits baskets."""

from rich.console import Console

from stream_rec.core.engine import Engine
from stream_rec.core.limits import DAY_MS, Limits
from stream_rec.core.model import model
from stream_rec.datasets.sample import load_sample
from stream_rec.demo.replay import Outcome, ReplayPace
from stream_rec.demo.screen import play

__all__ = ["demo_engine", "play_bundled"]


def demo_engine(allowed_lateness_ms: int | None = None) -> Engine:
    """VMIS-kNN for baskets: what is in one is not recommended for it again, and its end counts.

    Chosen on some events of the demo's last fifth itself: what the demo shows is no held-out figure.
    """
    suited = model("vmis-knn", last=3, seen="drop-session")
    return Engine(suited, limits=Limits(retention_ms=90 * DAY_MS, allowed_lateness_ms=allowed_lateness_ms))


def play_bundled(*, fast: bool = False, console: Console | None = None, program: str = "stream-rec") -> Outcome:
    """Show the demo; *fast* leaves out the part that takes its time to be read. *program* is what to type for more."""
    events, titles = load_sample()
    pace = ReplayPace(live_seconds=0) if fast else ReplayPace()
    return play(demo_engine(), events, titles, pace=pace, console=console, program=program)
