"""What unit or format a log's times are in, guessed from some of them."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from stream_rec.core.events import unit_of

__all__ = ["TimeGuess", "guess_time", "is_ambiguous", "is_number", "units_in"]

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]|$)")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_DAY: Final = re.compile(
    r"(?P<a>\d{1,2})(?P<sep>[./-])(?P<b>\d{1,2})[./-](?P<year>\d{4}|\d\d)"
    r"(?:(?P<between>,? |T)\d{1,2}:\d\d(?P<seconds>:\d\d)?(?P<fraction>\.\d{1,6})?(?P<half> ?[AaPp][Mm])?)?"
)
_YEAR_FIRST: Final = re.compile(r"\d{4}(?P<sep>[./])\d{1,2}[./]\d{1,2}(?: \d{1,2}:\d\d(?P<seconds>:\d\d)?)?")
_COMPACT: Final = re.compile(
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
    r"(?:(?P<between>[T ]?)(?P<hour>\d\d)(?P<minute>\d\d)(?:(?P<second>\d\d)(?P<fraction>\.\d{1,6})?)?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
)
_YEARS: Final = range(1990, 2100)
"""A number of that shape is a date only in a year that a log may have."""
_EXCEL: Final = re.compile(r"\d{5}([.,]\d*)?")
_EXCEL_DAYS: Final = range(32_874, 73_051)  # the same years
_NEARLY_ALL: Final = 0.95
_MONTHS: Final = 12
_OF_AUTO: Final = frozenset({"s", "ms", "us", "ns", "iso"})


class TimeGuess(NamedTuple):
    """How times are written."""

    unit: str
    """Empty where a format says it."""
    format: str | None = None
    either: str | None = None
    """The other format that reads them all too: the day and the month could be either way around."""


def guess_time(values: Iterable[object], *, by_name: bool = False) -> TimeGuess | None:
    """Return how most of *values* are written as times; None if they are no times.

    Whole days of Excel look like any number: they are times only *by_name*, of a field that is called so.
    """
    kinds: Counter[str] = Counter()
    texts: list[str] = []
    n = n_whole = 0
    for value in values:
        n += 1
        kind = _kind(value)
        kinds[kind] += 1
        if kind == "day":
            texts.append(str(value).strip())
        n_whole += kind == "excel" and str(value).strip().isdigit()
    if not kinds:
        return None
    of_auto = {kind: many for kind, many in kinds.items() if kind in _OF_AUTO}
    if len(of_auto) > 1 and 2 * sum(of_auto.values()) >= n:
        return TimeGuess("auto")
    kind, most = kinds.most_common(1)[0]
    if not kind or 2 * most < n:
        return None
    if kind == "excel" and (most < _NEARLY_ALL * n or (n_whole == most and not by_name)):
        return None
    return _day_format(texts) if kind == "day" else TimeGuess(*kind.split(" ", 1)) if " " in kind else TimeGuess(kind)


def units_in(values: Iterable[object]) -> dict[str, int]:
    """Return how many of *values* are written in which unit, or as ISO 8601 (`iso`), the most frequent first."""
    kinds = Counter("iso" if kind == "datetime" else kind for value in values if (kind := _kind(value)))
    return {kind: n for kind, n in kinds.most_common() if kind in _OF_AUTO}


def is_number(text: str) -> bool:
    """Whether *text* is a number, with a point or, as in many countries, a comma before its decimals."""
    return _NUMBER.fullmatch(text.strip().replace(",", ".", 1)) is not None


def _kind(value: object) -> str:
    """Return the unit of one time, `day` for a date in numbers, a unit and a format, or nothing."""
    if isinstance(value, date):
        return "datetime"
    if isinstance(value, bool) or value is None:
        return ""
    text = str(value).strip()
    if (compact := _compact(text)) is not None:
        return f" {compact}"
    if isinstance(value, int | float | Decimal) or is_number(text):
        return _kind_of_number(text)
    if _ISO.match(text):
        return "iso"
    if _DAY.fullmatch(text):
        return "day"
    match = _YEAR_FIRST.fullmatch(text)
    if match is not None:
        clock = " %H:%M" + (":%S" if match["seconds"] else "") if ":" in text else ""
        return f" %Y{match['sep']}%m{match['sep']}%d{clock}"
    return ""


def _kind_of_number(text: str) -> str:
    if _EXCEL.fullmatch(text):
        return "excel" if int(text[:5]) in _EXCEL_DAYS else ""
    if "," in text or text in {"nan", "inf", "-inf"}:  # only days of Excel are read with a comma
        return ""
    return unit_of(abs(Decimal(text))) or ""


def _compact(text: str) -> str | None:
    """Return the format of a date whose parts have nothing between them; None if *text* is none."""
    match = _COMPACT.fullmatch(text)
    if match is None or int(match["year"]) not in _YEARS:
        return None
    clock = ""
    if match["hour"]:
        seconds = "%S" if match["second"] else ""
        fraction = ".%f" if match["fraction"] else ""
        clock = f"{match['between']}%H%M{seconds}{fraction}{'%z' if match['zone'] else ''}"
    time_format = f"%Y%m%d{clock}"
    try:
        datetime.strptime(text, time_format)  # noqa: DTZ007  # only whether it is one
    except ValueError:
        return None
    return time_format


def _day_format(texts: list[str]) -> TimeGuess:
    matches = [match for text in texts if (match := _DAY.fullmatch(text)) is not None]
    first = matches[0]
    year = "%Y" if len(first["year"]) > 2 else "%y"  # noqa: PLR2004 - two digits
    sep, clock = first["sep"], ""
    if first["between"]:
        hours = "%I" if first["half"] else "%H"
        half = " %p" if (first["half"] or "").startswith(" ") else "%p" if first["half"] else ""
        clock = (
            f"{first['between']}{hours}:%M{':%S' if first['seconds'] else ''}{'.%f' if first['fraction'] else ''}{half}"
        )
    day_first = f"%d{sep}%m{sep}{year}{clock}"
    month_first = f"%m{sep}%d{sep}{year}{clock}"
    if any(int(match["a"]) > _MONTHS for match in matches):
        return TimeGuess("", day_first)
    if any(int(match["b"]) > _MONTHS for match in matches):
        return TimeGuess("", month_first)
    if sep == ".":
        return TimeGuess("", day_first)
    if first["half"]:
        return TimeGuess("", month_first, day_first)
    return TimeGuess("", day_first, month_first)


def is_ambiguous(time_format: str, values: Iterable[object]) -> str | None:
    """Return the format with day and month the other way around, if that reads all *values* too."""
    guess = _day_format(texts) if (texts := [str(each).strip() for each in values if _kind(each) == "day"]) else None
    if guess is None or guess.either is None:
        return None
    return {guess.format: guess.either, guess.either: guess.format}.get(time_format)
