"""A learned order in a line of text."""

from stream_rec.core.engine import LearnedOrder

__all__ = ["order_line"]


def order_line(order: LearnedOrder) -> str:
    """Return what is played for a model, how it did on questions that it had not seen, and when it is learned again."""
    own = order.mrr.get("plain")
    if own is None:
        return f"{order.model}: its own order, as nothing is learned yet; {_next(order)}"
    learned = ", ".join(f"{form} {value:.3f}" for form, value in order.mrr.items() if form != "plain")
    played = "its own order" if order.playing is None else f"{order.playing.partition('@')[0]} weights"
    return (
        f"{order.model}: {played}; MRR@20 of its own {own:.3f}, {learned}, {order.examples:,} examples; {_next(order)}"
    )


def _next(order: LearnedOrder) -> str:
    if order.phase != "waiting":
        return f"learning, {order.done:.0%} of the questions put"
    return f"learns {'again ' if order.mrr else ''}after {order.events_left:,} more events"
