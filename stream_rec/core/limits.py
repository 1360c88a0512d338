"""How long and how much the session store keeps."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from stream_rec.core.bounds import Duration, PositiveInt
from stream_rec.errors import SettingsError
from stream_rec.nearest import NamesItsFields, did_you_mean

__all__ = ["DAY_MS", "HOUR_MS", "Limits", "validated"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


SessionLength = Annotated[int, Meta(ge=1, le=1 << 20)]
"""Scratch memory is allocated for a longest session."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, metaclass=NamesItsFields):
    """Limits of the session store; None is no limit. All times are event time, in milliseconds.

    Raises SettingsError for values that contradict each other.

    >>> from stream_rec import Engine, Limits
    >>> Engine(limits=Limits(retention_ms=7 * 86_400_000, max_sessions=100_000)).limits.max_sessions
    100000
    """

    retention_ms: Duration | None = 30 * DAY_MS
    """A session leaves when its last event is older than the watermark by more than this."""

    allowed_lateness_ms: Duration | None = None
    """An event older than the watermark by more than this is late and not applied; None is an hour, or half the
    retention if that is shorter."""

    max_sessions: PositiveInt | None = None
    """Most sessions kept; the oldest leave."""

    max_events: PositiveInt | None = None
    """Most events kept; the oldest sessions leave."""

    max_bytes: PositiveInt | None = None
    """Most memory of the store and index, in bytes; the oldest sessions leave."""

    max_session_events: SessionLength = 1000
    """Most events of one session; its oldest are dropped."""

    dedupe_window_ms: Duration | None = None
    """An `event_id` is remembered until its event is older than this; None is the allowed lateness."""

    popular_half_life_ms: PositiveInt = DAY_MS
    """After this time an event counts half for the popularity fallback."""

    def __post_init__(self) -> None:
        """Refuse what is no number, and a lateness beyond the retention: such events would come after their session."""
        for key in self.__struct_fields__:
            value = getattr(self, key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                unit = " of milliseconds" if key.endswith("_ms") else ""
                raise SettingsError(key, f"expected a whole number{unit}, found {value!r:.60}: pass int(...)")
        if self.retention_ms is not None and self.lateness_ms > self.retention_ms:
            message = (
                f"is {self.lateness_ms} ms, more than the retention of {self.retention_ms} ms; "
                "lower it, or keep sessions longer"
            )
            raise SettingsError("allowed_lateness", message)

    @property
    def lateness_ms(self) -> int:
        """The allowed lateness in force."""
        if self.allowed_lateness_ms is not None:
            return self.allowed_lateness_ms
        return HOUR_MS if self.retention_ms is None else min(HOUR_MS, self.retention_ms // 2)

    @property
    def ahead_ms(self) -> int:
        """How far ahead of the watermark an accepted event may stay; a larger distance moves the watermark.

        The lateness, so that no event is late because of it; and at most half a half-life, which is the one step of
        popularity that is counted in advance.
        """
        return min(self.lateness_ms, max(1, self.popular_half_life_ms // 2))

    def reach(self, timestamp: int, log_time: int) -> int:
        """Return the time to which an event of *timestamp*, which the log took at *log_time*, moves the watermark."""
        return max(min(timestamp, log_time), timestamp - self.ahead_ms)

    @property
    def window_ms(self) -> int:
        """The event-id window in force."""
        return self.lateness_ms if self.dedupe_window_ms is None else self.dedupe_window_ms


_Checked = TypeVar("_Checked", bound=msgspec.Struct)


def validated(value: _Checked) -> _Checked:
    """Return *value* if each field has its type and is within its range; a Struct does not check that itself.

    Raises SettingsError, naming the first field that fails.
    """
    fields = msgspec.structs.asdict(value)
    try:
        return msgspec.convert(fields, type(value))
    except msgspec.ValidationError as error:
        key = str(error).rpartition("$.")[2].strip("`")
        words, given = _words(type(value), key), fields.get(key)
        if words and isinstance(given, str):
            message = f"{given!r} is none of {', '.join(words)}{did_you_mean(given, words)}"
            raise SettingsError(key, message) from None
        raise SettingsError(key, f"{given!r} is refused: {error}") from None


def _words(kind: type[msgspec.Struct], key: str) -> list[str]:
    """Return the words that the field *key* may have; empty where it takes others too."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    found = next((each.type for each in info.fields if each.name == key), None)
    kinds = found.types if isinstance(found, msgspec.inspect.UnionType) else (found,)
    if any(isinstance(each, msgspec.inspect.StrType) for each in kinds):
        return []
    literal = [each for each in kinds if isinstance(each, msgspec.inspect.LiteralType)]
    return [word for each in literal for word in each.values if isinstance(word, str)]
