"""Settings -> the sender of spans. OpenTelemetry is imported only where tracing is on."""

from typing import TYPE_CHECKING

from stream_rec.errors import SettingsError
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.settings import Settings

if TYPE_CHECKING:
    from stream_rec.service.metrics.tracing import Tracing

__all__ = [
    "open_tracing",
]


def open_tracing(settings: Settings, timeouts: Timeouts = TIMEOUTS) -> "Tracing | None":
    """Return the sender of spans; None where tracing is off. Raises SettingsError without OpenTelemetry installed."""
    if not settings.tracing:
        return None
    try:
        from stream_rec.service.metrics.tracing import Tracing  # noqa: PLC0415  # imported only where it is on
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        raise SettingsError(
            "tracing", "is on, but OpenTelemetry is not installed: pip install 'stream-rec[tracing]'"
        ) from None
    return Tracing.by_environment(timeouts)
