"""Services without a broker, from settings."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from stream_rec.service.assembly.standalone import build_standalone_service
from stream_rec.settings import load


def test_settings_without_effect_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Snapshots, status file and static membership are those of a service that reads a topic."""
    events = tmp_path / "clicks.jsonl"
    events.touch()
    flags = {"events": str(events), "recommendations": "none", "http": "127.0.0.1:0"}
    with ExitStack() as undo:
        build_standalone_service(load(flags=flags), undo)
    assert not caplog.messages
    with ExitStack() as undo:
        build_standalone_service(load(flags={**flags, "snapshots": str(tmp_path), "instance": "a"}), undo)
    assert [
        "snapshots: has no effect, because the events do not come from a topic",
        "instance: has no effect, because the events do not come from a topic",
    ] == caplog.messages
