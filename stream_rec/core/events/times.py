"""Times as logs write them -> milliseconds since 1970 (UTC), exactly.

Numbers are read as decimals, never as binary floats, so a second with three decimals is exactly that millisecond. Finer
times are rounded to the nearest millisecond, halves up. No locale, no clock, no local time zone: the same text is the
same time on every machine.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Final

from stream_rec.core.events.types import MAX_TIME_MS, Reason
from stream_rec.core.events.values import found
from stream_rec.errors import DecodeError, SettingsError

__all__ = ["SURELY_SECONDS", "UNITS", "TimeReader", "time_reader"]

TimeReader = Callable[[object], int]
"""A time as text, number or datetime -> ms. Raises DecodeError, which does not name the field."""

UNITS: Final = ("ms", "s", "us", "iso")

SURELY_SECONDS: Final = 100_000_000_000
"""Smaller times, if read as ms, lie before March 1973: a click of that time was surely written in seconds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_HALF: Final = timedelta(microseconds=500)

# ASCII digits only: int() reads the digits of every script, and underscores too.
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,3})?")
# The part of ISO 8601 that fromisoformat reads in the same way in every Python since 3.11.
_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)"
    r" ?(Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
# %c %x %X depend on the locale, %Z on the time zone of the machine.
_DIRECTIVES: Final = frozenset("YmdHMSfzjybBaAIp%")
_MS_DIGITS: Final = 3
# Wide enough for every number that _NUMBER accepts: nothing is rounded too early.
_EXACT: Final = Context(prec=1200, rounding=ROUND_FLOOR)


def time_reader(unit: str, time_format: str | None = None) -> TimeReader:
    """Return the reader for *unit*, or for a strptime *time_format*, which has precedence.

    Raises SettingsError for an unknown unit or directive.
    """
    if time_format is not None:
        return _format_reader(time_format)
    if unit == "iso":
        return _iso
    if unit not in UNITS:
        raise SettingsError("timestamp_unit", f"expected one of {', '.join(UNITS)}, found {unit!r}")
    return _Number(unit)


class _Number:
    """Reads numbers of one unit, as numbers or as text."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._digits = {"s": 0, "ms": 3, "us": 6}[unit]
        self._expected = {
            "ms": "milliseconds since 1970",
            "s": "seconds since 1970",
            "us": "microseconds since 1970",
        }[unit]

    def __call__(self, value: object) -> int:
        if type(value) is str:
            if len(value) <= len("253402300799999999") and value.isascii():
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
                return _from_datetime(value)
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
        return value

    def _parsed(self, text: str) -> Decimal:
        stripped = text.strip(" \t\r\n")
        if not _NUMBER.fullmatch(stripped):
            hint = " (for text times set the unit to iso)" if _ISO.match(stripped) else ""
            raise _bad(f"expected {self._expected}, found {found(text)}{hint}")
        return Decimal(stripped)

    def _decimal(self, value: Decimal, shown: object) -> int:
        if not value.is_finite():
            raise _bad(f"expected {self._expected}, found {found(shown)}")
        if value < 0:
            raise _negative(shown)
        if not value or value.adjusted() < -2 * _MS_DIGITS:
            return 0
        if value.adjusted() > len(str(MAX_TIME_MS)) + _MS_DIGITS:
            raise self._too_far(shown)
        millis = _EXACT.scaleb(value, _MS_DIGITS - self._digits)
        rounded = _EXACT.add(millis, Decimal("0.5")).to_integral_value(ROUND_FLOOR)
        return self._in_range(int(rounded), shown)

    def _in_range(self, millis: int, shown: object) -> int:
        if 0 <= millis <= MAX_TIME_MS:
            return millis
        raise _negative(shown) if millis < 0 else self._too_far(shown)

    def _too_far(self, shown: object) -> DecodeError:
        finer = {"s": "ms", "ms": "us"}.get(self._unit)
        hint = f" (if the log writes {finer}, set the unit to {finer})" if finer else ""
        return _bad(f"expected {self._expected} up to the year 9999, found {found(shown)}{hint}")


def _fractional(seconds: str, fraction: str) -> int:
    """`1592337718.0005` -> 1592337718001: the digit after the milliseconds decides."""
    millis = int(seconds) * 1000 + int((fraction + "00")[:_MS_DIGITS])
    return millis + (len(fraction) > _MS_DIGITS and fraction[_MS_DIGITS] >= "5")


def _iso(value: object) -> int:
    if type(value) is not str:
        if isinstance(value, datetime):
            return _from_datetime(value)
        raise _wrong_type("an ISO 8601 time as text", value)
    match = _ISO.fullmatch(value.strip(" \t\r\n"))
    if match is None:
        raise _not_iso(value)
    day, clock, zone = match.groups(default="")
    try:
        # fromisoformat drops digits beyond microseconds; rounding halves up gives the same result without them.
        return _from_datetime(datetime.fromisoformat(f"{day}T{clock or '00:00'}{'' if zone in {'Z', 'UTC'} else zone}"))
    except ValueError:
        raise _not_iso(value) from None


def _not_iso(text: str) -> DecodeError:
    return _bad(f"expected ISO 8601, such as 2024-05-01T12:30:00Z, found {found(text)}")


def _format_reader(time_format: str) -> TimeReader:
    directives = re.findall(r"%(.?)", time_format, re.DOTALL)
    unknown = sorted({f"%{d}" for d in directives if d not in _DIRECTIVES or not d})
    if unknown or not directives:
        raise SettingsError(
            "timestamp_format",
            f"cannot use {' '.join(unknown) or 'a format without directives'}: expected a strptime "
            "format that needs no locale, such as '%d/%m/%Y %H:%M:%S'",
        )

    def read(value: object) -> int:
        if isinstance(value, datetime):
            return _from_datetime(value)
        if type(value) is not str:
            raise _wrong_type(f"a time as text ({time_format})", value)
        try:
            return _from_datetime(datetime.strptime(value, time_format))  # noqa: DTZ007 (UTC below)
        except (ValueError, OverflowError):
            raise _bad(f"expected a time like {time_format!r}, found {found(value)}") from None

    return read


def _from_datetime(moment: datetime) -> int:
    """Return the time of *moment*; without an offset it is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
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


def _wrong_type(expected: str, value: object) -> DecodeError:
    return DecodeError(Reason.WRONG_TYPE, f"expected {expected}, found {found(value)}")
