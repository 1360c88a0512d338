"""The records that come in and go out, and the only parser of outside bytes.

Knows nothing of where bytes come from, of sessions, of scores or of any clock: a caller that wants times in the
future rejected passes the time at which the log took the record.
"""

from stream_rec.core.events.decoder import EventDecoder
from stream_rec.core.events.encode import DeadLetter, EventEncoder, encode_answer, encode_dead_letter
from stream_rec.core.events.mapping import without_examples, without_nulls
from stream_rec.core.events.paths import RecordParts, is_path, roots
from stream_rec.core.events.requests import RequestDecoder
from stream_rec.core.events.rules import DecodeRules, FieldMap, accepts
from stream_rec.core.events.times import SURELY_SECONDS, TimeReader, time_reader, time_zone_of, unit_of
from stream_rec.core.events.tombstones import is_empty_envelope, key_value, named_in
from stream_rec.core.events.types import (
    EXPIRED,
    FORGET,
    MAX_ID_CHARS,
    MAX_TIME_MS,
    NO_LOG_TIME,
    VIEW,
    Answer,
    Event,
    Forget,
    Reason,
    Recommendation,
    Request,
)
from stream_rec.core.events.values import NULL_TEXTS, check_text_id, found, identifier, null_id
from stream_rec.core.events.why import (
    ByListing,
    ByNeighbours,
    ByPopularity,
    ByTheLast,
    ByWeights,
    Elsewhere,
    Feature,
    Neighbour,
    OtherParts,
    Others,
    Part,
    Ruled,
    Shared,
    SharedOthers,
    Why,
)

__all__ = [
    "EXPIRED",
    "FORGET",
    "MAX_ID_CHARS",
    "MAX_TIME_MS",
    "NO_LOG_TIME",
    "NULL_TEXTS",
    "SURELY_SECONDS",
    "VIEW",
    "Answer",
    "ByListing",
    "ByNeighbours",
    "ByPopularity",
    "ByTheLast",
    "ByWeights",
    "DeadLetter",
    "DecodeRules",
    "Elsewhere",
    "Event",
    "EventDecoder",
    "EventEncoder",
    "Feature",
    "FieldMap",
    "Forget",
    "Neighbour",
    "OtherParts",
    "Others",
    "Part",
    "Reason",
    "Recommendation",
    "RecordParts",
    "Request",
    "RequestDecoder",
    "Ruled",
    "Shared",
    "SharedOthers",
    "TimeReader",
    "Why",
    "accepts",
    "check_text_id",
    "encode_answer",
    "encode_dead_letter",
    "found",
    "identifier",
    "is_empty_envelope",
    "is_path",
    "key_value",
    "named_in",
    "null_id",
    "roots",
    "time_reader",
    "time_zone_of",
    "unit_of",
    "without_examples",
    "without_nulls",
]
