"""`stream-rec demo`: the bundled sample, replayed live.

`replay` decides what is shown and keeps the score, `screen` draws it. Knows the engine only as a `DemoEngine`, and
nothing of the command line.
"""

from stream_rec.demo.replay import DemoEngine, Outcome, ReplayPace
from stream_rec.demo.screen import play

__all__ = ["DemoEngine", "Outcome", "ReplayPace", "play"]
