"""A leap of the watermark, as status, statistics and summaries show it."""

import msgspec

from stream_rec.service.metrics.format import show_duration, show_time

__all__ = ["Leap"]


class Leap(msgspec.Struct, frozen=True):
    """An event that moved the watermark by more than the allowed lateness, so that others may be late because of it."""

    record: str
    """`topic-partition:offset`; of a file, its name in place of the topic, and the line."""
    before_ms: int
    """The watermark before the event ..."""
    after_ms: int
    """... and after it."""

    def __str__(self) -> str:
        """Return it as text for people."""
        return (
            f"{self.record} moved it by {show_duration(self.after_ms - self.before_ms)}, to {show_time(self.after_ms)}"
        )
