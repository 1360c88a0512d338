"""The types of settings: what each text on the command line, in the environment or in a file must say."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from stream_rec.settings.fields import Kind

__all__ = [
    "BudgetBytes",
    "CataloguePath",
    "Count",
    "Decay",
    "DestinationPath",
    "EventField",
    "Format",
    "HostPort",
    "Millis",
    "ModelCount",
    "Name",
    "Origin",
    "Path",
    "PositiveMillis",
    "RecordBytes",
    "Share",
    "SourcePath",
    "Weight",
]

_SECOND: Final = 1000
_HOUR: Final = 3600 * _SECOND
_DAY: Final = 24 * _HOUR

# A century: more than any log, and far from where int64 times would wrap in the kernels.
_LONGEST: Final = 36_500 * _DAY

Millis = Annotated[int, Meta(ge=0, le=_LONGEST, extra={"kind": Kind.DURATION})]
PositiveMillis = Annotated[int, Meta(ge=1, le=_LONGEST, extra={"kind": Kind.DURATION})]
HostPort = Annotated[
    str,
    Meta(
        pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:/\s]*):[0-9]{1,5}$", extra={"metavar": "HOST:PORT", "expected": "HOST:PORT"}
    ),
]
RecordBytes = Annotated[int, Meta(ge=1, le=1 << 30, extra={"kind": Kind.SIZE})]
# Below this the empty tables alone would be over the budget, and nothing could be kept.
BudgetBytes = Annotated[int, Meta(ge=16 << 20, extra={"kind": Kind.SIZE})]
Count = Annotated[int, Meta(ge=1, le=1 << 40)]
# Scratch memory is laid out for these up front, so a slip of the finger must not ask for terabytes.
ModelCount = Annotated[int, Meta(ge=1, le=1_000_000)]
# Written as the model writes its limits: typing takes equal ones for the same, and 1 would be shown as 1.0 or not by
# which of the two was imported first.
Decay = Annotated[float, Meta(gt=0.0)]
Share = Annotated[float, Meta(ge=0.0)]
Weight = Annotated[float, Meta(gt=0, le=1e9)]
Name = Annotated[str, Meta(min_length=1)]
Origin = Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/\s?#]+)$")]
SourcePath = Annotated[
    str,
    Meta(
        min_length=1, extra={"metavar": "SRC", "expected": "a path, - for standard input, or kafka://host:9092/topic"}
    ),
]
DestinationPath = Annotated[
    str,
    Meta(
        min_length=1, extra={"metavar": "DST", "expected": "a path, - for standard output, or kafka://host:9092/topic"}
    ),
]
CataloguePath = Annotated[
    str, Meta(min_length=1, extra={"metavar": "SRC", "expected": "a path, or kafka://host:9092/topic"})
]
Path = Annotated[str, Meta(min_length=1, extra={"metavar": "PATH", "expected": "a path"})]
Format = Literal[
    "auto",
    "jsonl",
    "json",
    "csv",
    "tsv",
    "parquet",
    "movielens",
    "movielens-100k",
    "movielens-1m",
    "movielens-25m",
    "yoochoose-clicks",
    "yoochoose-buys",
    "retailrocket",
    "diginetica",
    "otto",
    "online-retail",
    "session-rec",
]
EventField = Literal["session_id", "item_id", "timestamp", "type", "event_id", "user_id"]
