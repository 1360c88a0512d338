"""The settings in groups, as the help of the command line and the reference page show them.

A group is a stretch of the table of settings: it begins with the setting that is named here, and ends before the next.
"""

from typing import Final, NamedTuple

from stream_rec.settings.checked import table
from stream_rec.settings.fields import Setting

__all__ = ["GROUPS", "Group", "grouped"]


class Group(NamedTuple):
    """A heading, and what is under it."""

    first: str
    """The key of its first setting."""
    heading: str
    about: str


GROUPS: Final = (
    Group("events", "Source", "where events come from, and what kind of file that is"),
    Group("recommendations", "Output", "where answers and refused records go, and what is answered"),
    Group("fields", "Records", "names, times, types and ids in a record"),
    Group("max_record_bytes", "Refusals", "which records are refused, and how many may be"),
    Group("retention", "Limits", "how much is kept, and for how long"),
    Group("preset", "Model", "the preset, and each of its parameters"),
    Group("n", "Answers", "how long an answer is, and how it is filled"),
    Group("models", "Experiments", "models side by side, and how good their answers are"),
    Group("deny", "Rules on items", "which may be recommended; catalogue, filters, boosts"),
    Group("kafka_client", "Kafka topics", "client, schema registry, consumer group, delivery and topics"),
    Group("snapshots", "Saved state", "snapshots on disk, for a fast restart"),
    Group("log_level", "Log", "messages of a running service, and traces"),
    Group("http", "HTTP API", "and the dashboard: address, keys and limits"),
    Group("status_file", "Operation", "the health check's file, and the size of batches"),
)


def grouped() -> list[tuple[Group, list[Setting]]]:
    """Return each group with its settings, in the order of the table."""
    keys = [setting.key for setting in table()]
    begins = [keys.index(group.first) for group in GROUPS]
    ends = [*begins[1:], len(keys)]
    return [(group, list(table()[begin:end])) for group, begin, end in zip(GROUPS, begins, ends, strict=True)]
