"""The engine as programs get it: any thread may use it, and what it is given is checked.

    engine   the core's engine behind a gate
    gate     askers side by side, or one writer
    showing  what it shows of itself
    values   ids, events and weights as they come from a program
    forks    what a fork must not tear

The service, which has one thread for its engine and a decoder before it, uses the core's engine itself.
"""

from stream_rec.guard.engine import Engine

__all__ = ["Engine"]
