"""Segment and RudderStack, Google Analytics 4, and OpenSearch's User Behavior Insights.

Each function takes a record as the tracker wrote it, and returns it with the items that a visitor touched. What a
visitor was only shown (lists, promotions), or took back, is no event here; nor is, with *needs_item*, a record without
an item: settings may name a field of their own for it.
"""

from typing import Final

from stream_rec.datasets.streams.rows import NoEventError, Row, objects_in, text_in, within

__all__ = ["ga4", "track_calls", "ubi"]

_SHOWN: Final = frozenset({"product list viewed", "product list filtered", "promotion viewed"})
_TAKEN_BACK: Final = frozenset(
    {"product removed", "product removed from wishlist", "order refunded", "order cancelled"}
)
_GA4_SHOWN: Final = frozenset({"view_item_list", "view_promotion"})
_GA4_TAKEN_BACK: Final = frozenset({"remove_from_cart", "refund"})
_NOT_SET: Final = "(not set)"


def track_calls(row: Row, *, needs_item: bool) -> Row:
    """Return a call of Segment's specification, which RudderStack shares, with `products`.

    These are the products of the call, or the one that its properties name.
    """
    call = text_in(row, "type")
    if call and call != "track":
        raise NoEventError(f"a call of {call!r}: only track calls are events")
    event = text_in(row, "event")
    _refuse(event.lower(), _SHOWN, _TAKEN_BACK)
    properties = within(row, "properties")
    products = objects_in(properties.get("products")) or [properties]
    named = [each for each in products if text_in(each, "product_id", "sku")]
    if not named and needs_item:
        raise NoEventError(f"{event!r} names no product (properties.product_id, properties.products)")
    return {**row, "products": named}


def ga4(row: Row, *, needs_item: bool) -> Row:
    """Return a row of the export to BigQuery with those of its items that have an id."""
    name = text_in(row, "event_name")
    _refuse(name, _GA4_SHOWN, _GA4_TAKEN_BACK)
    items = [each for each in objects_in(row.get("items")) if text_in(each, "item_id") not in {"", _NOT_SET}]
    if not items and needs_item:
        raise NoEventError(f"{name!r} has no items")
    return {**row, "items": items}


def ubi(row: Row, *, needs_item: bool) -> Row:
    """Return an event of User Behavior Insights about an object."""
    action = text_in(row, "action_name")
    if action == "impression":
        raise NoEventError("an impression: what a visitor was only shown")
    if needs_item and not text_in(within(row, "event_attributes", "object"), "object_id"):
        raise NoEventError(f"{action!r} is about no object (event_attributes.object.object_id)")
    return row


def _refuse(event: str, shown: frozenset[str], taken_back: frozenset[str]) -> None:
    if event in shown:
        raise NoEventError(f"{event!r}: what a visitor was only shown")
    if event in taken_back:
        raise NoEventError(f"{event!r}: what a visitor took back")
