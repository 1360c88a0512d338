"""Open a schema registry; its client is imported only when used, and is an extra."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stream_rec.errors import SettingsError
from stream_rec.transport.kafka.registry.config import read_registry_config

if TYPE_CHECKING:
    from stream_rec.transport.kafka.registry.registry import SchemaRegistry

__all__ = ["open_registry"]


def open_registry(
    url: str, config: Mapping[str, str], *, max_record_bytes: int, opens_keys: bool = False
) -> "SchemaRegistry":
    """Return the registry at *url*; nothing is asked yet. Raises SettingsError."""
    read = read_registry_config(url, config)
    try:
        from stream_rec.transport.kafka.registry.registry import SchemaRegistry  # noqa: PLC0415 (imported only when used)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "stream_rec":
            raise
        raise SettingsError(
            "registry", f"needs {error.name}, which is not installed: pip install 'stream-rec[registry]'"
        ) from None
    return SchemaRegistry(read, max_record_bytes=max_record_bytes, opens_keys=opens_keys)
