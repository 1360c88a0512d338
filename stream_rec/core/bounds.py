"""Number types that carry their limits, for settings, models, rules and requests alike."""

from typing import Annotated, Final

from msgspec import Meta

__all__ = [
    "FARTHEST_MS",
    "MAX_BOOSTS",
    "BoostFactor",
    "Duration",
    "NonNegative",
    "Positive",
    "PositiveInt",
    "UpTo10000",
]

FARTHEST_MS: Final = 1 << 60
"""Times are subtracted and compared with limits in 64 bits: 36 million years either way leave room for that."""

PositiveInt = Annotated[int, Meta(ge=1, le=1 << 62)]
UpTo10000 = Annotated[int, Meta(ge=1, le=10_000)]
Positive = Annotated[float, Meta(gt=0.0)]
NonNegative = Annotated[float, Meta(ge=0.0)]

Duration = Annotated[int, Meta(ge=0, le=FARTHEST_MS)]
"""In milliseconds."""

BoostFactor = Annotated[float, Meta(ge=1e-6, le=1e6)]
"""A score is multiplied by it."""

MAX_BOOSTS: Final = 15
"""Of the settings and of a request together: each is a bit of a 16-bit verdict, and verdict 0 excludes an item."""
