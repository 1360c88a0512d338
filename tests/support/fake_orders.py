"""What a service says of a learned order, and an answer in it: for the double of a service, and for its texts."""

from typing import Any, Final

Json = dict[str, Any]

BOUNDARY: Final = 1_323_000_000_000
FEATURES: Final = (
    ("model", "what the model itself gives it"),
    ("votes", "similar visits held it"),
    ("follows", "it often comes right after the current item"),
    ("own", "this visit had it before"),
    ("newest", "how long ago it was last seen"),
    ("holders", "how many visits hold it"),
    ("length", "the length of this visit"),
    ("beside", "it comes near the current item"),
    ("current", "it is the current item"),
)
"""Some of the features; the last one moves nothing."""


def order(**changes: Any) -> Json:
    """Return the order of one model, hidden weights in force, with *changes*."""
    importances = (1.2, 0.6, 0.31, 0.2, 0.14, 0.08, 0.04, 0.02, 0.0)
    found = {
        "model": "default",
        "setting": "auto",
        "playing": f"hidden@{BOUNDARY}",
        "learned_at": BOUNDARY,
        "questions": 20_000,
        "examples": 13_492,
        "mrr": {"plain": 0.2, "linear": 0.22, "hidden": 0.25},
        "phase": "waiting",
        "done": 0.0,
        "events_left": 4_321,
        "features": [
            {"name": name, "meaning": meaning, "importance": importance}
            for (name, meaning), importance in zip(FEATURES, importances, strict=True)
        ],
    }
    return found | changes


def unlearned(**changes: Any) -> Json:
    """Return the order of a model that has learned nothing yet, with *changes*."""
    return order(playing=None, learned_at=None, questions=0, examples=0, mrr={}, features=[], **changes)


def in_order(answer: Json, weights: str) -> Json:
    """Return *answer* as one in a learned order: its neighbours' items are candidates, and so is the first fallback."""
    items = []
    n_fallbacks = 0
    for item in answer["items"]:
        n_fallbacks += item["source"] != "neighbours"
        if n_fallbacks > 1:
            items.append(item)
            continue
        shares = [0.1 * item["score"], -0.453, 0.346, 0.201, -0.149, 0.055, -0.012, 0.007, 0.0]
        why: Json = {
            "kind": "learned",
            "weights": weights,
            "typical": -2.404,
            "boost": 1.5,
            "features": [
                {"name": name, "meaning": meaning, "share": share}
                for (name, meaning), share in zip(FEATURES, shares, strict=True)
            ],
        }
        why["total"] = why["typical"] + sum(shares) + 0.4054651081081644
        source = item["source"] if item["source"] == "neighbours" else "session"
        if source == "neighbours":
            why["candidate"] = item["why"]
        items.append(item | {"score": why["total"], "source": source, "why": why})
    return answer | {"items": items, "weights": weights}
