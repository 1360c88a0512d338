"""Times as logs write them -> milliseconds since 1970 (UTC), exactly.

Numbers are read as decimals, never as binary floats, so a second with three decimals is exactly that millisecond. Finer
times are rounded to the nearest millisecond, halves up. No locale, no clock, no local time zone: the same text is the
same time on every machine. The one thing that comes from the machine is what a named time zone's offset was when.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from stream_rec.core.events.types import MAX_TIME_MS, Reason
from stream_rec.core.events.values import found
from stream_rec.errors import DecodeError, SettingsError

__all__ = ["SURELY_SECONDS", "UNITS", "TimeReader", "time_reader", "time_zone_of", "unit_of"]

TimeReader = Callable[[object], int]
"""A time as text, number or datetime -> ms. Raises DecodeError, which does not name the field."""

UNITS: Final = ("ms", "s", "us", "ns", "iso", "excel", "auto")

SURELY_SECONDS: Final = 100_000_000_000
"""Smaller times, if read as ms, lie before March 1973: a click of that time was surely written in seconds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_HALF: Final = timedelta(microseconds=500)

_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Of the units of numbers, how many digits of one lie behind the second."""
_FINER: Final = {"s": "ms", "ms": "us", "us": "ns"}
# From March 1973 to the year 5138 in each unit: so no number fits two of them.
_FIRST_SECOND: Final = 100_000_000
_STEPS: Final = (("s", 10**11), ("ms", 10**14), ("us", 10**17), ("ns", 10**20))
_LONGEST: Final = len("253402300799999999999")
_EXCEL_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 (in the zone of the table)
_EXCEL_DAYS: Final = (25_569, 2_958_466)  # from 1970 to the year 9999
_MS_PER_DAY: Final = 86_400_000

# ASCII digits only: int() reads the digits of every script, and underscores too.
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,3})?")
# The part of ISO 8601 that fromisoformat reads in the same way in every Python since 3.11. Hours end at 23: from 3.14
# on it takes 24:00 as the next midnight, and replicas on two Pythons would differ.
_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]((?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)"
    r"(?: ?(Z|z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)"
    # Java's ZonedDateTime adds the zone in brackets; Go's Time.String the zone's name, and the monotonic clock.
    r"(?:\[[A-Za-z0-9_+/-]{1,40}\]| [A-Z]{2,5}| [+-][0-9]{2}(?:[0-9]{2})?)?(?: m=[+-][0-9.]{1,30})?)?)?"
)
_UTC: Final = frozenset({"Z", "z", "UTC", "GMT"})
# %c %x %X depend on the locale, %Z on the time zone of the machine.
_DIRECTIVES: Final = frozenset("YmdHMSfzjybBaAIp%")
_YEARS: Final = frozenset("Yy")
_MS_DIGITS: Final = 3
# Wide enough for every number that _NUMBER accepts: nothing is rounded too early.
_EXACT: Final = Context(prec=1200, rounding=ROUND_FLOOR)


def time_zone_of(name: str | None) -> tzinfo:
    """Return the time zone called *name*, such as `Europe/Berlin`; UTC for None. Raises SettingsError."""
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a folder's name an OSError
        message = f"no time zone {name!r} is known here: expected a name such as Europe/Berlin, or UTC"
        raise SettingsError("time_zone", message) from None


def unit_of(number: float | Decimal) -> str | None:
    """Return the unit of a time by its size, as `auto` judges it; None for one before March 1973, and beyond all."""
    if number < _FIRST_SECOND:
        return None
    return next((unit for unit, end in _STEPS if number < end), None)


def time_reader(unit: str, time_format: str | None = None, time_zone: str | None = None) -> TimeReader:
    """Return the reader for *unit*, or for a strptime *time_format*, which has precedence.

    Times without an offset are in the zone *time_zone*, or UTC. Raises SettingsError for an unknown unit, directive or
    zone.
    """
    zone = time_zone_of(time_zone)
    if time_format is not None:
        return _format_reader(time_format, zone)
    match unit:
        case "iso":
            return _Iso(zone)
        case "excel":
            return _Excel(zone)
        case "auto":
            return _Auto(zone)
    if unit not in UNITS:
        raise SettingsError("timestamp_unit", f"expected one of {', '.join(UNITS)}, found {unit!r}")
    return _Number(unit, zone)


class _Number:
    """Reads numbers of one unit, as numbers or as text."""

    def __init__(self, unit: str, zone: tzinfo = UTC) -> None:
        self._unit = unit
        self._zone = zone
        self._digits = _DIGITS[unit]
        self._expected = {
            "ms": "milliseconds since 1970",
            "s": "seconds since 1970",
            "us": "microseconds since 1970",
            "ns": "nanoseconds since 1970",
        }[unit]

    def __call__(self, value: object) -> int:
        if type(value) is str:
            if len(value) <= _LONGEST and value.isascii():
                if value.isdigit():
                    return self._in_range(self._whole(int(value)), value)
                seconds, dot, fraction = value.partition(".")
                if self._unit == "s" and dot and seconds.isdigit() and fraction.isdigit():
                    return self._in_range(_fractional(seconds, fraction), value)
            return self._decimal(self._parsed(value), value)
        if type(value) is int:
            return self._in_range(self._whole(value), value)
        match value:
            case datetime():
                return _from_datetime(value, self._zone)
            case Decimal():
                return self._decimal(value, value)
            case float():  # by its shortest text: the decimal that its writer meant
                return self._decimal(Decimal(repr(value)), value)
        raise _wrong_type(self._expected, value)

    def _whole(self, value: int) -> int:
        match self._unit:
            case "s":
                return value * 1000
            case "us":
                return (value + 500) // 1000
            case "ns":
                return (value + 500_000) // 1_000_000
        return value

    def _parsed(self, text: str) -> Decimal:
        stripped = text.strip(" \t\r\n")
        if not _NUMBER.fullmatch(stripped):
            hint = " (for text times set the unit to iso, or to auto)" if _ISO.match(stripped) else ""
            raise _bad(f"expected {self._expected}, found {found(text)}{hint}")
        return Decimal(stripped)

    def _decimal(self, value: Decimal, shown: object) -> int:
        if not value.is_finite():
            raise _bad(f"expected {self._expected}, found {found(shown)}")
        if value < 0:
            raise _negative(shown)
        if not value or value.adjusted() < -2 * _MS_DIGITS:
            return 0
        if value.adjusted() > _LONGEST:
            raise self._too_far(shown)
        millis = _EXACT.scaleb(value, _MS_DIGITS - self._digits)
        rounded = _EXACT.add(millis, Decimal("0.5")).to_integral_value(ROUND_FLOOR)
        return self._in_range(int(rounded), shown)

    def _in_range(self, millis: int, shown: object) -> int:
        if 0 <= millis <= MAX_TIME_MS:
            return millis
        raise _negative(shown) if millis < 0 else self._too_far(shown)

    def _too_far(self, shown: object) -> DecodeError:
        finer = _FINER.get(self._unit)
        hint = f" (if the log writes {finer}, set the unit to {finer})" if finer else ""
        return _bad(f"expected {self._expected} up to the year 9999, found {found(shown)}{hint}")


def _fractional(seconds: str, fraction: str) -> int:
    """`1592337718.0005` -> 1592337718001: the digit after the milliseconds decides."""
    millis = int(seconds) * 1000 + int((fraction + "00")[:_MS_DIGITS])
    return millis + (len(fraction) > _MS_DIGITS and fraction[_MS_DIGITS] >= "5")


class _Iso:
    """Reads ISO 8601, and what is written in its place: each value in a form of its own."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def __call__(self, value: object) -> int:
        if type(value) is not str:
            if isinstance(value, datetime):
                return _from_datetime(value, self._zone)
            hint = ""
            if isinstance(value, int | float | Decimal) and (unit := unit_of(value)) is not None:
                hint = f" (if these are numbers, set the unit to {unit}, or to auto)"
            raise _wrong_type("an ISO 8601 time as text", value, hint)
        match = _ISO.fullmatch(value.strip(" \t\r\n"))
        if match is None:
            raise _not_iso(value)
        day, clock, zone = match.groups(default="")
        try:
            # fromisoformat drops digits beyond microseconds; rounding halves up gives the same result without them.
            moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{'' if zone in _UTC else zone}")
        except ValueError:
            raise _not_iso(value) from None
        return _from_datetime(moment, UTC if zone in _UTC else self._zone)


