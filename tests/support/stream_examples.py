"""Records of live streams as their producers document them, and the events in them: NAME is that of the format."""

import json
from collections.abc import Sequence
from typing import Any

from stream_rec.core.events import Event
from stream_rec.datasets.streams.snowplow import COLUMNS

T = 1_733_000_000_123
ISO = "2024-11-30T20:53:20.123Z"

SEGMENT = {
    "type": "track",
    "event": "Product Viewed",
    "messageId": "m1",
    "anonymousId": "ann",
    "userId": None,
    "properties": {"product_id": "tent", "price": 18.99},
    "context": {"library": {"name": "analytics.js"}},
    "timestamp": ISO,
    "originalTimestamp": ISO,
    "sentAt": ISO,
    "receivedAt": ISO,
}
ORDER = {
    **SEGMENT,
    "event": "Order Completed",
    "messageId": "m2",
    "properties": {"order_id": "o1", "products": [{"product_id": "tent"}, {"sku": "stove"}]},
}
RUDDERSTACK = {**SEGMENT, "rudderId": "r1", "channel": "web", "context": {"sessionId": 1733000000}}
GA4 = {
    "event_date": "20241130",
    "event_timestamp": "1733000000123000",
    "event_name": "view_item",
    "event_params": [
        {"key": "page_location", "value": {"string_value": "https://shop/tent"}},
        {"key": "ga_session_id", "value": {"int_value": "17"}},
    ],
    "user_pseudo_id": "ann.1",
    "items": [{"item_id": "tent", "item_name": "Tent"}, {"item_id": "(not set)"}, {"item_id": "stove"}],
}
UBI = {
    "action_name": "add_to_cart",
    "client_id": "ann",
    "session_id": "s1",
    "query_id": "q1",
    "timestamp": ISO,
    "message_type": "CONVERSION",
    "event_attributes": {"object": {"object_id": "tent", "object_id_field": "sku"}, "position": {"ordinal": 3}},
}
PRODUCT = {"schema": "iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0", "data": {"id": "tent"}}
ACTION = {
    "schema": "iglu:com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2",
    "data": {"type": "product_view"},
}
SNOWPLOW = {
    "app_id": "shop",
    "event": "unstruct",
    "event_id": "e1",
    "event_name": "snowplow_ecommerce_action",
    "collector_tstamp": "2024-11-30T20:53:21.000Z",
    "derived_tstamp": ISO,
    "domain_userid": "ann",
    "domain_sessionid": "s1",
    "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1": [{"id": "tent"}],
    "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1": {"type": "product_view"},
}
CLICK = {"session_id": "ann", "item_id": "tent", "timestamp": T}
CLOUD = {"specversion": "1.0", "id": "e1", "source": "/shop", "type": "click", "time": ISO}
DATA = {"session_id": "ann", "item_id": "tent"}


def line(contexts: Sequence[Any] = (PRODUCT,), described: Any = ACTION, **cells: str) -> bytes:
    """An enriched event of Snowplow, as its Kafka sink writes it."""
    places = {"event": 5, "event_id": 6, "domain_userid": 15, "ti_sku": 68, "domain_sessionid": 123, "event_name": 126}
    row = [""] * COLUMNS
    row[3], row[124] = "2024-11-30 20:53:21.000", "2024-11-30 20:53:20.123"
    given = {"event": "unstruct", "event_id": "e1", "domain_userid": "ann", "domain_sessionid": "s1", **cells}
    for name, value in given.items():
        row[places[name]] = value
    wrapped = "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1"
    row[52] = json.dumps({"schema": wrapped, "data": list(contexts)}) if contexts else ""
    row[58] = json.dumps({"schema": wrapped, "data": described}) if described else ""
    return "\t".join(row).encode()


EXAMPLES: list[tuple[str, Any, list[Event]]] = [
    ("segment", SEGMENT, [Event("ann", "tent", T, "Product Viewed", "m1+1", "ann")]),
    (
        "segment",
        ORDER,
        [
            Event("ann", "tent", T, "Order Completed", "m2+1", "ann"),
            Event("ann", "stove", T, "Order Completed", "m2+2", "ann"),
        ],
    ),
    ("rudderstack", RUDDERSTACK, [Event("ann+1733000000", "tent", T, "Product Viewed", "m1+1", "ann")]),
    (
        "ga4",
        GA4,
        [Event("ann.1+17", item, T, "view_item", None, "ann.1") for item in ("tent", "stove")],
    ),
    ("ubi", UBI, [Event("s1", "tent", T, "add_to_cart", None, "ann")]),
    ("snowplow", SNOWPLOW, [Event("s1", "tent", T, "product_view", "e1+1", "ann")]),
    ("snowplow", line(), [Event("s1", "tent", T, "product_view", "e1+1", "ann")]),
    ("cloudevents", {**CLOUD, "data": DATA}, [Event("ann", "tent", T, "click", "e1")]),
    ("debezium", {"before": None, "after": CLICK, "op": "c", "ts_ms": T}, [Event("ann", "tent", T)]),
    ("connect", {"schema": {"type": "struct"}, "payload": CLICK}, [Event("ann", "tent", T)]),
]
"""Name, record (an object, or its bytes), events."""
IDS = [f"{name}-{place}" for place, (name, _, _) in enumerate(EXAMPLES)]
