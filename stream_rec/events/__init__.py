"""What comes in and what goes out: the event types, and the only parser of outside bytes.

Knows nothing of where bytes come from, nor of sessions, items' scores or the wall clock: whoever
wants times in the future refused says what time it is.
"""

from stream_rec.events._decoder import DecodeRules, EventDecoder, FieldMap
from stream_rec.events._encode import DeadLetter, encode_answer, encode_dead_letter
from stream_rec.events._requests import RequestDecoder
from stream_rec.events._times import TimeReader, time_reader
from stream_rec.events._types import (
    EXPIRED,
    FORGET,
    MAX_TIME_MS,
    VIEW,
    Answer,
    Event,
    Forget,
    Reason,
    Recommendation,
    Request,
)
from stream_rec.events._values import found, identifier

__all__ = [
    "EXPIRED",
    "FORGET",
    "MAX_TIME_MS",
    "VIEW",
    "Answer",
    "DeadLetter",
    "DecodeRules",
    "Event",
    "EventDecoder",
    "FieldMap",
    "Forget",
    "Reason",
    "Recommendation",
    "Request",
    "RequestDecoder",
    "TimeReader",
    "encode_answer",
    "encode_dead_letter",
    "found",
    "identifier",
    "time_reader",
]
