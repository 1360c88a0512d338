"""How long and how much the session store keeps."""

from typing import Annotated

import msgspec

from stream_rec.errors import SettingsError

__all__ = ["DAY_MS", "HOUR_MS", "Limits"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Millis = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the session store; None is no bound. All times are event time, in milliseconds.

    Raises SettingsError for values that contradict each other.
    """

    retention_ms: Millis | None = 30 * DAY_MS
    """A session leaves when its last event is older than the watermark by more than this."""

    allowed_lateness_ms: Millis = HOUR_MS
    """An event older than the watermark by more than this is late, and not applied."""

    max_sessions: Count | None = None
    """Sessions kept at most; the oldest leave."""

    max_events: Count | None = None
    """Events kept at most; the oldest sessions leave."""

    max_bytes: Count | None = None
    """Memory of the store and index kept at most; the oldest sessions leave."""

    max_session_events: Count = 1000
    """Events of one session kept at most; its oldest are dropped."""

    dedupe_window_ms: Millis | None = None
    """An `event_id` is remembered until its event is older than this; None is `allowed_lateness_ms`."""

    popular_half_life_ms: Count = DAY_MS
    """After this time an event counts half for the popularity fallback."""

    def __post_init__(self) -> None:
        """Refuse a lateness beyond the retention: such events would come after their session's end."""
        if self.retention_ms is not None and self.allowed_lateness_ms > self.retention_ms:
            message = (
                f"is {self.allowed_lateness_ms} ms, more than the retention of {self.retention_ms} ms; "
                "lower it, or keep sessions longer"
            )
            raise SettingsError("allowed_lateness", message)
