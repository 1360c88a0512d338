"""Settings -> the note of a process's commits: what all processes of a group must share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from xxhash import xxh3_64_hexdigest

from stream_rec._version import __version__
from stream_rec.errors import SettingsError
from stream_rec.service.commit_note import CommitNote
from stream_rec.settings import Settings, is_topic, table

__all__ = ["OWN", "build_commit_note"]

OWN: Final = frozenset({
    "allow_compacted", "batch_events", "begin", "create_topics", "delimiter", "encoding", "format", "group", "http",
    "http_clock", "http_cors", "http_keys", "http_keys_file", "http_max_batch", "http_max_body_bytes", "in_order",
    "insecure", "instance", "journal", "kafka", "kafka_client", "log_format", "log_level", "max_refused",
    "more_events", "output_mode", "quality", "quality_n", "quality_sessions", "quality_windows", "registry",
    "registry_config", "snapshot_every_ms", "snapshots",
    "snapshots_kept", "status_file", "topic_partitions", "topic_replication", "topic_retention_ms", "tracing",
})  # fmt: skip
"""Settings that processes of a group may have each for itself: no answer depends on them."""

_PLACES: Final = frozenset({"events", "requests", "recommendations", "dead_letters", "catalogue"})
_FILES: Final = frozenset({"deny_file", "allow_file"})


def build_commit_note(settings: Settings) -> CommitNote:
    """Return the note of a process with these *settings*. Raises SettingsError for a file that cannot be read."""
    given: Mapping[str, object] = msgspec.to_builtins(settings)
    shared = {setting.name: given[setting.name] for setting in table() if setting.name not in OWN}
    for name in _PLACES:
        shared[name] = _topic(shared[name])
    for name in _FILES & shared.keys():
        shared[name] = _content(name, shared[name])
    return CommitNote.of(__version__, shared)


def _topic(address: object) -> object:
    """Return the topic alone: brokers have several addresses; of a file, that it is one."""
    if not isinstance(address, str):
        return address
    return address.rpartition("/")[2] if is_topic(address) else "a file"


def _content(name: str, path: object) -> object:
    """Return a hash of the file: its path may differ."""
    if path is None:
        return None
    try:
        return xxh3_64_hexdigest(Path(str(path)).read_bytes())
    except OSError as error:
        raise SettingsError(name, f"cannot read {str(path)!r}: {error.strerror}") from error
