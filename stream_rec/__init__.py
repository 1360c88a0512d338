"""The public names of stream-rec, and nothing else.

Each is imported when it is first asked for: `import stream_rec` and `stream-rec --help` must not wait for a compiler.
`__version__` is written here, and the build reads it from here: asking the installed metadata costs milliseconds at
every start, and is wrong in a tree that was never installed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream_rec.catalogue import Catalogue, CatalogueItem
    from stream_rec.datasets.columns import Columns
    from stream_rec.datasets.reading import read_log
    from stream_rec.engine import Applied, Engine, Stats
    from stream_rec.errors import (
        DecodeError,
        FencedError,
        RecordTooLargeError,
        SeatLostError,
        SettingsError,
        SnapshotError,
        StreamRecError,
        TransportError,
    )
    from stream_rec.events import (
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
    from stream_rec.library import Recommender
    from stream_rec.limits import Limits
    from stream_rec.recommend import PRESETS, Model, Rules, model, wsknn_model

__all__ = [
    "PRESETS",
    "Answer",
    "Applied",
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
    "SnapshotError",
    "Stats",
    "StreamRecError",
    "TransportError",
    "__version__",
    "model",
    "read_log",
    "wsknn_model",
]

__version__ = "0.1.0"

_HOMES = {
    "stream_rec.catalogue": ("Catalogue", "CatalogueItem"),
    "stream_rec.datasets.columns": ("Columns",),
    "stream_rec.datasets.reading": ("read_log",),
    "stream_rec.engine": ("Applied", "Engine", "Stats"),
    "stream_rec.errors": (
        "DecodeError",
        "FencedError",
        "RecordTooLargeError",
        "SeatLostError",
        "SettingsError",
        "SnapshotError",
        "StreamRecError",
        "TransportError",
    ),
    "stream_rec.events": (
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
    "stream_rec.library": ("Recommender",),
    "stream_rec.limits": ("Limits",),
    "stream_rec.recommend": ("PRESETS", "Model", "Rules", "model", "wsknn_model"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would take it as leave to ask for any name at all

    def __getattr__(name: str) -> object:
        """Import a public name. Asked for once: it is kept."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted([*globals(), *(set(__all__) - globals().keys())])
