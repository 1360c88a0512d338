"""Compiled code that reads a record in the common form, in one step. What it refuses is read again, slowly.

Knows nothing of what is wrong with a record: only that it is not plain.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from stream_rec.core.events.paths import chains_of_names, joined
from stream_rec.core.events.rules import DecodeRules, FieldMap
from stream_rec.core.events.types import MAX_ID_CHARS, MAX_TIME_MS, VIEW, Event

__all__ = ["fast_reader", "plain_reader"]

_INT64_MAX: Final = (1 << 63) - 1
_NEVER: Final = Annotated[int, Meta(ge=1, le=0)]
"""What no value is."""

_Leaf = tuple[Any, Any]
"""The type of a value, and its default; NODEFAULT: it must be there."""


def fast_reader(rules: DecodeRules) -> Callable[[bytes], Any] | None:
    """Return compiled code that reads a record as an object with the attributes of an event; None for rare paths.

    It raises ValueError for what is not in the common form.
    """
    leaves, names = _leaves(rules), rules.fields.as_dict()
    chains = {field: chains_of_names(names[field]) for field in leaves}
    row = _Row()
    for field, (kind, default) in leaves.items():
        ways = chains[field]
        if ways is None or not row.add(field, names[field], ways, kind, default):
            return None
    return msgspec.json.Decoder(row.struct({"session_id": ""} if rules.session_from_user else {})).decode


def plain_reader(rules: DecodeRules) -> Callable[[bytes | None], Event] | None:
    """Return compiled code that reads a record as an event in one step, with no further check.

    None if rules, names or the unit of time are not the defaults.
    """
    if rules.session_from_user or rules.timestamp_format is not None or rules.timestamp_unit != "ms":
        return None
    if rules.forget_types:
        return None
    if rules.fields != FieldMap() or rules.max_id_chars != MAX_ID_CHARS:
        return None
    return msgspec.json.Decoder(Event).decode  # type: ignore[return-value]  # it raises TypeError for None


def _leaves(rules: DecodeRules) -> dict[str, _Leaf]:
    """Return the fields of an event that are read."""
    text = Annotated[str, Meta(min_length=1, max_length=rules.max_id_chars)]
    whole = Annotated[int, Meta(ge=-_INT64_MAX, le=_INT64_MAX)]
    required = text | whole if rules.max_id_chars >= len(str(-_INT64_MAX)) else text
    maybe = Annotated[str, Meta(max_length=rules.max_id_chars)] | whole | None
    owner = "user_id" if rules.session_from_user else "session_id"
    leaves: dict[str, _Leaf] = {
        owner: (required, msgspec.NODEFAULT),
        "item_id": (required, msgspec.NODEFAULT),
        "timestamp": (_time_type(rules), msgspec.NODEFAULT),
        "type": (maybe, VIEW),
        "event_id": (maybe, None),
    }
    return leaves if rules.session_from_user else {**leaves, "user_id": (maybe, None)}


class _Row:
    """Makes the type of a record: a Struct at its top, one for each object that a path goes through, and properties."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}
        """Key -> (name of the attribute, type, default), or the tree of an object."""
        self._properties: dict[str, Callable[[Any], Any]] = {}
        self._literals: list[str] = []
        self._attributes: dict[tuple[str, ...], str] = {}

    def add(self, field: str, text: str, ways: tuple[tuple[str, ...], ...], kind: object, default: object) -> bool:
        """Add *field*, which the log calls *text*; return whether that can be read fast."""
        if len(ways) == 1:
            (chain,) = ways
            if len(chain) > 1:
                self._properties[field] = _getter(_attribute(chain), default)
            return self._plant(chain, field if len(chain) == 1 else _leaf(chain), kind, default) and self._guard(text)
        if default is not msgspec.NODEFAULT:
            return False
        # Twice as long at most, once joined, and then still an id.
        short = Annotated[str, Meta(min_length=1, max_length=max(20, MAX_ID_CHARS // (2 * len(ways)) - 1))]
        parts = attrgetter(*map(_attribute, ways))
        self._properties[field] = lambda row: joined(map(str, parts(row)))
        return all(self._plant(chain, _leaf(chain), short | int, default) for chain in ways) and self._guard(text)

    def struct(self, namespace: dict[str, Any]) -> type[msgspec.Struct]:
        """Return the type."""
        properties = {field: property(get) for field, get in self._properties.items()}
        guards = [(f"literal_{i}", _NEVER, 0) for i in range(len(self._literals))]
        renamed = {f"literal_{i}": text for i, text in enumerate(self._literals)}
        return _struct("Row", self._tree, {**namespace, **properties}, guards, renamed)[0]

    def _guard(self, text: str) -> bool:
        """Refuse a record that has *text* literally: that goes before what it means as a path."""
        if text not in self._tree:
            self._literals.append(text)
        return True

    def _plant(self, chain: tuple[str, ...], attribute: str, kind: object, default: object) -> bool:
        tree = self._tree
        for key in chain[:-1]:
            tree = tree.setdefault(key, {})
            if not isinstance(tree, dict):
                return False
        if chain[-1] in tree:
            return False
        tree[chain[-1]] = (attribute, kind, default)
        return True


def _struct(
    name: str,
    tree: dict[str, Any],
    namespace: dict[str, Any],
    guards: list[tuple[str, Any, Any]],
    renamed: dict[str, str],
) -> tuple[type[msgspec.Struct], bool]:
    """Return the type of an object with the keys of *tree*, and whether it must be there."""
    fields: list[tuple[str, Any, Any]] = list(guards)
    renamed = dict(renamed)
    for key, each in tree.items():
        attribute, kind, default = each if isinstance(each, tuple) else (_object(key), None, msgspec.NODEFAULT)
        if isinstance(each, dict):
            kind, is_needed = _struct(attribute, each, {}, [], {})
            kind, default = (kind, default) if is_needed else (kind | None, None)
        fields.append((attribute, kind, default))
        renamed[attribute] = key
    fields.sort(key=lambda field: field[2] is not msgspec.NODEFAULT)
    is_needed = fields[0][2] is msgspec.NODEFAULT
    listed = [field[:2] if field[2] is msgspec.NODEFAULT else field for field in fields]
    return msgspec.defstruct(name, listed, namespace=namespace, rename=renamed, gc=False), is_needed


def _getter(path: str, default: object) -> Callable[[Any], Any]:
    read = attrgetter(path)
    if default is msgspec.NODEFAULT:
        return read

    def optional(row: Any) -> Any:  # noqa: ANN401  # a value of JSON
        try:
            return read(row)
        except AttributeError:  # there is no such object
            return default

    return optional


def _attribute(chain: tuple[str, ...]) -> str:
    return ".".join([*map(_object, chain[:-1]), _leaf(chain)])


def _object(key: str) -> str:
    return "in_" + key.encode().hex()


def _leaf(chain: tuple[str, ...]) -> str:
    return "at_" + chain[-1].encode().hex()


def _time_type(rules: DecodeRules) -> Any:  # noqa: ANN401 (a type as msgspec takes it)
    """Return the type of a time: raw if it may have decimals, because a float would lose them before rounding."""
    if rules.timestamp_format is not None or rules.timestamp_unit == "iso":
        return str
    if rules.timestamp_unit in {"ms", "us"}:
        largest = MAX_TIME_MS if rules.timestamp_unit == "ms" else MAX_TIME_MS * 1000
        return Annotated[int, Meta(ge=0, le=largest)] | str
    if rules.timestamp_unit in {"ns", "auto"}:  # with a fraction it is read slowly
        return Annotated[int, Meta(ge=0)] | str
    return msgspec.Raw
