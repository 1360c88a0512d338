"""Arguments that a constructor or a method does not have, and where they belong."""

from collections.abc import Mapping
from typing import Final

from stream_rec.core.events import Request
from stream_rec.core.limits import Limits
from stream_rec.core.model import DEFAULT_PRESET, Model
from stream_rec.errors import SettingsError
from stream_rec.nearest import did_you_mean

__all__ = ["argument_elsewhere", "no_argument_of_ask", "no_argument_of_forget", "no_argument_of_recommend"]

_OF_LIMITS: Final = {each.removesuffix("_ms"): each for each in Limits.__struct_fields__}

_RECOMMEND: Final = ("session_id", "items", "n", "explain")
_ASK: Final = ("point", "session_id", "items", "exclude", "how")
_FORGET: Final = ("session_id", "user_id", "evaluator")

_QUESTION_NAMES: Final = {
    "session": "session_id", "visitor": "session_id", "visitor_id": "session_id",
    "item": "items", "item_id": "items", "item_ids": "items", "query": "items", "history": "items",
}  # fmt: skip
_RECOMMEND_NAMES: Final = {
    **_QUESTION_NAMES,
    **dict.fromkeys(("top_n", "top_k", "topn", "topk", "limit", "number", "num", "count", "size", "n_items"), "n"),
    **dict.fromkeys(("number_of_recommendations", "n_recommendations", "num_recommendations"), "n"),
    "why": "explain", "how": "explain", "explanation": "explain",
}  # fmt: skip
_ASK_NAMES: Final = {
    **_QUESTION_NAMES, "model": "point", "preset": "point", "deny": "exclude", "why": "how", "explain": "how",
}  # fmt: skip
_FORGET_NAMES: Final = {"session": "session_id", "visitor": "session_id", "user": "user_id", "customer_id": "user_id"}


def argument_elsewhere(name: str) -> str:
    """Return where *name* belongs, for the end of an error, if it is a parameter of the model or a limit."""
    if name in Model.__struct_fields__:
        return f"; it is a parameter of the model: preset=model({DEFAULT_PRESET!r}, {name}=...)"
    limit = _OF_LIMITS.get(name.removesuffix("_ms"))
    return "" if limit is None else f"; it is a limit: limits=Limits({limit}=...)"


def no_argument_of_recommend(unknown: Mapping[str, object], *, awaited: bool = False) -> SettingsError:
    """Return the error for the first of *unknown*, which `recommend` of an engine does not have.

    *awaited* says that the engine is one whose calls are awaited.
    """
    name = next(iter(unknown))
    known = (*_RECOMMEND, "exclude") if awaited else _RECOMMEND
    if name in Request.__struct_fields__:
        request = f"Request(session_id=..., {name}=...)"
        elsewhere = f"; it is a field of a request: answer({request if awaited else f'[{request}]'})"
    elif name in Model.__struct_fields__:
        ask = f"{'engine.' if awaited else ''}ask(model({DEFAULT_PRESET!r}, {name}=...), session_id=...)"
        elsewhere = f"; it is a parameter of the model: {ask}"
    else:
        elsewhere = did_you_mean(name, known, _RECOMMEND_NAMES)
    return SettingsError(name, f"is no argument of recommend ({', '.join(known)}){elsewhere}")


def no_argument_of_ask(unknown: Mapping[str, object]) -> SettingsError:
    """Return the error for the first of *unknown*, which `ask` of an engine does not have."""
    name = next(iter(unknown))
    if name in Model.__struct_fields__:
        elsewhere = f"; it is a parameter of the model: ask(model({DEFAULT_PRESET!r}, {name}=...), session_id=...)"
    else:
        elsewhere = did_you_mean(name, _ASK, _ASK_NAMES)
    return SettingsError(name, f"is no argument of ask ({', '.join(_ASK)}){elsewhere}")


def no_argument_of_forget(unknown: Mapping[str, object]) -> SettingsError:
    """Return the error for the first of *unknown*, which `forget` of an engine does not have."""
    name = next(iter(unknown))
    return SettingsError(
        name, f"is no argument of forget ({', '.join(_FORGET)}){did_you_mean(name, _FORGET, _FORGET_NAMES)}"
    )
