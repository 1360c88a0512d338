"""The types of settings: limits, and what an error says was expected."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from stream_rec.core.limits import DAY_MS
from stream_rec.settings.fields import Kind

__all__ = [
    "LONGEST_MS",
    "SECOND_MS",
    "BudgetBytes",
    "CataloguePath",
    "DestinationPath",
    "DurationMs",
    "EventField",
    "Format",
    "HostName",
    "HostPort",
    "ModelCount",
    "Name",
    "Origin",
    "Path",
    "PositiveDurationMs",
    "RecordBytes",
    "RefusedLimit",
    "RegistryUrl",
    "RetainedCount",
    "SourcePath",
    "TypeWeight",
]

SECOND_MS: Final = 1000

# A century: longer than any log, and far from int64 overflow in the kernels.
LONGEST_MS: Final = 36_500 * DAY_MS

DurationMs = Annotated[int, Meta(ge=0, le=LONGEST_MS, extra={"kind": Kind.DURATION})]
PositiveDurationMs = Annotated[int, Meta(ge=1, le=LONGEST_MS, extra={"kind": Kind.DURATION})]
HostPort = Annotated[
    str,
    Meta(
        pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:/\s]*):[0-9]{1,5}$", extra={"metavar": "HOST:PORT", "expected": "HOST:PORT"}
    ),
]
HostName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+$")]
RefusedLimit = Annotated[
    str,
    Meta(
        pattern=r"^((100|[0-9]{1,2}(\.[0-9]{1,9})?)%|[0-9]{1,18})$",
        extra={"metavar": "SHARE|COUNT", "expected": "a share such as 1% or 0.5%, or a count such as 100"},
    ),
]
RecordBytes = Annotated[int, Meta(ge=1, le=1 << 30, extra={"kind": Kind.SIZE})]
# Below this, the empty tables alone would exceed the budget.
BudgetBytes = Annotated[int, Meta(ge=16 << 20, extra={"kind": Kind.SIZE})]
RetainedCount = Annotated[int, Meta(ge=1, le=1 << 40)]
# Scratch memory is allocated for these at the start: a typing mistake must not ask for terabytes.
ModelCount = Annotated[int, Meta(ge=1, le=1_000_000)]
TypeWeight = Annotated[float, Meta(gt=0, le=1e9)]
Name = Annotated[str, Meta(min_length=1)]
Origin = Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/\s?#]+)$")]
RegistryUrl = Annotated[
    str, Meta(min_length=1, extra={"metavar": "URL", "expected": "http://HOST:PORT", "private": True})
]
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
    "segment",
    "rudderstack",
    "ga4",
    "snowplow",
    "ubi",
    "cloudevents",
    "debezium",
    "connect",
]
EventField = Literal["session_id", "item_id", "timestamp", "type", "event_id", "user_id"]
