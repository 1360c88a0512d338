"""Many rows of a table -> events, column by column: half the cost of reading them one by one.

Knows nothing of what is wrong with a row: only that one of them is not plain.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from operator import contains, itemgetter
from typing import Final

from stream_rec.core.events.rules import DecodeRules
from stream_rec.core.events.times import TimeReader
from stream_rec.core.events.types import FORGET, MAX_TIME_MS, VIEW, Event
from stream_rec.core.events.values import NULL_TEXTS, check_text_id
from stream_rec.errors import DecodeError

__all__ = ["PlainRows"]

Row = Mapping[str, object]

_PER_MS: Final = {"ms": 1, "s": 1000}
_TIME_DIGITS: Final = 18
"""More might be no int of 64 bits."""


class _NotPlainError(Exception):
    """A row has something rare in it, or something wrong."""


class PlainRows:
    """Reads rows whose columns have the log's names for fields, under fixed *rules*; *time* reads one time."""

    def __init__(self, rules: DecodeRules, time: TimeReader) -> None:
        self._rules = rules
        self._names = rules.fields.as_dict()
        self._time = time
        self._per_ms = None if rules.timestamp_format is not None else _PER_MS.get(rules.timestamp_unit)
        self._nulls = frozenset({""}) if rules.lenient_ids else NULL_TEXTS | {""}
        self._forgets = rules.forget_types | {FORGET}

    def read(self, rows: Sequence[Row]) -> list[Event] | None:
        """Return the event in each of *rows*, one or more, as `EventDecoder.decode_row` would; None if that is rare."""
        try:
            if self._rules.session_from_user:
                sessions: Iterable[str] = repeat("", len(rows))
                users: Iterable[str | None] = self._needed("user_id", rows)
            else:
                sessions = self._needed("session_id", rows)
                users = self._maybe("user_id", rows, are_checked=True)
            items, times = self._needed("item_id", rows), self._times(rows)
            return list(map(Event, sessions, items, times, self._types(rows), self._maybe("event_id", rows), users))
        except (_NotPlainError, DecodeError, KeyError):
            return None

    def _needed(self, field: str, rows: Sequence[Row]) -> list[str]:
        texts = _as_texts(list(map(itemgetter(self._names[field]), rows)))
        distinct = set(texts)
        if not self._nulls.isdisjoint(distinct):
            raise _NotPlainError
        self._check(distinct, are_checked=True)
        return texts

    def _maybe(self, field: str, rows: Sequence[Row], *, are_checked: bool = False) -> Sequence[str | None]:
        name = self._names[field]
        if not any(map(contains, rows, repeat(name))):
            return [None] * len(rows)
        texts = _as_texts(["" if value is None else value for value in map(itemgetter(name), rows)])
        distinct = set(texts)
        absent = self._nulls & distinct
        self._check(distinct - absent, are_checked=are_checked)
        return [None if text in absent else text for text in texts] if absent else texts

    def _check(self, distinct: set[str], *, are_checked: bool) -> None:
        """Raise where one of the *distinct* ids needs a careful look; *are_checked*: it may have become a float."""
        if not all(map(str.isascii, distinct)) or max(map(len, distinct), default=0) > self._rules.max_id_chars:
            raise _NotPlainError
        if are_checked and not self._rules.lenient_ids:
            for text in distinct:
                if not text.isalnum():
                    check_text_id("", text)

    def _types(self, rows: Sequence[Row]) -> Sequence[str]:
        kinds = [kind or VIEW for kind in self._maybe("type", rows)]
        distinct = set(kinds)
        if not self._forgets.isdisjoint(distinct):
            raise _NotPlainError
        if self._rules.types is not None and not distinct <= self._rules.types:
            raise _NotPlainError
        return kinds

    def _times(self, rows: Sequence[Row]) -> Sequence[int]:
        values = list(map(itemgetter(self._names["timestamp"]), rows))
        if self._per_ms is None or set(map(type, values)) != {str}:
            if None in values or "" in values:
                raise _NotPlainError
            return list(map(self._time, values))
        if not (all(map(str.isdigit, values)) and all(map(str.isascii, values))):
            return list(map(self._time, values))
        if max(map(len, values)) > _TIME_DIGITS:
            raise _NotPlainError
        times = list(map(int, values))
        if self._per_ms != 1:
            times = [time * self._per_ms for time in times]
        if max(times) > MAX_TIME_MS:
            raise _NotPlainError
        return times


def _as_texts(values: list[object]) -> list[str]:
    """Return *values* as the texts of ids, if all are texts or whole numbers."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return values  # type: ignore[return-value]  # just looked at
    if kinds <= {int, str}:
        return list(map(str, values))
    raise _NotPlainError
