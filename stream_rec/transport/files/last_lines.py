"""The last lines of an output that nothing keeps: what a person at a terminal wants to see of a thousand answers."""

from collections import deque
from collections.abc import Sequence

from stream_rec.transport.records import Sink

__all__ = ["LastLines"]


class LastLines:
    """Counts what is written, and keeps the last *most* values for *sink*, until `show`."""

    def __init__(self, sink: Sink, most: int) -> None:
        self.n_written = 0
        self._sink = sink
        self._last: deque[bytes] = deque(maxlen=most)

    @property
    def n_left_out(self) -> int:
        """How many values are not shown."""
        return self.n_written - len(self._last)

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Accept the *values*; they have no keys."""
        del keys
        self.n_written += len(values)
        self._last.extend(values[-(self._last.maxlen or 0) :])

    def flush(self) -> None:
        """Do nothing: later values may take the places of those that are kept."""

    def show(self) -> None:
        """Write the last values."""
        self._sink.write(list(self._last))
        self._sink.flush()

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()
