"""Reads the definition of a settings object: the outer names, the type and the meaning of each field.

Works from annotations and the docstrings under the fields, so that nothing about a setting is written twice. Knows
neither which settings exist nor where values come from.
"""

import ast
import enum
import inspect
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec.inspect import (
    BoolType,
    DictType,
    Field,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    NoneType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
)

from stream_rec.units import (
    DURATION_EXPECTED,
    SIZE_EXPECTED,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)

__all__ = ["Kind", "Setting", "settings_of"]

_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})


class Kind(enum.Enum):
    """How a setting is written."""

    TEXT = "text"
    CHOICE = "choice"
    SWITCH = "switch"
    WHOLE = "whole number"
    NUMBER = "number"
    DURATION = "duration"
    SIZE = "size"
    LIST = "list"
    TABLE = "table"
    TABLES = "tables"
    """A table of tables: each name has settings of its own."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting, as operators see it."""

    name: str
    """The attribute of the settings object; it ends in the unit (`retention_ms`)."""

    key: str
    """The name in TOML and in errors (`retention`), and in upper case in the environment."""

    flag: str
    """The option of the command line (`--retention`)."""

    kind: Kind
    metavar: str
    optional: bool
    """Whether it takes `none`."""

    default: Any
    """`msgspec.NODEFAULT` if the setting is required."""

    expected: str
    """What an error says was expected: `a duration such as ...`."""

    doc: str
    """The meaning: the docstring under the field, on one line."""

    type: Any
    """The annotation, with its limits."""

    dotted: bool = False
    """A table with dots in its names: TOML may write it as nested tables, with values of any type."""

    expressions: bool = False
    """A table whose names are expressions, which may contain `=` and commas: the last `=` separates a pair, and `;`
    separates pairs in one text."""

    choices: tuple[str, ...] = ()
    """The words that it takes, or the names that its table may have; empty if any will do."""

    private: bool = False
    """Whether errors leave out the given value, because it may contain a secret by mistake."""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is msgspec.NODEFAULT

    def from_text(self, text: str) -> object:
        """Return the value of *text*. Raises ValueError, saying what was expected."""
        if self.optional and text.strip().lower() == "none":
            return None
        if self.kind is Kind.TABLES:
            return self.from_toml(_json(text, self.expected))
        if self.kind in {Kind.LIST, Kind.TABLE}:
            parts = text.split(";" if self.expressions else ",")
            return self.from_texts([part.strip() for part in parts] if text else [])
        return self._checked(lambda: _TEXT_READERS[self.kind](text))

    def from_texts(self, texts: list[str]) -> object:
        """Return the list or table of *texts*, one entry each: a repeated flag."""
        if self.kind is Kind.LIST:
            return self._checked(lambda: texts)
        table = self._checked(lambda: dict(_pair(text, last=self.expressions) for text in texts), strict=False)
        if len(table) < len(texts):  # type: ignore[arg-type]  # a table
            raise ValueError(f"{self.expected}, each name once")
        return table

    def from_toml(self, value: object) -> object:
        """Return the setting of a TOML *value*: numbers, switches, lists and tables are typed; the rest is text."""
        if isinstance(value, str) and (self.kind in {Kind.DURATION, Kind.SIZE} or (self.optional and value == "none")):
            return self.from_text(value)
        if self.kind is Kind.DURATION:  # a bare number has no unit, and guessing one would be worse
            raise ValueError(self.expected)
        if self.kind is Kind.TABLES:  # the caller reads their values, with their names in errors
            return _tables(value, self.expected)
        if self.dotted and isinstance(value, dict):
            return self._checked(lambda: dict(_flattened(value)))
        return self._checked(lambda: value)

    def written(self, value: object) -> str:
        """Return *value* as an operator writes it."""
        if value is None:
            return "none"
        match self.kind, value:
            case Kind.DURATION, int():
                return format_duration(value)
            case Kind.SIZE, int():
                return format_size(value)
            case Kind.SWITCH, _:
                return "true" if value else "false"
            case Kind.TABLES, Mapping():
                return ",".join(value) or "nothing"
            case Kind.TABLE, Mapping():
                between = ";" if self.expressions else ","
                return between.join(f"{name}={entry}" for name, entry in value.items()) or "nothing"
            case Kind.LIST, tuple():
                return ",".join(map(str, value)) or "nothing"
        return str(value)

    def _checked(self, read: Callable[[], object], *, strict: bool = True) -> object:
        try:
            return msgspec.convert(read(), self.type, strict=strict)
        except (ValueError, msgspec.ValidationError):
            raise ValueError(self.expected) from None


def settings_of(struct: type[msgspec.Struct]) -> tuple[Setting, ...]:
    """Return a Setting for each field of *struct*, in order."""
    described = msgspec.inspect.type_info(struct)
    if not isinstance(described, StructType):
        raise TypeError(struct)
    docs = _field_docs(struct)
    types = {field.name: field.type for field in msgspec.structs.fields(struct)}
    return tuple(_setting(field, types[field.name], docs[field.name]) for field in described.fields)


