"""Why an item was recommended, as plain values. docs/reference/records.md explains the numbers.

Knows nothing of how they are computed. A field that does not apply is None and is left out of the JSON.
"""

import msgspec

__all__ = [
    "ByListing",
    "ByNeighbours",
    "ByPopularity",
    "ByTheLast",
    "ByWeights",
    "Elsewhere",
    "Feature",
    "Neighbour",
    "OtherParts",
    "Others",
    "Part",
    "Ruled",
    "Shared",
    "SharedOthers",
    "Why",
]


# gc=False: immutable trees have no cycles for the garbage collector to find.
class Shared(msgspec.Struct, frozen=True, gc=False):
    """An item that the query and a neighbour share; `position` is its newest place in the query, from 1, the oldest."""

    item_id: str
    position: int
    weight: float


class SharedOthers(msgspec.Struct, frozen=True, gc=False):
    """The shared items that are not listed."""

    items: int
    weight: float


class Elsewhere(msgspec.Struct, frozen=True, gc=False):
    """The other places of the item in the neighbour, if each counts: how many, and the sum of place x direction."""

    times: int
    factor: float


class Neighbour(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, repr_omit_defaults=True):
    """A session that gave the item a share of its score.

    `similarity` is the shared weights' sum x `normalise` x `age`, and `share` is `similarity` x `match` x (`place` x
    `direction` + `again.factor`) x all factors of the item.
    """

    session_id: str | None
    """None if it is hidden."""
    age_ms: int
    """From its last event to the watermark."""
    similarity: float
    shared: list[Shared]
    """Newest first."""
    normalise: float
    age: float
    step: int
    match: float
    distance: int
    """Places from the newest shared item to this item in the neighbour; negative: before it."""
    place: float
    direction: float
    share: float
    again: Elsewhere | None = None
    shared_others: SharedOthers | None = None


class Others(msgspec.Struct, frozen=True, gc=False):
    """The neighbours that are not listed."""

    neighbours: int
    share: float


class Ruled(msgspec.Struct, frozen=True, gc=False):
    """Sequential rules: the item came after `after` in so many `sessions`, by distance worth `weight`."""

    after: str
    sessions: int
    weight: float
    share: float
    """`weight` x all factors of the item but `mix`."""


class Part(msgspec.Struct, frozen=True, gc=False):
    """What an item of the query adds: each neighbour's share is divided among its shared items, by their weights."""

    item_id: str
    share: float


class OtherParts(msgspec.Struct, frozen=True, gc=False):
    """The items of the query that add something and are not listed."""

    items: int
    share: float


class _Reason(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, repr_omit_defaults=True, tag_field="kind"):
    """What all reasons have in common."""


def _no_parts() -> list[Part]:
    """Return a default that the JSON has too, where `list` would be left out of it."""
    return []


class ByNeighbours(
    msgspec.Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    repr_omit_defaults=True,
    tag_field="kind",
    tag="neighbours",
):
    """Shares that add up to `total`, the score: those of the neighbours, of `others` and of the `rules`.

    So do those of `parts`, of `other_parts` and of the `rules`.
    """

    total: float
    neighbours: list[Neighbour]
    """The largest share first."""
    idf: float
    others: Others | None = None
    rules: Ruled | None = None
    mix: float | None = None
    """Factor of the neighbours beside rules."""
    repeats: float | None = None
    """Factor of the session's own items."""
    boost: float | None = None
    """Factor that rules give the item."""
    parts: list[Part] = msgspec.field(default_factory=_no_parts)
    """All neighbours' shares, listed or not, by the items of the query that they come from; the largest first."""
    other_parts: OtherParts | None = None


class ByTheLast(_Reason, frozen=True, tag="followed"):
    """The item came `count` times right after the last item of the query, in the newest sessions that hold that."""

    after: str
    count: int
    boost: float | None = None


class ByPopularity(_Reason, frozen=True, tag="popular"):
    """The item had `count` recent events, where an event of the age `half_life_ms` counts half."""

    count: float
    half_life_ms: int
    boost: float | None = None


class Feature(msgspec.Struct, frozen=True, gc=False):
    """What a feature of the item adds to its learned score, beside that of the typical candidate."""

    name: str
    meaning: str
    share: float


class ByWeights(_Reason, frozen=True, tag="learned"):
    """The learned score `total` is `typical`, what the features add, and the logarithm of the `boost`.

    `candidate` says what made it a candidate, where similar visits did.
    """

    total: float
    weights: str
    """Form and boundary, ms, of the weights."""
    typical: float
    """The score of the mean of all candidates."""
    features: list[Feature]
    """All of them; those that add or take most first."""
    candidate: ByNeighbours | None = None
    boost: float | None = None


class ByListing(_Reason, frozen=True, tag="newest"):
    """The item is one of the newest of the catalogue; it was listed at `listed_at`, in ms since 1970."""

    listed_at: int
    reserved: bool
    """Whether the place is one that the model keeps for new items (`newest_share`); if not, the answer was short."""
    category: str | None = None
    """The category of the current item, if the item has the same."""


Why = ByNeighbours | ByTheLast | ByPopularity | ByWeights | ByListing
