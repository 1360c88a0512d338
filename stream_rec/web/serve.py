"""Settings -> the server. The only place where a setting's name meets the name of what it sets here."""

from stream_rec.service.handle import ServiceHandle
from stream_rec.settings import Settings
from stream_rec.web.context import CallLimits
from stream_rec.web.keys import read_keys
from stream_rec.web.server import Server

__all__ = ["build_server"]


def build_server(settings: Settings, served: ServiceHandle) -> Server:
    """A server that has its address and does not serve yet. Raises SettingsError."""
    assert settings.http is not None, "asked for only where something is to be served"
    return Server(
        served,
        settings.http,
        keys=read_keys(settings.http_keys, settings.http_keys_file),
        insecure=settings.insecure,
        origins=settings.http_cors,
        limits=CallLimits(settings.http_max_body_bytes, settings.http_max_batch),
    )
