"""The name that was probably meant by one that there is not, for errors of the library.

Knows only words. What settings are called by other programs is in `settings.hints`.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from msgspec import StructMeta

from stream_rec.errors import SettingsError

__all__ = ["NamesItsFields", "did_you_mean", "names_its_arguments"]

Given = ParamSpec("Given")
Owner = TypeVar("Owner")

_SIMILAR: Final = 0.6
_NO_OTHERS: Final[Mapping[str, str]] = {}


def did_you_mean(word: str, known: Iterable[str], others: Mapping[str, str] = _NO_OTHERS) -> str:
    """Return a question for the end of an error: whether one of *known* was meant by *word*; empty where none is near.

    *others* are further names of the known ones, by which they may be meant too.
    """
    own = list(known)
    names = {_letters(other): name for other, name in others.items() if name in own}
    names |= {_letters(name): name for name in own}
    close = difflib.get_close_matches(_letters(word), list(names), n=1, cutoff=_SIMILAR)
    return f"; did you mean {names[close[0]]!r}?" if close else ""


def names_its_arguments(
    others: Mapping[str, str], elsewhere: Callable[[str], str] = lambda _: ""
) -> Callable[[Callable[Concatenate[Owner, Given], None]], Callable[Concatenate[Owner, Given], None]]:
    """Let a constructor raise SettingsError for an argument that it does not have, with the one that was meant.

    *others* are further names of its arguments. *elsewhere* returns where an argument belongs that is none of its own,
    for the end of the error, or nothing. Without this Python says only that the argument is unexpected.
    """

    def decorated(init: Callable[Concatenate[Owner, Given], None]) -> Callable[Concatenate[Owner, Given], None]:
        known = list(signature(init).parameters)[1:]

        @wraps(init)
        def checked(self: Owner, /, *args: Given.args, **given: Given.kwargs) -> None:
            for name in given:
                if name not in known:
                    question = elsewhere(name) or did_you_mean(name, known, others)
                    raise SettingsError(name, f"is no argument of {type(self).__name__} ({', '.join(known)}){question}")
            init(self, *args, **given)

        return checked

    return decorated


class NamesItsFields(StructMeta):
    """Lets a struct raise SettingsError for a field that it does not have, with the one that was meant.

    It takes a microsecond for each that a program makes, so it is for those that are made once; decoding costs nothing.
    """

    if not TYPE_CHECKING:  # for a type checker, the fields are the arguments

        def __call__(cls, *args: object, **given: object) -> Any:  # noqa: ANN401, N805  # of a metaclass, and of its class
            """Make one."""
            known = cls.__struct_fields__
            for name in given:
                if name not in known:
                    question = did_you_mean(name, known)
                    raise SettingsError(name, f"is no field of {cls.__name__} ({', '.join(known)}){question}")
            return super().__call__(*args, **given)


def _letters(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
