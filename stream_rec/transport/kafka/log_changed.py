"""What is told of a position that is not there, alike with both clients. Knows neither."""

from stream_rec.errors import LogChangedError
from stream_rec.transport.broker import Bounds, Partition

__all__ = ["not_there"]


def not_there(partition: Partition, position: int, bounds: Bounds) -> LogChangedError:
    """The error for a *position* outside of *bounds*."""
    first, end = bounds
    return LogChangedError(
        f"{partition}: position {position} is not there; it holds {first} to {end}. "
        "Retention has removed it, or the topic was made anew",
        partition=str(partition),
        position=position,
        first=first,
        end=end,
    )
