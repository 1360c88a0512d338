"""Arguments that a constructor does not have, and where they belong."""

from typing import Final

from stream_rec.core.limits import Limits
from stream_rec.core.model import DEFAULT_PRESET, Model

__all__ = ["argument_elsewhere"]

_OF_LIMITS: Final = {each.removesuffix("_ms"): each for each in Limits.__struct_fields__}


def argument_elsewhere(name: str) -> str:
    """Return where *name* belongs, for the end of an error, if it is a parameter of the model or a limit."""
    if name in Model.__struct_fields__:
        return f"; it is a parameter of the model: preset=model({DEFAULT_PRESET!r}, {name}=...)"
    limit = _OF_LIMITS.get(name.removesuffix("_ms"))
    return "" if limit is None else f"; it is a limit: limits=Limits({limit}=...)"
