"""The rules that a state was left under, in a form that people can read and files can be compared by."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from xxhash import xxh3_128_hexdigest

from stream_rec.core.engine_state import rules_of
from stream_rec.core.index.arrays import EVENT_COST, ITEM_COST, SESSION_COST, STORE_COST
from stream_rec.core.limits import Limits
from stream_rec.snapshot.columns import VERSION

__all__ = ["fingerprint", "hash_of", "plain"]

RULES: Final = 1
"""Counts the changes to what a log leaves behind: where it differs, so may the states."""

NO_RULES: Final[Mapping[str, object]] = {}


def fingerprint(
    limits: Limits, session_gap_ms: int | None = None, decode: Mapping[str, object] = NO_RULES
) -> dict[str, Any]:
    """Return all that decides which state a log leaves, as plain values.

    These are the limits, worked out; the session gap; *decode*, which tells how records become events; and what of
    this program is the same for everybody until it changes: its rules, its prices, the form of a snapshot. What only
    answers depend on (model, deny list, weights of types) is not of it.
    """
    prices = {"store": STORE_COST, "session": SESSION_COST, "event": EVENT_COST, "item": ITEM_COST}
    return plain(
        {
            **rules_of(limits, session_gap_ms),
            "decode": decode,
            "rules": RULES,
            "prices": prices if limits.max_bytes is not None else None,  # else they decide nothing
            "format": VERSION,
        }
    )


def plain(value: Mapping[str, object]) -> dict[str, Any]:
    """Return *value* as it comes out of JSON: sets and tuples are lists then."""
    return msgspec.json.decode(msgspec.json.encode(value, order="deterministic"), type=dict[str, Any])


def hash_of(value: Mapping[str, object]) -> str:
    """Return a hash that equal mappings share."""
    return xxh3_128_hexdigest(msgspec.json.encode(plain(value), order="deterministic"))
