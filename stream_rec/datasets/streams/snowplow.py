"""Snowplow's enriched events: 131 columns between tabs, or the JSON that its Analytics SDKs make of them.

The item is in an entity or a self-describing event of one of its e-commerce schemas, or of one of your own whose name
ends in `product`.
"""

import re
from collections.abc import Iterator
from typing import Final

from stream_rec.datasets.streams.rows import NoEventError, Row, objects_in, read_object, text_in, within

__all__ = ["COLUMNS", "snowplow", "snowplow_line"]

COLUMNS: Final = 131
_PLACES: Final = {
    "collector_tstamp": 3, "dvce_created_tstamp": 4, "event": 5, "event_id": 6, "user_id": 12, "domain_userid": 15,
    "domain_sessionidx": 16, "network_userid": 17, "page_url": 29, "page_urlpath": 35, "contexts": 52, "se_action": 54,
    "unstruct_event": 58, "ti_sku": 68, "domain_sessionid": 123, "derived_tstamp": 124, "event_name": 126,
}  # fmt: skip
"""Of the columns that are read, the places, from 0."""
_IGLU: Final = re.compile(r"iglu:([^/]+)/([^/]+)/jsonschema/([0-9]+)")
_SHOWN: Final = frozenset({"list_view", "promo_view"})
_TAKEN_BACK: Final = frozenset({"remove_from_cart", "refund", "trns_error"})
_IDS: Final = ("id", "product_id", "item_id", "sku")


def snowplow_line(line: str) -> Row:
    """Return the columns of an enriched event by name, with its entities as the SDKs name them. Raises NoEventError."""
    cells = line.rstrip("\r\n").split("\t")
    if len(cells) != COLUMNS:
        raise NoEventError(f"{len(cells)} columns between tabs, where an enriched event has {COLUMNS}")
    row: dict[str, object] = {name: cells[place] for name, place in _PLACES.items() if cells[place]}
    for context in objects_in(read_object(row.pop("contexts", "")).get("data")):
        name = _sdk_name("contexts", context)
        found = row.setdefault(name, [])
        if isinstance(found, list):
            found.append(context.get("data"))
    described = within(read_object(row.pop("unstruct_event", "")), "data")
    if described:
        row[_sdk_name("unstruct_event", described)] = described.get("data")
    return row


def snowplow(row: Row, *, needs_item: bool) -> Row:
    """Return an event with `products`, the items in it, and `action`, what the visitor did. Raises NoEventError."""
    action = _action(row)
    if action in _SHOWN:
        raise NoEventError(f"{action!r}: what a visitor was only shown")
    if action in _TAKEN_BACK:
        raise NoEventError(f"{action!r}: what a visitor took back")
    products = [{"id": each} for each in dict.fromkeys(_products(row))]
    if not products and needs_item:
        raise NoEventError(f"{action!r} names no product")
    return {**row, "products": products, "action": action}


def _sdk_name(prefix: str, described: Row) -> str:
    """`iglu:com.acme/one_product/jsonschema/1-0-0` -> `contexts_com_acme_one_product_1`."""
    match = _IGLU.match(text_in(described, "schema"))
    if match is None:
        return prefix
    vendor, name, model = match.groups()
    snake = re.sub(r"([^A-Z_])([A-Z])", r"\1_\2", name).lower()
    return f"{prefix}_{vendor.replace('.', '_').lower()}_{snake}_{model}".replace("-", "_")


def _action(row: Row) -> str:
    """Return the type of an e-commerce action, else the name of the event; of a structured one, its action."""
    for name, value in row.items():
        if name.startswith("unstruct_event_") and "ecommerce_action" in name:
            return text_in(within(value), "type")
    if text_in(row, "event") == "struct":
        return text_in(row, "se_action", "event_name")
    return text_in(row, "event_name", "event")


def _products(row: Row) -> Iterator[str]:
    for name, value in row.items():
        kind, _, model = name.rpartition("_")
        if not model.isdigit():
            continue
        if name.startswith("contexts_") and kind.endswith("product"):
            yield from filter(None, (text_in(each, *_IDS) for each in objects_in(value)))
        elif name.startswith("unstruct_event_") and kind.endswith(("product", "_add_to_cart")):
            yield from filter(None, [text_in(within(value), *_IDS)])
    if text_in(row, "ti_sku"):
        yield text_in(row, "ti_sku")
