"""Records that a decoder must reject: one maker for each reason code.

Each record is one line with a single error, so that its reason does not depend on the order of checks.
"""

from collections.abc import Callable

from stream_rec.errors import SettingsError

__all__ = ["KINDS", "broken_line"]

# The year 3000: in the future by any clock.
_FAR_FUTURE_MS = 32_503_680_000_000


def broken_line(kind: str, number: int, too_large_bytes: int) -> bytes:
    """Return a line that is rejected for the reason *kind*; another *number* gives another line."""
    if kind == "too_large":
        return _too_large(number, too_large_bytes)
    try:
        return _MAKERS[kind](number) + b"\n"
    except KeyError:
        raise SettingsError("kinds", f"must be some of {', '.join(KINDS)}; not {kind}") from None


def _line(*members: bytes) -> bytes:
    return b"{" + b",".join(members) + b"}"


def _session(number: int) -> bytes:
    return b'"session_id":"broken%d"' % number


def _item(number: int) -> bytes:
    return b'"item_id":"i%d"' % number


_TIME = b'"timestamp":1700006400000'


def _not_utf8(number: int) -> bytes:
    # No UTF-8 text contains 0xFF; the other bytes are any except line ends.
    noise = bytes(11 + (number >> shift) % 200 for shift in range(0, 24, 3))
    return b'{"session_id":"\xff' + noise.replace(b"\r", b"\xfe") + b'"}'


def _not_json(number: int) -> bytes:
    whole = _line(_session(number), _item(number), _TIME)
    return whole[: 1 + number % (len(whole) - 1)]


def _missing_field(number: int) -> bytes:
    members = [_session(number), _item(number), _TIME]
    del members[number % 3]
    return _line(*members)


def _wrong_type(number: int) -> bytes:
    members = [_session(number), _item(number), _TIME]
    wrong = (b'"session_id":[]', b'"item_id":{}', b'"timestamp":[]')
    members[number % 3] = wrong[number % 3]
    return _line(*members)


def _empty_id(number: int) -> bytes:
    members = [_session(number), _item(number), _TIME]
    members[number % 2] = (b'"session_id":""', b'"item_id":""')[number % 2]
    return _line(*members)


def _negative_time(number: int) -> bytes:
    return _line(_session(number), _item(number), b'"timestamp":-%d' % (1 + number))


def _bad_time(number: int) -> bytes:
    return _line(_session(number), _item(number), b'"timestamp":"in %d minutes"' % number)


def _future(number: int) -> bytes:
    return _line(_session(number), _item(number), b'"timestamp":%d' % (_FAR_FUTURE_MS + number))


def _too_large(number: int, too_large_bytes: int) -> bytes:
    rest = _line(_session(number), _item(number), _TIME, b'"padding":""')
    padding = b'"padding":"' + b"x" * (too_large_bytes + 1 - len(rest)) + b'"'
    return _line(_session(number), _item(number), _TIME, padding) + b"\n"


_MAKERS: dict[str, Callable[[int], bytes]] = {
    "not_utf8": _not_utf8,
    "not_json": _not_json,
    "missing_field": _missing_field,
    "wrong_type": _wrong_type,
    "empty_id": _empty_id,
    "bad_time": _bad_time,
    "negative_time": _negative_time,
    "future": _future,
}

KINDS = (*_MAKERS, "too_large")
"""The reason codes with a maker; `late` and `duplicate` come from delays and second copies."""
