"""Filters as people write them -> a tree: `category = "shoes" and (price < 50 or tags contains "sale")`.

A grammar of some ten lines, with one function for each. Nothing is evaluated here or passed to Python; the code that
reads the tree defines the fields and the tests. Errors name the position.

    either     = all {"or" all}
    all        = one {"and" one}
    one        = "not" one | "(" either ")" | test
    test       = field [comparison value | ["not"] "in" "(" value {"," value} ")" | "contains" value]
    comparison = "=" | "!=" | "<" | "<=" | ">" | ">="
    value      = text in quotes | number | "true" | "false"
    field      = a letter or _, then letters, digits, _ and . | any text in backquotes

Keywords may be in capitals. In a text, a backslash comes before the quote itself and before a backslash.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = [
    "MAX_CHARS",
    "MAX_DEPTH",
    "MAX_TESTS",
    "All",
    "Compared",
    "Contains",
    "Either",
    "Expression",
    "ExpressionError",
    "Is",
    "Not",
    "OneOf",
    "Value",
    "parse",
]

MAX_CHARS: Final = 4000
MAX_DEPTH: Final = 32
MAX_TESTS: Final = 32
"""Of one expression. Each test may read every value of a field: with 100,000 titles some 15 ms."""
_MAX_PARTS: Final = 1000
"""Tests and listed values of one expression."""

Value = str | float | bool


class ExpressionError(ValueError):
    """The text is no expression; `position` is the character, from 1, where that shows."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(f"at character {position}: {message}")
        self.position = position

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.position, str(self).partition(": ")[2]))


class Compared(NamedTuple):
    """*field* has *relation* to *value*."""

    field: str
    relation: str
    value: Value


class OneOf(NamedTuple):
    """*field* equals one of *values*; or if *negated*, it has a value that equals none of them."""

    field: str
    values: tuple[Value, ...]
    negated: bool = False


class Contains(NamedTuple):
    """*field* is a list or a text that contains *value*."""

    field: str
    value: Value


class Is(NamedTuple):
    """*field* is true."""

    field: str


class Not(NamedTuple):
    """The expression does not hold."""

    of: "Expression"


class All(NamedTuple):
    """All expressions hold."""

    of: tuple["Expression", ...]


class Either(NamedTuple):
    """At least one expression holds."""

    of: tuple["Expression", ...]


Expression = Compared | OneOf | Contains | Is | Not | All | Either


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Return the tree of *text*. Raises ExpressionError."""
    if len(text) > MAX_CHARS:
        raise ExpressionError(MAX_CHARS + 1, f"expected at most {MAX_CHARS} characters, found {len(text)}")
    return _Parser(text).whole()


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<quoted>`[^`]+`)
      | (?P<word>[^\W\d][\w.]*)
      | (?P<sign><=|>=|!=|[=<>(),])
      | (?P<end>$)
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS: Final = frozenset({"and", "or", "not", "in", "contains", "true", "false"})
_RELATIONS: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_SLIPS: Final = {"==": "=", "<>": "!=", "&&": "and", "||": "or", "!": "not", "~": "contains"}
_PAIRS: Final = frozenset({"==", "<>"})
_A_VALUE: Final = 'a value (a text in quotes such as "shoes", a number, true or false)'
_A_TEST: Final = "a field's name, not, or ("


class _Parser:
    """Parses one text, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._depth = 0
        self._n_parts = 0
        self._n_tests = 0
        self._token = self._next()

    def whole(self) -> Expression:
        """Return the expression of the whole text."""
        found = self._either()
        if self._token.kind != "end":
            raise self._wrong("and, or, or the end")
        return found

    def _either(self) -> Expression:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self) -> Expression:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(self._token.at, f"expected at most {MAX_DEPTH} levels of not and ( within each other")
        try:
            if self._takes("not"):
                return Not(self._one())
            if self._takes("("):
                inside = self._either()
                self._expect(")", "and, or, or )")
                return inside
            return self._test()
        finally:
            self._depth -= 1

    def _test(self) -> Expression:
        token = self._token
        if token.kind not in {"word", "quoted"}:
            raise self._wrong(_A_TEST)
        self._count(token)
        self._n_tests += 1
        if self._n_tests > MAX_TESTS:
            raise ExpressionError(token.at, f"expected at most {MAX_TESTS} tests; `in` tests many values at once")
        self._token = self._next()
        field = token.text
        if self._token.kind == "sign" and self._token.text in _RELATIONS:
            relation = self._token.text
            self._token = self._next()
            return Compared(field, relation, self._value())
        if self._takes("in"):
            return OneOf(field, self._values())
        if self._takes("contains"):
            return Contains(field, self._value())
        if self._takes("not"):
            self._expect("in", "in")
            return OneOf(field, self._values(), negated=True)
        return Is(field)

    def _values(self) -> tuple[Value, ...]:
        self._expect("(", "(")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        self._expect(")", ", or )")
        return tuple(values)

    def _value(self) -> Value:
        token = self._token
        self._count(token)
        if token.kind == "number":
            value: Value = float(token.text)
        elif token.kind == "text":
            value = _ESCAPED.sub(r"\1", token.text[1:-1])
        elif token.kind == "key" and token.text in {"true", "false"}:
            value = token.text == "true"
        else:
            raise self._wrong(_A_VALUE)
        self._token = self._next()
        return value

    def _count(self, token: _Token) -> None:
        self._n_parts += 1
        if self._n_parts > _MAX_PARTS:
            raise ExpressionError(token.at, f"expected at most {_MAX_PARTS} fields and values")

    def _takes(self, text: str) -> bool:
        if self._token.kind in {"key", "sign"} and self._token.text == text:
            self._token = self._next()
            return True
        return False

    def _expect(self, text: str, expected: str) -> None:
        if not self._takes(text):
            raise self._wrong(expected)

    def _next(self) -> _Token:
        found = _TOKEN.match(self._text, self._place)
        if found is None or found.lastgroup is None:
            raise self._unreadable()
        kind, text = found.lastgroup, found.group(found.lastgroup)
        self._place = found.end()
        if kind == "word" and text.lower() in _WORDS:
            kind, text = "key", text.lower()
        elif kind == "quoted":
            text = text[1:-1]
        return _Token(kind, text, found.start(found.lastgroup) + 1)

    def _unreadable(self) -> ExpressionError:
        rest = self._text[self._place :].lstrip()
        at = len(self._text) - len(rest) + 1
        if rest[0] in "\"'`":
            return ExpressionError(at, f"expected a closing {rest[0]}, found the end")
        return ExpressionError(at, f"found {rest[0]!r}, which is no part of an expression{_meant(rest)}")

    def _wrong(self, expected: str) -> ExpressionError:
        token = self._token
        shown = "the end" if token.kind == "end" else repr(self._text[token.at - 1 : self._place])
        pair = self._text[max(0, self._place - 2) : self._place]
        return ExpressionError(token.at, f"expected {expected}, found {shown}{_meant(pair) if pair in _PAIRS else ''}")


def _meant(text: str) -> str:
    slip = next((slip for slip in _SLIPS if text.startswith(slip)), None)
    return f"; {slip} is written {_SLIPS[slip]} here" if slip else ""
