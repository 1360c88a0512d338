"""What unit or format a log's times are in, guessed from some of them."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date
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
_MONTHS: Final = 12
_OF_AUTO: Final = frozenset({"s", "ms", "us", "ns", "iso"})


class TimeGuess(NamedTuple):
    """How times are written."""

    unit: str
    """Empty where a format says it."""
    format: str | None = None
    either: str | None = None
    """The other format that reads them all too: the day and the month could be either way around."""


def guess_time(values: Iterable[object]) -> TimeGuess | None:
    """Return how most of *values* are written as times; None if they are no times."""
    kinds: Counter[str] = Counter()
    texts: list[str] = []
    n = 0
    for value in values:
        n += 1
        kind = _kind(value)
        kinds[kind] += 1
        if kind == "day":
            texts.append(str(value).strip())
    if not kinds:
        return None
    kind, most = kinds.most_common(1)[0]
    if not kind or 2 * most < n:
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
    if isinstance(value, int | float | Decimal) or _NUMBER.fullmatch(text):
        return unit_of(abs(Decimal(text))) or "" if text not in {"nan", "inf", "-inf"} else ""
    if _ISO.match(text):
        return "iso"
    if _DAY.fullmatch(text):
        return "day"
    match = _YEAR_FIRST.fullmatch(text)
    if match is not None:
        clock = " %H:%M" + (":%S" if match["seconds"] else "") if ":" in text else ""
        return f" %Y{match['sep']}%m{match['sep']}%d{clock}"
    return ""


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
