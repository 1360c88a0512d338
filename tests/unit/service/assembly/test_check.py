"""What `check` says of a log: hints that name the record, and that work when they are followed."""

import json
from pathlib import Path

import pytest

from stream_rec.service.assembly.check import inspect
from stream_rec.settings import load

MAY_2014 = 1_400_000_000_000
JUNE_2025 = 1_750_000_000_000


def report(path: Path, **flags: str) -> str:
    return "\n".join(inspect(load(flags={"events": str(path), **flags})).lines)


def write(path: Path, times: list[int]) -> Path:
    lines = (
        json.dumps({"session_id": f"s{n // 4}", "item_id": f"i{n % 7}", "timestamp": at}) for n, at in enumerate(times)
    )
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("n_wrong", [1, 3])
def test_a_wild_time_is_named(tmp_path: Path, n_wrong: int) -> None:
    """One event of 2025 in a log of 2014: its line, and not a lateness of eleven years."""
    times = [MAY_2014 + 60_000 * n for n in range(300)]
    for n in range(n_wrong):
        times[100 + n] = JUNE_2025 + n
    said = report(write(tmp_path / "log.jsonl", times))
    assert ("log.jsonl:101 (2025-06-15" if n_wrong == 1 else "the first is log.jsonl:101, 2025-06-15") in said
    assert "--retention" not in said
    assert "--allowed-lateness" not in said
    del times[100 : 100 + n_wrong]
    assert "hints" not in report(write(tmp_path / "mended.jsonl", times))


def test_a_log_that_is_only_out_of_order_has_no_wild_time(tmp_path: Path) -> None:
    """Its hint is about lateness."""
    times = [MAY_2014 + 60_000 * (n ^ 255) for n in range(512)]
    said = report(write(tmp_path / "log.jsonl", times))
    assert "after all others" not in said
    assert "--allowed-lateness" in said


def framed(tmp_path: Path, *values: bytes) -> Path:
    """A file of records behind the five bytes of a schema registry."""
    path = tmp_path / "framed.jsonl"
    path.write_bytes(b"\n".join(b"\0\0\0\0\7" + value for value in values))
    return path


def test_framed_avro_needs_the_registry(tmp_path: Path) -> None:
    """The hint names the setting, and never a table or another encoding."""
    said = report(framed(tmp_path, *(b"\x04s%d\x04i1\x80\x80\xa0\xf6\xf4g" % n for n in range(9))))
    assert "needs_registry: 9" in said
    assert "--registry http://HOST:PORT" in said
    assert "csv" not in said
    assert "iconv" not in said


def test_framed_json_is_read_and_its_names_are_guessed(tmp_path: Path) -> None:
    """As if the five bytes were not there."""
    said = report(
        framed(tmp_path, *(b'{"session_id": "s", "item_id": "i%d", "timestamp": 1733000000000}' % n for n in range(9)))
    )
    assert "accepted       9" in said
    said = report(framed(tmp_path, b'{"session_id": "s", "ItemId": "i", "timestamp": 1733000000000}'))
    assert "--field item_id=ItemId" in said
