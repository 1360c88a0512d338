"""Durations and sizes as people write them: `30m`, `2GiB`.

Knows nothing of settings. Both directions are exact: `parse_*` reads back the number that `format_*` wrote. Any other
text raises ValueError with what was expected.
"""

import re

__all__ = [
    "DURATION_EXPECTED",
    "SIZE_EXPECTED",
    "format_duration",
    "format_size",
    "parse_duration",
    "parse_size",
]

DURATION_EXPECTED = "a duration such as 500ms, 30s, 20m, 12h or 30d"
SIZE_EXPECTED = "a size such as 100000, 512MB or 2GiB"

_MS_PER_UNIT = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BYTES_PER_UNIT = {
    "tib": 1 << 40,
    "tb": 10**12,
    "gib": 1 << 30,
    "gb": 10**9,
    "mib": 1 << 20,
    "mb": 10**6,
    "kib": 1 << 10,
    "kb": 1000,
    "b": 1,
}
# ASCII digits only: `\d` would let in the digits of every script, which int() happens to read.
_NUMBER_AND_UNIT = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")


def parse_duration(text: str) -> int:
    """Return the milliseconds of *text*. The unit is required: a bare `30` could be seconds or milliseconds."""
    if text.strip() == "0":
        return 0
    return _parse(text, _MS_PER_UNIT, DURATION_EXPECTED)


def parse_size(text: str) -> int:
    """Return the bytes of *text*: `MB` is 10⁶ and `MiB` 2²⁰, in upper or lower case; no unit means bytes."""
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit():
        stripped += "b"
    return _parse(stripped.lower(), _BYTES_PER_UNIT, SIZE_EXPECTED)


def format_duration(millis: int) -> str:
    """Return *millis* in the largest unit that divides it: 1800000 is `30m`."""
    return _format(millis, _MS_PER_UNIT)


def format_size(n_bytes: int) -> str:
    """Return *n_bytes* in the largest unit that divides it: 536870912 is `512MiB`."""
    return _format(n_bytes, {_shown(unit): size for unit, size in _BYTES_PER_UNIT.items()})


def _parse(text: str, units: dict[str, int], expected: str) -> int:
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(expected)
    number, unit = match.groups()
    whole, _, fraction = number.partition(".")
    # Integers: 0.1 has no exact float, and a setting must not depend on rounding.
    denominator: int = 10 ** len(fraction)
    scaled, rest = divmod(int(whole + fraction) * units[unit], denominator)
    if rest:
        raise ValueError(expected)
    return scaled


def _format(number: int, units: dict[str, int]) -> str:
    if number == 0:
        return "0"
    unit = max((u for u in units if number % units[u] == 0), key=units.__getitem__)
    return f"{number // units[unit]}{unit}"


def _shown(unit: str) -> str:
    return unit.upper().replace("I", "i")
