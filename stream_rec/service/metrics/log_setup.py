"""The log of a service: a line for each message, on standard error, with the time in UTC.

As text for people, or as JSON for programs: then with the figures of the message as named fields.
"""

import logging
import sys
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

__all__ = ["JsonFormatter", "LogOutput", "fields", "is_json", "log_to_stderr"]

LogOutput = Literal["console", "json"]

_FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s"
_QUIET: Final = ("kafka", "stream_rec.transport.kafka.librdkafka", "numba")
_FIELDS: Final = "stream_rec_fields"


def log_to_stderr(level: str, log_format: LogOutput = "console") -> None:
    """Log our messages of *level* and above, and only critical ones of the Kafka clients.

    A client logs each lost connection many times; the service logs it once, with what it does about it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else _console())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)


def is_json() -> bool:
    """Whether the log is JSON: then nothing else may be written to standard error."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def fields(**given: object) -> dict[str, Mapping[str, object]]:
    """Return named figures of a message, for `extra`: `log.info("wrote %s", path, extra=fields(path=path))`."""
    return {_FIELDS: given}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: `ts`, `level`, `logger`, `message`, then its fields, then its `exception`.

    Never fails: a value that JSON has no type for is written as text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its newline."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "ts": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in getattr(record, _FIELDS, {}).items():
            line.setdefault(name, value)
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        # A surrogate, from a message about bytes that are not UTF-8, is escaped instead of raising an error.
        return _encoded(line)


def _encoded(line: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except UnicodeEncodeError:
        plain = {
            name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else repr(value)
            for name, value in line.items()
        }
        return msgspec.json.encode(plain).decode()


def _console() -> logging.Formatter:
    formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter
