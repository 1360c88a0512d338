"""Where the fields of an event lie in a record: paths, compiled once.

    item_id                                  a name: a key of the record, or a column
    properties.product_id                    a key of an object in it
    event_params[ga_session_id].int_value    of an array of keys and values, what stands under that key
    contexts[0].id                           an element of an array, by its place from 0
    items[].item_id                          each element of an array: the record makes an event of each
    user_pseudo_id+ga_session_id             two fields together
    after.session_id|before.session_id       the first that is there
    @timestamp, @key, @header.ce_time        what stands beside the record's value: its own time, key and headers

A name that the record has literally goes before what it means as a path. A text that holds JSON is read as JSON where a
path goes on inside it. Knows nothing of ids, times and types: it finds values, and does not judge them.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from stream_rec.core.events.json_text import read_exactly
from stream_rec.core.events.tombstones import key_value
from stream_rec.core.events.types import MAX_TIME_MS, Reason
from stream_rec.errors import DecodeError

__all__ = [
    "MAX_EVENTS",
    "Paths",
    "RecordParts",
    "chains_of_names",
    "goes_through_arrays",
    "is_in",
    "is_path",
    "joined",
    "roots",
]

MAX_EVENTS: Final = 10_000
"""So many events a record may hold."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EACH: Final = "[]"
_TIME, _KEY, _HEADER = "@timestamp", "@key", "@header."
_SPECIAL: Final = re.compile(r"[.\[\]+|@]")
_CHAIN: Final = re.compile(r"(?:[^.\[\]+|@][^.\[\]+|]*|(?=\[))(?:\[[^\[\]]*\])*(?:\.[^.\[\]+|]+(?:\[[^\[\]]*\])*)*")
_STEP: Final = re.compile(r"\[([^\[\]]*)\]|\.?([^.\[\]]+)")
_OPENING: Final = ("{", "[")
_PAIR: Final = 2
_INDEX_DIGITS: Final = 6
_VALUE: Final = "_value"


class RecordParts(Protocol):
    """What stands beside the value of a record."""

    @property
    def timestamp_ms(self) -> int | None:
        """When the log took it."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """Its headers, in their order."""


class _Inside(NamedTuple):
    """A step into `[name]`: an element by its key, or by its place."""

    name: str


_Step = str | _Inside
_Chain = tuple[_Step, ...]
"""Steps from the record to a value. `[]` is the step to each element; a first step `@...` leads beside the value."""
_Ways = tuple[tuple[_Chain, ...], ...]
"""The first way that leads to something is taken. One of several chains leads to all of their values, joined."""

_Elements = dict[_Chain, object]
"""Of each array that is gone through, by the chain up to its `[]`, the element that stands for the event."""


def is_path(text: str) -> bool:
    """Whether *text* means more than a name."""
    return _ways_of(text) is not None


def goes_through_arrays(text: str) -> bool:
    """Whether *text* has a `[]`, and so makes an event of each element."""
    return any(_EACH in chain for way in _ways_of(text) or () for chain in way)


def roots(text: str) -> tuple[str, ...]:
    """Return the names, at the top of a record, of what the path *text* leads through; of a name, the name."""
    ways = _ways_of(text)
    if ways is None:
        return (text,)
    first = [next((step for step in chain if step != _EACH), "") for ways_ in ways for chain in ways_]
    return tuple(dict.fromkeys(step for step in first if isinstance(step, str) and step and step[0] != "@"))


def is_in(text: str, names: Collection[str]) -> bool:
    """Whether a record with *names* at its top may have what *text* leads to."""
    if text in names:
        return True
    ways = _ways_of(text)
    return ways is not None and any(all(_begins_in(chain, names) for chain in way) for way in ways)


def _begins_in(chain: _Chain, names: Collection[str]) -> bool:
    return (
        not isinstance(chain[0], str)
        or chain[0] in names
        or chain[0] in {_EACH, _TIME, _KEY}
        or (chain[0].startswith(_HEADER))
    )


def chains_of_names(text: str) -> tuple[tuple[str, ...], ...] | None:
    """Return the keys on each chain of *text*, if there is one way, through objects only; None for any other."""
    ways = _ways_of(text)
    if ways is None:
        return ((text,),)
    if len(ways) > 1 or any(not isinstance(step, str) or step == _EACH for chain in ways[0] for step in chain):
        return None
    return None if any(chain[0][0] == "@" for chain in ways[0]) else ways[0]  # type: ignore[return-value]  # names


def joined(parts: Iterable[str]) -> str:
    r"""Return the texts of several fields as one, with `+` between them.

    A backslash stands before each `+` and backslash of their own, so that no two groups of texts give the same.
    """
    return "+".join(part.replace("\\", "\\\\").replace("+", "\\+") for part in parts)


class Paths:
    """The paths of some fields; `texts` are as the settings write them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts: Final = tuple(dict.fromkeys(texts))
        self._ways: Final = {text: _ways_of(text) or (((text,),),) for text in self.texts}
        self._special: Final = frozenset(text for text in self.texts if is_path(text))
        self.is_plain: Final = not self._special
        """Whether all of them are names."""
        self._levels: Final = _levels(self._ways.values())
        self.makes_several: Final = bool(self._levels)
        """Whether a record may hold several events."""

    def read(self, row: Mapping[str, object], beside: RecordParts | None = None) -> dict[str, object]:
        """Return the values of a record that is one event, by the text of their path; what is not there is None.

        Raises DecodeError where paths go through arrays, and these do not have exactly one element.
        """
        rows = self.read_all(row, beside)
        if len(rows) != 1:
            raise DecodeError(Reason.WRONG_TYPE, f"expected one event, found {len(rows)} in the record")
        (only,) = rows
        if isinstance(only, DecodeError):
            raise only
        return only

    def read_all(
        self, row: Mapping[str, object], beside: RecordParts | None = None
    ) -> list[dict[str, object] | DecodeError]:
        """Return the values of each event in a record; of one that cannot be read, why. There is at least one."""
        literal = {text: row[text] for text in self._special if text in row}
        ways, levels = self._ways, self._levels
        if literal:
            ways = {text: each for text, each in ways.items() if text not in literal}
            levels = _levels(ways.values())
        if not levels:
            return [_values(ways, row, {}, beside) | literal]
        found: list[dict[str, object] | DecodeError] = []
        for elements in _expanded(row, levels, 0, {}, beside):
            found.append(
                elements if isinstance(elements, DecodeError) else _values(ways, row, elements, beside) | literal
            )
            if len(found) > MAX_EVENTS:
                return [DecodeError(Reason.TOO_LARGE, f"expected at most {MAX_EVENTS} events in a record, found more")]
        return found


def _values(
    ways: Mapping[str, _Ways], row: Mapping[str, object], elements: _Elements, beside: RecordParts | None
) -> dict[str, object]:
    return {text: _first(each, row, elements, beside) for text, each in ways.items()}


def _first(ways: _Ways, row: Mapping[str, object], elements: _Elements, beside: RecordParts | None) -> object:
    for chains in ways:
        if len(chains) == 1:
            value = _at(chains[0], row, elements, beside)
        else:
            parts = [_at(chain, row, elements, beside) for chain in chains]
            value = _together(parts)
        if value is not None and value != "":
            return value
    return None


def _together(parts: Sequence[object]) -> object:
    """Return *parts* as one id; None if one is missing, and the one that is no id, for the message about it."""
    if any(part is None or part == "" for part in parts):
        return None
    texts = [part if type(part) is str else str(part) if type(part) is int else None for part in parts]
    wrong = next((part for part, text in zip(parts, texts, strict=True) if text is None), None)
    return joined(filter(None, texts)) if wrong is None else wrong


def _expanded(
    row: Mapping[str, object],
    levels: Sequence[Sequence[_Chain]],
    level: int,
    elements: _Elements,
    beside: RecordParts | None,
) -> Iterator[_Elements | DecodeError]:
    """Go through the arrays of a *level*, side by side, and for each of their elements through those inside."""
    if level == len(levels):
        yield elements
        return
    arrays: dict[_Chain, Sequence[object]] = {}
    for chain in levels[level]:
        value = _json_in(_at(chain[:-1], row, elements, beside))
        if value is None:
            continue
        if not isinstance(value, list | tuple):
            yield DecodeError(Reason.WRONG_TYPE, f"{_shown(chain)}: expected an array, found {_kind(value)}")
            return
        arrays[chain] = value
    if not any(arrays.values()):
        names = ", ".join(map(_shown, levels[level]))
        yield DecodeError(Reason.NOT_AN_EVENT, f"{names}: there is no element, and so no event")
        return
    sizes = {len(value) for value in arrays.values()}
    if len(sizes) > 1:
        lengths = ", ".join(f"{_shown(chain)} has {len(value)}" for chain, value in arrays.items())
        yield DecodeError(Reason.NOT_A_ROW, f"expected arrays of the same length, but {lengths} elements")
        return
    for place in range(sizes.pop()):
        here = {chain: value[place] for chain, value in arrays.items()}
        yield from _expanded(row, levels, level + 1, {**elements, **here}, beside)


def _levels(ways: Iterable[_Ways]) -> list[list[_Chain]]:
    """Return the chains up to each `[]`: those with one of them, those with two, ..."""
    levels: list[list[_Chain]] = []
    for chain in (chain for chains in ways for way in chains for chain in way):
        ends = [place + 1 for place, step in enumerate(chain) if step == _EACH]
        for level, end in enumerate(ends):
            if level == len(levels):
                levels.append([])
            if chain[:end] not in levels[level]:
                levels[level].append(chain[:end])
    return levels


