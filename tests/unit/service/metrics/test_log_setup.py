"""The log: lines for people, or JSON for programs, with the same messages and with figures by name."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from stream_rec.cli.main import main
from stream_rec.service.metrics.log_setup import JsonFormatter, fields, is_json, log_to_stderr

NOISY = ("kafka", "stream_rec.transport.kafka.librdkafka", "numba")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Restore the root logger after the test."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in NOISY}
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


def logged(*args: Any, level: int = logging.INFO, **others: Any) -> dict[str, Any]:
    """Log one message; return it as parsed JSON."""
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    log = logging.Logger("stream_rec.test")  # noqa: LOG001  # without a parent
    log.addHandler(handler)
    log.log(level, *args, **others)
    assert out.getvalue().count("\n") == 1, "one line a message"
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_a_line_has_time_level_logger_message_and_fields() -> None:
    """In that order; fields keep their types."""
    line = logged("wrote %s", "a\nb", extra=fields(bytes=7, partitions=["clicks-0"], share=0.5, nothing=None))
    assert ["ts", "level", "logger", "message", "bytes", "partitions", "share", "nothing"] == list(line)
    assert ("info", "stream_rec.test", "wrote a\nb", 7, ["clicks-0"], None) == (
        *(line["level"], line["logger"], line["message"], line["bytes"], line["partitions"], line["nothing"]),
    )
    assert line["ts"].endswith("Z")
    assert len("2026-01-01T00:00:00.000Z") == len(line["ts"])


def test_the_kafka_clients_log_no_connection_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """They would for each of many tries: the service says it once; the level debug shows all."""
    for level, n in (("info", 0), ("debug", len(NOISY))):
        for name in NOISY:
            logging.getLogger(name).setLevel(logging.NOTSET)
        log_to_stderr(level)
        for name in NOISY:
            logging.getLogger(name).error("FAIL: Connection refused")
        assert n == capsys.readouterr().err.count("FAIL")


def test_a_field_does_not_replace_the_message() -> None:
    """Even a field of the name `message`."""
    assert "what happened" == logged("what happened", extra=fields(message="another"))["message"]


def test_an_exception_is_in_the_same_line() -> None:
    """With its traceback."""
    try:
        int("wrong")
    except ValueError:
        line = logged("failed", level=logging.ERROR, exc_info=True)
    assert "error" == line["level"]
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'wrong'")


@pytest.mark.parametrize("odd", [object(), {1, 2}, b"bytes", "\ud800", {"deep": object()}])
def test_nothing_that_is_logged_fails(odd: object) -> None:
    """A value without a JSON type becomes text."""
    assert "x" in logged("x %s", odd, extra=fields(odd=odd))["message"]


@pytest.mark.parametrize(("log_format", "wanted"), [("console", False), ("json", True)])
def test_the_format_is_as_set(log_format: Any, wanted: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The setting `log_format`."""
    log_to_stderr("info", log_format)
    logging.getLogger("stream_rec.x").info("hello")
    line = capsys.readouterr().err
    assert wanted == is_json() == line.startswith("{")
    assert "hello" in line


def test_an_error_at_the_end_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that reads the log finds only JSON."""
    log_to_stderr("info", "json")
    assert 2 == main(["run", "--events", "/nowhere/at/all.jsonl"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "error" == json.loads(line)["level"]
    assert "all.jsonl" in json.loads(line)["message"]