class _Auto:
    """Reads numbers of any unit, each by its size, and ISO 8601. What a value means does not depend on other values."""

    def __init__(self, zone: tzinfo) -> None:
        self._units = {unit: _Number(unit, zone) for unit in _DIGITS}
        self._iso = _Iso(zone)

    def __call__(self, value: object) -> int:
        if type(value) is str:
            if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST):
                stripped = value.strip(" \t\r\n")
                return self._number(Decimal(stripped)) if _NUMBER.fullmatch(stripped) else self._iso(value)
            return self._number(int(value))
        if isinstance(value, float):
            return self._number(Decimal(repr(value)))
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return self._number(value)
        return self._iso(value)

    def _number(self, number: int | Decimal) -> int:
        if not isinstance(number, int) and not number.is_finite():
            raise _bad(f"expected a time, found {found(number)}")
        unit = unit_of(number)
        if unit is None:
            message = f"expected a time from March 1973 to the year 5138, found {found(number)}"
            raise _bad(f"{message}: its size does not show its unit, so set the unit")
        return self._units[unit](number)


class _Excel:
    """Reads Excel's days: since 30 December 1899, with the time as a fraction, in the table's own zone."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._iso = _Iso(zone)

    def __call__(self, value: object) -> int:
        if type(value) is str:
            stripped = value.strip(" \t\r\n").replace(",", ".")
            if not _NUMBER.fullmatch(stripped):
                return self._iso(value)
            days = Decimal(stripped)
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            days = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        else:
            return self._iso(value)
        first, end = _EXCEL_DAYS
        if not days.is_finite() or not first <= days < end:
            raise _bad(f"expected days as Excel counts them, from {first} (1970) to {end} (9999), found {found(value)}")
        millis = int(
            _EXACT.add(_EXACT.multiply(days, Decimal(_MS_PER_DAY)), Decimal("0.5")).to_integral_value(ROUND_FLOOR)
        )
        return _from_datetime(_EXCEL_EPOCH + timedelta(milliseconds=millis), self._zone)


def _not_iso(text: str) -> DecodeError:
    hint = ""
    if len(text) <= _LONGEST and text.isascii() and text.isdigit() and (unit := unit_of(int(text))) is not None:
        hint = f" (for numbers set the unit to {unit}, or to auto)"
    return _bad(f"expected ISO 8601, such as 2024-05-01T12:30:00Z, found {found(text)}{hint}")


def _format_reader(time_format: str, zone: tzinfo) -> TimeReader:
    directives = re.findall(r"%(.?)", time_format, re.DOTALL)
    unknown = sorted({f"%{d}" for d in directives if d not in _DIRECTIVES or not d})
    if unknown or not directives:
        raise SettingsError(
            "timestamp_format",
            f"cannot use {' '.join(unknown) or 'a format without directives'}: expected a strptime "
            "format that needs no locale, such as '%d/%m/%Y %H:%M:%S'",
        )
    if not _YEARS.intersection(directives):  # strptime would put each time into 1900, and Pythons to come may refuse
        raise SettingsError("timestamp_format", f"{time_format!r} names no year: it needs %Y (2024) or %y (24)")

    def read(value: object) -> int:
        if isinstance(value, datetime):
            return _from_datetime(value, zone)
        if type(value) is int:  # as 20240503 is in JSON and Parquet
            value = str(value)
        if type(value) is not str:
            raise _wrong_type(f"a time as text ({time_format})", value)
        try:
            return _from_datetime(datetime.strptime(value, time_format), zone)  # noqa: DTZ007 (its zone is below)
        except (ValueError, OverflowError):
            raise _bad(f"expected a time like {time_format!r}, found {found(value)}") from None

    return read


def _from_datetime(moment: datetime, zone: tzinfo = UTC) -> int:
    """Return the time of *moment*; without an offset it is in *zone*.

    Of a time that a clock shows twice, when it is set back, the first is taken; one that it skips is read as if it had
    not been set yet.
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    if moment < _EPOCH:
        raise _negative(str(moment))
    millis = (moment - _EPOCH + _HALF) // _MILLISECOND
    if millis > MAX_TIME_MS:
        raise _bad(f"expected a time up to the year 9999, found {moment}")
    return millis


def _bad(message: str) -> DecodeError:
    return DecodeError(Reason.BAD_TIME, message)


def _negative(shown: object) -> DecodeError:
    return DecodeError(Reason.NEGATIVE_TIME, f"expected a time from 1970 on, found {found(shown)}")


def _wrong_type(expected: str, value: object, hint: str = "") -> DecodeError:
    return DecodeError(Reason.WRONG_TYPE, f"expected {expected}, found {found(value)}{hint}")