def _setting(field: Field, annotation: object, doc: str) -> Setting:
    bare, extra, optional = _unwrap(field.type)
    key = field.name.removesuffix("_ms")
    kind = extra.get("kind") or _kind(bare)
    choices = _choices(annotation) if kind in {Kind.CHOICE, Kind.TABLE} else ()
    expected = extra.get("expected") or _expected(kind, bare, choices)
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return Setting(
        name=field.name,
        key=key,
        flag=extra.get("flag", "--" + key.replace("_", "-")),
        kind=kind,
        metavar=extra.get("metavar") or (kind is Kind.CHOICE and "|".join(choices)) or _METAVARS.get(kind, "TEXT"),
        optional=optional,
        default=default,
        expected=f"{expected}, or none" if optional else expected,
        doc=doc,
        type=annotation,
        choices=choices,
        dotted=extra.get("dotted", False),
        expressions=extra.get("expressions", False),
        private=extra.get("private", False),
    )


def _unwrap(described: Type) -> tuple[Type, dict[str, Any], bool]:
    """Return the inner type, the extras of its Meta, and whether None is allowed."""
    if isinstance(described, UnionType):
        (inner,) = (t for t in described.types if not isinstance(t, NoneType))
        bare, extra, _ = _unwrap(inner)
        return bare, extra, True
    if isinstance(described, Metadata):
        return described.type, described.extra or {}, False
    return described, {}, False


def _kind(bare: Type) -> Kind:
    kinds: dict[type[Type], Kind] = {
        BoolType: Kind.SWITCH,
        DictType: Kind.TABLE,
        FloatType: Kind.NUMBER,
        IntType: Kind.WHOLE,
        LiteralType: Kind.CHOICE,
        VarTupleType: Kind.LIST,
    }
    return kinds.get(type(bare), Kind.TEXT)


def _choices(annotation: object) -> tuple[str, ...]:
    """Return the words of a Literal in the order of its definition; msgspec sorts them."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    return next(filter(None, map(_choices, typing.get_args(annotation))), ())


def _expected(kind: Kind, bare: Type, choices: tuple[str, ...]) -> str:
    match kind:
        case Kind.SWITCH:
            return "true or false"
        case Kind.CHOICE:
            return "one of " + ", ".join(choices)
        case Kind.WHOLE:
            return "a whole number" + _limits(bare, str)
        case Kind.NUMBER:
            return "a number" + _limits(bare, str)
        case Kind.DURATION:
            return DURATION_EXPECTED + _limits(bare, format_duration)
        case Kind.SIZE:
            return SIZE_EXPECTED + _limits(bare, format_size)
    return "a text that is not empty"


def _limits(bare: Type, written: Callable[[Any], str]) -> str:
    if not isinstance(bare, IntType | FloatType):
        return ""
    words = [(bare.gt, "above"), (bare.ge, "at least"), (bare.lt, "below"), (bare.le, "at most")]
    limits = [f"{word} {written(limit)}" for limit, word in words if limit]
    return ", " + " and ".join(limits) if limits else ""


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(text)
    return word in _TRUE


def _pair(text: str, *, last: bool = False) -> tuple[str, str]:
    name, equals, value = text.rpartition("=") if last else text.partition("=")
    if not (name and equals):
        raise ValueError(text)
    return name.strip(), value.strip()


def _json(text: str, expected: str) -> object:
    try:
        return msgspec.json.decode(text) if text else {}
    except msgspec.DecodeError:
        raise ValueError(expected) from None


def _tables(value: object, expected: str) -> dict[str, dict[str, object]]:
    if not isinstance(value, dict) or not all(name and isinstance(each, dict) for name, each in value.items()):
        raise ValueError(expected)
    return value


def _flattened(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield dotted names from nested tables, with switches and numbers as text."""
    for name, value in table.items():
        match value:
            case dict():
                yield from _flattened(value, f"{prefix}{name}.")
            case bool():
                yield prefix + name, str(value).lower()
            case int() | float():
                yield prefix + name, str(value)
            case _:
                yield prefix + name, value


def _verbatim(text: str) -> str:
    return text


_METAVARS: Final = {
    Kind.WHOLE: "N",
    Kind.NUMBER: "X",
    Kind.DURATION: "DURATION",
    Kind.SIZE: "SIZE",
}

_TEXT_READERS: Final[dict[Kind, Callable[[str], object]]] = {
    Kind.TEXT: _verbatim,
    Kind.CHOICE: _verbatim,
    Kind.SWITCH: _switch,
    Kind.WHOLE: int,
    Kind.NUMBER: float,
    Kind.DURATION: parse_duration,
    Kind.SIZE: parse_size,
}


def _field_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstring under each field, read from the source: Python does not keep them."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    if not isinstance(definition, ast.ClassDef):
        raise TypeError(struct)
    docs = {}
    for node, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            docs[node.target.id] = _docstring(node.target.id, below)
    return docs


def _docstring(name: str, node: ast.stmt) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str(doc))):
            return " ".join(doc.split())
    raise TypeError(f"the setting {name!r} has no docstring under it")
