"""`stream-rec demo`: the bundled sample, replayed before the reader's eyes.

`replay` decides what is shown and keeps the score, `screen` draws it. Knows the engine only by
what it is asked (`DemoEngine`), and nothing of the command line.
"""

from stream_rec.demo.replay import DemoEngine, Outcome, ReplayPace
from stream_rec.demo.screen import play

__all__ = ["DemoEngine", "Outcome", "ReplayPace", "play"]
