"""The error for an offset that a partition does not hold, the same with both clients. Knows neither."""

from stream_rec.errors import LogChangedError
from stream_rec.transport.broker import Bounds, Partition

__all__ = ["offset_out_of_range"]


def offset_out_of_range(partition: Partition, offset: int, bounds: Bounds) -> LogChangedError:
    """The error for an *offset* outside of *bounds*."""
    first, end = bounds
    return LogChangedError(
        f"{partition}: offset {offset} is out of range; the partition holds {first} to {end}. "
        "Retention has removed the record, or the topic was created again",
        partition=str(partition),
        offset=offset,
        first=first,
        end=end,
    )
