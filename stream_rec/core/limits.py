"""How long and how much the session store keeps."""

from typing import Annotated, TypeVar

import msgspec

from stream_rec.errors import SettingsError

__all__ = ["DAY_MS", "HOUR_MS", "Limits", "validated"]

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

    allowed_lateness_ms: Millis | None = None
    """An event older than the watermark by more than this is late, and not applied; None is an hour, or half the
    retention if that is shorter."""

    max_sessions: Count | None = None
    """Sessions kept at most; the oldest leave."""

    max_events: Count | None = None
    """Events kept at most; the oldest sessions leave."""

    max_bytes: Count | None = None
    """Memory of the store and index kept at most; the oldest sessions leave."""

    max_session_events: Count = 1000
    """Events of one session kept at most; its oldest are dropped."""

    dedupe_window_ms: Millis | None = None
    """An `event_id` is remembered until its event is older than this; None is the allowed lateness."""

    popular_half_life_ms: Count = DAY_MS
    """After this time an event counts half for the popularity fallback."""

    def __post_init__(self) -> None:
        """Refuse a lateness beyond the retention: such events would come after their session's end."""
        if self.retention_ms is not None and self.lateness_ms > self.retention_ms:
            message = (
                f"is {self.lateness_ms} ms, more than the retention of {self.retention_ms} ms; "
                "lower it, or keep sessions longer"
            )
            raise SettingsError("allowed_lateness", message)

    @property
    def lateness_ms(self) -> int:
        """The allowed lateness that is in force."""
        if self.allowed_lateness_ms is not None:
            return self.allowed_lateness_ms
        return HOUR_MS if self.retention_ms is None else min(HOUR_MS, self.retention_ms // 2)

    @property
    def window_ms(self) -> int:
        """The event-id window that is in force."""
        return self.lateness_ms if self.dedupe_window_ms is None else self.dedupe_window_ms


Checked = TypeVar("Checked", bound=msgspec.Struct)


def validated(value: Checked) -> Checked:
    """Return *value* if each field is of its type and within its range, which making a Struct does not look at.

    Raises SettingsError naming the first field that is not.
    """
    fields = msgspec.structs.asdict(value)
    try:
        return msgspec.convert(fields, type(value))
    except msgspec.ValidationError as error:
        key = str(error).rpartition("$.")[2].strip("`")
        raise SettingsError(key, f"{fields.get(key)!r} is refused: {error}") from None
