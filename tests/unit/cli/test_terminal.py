"""What a person sees at a terminal, and a pipe does not."""

import sys
from pathlib import Path

import pytest

from stream_rec.cli.main import main
from stream_rec.guard import compiling

ROWS = [f'{{"session_id":"s{n % 7}","item_id":"i{n % 5}","timestamp":{10**12 + n * 1000}}}' for n in range(40)]


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log of forty events."""
    path = tmp_path / "clicks.jsonl"
    path.write_text("\n".join(ROWS), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("is_terminal", "argv", "shown"),
    [(True, [], 3), (True, ["--recommendations", "-"], 40), (False, [], 40), (True, ["--answer", "none"], 0)],
    ids=["terminal", "terminal, all", "pipe", "no answers"],
)
def test_a_run_without_an_output_shows_its_last_answers(
    is_terminal: bool, argv: list[str], shown: int, log: str,
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes],
) -> None:  # fmt: skip
    """Three of them, the newest, above the summary, and how to get all."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal, raising=False)
    assert 0 == main(["run", "--events", log, "--n", "1", *argv])
    out, err = capfdbinary.readouterr()
    lines = out.decode().splitlines()
    assert shown == len(lines)
    if shown:
        assert f'"as_of":{10**12 + 39_000}' in lines[-1]
    said = "the last 3 of 40 answers; --recommendations FILE keeps all, and --recommendations - writes all here\nread  "
    assert (shown == 3) == (said in err.decode())
    assert b"answers        40" in err or not shown


@pytest.mark.parametrize(
    ("is_terminal", "is_notebook", "is_cold", "n_lines"),
    [(True, False, True, 1), (False, True, True, 1), (False, False, True, 0), (True, False, False, 0)],
)
def test_the_library_says_once_that_it_will_compile(
    is_terminal: bool, is_notebook: bool, is_cold: bool, n_lines: int,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """On a terminal and in a notebook, where no compiled code is kept; not in a pipe."""
    from stream_rec import Engine  # noqa: PLC0415 (for those of these tests that need it)

    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(compiling, "is_cold", lambda *_: is_cold)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if is_notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", sys)
    compiling.announce_compilation.cache_clear()
    Engine()
    Engine()
    assert n_lines == capsys.readouterr().err.count("compiling the kernels, once on this machine")


def test_code_that_is_not_kept_is_cold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every kernel that is asked for must have its code in the folder."""
    from stream_rec.core.index import code_cache  # noqa: PLC0415 (as above)

    monkeypatch.setattr(code_cache, "kept_in", lambda: str(tmp_path))
    (tmp_path / "entries.apply-65.py311.nbi").touch()
    monkeypatch.setattr(code_cache, "drop_stale_code", lambda _: None)
    assert not code_cache.is_cold("apply")
    assert code_cache.is_cold("apply", "ask_session")
    monkeypatch.setattr(code_cache, "kept_in", lambda: None)
    assert code_cache.is_cold("apply")
