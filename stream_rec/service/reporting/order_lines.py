"""A learned order in a line of text, for the log, the status file and the command line.

Reads the struct of the core or its JSON, which a service of another version may have written: so it imports no engine.
"""

from typing import Final

import msgspec

__all__ = ["OWN", "FeatureFigures", "OrderFigures", "order_line", "what_is_next", "what_is_played"]

OWN: Final = "plain"
"""The form that is the model's own order."""


class FeatureFigures(msgspec.Struct, frozen=True):
    """A feature, and by how much it moves scores."""

    meaning: str = ""
    importance: float = 0.0


class OrderFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a learned order that a line names."""

    model: str
    setting: str = "auto"
    playing: str | None = None
    learned_at: int | None = None
    questions: int = 0
    examples: int = 0
    mrr: dict[str, float] = {}
    phase: str = "waiting"
    done: float = 0.0
    events_left: int = 0
    features: list[FeatureFigures] = []

    @classmethod
    def of(cls, order: object) -> "OrderFigures":
        """Return those of *order*, a `LearnedOrder` or its decoded JSON. Raises msgspec.ValidationError."""
        return msgspec.convert(msgspec.to_builtins(order), cls)

    @property
    def form(self) -> str:
        """The form that is played."""
        return OWN if self.playing is None else self.playing.partition("@")[0]


def order_line(order: object) -> str:
    """Return what is played for a model, how it did on questions that it had not seen, and when it is learned again.

    *order* is a `LearnedOrder` or its decoded JSON.
    """
    figures = OrderFigures.of(order)
    own = figures.mrr.get(OWN)
    if own is None:
        return f"{figures.model}: {what_is_played(figures)}; {what_is_next(figures)}"
    learned = ", ".join(f"{form} {value:.3f}" for form, value in figures.mrr.items() if form != OWN)
    return (
        f"{figures.model}: {what_is_played(figures)}; MRR@20 of its own {own:.3f}, {learned}, "
        f"{figures.examples:,} examples; {what_is_next(figures)}"
    )


def what_is_played(figures: OrderFigures) -> str:
    """Return the order that answers are in."""
    if not figures.mrr:
        return "its own order, as nothing is learned yet"
    return "its own order" if figures.playing is None else f"{figures.form} weights"


def what_is_next(figures: OrderFigures) -> str:
    """Return what the fit under way does, or when the next one begins."""
    if figures.phase != "waiting":
        return f"learning, {figures.done:.0%} of the questions put"
    return f"learns {'again ' if figures.mrr else ''}after {figures.events_left:,} more events"
