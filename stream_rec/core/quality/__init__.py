"""How good the answers are that are being given: each held against what its visitor did next.

Pure: told of events and answers by whoever owns the engine. Knows nothing of threads, clocks and settings.
"""

from stream_rec.core.quality.live import ROOM, WINDOWS_MS, Quality, models_of
from stream_rec.core.quality.report import ModelQuality, ModelShare, QualityReport, WindowQuality

__all__ = [
    "ROOM",
    "WINDOWS_MS",
    "ModelQuality",
    "ModelShare",
    "Quality",
    "QualityReport",
    "WindowQuality",
    "models_of",
]
