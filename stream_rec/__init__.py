"""The public names of stream-rec, and nothing else.

Each is imported at its first use: `import stream_rec` and `stream-rec --help` must not wait for a compiler.
"""

from typing import TYPE_CHECKING

from stream_rec._version import __version__

if TYPE_CHECKING:
    from stream_rec.core.catalogue import Catalogue, CatalogueItem
    from stream_rec.core.engine import Applied, Stats
    from stream_rec.core.events import (
        Answer,
        DecodeRules,
        Event,
        EventDecoder,
        FieldMap,
        Forget,
        Reason,
        Recommendation,
        Request,
        RequestDecoder,
    )
    from stream_rec.core.limits import Limits
    from stream_rec.core.model import PRESETS, Model, Rules, model, wsknn_model
    from stream_rec.core.shown import ShownRules
    from stream_rec.errors import (
        AssignmentLostError,
        DecodeError,
        FencedError,
        RecordTooLargeError,
        SeatLostError,
        SettingsError,
        SnapshotError,
        StreamRecError,
        TornStateError,
        TransportError,
    )
    from stream_rec.guard import Engine
    from stream_rec.library import AsyncEngine, Recommender
    from stream_rec.tables.columns import Columns
    from stream_rec.tables.reading import read_log

__all__ = [
    "PRESETS",
    "Answer",
    "Applied",
    "AssignmentLostError",
    "AsyncEngine",
    "Catalogue",
    "CatalogueItem",
    "Columns",
    "DecodeError",
    "DecodeRules",
    "Engine",
    "Event",
    "EventDecoder",
    "FencedError",
    "FieldMap",
    "Forget",
    "Limits",
    "Model",
    "Reason",
    "Recommendation",
    "Recommender",
    "RecordTooLargeError",
    "Request",
    "RequestDecoder",
    "Rules",
    "SeatLostError",
    "SettingsError",
    "ShownRules",
    "SnapshotError",
    "Stats",
    "StreamRecError",
    "TornStateError",
    "TransportError",
    "__version__",
    "model",
    "read_log",
    "wsknn_model",
]

_HOMES = {
    "stream_rec.core.catalogue": ("Catalogue", "CatalogueItem"),
    "stream_rec.tables.columns": ("Columns",),
    "stream_rec.tables.reading": ("read_log",),
    "stream_rec.core.engine": ("Applied", "Stats"),
    "stream_rec.errors": (
        "DecodeError",
        "FencedError",
        "RecordTooLargeError",
        "AssignmentLostError",
        "SeatLostError",
        "SettingsError",
        "SnapshotError",
        "StreamRecError",
        "TornStateError",
        "TransportError",
    ),
    "stream_rec.core.events": (
        "Answer",
        "DecodeRules",
        "Event",
        "EventDecoder",
        "FieldMap",
        "Forget",
        "Reason",
        "Recommendation",
        "Request",
        "RequestDecoder",
    ),
    "stream_rec.guard": ("Engine",),
    "stream_rec.library": ("AsyncEngine", "Recommender"),
    "stream_rec.core.limits": ("Limits",),
    "stream_rec.core.shown": ("ShownRules",),
    "stream_rec.core.model": ("PRESETS", "Model", "Rules", "model", "wsknn_model"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would then accept any name

    def __getattr__(name: str) -> object:
        """Import a public name at its first use, and keep it."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted([*globals(), *(set(__all__) - globals().keys())])
