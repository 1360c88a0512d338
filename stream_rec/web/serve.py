"""Settings -> the server. The only module of web that reads settings."""

from stream_rec.service.handle import ServiceHandle
from stream_rec.settings import Settings
from stream_rec.web.context import CallLimits
from stream_rec.web.keys import read_keys
from stream_rec.web.server import Server

__all__ = ["build_server"]


def build_server(settings: Settings, service: ServiceHandle) -> Server:
    """Return a server that has bound its address and does not serve yet. Raises SettingsError."""
    assert settings.http is not None, "called only if the setting `http` is given"
    return Server(
        service,
        settings.http,
        keys=read_keys(settings.http_keys, settings.http_keys_file),
        insecure=settings.insecure,
        hosts=settings.http_hosts,
        origins=settings.http_cors,
        limits=CallLimits(settings.http_max_body_bytes, settings.http_max_batch),
    )
