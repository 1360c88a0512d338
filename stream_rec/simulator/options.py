"""The fields of `Shape` and `Delivery` as command-line options.

Knows no command-line library. Times and sizes are written as in settings: `20s`, `1MiB`; a start is ISO 8601.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

from stream_rec.errors import SettingsError
from stream_rec.simulator.clickstream import Shape
from stream_rec.simulator.delivery import Delivery
from stream_rec.units import DURATION_EXPECTED, SIZE_EXPECTED, format_duration, format_size, parse_duration, parse_size

__all__ = ["OPTIONS", "Option", "read_options"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = ("_ms", "_bytes")


class Option(NamedTuple):
    """One option: its name, its value and its help text."""

    name: str
    """Name of the option, without a unit."""
    field: str
    owner: type[Shape] | type[Delivery]
    default: Any
    help: str

    @property
    def flag(self) -> str:
        """The flag on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return isinstance(self.default, bool)

    @property
    def metavar(self) -> str | None:
        """The placeholder of its value in the help."""
        if self.is_switch:
            return None
        if self.field == "start_ms":
            return "TIME"
        if self.field.endswith("_ms"):
            return "DURATION"
        if self.field.endswith("_bytes"):
            return "SIZE"
        return {int: "N", float: "X", str: "WORD", tuple: "CODE,CODE..."}[type(self.default)]

    def shown_default(self) -> str:
        """Return the default as an operator writes it."""
        if self.field == "start_ms":
            return (_EPOCH + timedelta(milliseconds=self.default)).strftime("%Y-%m-%d")
        if self.field.endswith("_ms"):
            return format_duration(self.default)
        if self.field.endswith("_bytes"):
            return format_size(self.default)
        return "all" if isinstance(self.default, tuple) else str(self.default)

    def read(self, text: str) -> object:
        """Return the value of *text*. Raises SettingsError, naming the option."""
        try:
            return self._value(text)
        except ValueError:
            raise SettingsError(self.name, f"{self.flag} gives {text!r}; expected {self._expected()}") from None

    def _value(self, text: str) -> object:
        if self.field == "start_ms":
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return (moment - _EPOCH) // timedelta(milliseconds=1)
        if self.field.endswith("_ms"):
            return parse_duration(text)
        if self.field.endswith("_bytes"):
            return parse_size(text)
        if isinstance(self.default, tuple):
            return tuple(part.strip() for part in text.split(","))
        return type(self.default)(text)

    def _expected(self) -> str:
        by_metavar = {
            "TIME": "a time such as 2024-05-01 or 2024-05-01T12:30:00Z",
            "DURATION": DURATION_EXPECTED,
            "SIZE": SIZE_EXPECTED,
            "N": "a whole number",
            "X": "a number",
        }
        return by_metavar.get(self.metavar or "", "a word")


def read_options(given: Mapping[str, str | bool | None]) -> tuple[Shape, Delivery]:
    """Make both from the values *given* by option name; None is not given. Raises SettingsError."""
    values: dict[type, dict[str, Any]] = {Shape: {}, Delivery: {}}
    for option in OPTIONS:
        value = given.get(option.name)
        if value is not None:
            values[option.owner][option.field] = option.read(value) if isinstance(value, str) else value
    try:
        return Shape(**values[Shape]), Delivery(**values[Delivery])
    except SettingsError as error:
        raise SettingsError(_named(error.key), error.message.removeprefix(f"{error.key}: ")) from None


def _options(owner: type[Shape] | type[Delivery]) -> list[Option]:
    docs = _docs(owner)
    made = [Option(_named(each.name), each.name, owner, each.default, docs[each.name]) for each in fields(owner)]
    return [each if each.is_switch else each._replace(help=_with_default(each)) for each in made]


def _with_default(option: Option) -> str:
    return f"{option.help}  [default: {option.shown_default()}]"


def _named(field: str) -> str:
    for unit in _UNITS:
        field = field.removesuffix(unit)
    return field


def _docs(owner: type) -> dict[str, str]:
    """Return the docstring under each field, read from the source: Python does not keep them."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    docs = {}
    for node, below in pairwise(body):
        match node, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                docs[name] = " ".join(doc.split())
    return docs


OPTIONS: Final = (*_options(Shape), *_options(Delivery))
