"""The rules under which a state was made, in a form for people to read and for files to be compared by."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from xxhash import xxh3_128_hexdigest

from stream_rec.core.engine_state import rules_of
from stream_rec.core.index.arrays import EVENT_COST, ITEM_COST, SESSION_COST, STORE_COST
from stream_rec.core.limits import Limits
from stream_rec.core.shown import ShownRules
from stream_rec.snapshot.columns import VERSION

__all__ = ["fingerprint", "hash_of", "plain"]

RULES: Final = 1
"""Grows with each change to the state that a log gives: with another number, states may differ."""

NO_RULES: Final[Mapping[str, object]] = {}


def fingerprint(
    limits: Limits,
    session_gap_ms: int | None = None,
    decode: Mapping[str, object] = NO_RULES,
    shown: ShownRules | None = None,
) -> dict[str, Any]:
    """Return all that decides which state a log gives, as plain values.

    These are the limits, resolved; the session gap; what counts as *shown*; *decode*, the rules by which records become
    events; and constants of this program: its rules, its memory prices, the format of snapshots. What only affects
    answers (model, deny list, weights of types) is not included.
    """
    prices = {"store": STORE_COST, "session": SESSION_COST, "event": EVENT_COST, "item": ITEM_COST}
    return plain(
        {
            **rules_of(limits, session_gap_ms, shown),
            "decode": decode,
            "rules": RULES,
            "prices": prices if limits.max_bytes is not None else None,  # else they have no effect
            "format": VERSION,
        }
    )


def plain(value: Mapping[str, object]) -> dict[str, Any]:
    """Return *value* as it reads back from JSON, with sets and tuples as lists."""
    return msgspec.json.decode(msgspec.json.encode(value, order="deterministic"), type=dict[str, Any])


def hash_of(value: Mapping[str, object]) -> str:
    """Return a hash that is the same for equal mappings."""
    return xxh3_128_hexdigest(msgspec.json.encode(plain(value), order="deterministic"))
