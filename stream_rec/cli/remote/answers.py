"""An answer of the HTTP API as text: a table of its items, and why each is there.

Works with the decoded JSON, so that a service of another version may leave out fields or add some.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import log as ln
from typing import Any, Final

from stream_rec.cli.remote.columns import in_columns, safe
from stream_rec.cli.remote.weights_text import in_words
from stream_rec.service.metrics.format import show_duration, show_time

__all__ = ["answer_lines", "named"]

_MOST_NEIGHBOURS: Final = 3
_MOST_SHARED: Final = 3
_MOST_FEATURES: Final = 4
_INDENT: Final = "     "
Json = Mapping[str, Any]


def answer_lines(answer: Json) -> Iterator[str]:
    """Yield the lines of *answer*: its items in columns, each followed by its `why` if it has one; then its origin."""
    items: list[Json] = answer["items"]
    if items:
        head, *rows = in_columns([_HEAD, *(_row(place, item) for place, item in enumerate(items, 1))], right=(0, 4, 5))
        yield head
        for row, item in zip(rows, items, strict=True):
            yield row
            yield from (_INDENT + line for line in _why_lines(item))
    else:
        yield "no items"
    as_of = answer.get("as_of")
    newest = "no event yet" if as_of is None else f"the newest event is of {show_time(as_of)}"
    weights: str | None = answer.get("weights")
    order = "" if weights is None else f", in the order of {in_words(weights)}"
    yield f"by the model {safe(str(answer.get('model')))}{order}; {newest}"


def named(item_id: str, title: str | None) -> str:
    """Return an item by its id, and its title if it has one."""
    return safe(item_id if title is None or title == item_id else f"{item_id} ({title})")


_HEAD: Final = ("", "item", "title", "category", "price", "score", "source")


def _row(place: int, item: Json) -> Sequence[str]:
    price = item.get("price")
    return (
        str(place),
        item["item_id"],
        item.get("title") or "",
        item.get("category") or "",
        "" if price is None else f"{price:,.2f}",
        show_time(int(item["score"])) if item["source"] == "newest" else f"{item['score']:.4g}",
        item["source"],
    )


# --- why


def _why_lines(item: Json) -> Iterator[str]:
    why: Json | None = item.get("why")
    if why is None:
        return
    match why["kind"]:
        case "neighbours":
            yield from _neighbour_lines(item["item_id"], why)
        case "followed":
            yield f"came {why['count']:,} times right after {safe(why['after'])}"
        case "popular":
            yield f"{why['count']:.4g} recent events, where one {show_duration(why['half_life_ms'])} old counts half"
        case "newest":
            alike = f"in {safe(str(why['category']))}, as the last item" if why.get("category") else "in the catalogue"
            place = "a place for new items" if why["reserved"] else "fills a short list"
            yield f"{place}: one of the newest {alike}, listed {show_time(why['listed_at'])}"
        case "learned":
            yield from _learned_lines(item["item_id"], why)
            return
        case kind:
            yield f"by {safe(str(kind))}: see --json"
    boost = why.get("boost")
    if boost is not None:
        yield f"times {boost:.4g}, by a boost"


def _learned_lines(item_id: str, why: Json) -> Iterator[str]:
    """Yield what the largest features add to the typical candidate's score or take, all others in one line."""
    yield f"{why['typical']:+.2f} the typical candidate"
    features: list[Json] = why["features"]
    for each in features[:_MOST_FEATURES]:
        yield f"{each['share']:+.2f} {safe(each['meaning'])}"
    rest = features[_MOST_FEATURES:]
    if rest:
        yield f"{sum(each['share'] for each in rest):+.2f} {len(rest)} more features"
    boost: float | None = why.get("boost")
    if boost is not None:
        yield f"{ln(boost):+.2f} a boost of {boost:.4g}"
    candidate: Json | None = why.get("candidate")
    if candidate is not None:
        yield f"a candidate, as the model's own score is {candidate['total']:.4g}:"
        yield from _neighbour_lines(item_id, candidate)


def _neighbour_lines(item_id: str, why: Json) -> Iterator[str]:
    """Yield the largest shares of the score; all others in one line, so that the shares add up."""
    total = why["total"]
    neighbours: list[Json] = why["neighbours"]
    for each in neighbours[:_MOST_NEIGHBOURS]:
        yield f"{_percent(each['share'], total)} {_neighbour(item_id, each)}"
    rest = neighbours[_MOST_NEIGHBOURS:]
    others = why.get("others") or {"neighbours": 0, "share": 0.0}
    n_more = len(rest) + others["neighbours"]
    if n_more:
        share = sum(each["share"] for each in rest) + others["share"]
        yield f"{_percent(share, total)} {n_more:,} more {'session' if n_more == 1 else 'sessions'}"
    rules: Json | None = why.get("rules")
    if rules is not None:
        n = rules["sessions"]
        sessions = f"{n:,} {'session' if n == 1 else 'sessions'}"
        yield f"{_percent(rules['share'], total)} came after {safe(rules['after'])} in {sessions} (sequential rules)"


def _percent(share: float, total: float) -> str:
    return f"{100 * share / total:3.0f} %" if total else "  - %"


def _neighbour(item_id: str, each: Json) -> str:
    name = each.get("session_id")
    shared: list[Json] = each["shared"]
    n_shared = len(shared) + (each.get("shared_others") or {"items": 0})["items"]
    listed = [safe(one["item_id"]) for one in shared[:_MOST_SHARED]]
    if n_shared > len(listed):
        listed.append(f"{n_shared - len(listed)} more")
    distance = each["distance"]
    places = f"{abs(distance)} {'place' if abs(distance) == 1 else 'places'} {'after' if distance > 0 else 'before'}"
    whose = "a session" if name is None else safe(name)
    return f"{whose}, {show_duration(each['age_ms'])} old: {safe(item_id)} {places} {_and(listed)}"


def _and(words: Sequence[str]) -> str:
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), *words[-1:]])
