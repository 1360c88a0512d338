"""Durations and sizes: what is written is what is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_rec.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("20m", 1_200_000),
        ("12h", 43_200_000),
        ("30d", 2_592_000_000),
        ("1.5h", 5_400_000),
        ("0.1s", 100),
        (" 30 s ", 30_000),
        ("0", 0),
    ],
)
def test_durations(text: str, millis: int) -> None:
    """Every unit of the docs, with and without fractions."""
    assert millis == parse_duration(text)


@pytest.mark.parametrize(
    "text",
    ["", "30", "s", "-1s", "1e3s", "30 days", "30S", "0.0001s", "1s2", "٣s", "9" * 5000 + "s"],
)
def test_texts_that_are_no_duration(text: str) -> None:
    """No unit, another unit, a sign, part of a millisecond: refused, saying what was expected."""
    with pytest.raises(ValueError, match="a duration such as 500ms"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("100000", 100_000),
        ("3KB", 3000),
        ("512MB", 512_000_000),
        ("4GB", 4 * 10**9),
        ("1TB", 10**12),
        ("1MiB", 1 << 20),
        ("1TiB", 1 << 40),
        ("2GiB", 2 << 30),
        ("2gib", 2 << 30),
        ("1.5KiB", 1536),
        ("7b", 7),
    ],
)
def test_sizes(text: str, n_bytes: int) -> None:
    """Decimal and binary units, in either case; a bare number is bytes."""
    assert n_bytes == parse_size(text)


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1XB", "0.5b", "²", "9" * 5000])
def test_texts_that_are_no_size(text: str) -> None:
    """Refused, saying what was expected."""
    with pytest.raises(ValueError, match="a size such as 100000"):
        parse_size(text)


@given(st.integers(0, 10**15))
def test_written_and_read_back(number: int) -> None:
    """Formatting and parsing are each other's inverse."""
    assert number == parse_duration(format_duration(number))
    assert number == parse_size(format_size(number))
