"""Live quality of answers: each is compared with the visitor's next event.

Pure: the owner of the engine passes in events and answers. Knows nothing of threads, clocks and settings.
"""

from stream_rec.core.quality.live import CAPACITY, WINDOWS_MS, Quality, models_of
from stream_rec.core.quality.report import ClickThrough, ModelQuality, ModelShare, QualityReport, WindowQuality

__all__ = [
    "CAPACITY",
    "WINDOWS_MS",
    "ClickThrough",
    "ModelQuality",
    "ModelShare",
    "Quality",
    "QualityReport",
    "WindowQuality",
    "models_of",
]
