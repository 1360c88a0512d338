"""Segment and RudderStack, Google Analytics 4, and OpenSearch's User Behavior Insights.

Each function takes a record as the tracker wrote it, and returns it with the items that a visitor touched. What a
visitor was only shown (lists, promotions), or took back, is no event here; nor is, with *needs_item*, a record without
an item: settings may name a field of their own for it. With *shown*, a type of events, lists that name items say what
was shown: an event of that type for each, with its place where the record says it.
"""

from collections.abc import Mapping
from typing import Final

from stream_rec.core.shown import MOST_PLACES
from stream_rec.datasets.streams.rows import NoEventError, Row, objects_in, text_in, within

__all__ = ["ga4", "track_calls", "ubi"]

_LISTS: Final = frozenset({"product list viewed", "product list filtered"})
_SHOWN: Final = _LISTS | {"promotion viewed"}
_TAKEN_BACK: Final = frozenset(
    {"product removed", "product removed from wishlist", "order refunded", "order cancelled"}
)
_GA4_SHOWN: Final = frozenset({"view_item_list", "view_promotion"})
_GA4_TAKEN_BACK: Final = frozenset({"remove_from_cart", "refund"})
_NOT_SET: Final = "(not set)"
_COUNT_SHOWN: Final = "; `--shown shown` counts it"


def track_calls(row: Row, *, needs_item: bool, shown: str | None = None) -> Row:
    """Return a call of Segment's specification, which RudderStack shares, with `products`.

    These are the products of the call, or the one that its properties name; with `shown_as` if it is a list.
    """
    call = text_in(row, "type")
    if call and call != "track":
        raise NoEventError(f"a call of {call!r}: only track calls are events")
    event = text_in(row, "event")
    is_list = event.lower() in _LISTS
    if shown is None or not needs_item or not is_list:
        _refuse(event.lower(), _SHOWN, _TAKEN_BACK, _COUNT_SHOWN if is_list else "")
    properties = within(row, "properties")
    products = objects_in(properties.get("products")) or [properties]
    named = [each for each in products if text_in(each, "product_id", "sku")]
    if not named and needs_item:
        raise NoEventError(f"{event!r} names no product (properties.product_id, properties.products)")
    if shown is not None and is_list:
        named = [{**each, "shown_as": _shown_at(shown, each.get("position"))} for each in named]
    return {**row, "products": named}


def ga4(row: Row, *, needs_item: bool) -> Row:
    """Return a row of the export to BigQuery with those of its items that have an id."""
    name = text_in(row, "event_name")
    _refuse(name, _GA4_SHOWN, _GA4_TAKEN_BACK)
    items = [each for each in objects_in(row.get("items")) if text_in(each, "item_id") not in {"", _NOT_SET}]
    if not items and needs_item:
        raise NoEventError(f"{name!r} has no items")
    return {**row, "items": items}


def ubi(row: Row, *, needs_item: bool, shown: str | None = None) -> Row:
    """Return an event of User Behavior Insights about an object."""
    action = text_in(row, "action_name")
    is_shown = action == "impression"
    if is_shown and shown is None:
        raise NoEventError(f"an impression: what a visitor was only shown{_COUNT_SHOWN}")
    if needs_item and not text_in(within(row, "event_attributes", "object"), "object_id"):
        raise NoEventError(f"{action!r} is about no object (event_attributes.object.object_id)")
    if is_shown and shown is not None:
        position = within(row, "event_attributes", "position")
        ordinal = position.get("ordinal")  # a number, or, in the schema of version 1.0, an object around it
        place = ordinal.get("index") if isinstance(ordinal, Mapping) else ordinal
        return {**row, "action_name": _shown_at(shown, place)}
    return row


def _shown_at(shown: str, place: object) -> str:
    """Return the type of an event that says that an item was shown, with its place in the list if that is one."""
    text = str(place)
    is_place = text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_PLACES
    return f"{shown}:{int(text)}" if is_place else shown


def _refuse(event: str, shown: frozenset[str], taken_back: frozenset[str], advice: str = "") -> None:
    if event in shown:
        raise NoEventError(f"{event!r}: what a visitor was only shown{advice}")
    if event in taken_back:
        raise NoEventError(f"{event!r}: what a visitor took back")
