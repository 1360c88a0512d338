"""Nothing is compiled, and no wait is announced, before the input is known to be readable."""

from pathlib import Path

import pytest

from stream_rec.cli.main import main
from stream_rec.service.assembly import warm_up

GOOD = "session_id,item_id,timestamp\na,x,1000\na,y,2000\nb,x,3000\nb,y,4000\n"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compiled; the machine looks as if nothing was compiled before."""
    calls: list[str] = []
    monkeypatch.setattr(warm_up, "is_cold", lambda **_: True)
    monkeypatch.setattr(warm_up, "warm_up", lambda **_: calls.append("run"))
    return calls


def command(name: str, path: Path) -> list[str]:
    out = ["--out", str(path.with_suffix(".toml"))] if name == "tune" else []
    return [name, "--events", str(path), *out]


@pytest.mark.parametrize("name", ["run", "check", "evaluate", "tune"])
@pytest.mark.parametrize("content", [None, "no,such,columns\n1,2,3\n", "version https://git-lfs.github.com/spec/v1\n"])
def test_an_input_that_cannot_be_read(
    name: str, content: str | None, tmp_path: Path, compiled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is all that is said: a file that is not there, one of other columns, one that is no log."""
    path = tmp_path / "clicks.csv"
    if content is not None:
        path.write_text(content)
    assert 2 == main(command(name, path))
    out, err = capsys.readouterr()
    assert "" == out
    assert [] == compiled
    assert 1 == err.count("\n")
    assert err.startswith("stream-rec: ")


@pytest.mark.parametrize("name", ["run", "check", "evaluate"])
def test_an_input_that_can_be_read(
    name: str, tmp_path: Path, compiled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Then the wait is announced, once, on a line of its own, and a run compiles before it applies a record."""
    path = tmp_path / "clicks.csv"
    path.write_text(GOOD)
    assert 0 == main(command(name, path))
    assert 1 == sum(line.startswith("compiling the kernels") for line in capsys.readouterr().err.splitlines())
    assert (["run"] if name == "run" else []) == compiled
