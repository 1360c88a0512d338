"""Which settings all processes of a group must share."""

from pathlib import Path
from typing import Any

import pytest

from stream_rec.service.assembly.replicas import OWN, build_commit_note
from stream_rec.service.commit_note import CommitNote
from stream_rec.settings import load, table


def note(**flags: Any) -> CommitNote:
    given = {"events": "kafka://b1:9092/clicks", "recommendations": "kafka://b1:9092/recs", **flags}
    return build_commit_note(load(flags=given))


def test_each_of_its_own_settings_is_one() -> None:
    """A name that is not a setting any more would hide a slip."""
    assert set() == OWN - {setting.name for setting in table()}


@pytest.mark.parametrize(
    "flags",
    [
        {"events": "kafka://b2:9092/clicks"},
        {"kafka_client": "confluent", "log_level": "debug", "instance": "b", "snapshots": "folder", "http": ":8000"},
        {"batch_events": "5", "begin": "latest"},
    ],
)
def test_what_may_differ(flags: dict[str, str]) -> None:
    """Another broker of the same cluster, and what no answer depends on."""
    assert note().difference(note(**flags).text) is None


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"m": "7"}, "other settings: m"),
        ({"recommendations": "kafka://b1:9092/other"}, "other settings: recommendations"),
        ({"retention_ms": "12h", "seen": "keep"}, "other settings: retention_ms, seen"),
        ({"deny": ["a"]}, "other settings: deny"),
    ],
)
def test_what_must_not_differ(flags: dict[str, Any], expected: str) -> None:
    """Whatever an answer, or where it goes, depends on."""
    assert expected == note().difference(note(**flags).text)


def test_a_file_counts_by_what_is_in_it(tmp_path: Path) -> None:
    """Its place may differ."""
    for name, text in (("a", "x\n"), ("b", "x\n"), ("c", "y\n")):
        (tmp_path / name).write_text(text)
    one, same, other = (note(deny_file=str(tmp_path / name)) for name in "abc")
    assert one.difference(same.text) is None
    assert "other settings: deny_file" == one.difference(other.text)