def _at(chain: _Chain, row: Mapping[str, object], elements: _Elements, beside: RecordParts | None) -> object:
    """Return the value at the end of *chain*; None if there is none."""
    value: object = row
    start = 0
    if _EACH in chain:
        ends = [place + 1 for place, step in enumerate(chain) if step == _EACH and chain[: place + 1] in elements]
        if ends:
            start = ends[-1]
            value = elements[chain[:start]]
        elif elements:
            return None  # an array that this record lacks, beside one that it has
    elif isinstance(chain[0], str) and chain[0][0] == "@":
        value, start = _beside(chain[0], beside), 1
    for place in range(start, len(chain)):
        step = chain[place]
        if type(value) is not dict:
            value = _json_in(value)
        if isinstance(step, _Inside):
            value = _inside(value, step.name, chain[place + 1] if place + 1 < len(chain) else None)
        elif isinstance(value, Mapping):
            value = value.get(step)
        else:
            return None
    return value


def _inside(value: object, name: str, following: _Step | None) -> object:
    """Return what `[name]` means in *value*: what stands under a key, or an element by its place."""
    if isinstance(value, Mapping):
        return value.get(name)
    if not isinstance(value, list | tuple):
        return None
    for each in value:
        if isinstance(each, Mapping) and each.get("key") == name:
            if following is None:
                return _only(each.get("value"))
            return each if following in each else each.get("value")
        if isinstance(each, list | tuple) and len(each) == _PAIR and each[0] == name:  # an Arrow map
            return each[1] if following is not None else _only(each[1])
    if name.isascii() and name.isdigit() and len(name) < _INDEX_DIGITS and int(name) < len(value):
        found: object = value[int(name)]
        return found
    return None


def _only(value: object) -> object:
    """Return *value*; of an object with a key for each type, such as `int_value`, the one that is there."""
    if isinstance(value, Mapping) and value and all(str(key).endswith(_VALUE) for key in value):
        return next((each for each in value.values() if each is not None), None)
    return value


def _beside(name: str, beside: RecordParts | None) -> object:
    if beside is None:
        return None
    if name == _TIME:
        time = beside.timestamp_ms
        # As a datetime, which has no unit: the settings' unit is that of times inside of values.
        return None if time is None or not 0 <= time <= MAX_TIME_MS else _EPOCH + timedelta(milliseconds=time)
    if name == _KEY:
        try:
            return None if not beside.key else key_value(beside.key)
        except UnicodeDecodeError:
            return beside.key
    wanted = name.removeprefix(_HEADER)
    header = next((value for each, value in beside.headers if each == wanted), None)
    try:
        return None if header is None else header.decode()
    except UnicodeDecodeError:
        return header


def _json_in(value: object) -> object:
    """Return what a text or bytes say in JSON, if they hold an object or array; any other *value* as it is."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return value
    if not isinstance(value, str) or not value.lstrip(" \t\r\n").startswith(_OPENING):
        return value
    try:
        return read_exactly(value.encode())
    except (ValueError, RecursionError):
        return value


def _ways_of(text: str) -> _Ways | None:
    """Return what *text* means as a path; None for a name."""
    if not _SPECIAL.search(text):
        return None
    ways = []
    for way in text.split("|"):
        chains = [_chain(part) for part in way.split("+")]
        if None in chains:
            return None
        ways.append(tuple(chain for chain in chains if chain is not None))
    return None if ways == [((text,),)] and text[0] != "@" else tuple(ways)


def _chain(text: str) -> _Chain | None:
    if text in {_TIME, _KEY} or (text.startswith(_HEADER) and text != _HEADER):
        return (text,)
    start: tuple[_Step, ...] = ()
    if text.startswith(f"{_KEY}."):
        start, text = (_KEY,), text.removeprefix(f"{_KEY}.")
    if not text or not _CHAIN.fullmatch(text):
        return None
    steps: list[_Step] = [*start]
    for inside, name in _STEP.findall(text):
        steps.append(name or (_Inside(inside) if inside else _EACH))
    if not start and steps[0] == _EACH:  # the elements of an array at the top are records anyway
        steps = steps[1:]
    return tuple(steps) or None


def _shown(chain: _Chain) -> str:
    text = ""
    for step in chain:
        text += step if step == _EACH else f"[{step.name}]" if isinstance(step, _Inside) else f".{step}"
    return text.removeprefix(".")


def _kind(value: object) -> str:
    return "an object" if isinstance(value, Mapping) else "a text" if isinstance(value, str) else "a single value"
