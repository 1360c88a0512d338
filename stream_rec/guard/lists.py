"""Lists for no session, as programs ask for them: their rules as keyword arguments, checked, and as a request."""

from collections.abc import Iterable
from typing import Any, Final, TypedDict

from stream_rec.core.catalogue import Catalogue
from stream_rec.core.engine import within_category
from stream_rec.core.events import Request
from stream_rec.errors import SettingsError
from stream_rec.guard.values import Id, checked_request
from stream_rec.nearest import did_you_mean

__all__ = ["ListRules", "list_request"]


class ListRules(TypedDict, total=False):
    """How many items a list has at most, and which: `Request` says what each rule means."""

    n: int | None
    category: str | None
    exclude: Iterable[Id]
    allow: Iterable[Id] | None
    filter: str | None
    max_per_category: int | None


_FIELDS: Final = ListRules.__optional_keys__
_OTHER_NAMES: Final = {"number": "n", "limit": "n", "top_n": "n", "top_k": "n"}


def list_request(catalogue: Catalogue | None, rules: ListRules) -> Request:
    """Return the request with *rules*, over *catalogue*.

    Raises SettingsError for a rule that does not exist, and for a category that no item has.
    """
    fields: dict[str, Any] = dict(rules)
    for name in fields:
        if name not in _FIELDS:
            question = did_you_mean(name, _FIELDS, _OTHER_NAMES)
            raise SettingsError(name, f"is no rule of a list ({', '.join(sorted(_FIELDS))}){question}")
    category = fields.pop("category", None)
    request = checked_request(Request(**fields))
    if category is None:
        return request
    within = within_category(request, category, catalogue)
    if within is None:
        raise SettingsError("category", f"no item of the catalogue has the category {category!r}")
    return within
