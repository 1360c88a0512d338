"""Nothing is compiled, and no wait is announced, before the input is known to be readable; errors say what reads it."""

import shlex
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


@pytest.mark.parametrize("name", ["run", "check", "evaluate", "tune"])
def test_other_columns_lead_to_the_line_that_reads_them(
    name: str, tmp_path: Path, compiled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Names and delimiter are guessed for each command; the line is accepted as it is."""
    path, kept = tmp_path / "clicks.csv", tmp_path / "r.jsonl"
    path.write_text("Visit;Sku;When\na;x;1700000000000\na;y;1700000060000\nb;x;1700000120000\nb;y;1700000180000\n")
    assert 2 == main([*command(name, path), *(["--recommendations", str(kept)] if name == "run" else [])])
    error, line = capsys.readouterr().err.splitlines()
    assert "clicks.csv has no column 'session_id', but Visit, Sku, When" in error
    begin, *words = shlex.split(line)
    assert (["try:", "stream-rec"], "run" if name == "run" else "check") == ([begin, words[0]], words[1])
    assert 0 == main(words[1:])
    assert (4 if name == "run" else 0) == len(kept.read_text().splitlines() if kept.exists() else [])


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


def test_a_run_says_how_to_keep_what_it_refused(
    tmp_path: Path, compiled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Only where records were refused, and nothing keeps them."""
    path, kept = tmp_path / "clicks.csv", str(tmp_path / "dead.jsonl")
    for content, more, is_said in ((GOOD, [], False), (GOOD + "c,,9\n", [], True), (GOOD + "c,,9\n", [kept], False)):
        path.write_text(content)
        assert 0 == main([*command("run", path), *(["--dead-letters", *more] if more else [])])
        assert is_said is ("--dead-letters FILE keeps them" in capsys.readouterr().err)
    (tmp_path / "asked.jsonl").write_text('{"session": "a"}\n')
    assert 0 == main([*command("run", path), "--requests", str(tmp_path / "asked.jsonl"), "--answer", "requests"])
    assert "dead-lettered records were only counted" in capsys.readouterr().err
    path.write_text(GOOD)
    assert 0 == main([*command("run", path), "--requests", str(tmp_path / "asked.jsonl"), "--answer", "requests"])
    assert "dead-lettered requests were only counted" in capsys.readouterr().err
    assert ["run"] * 5 == compiled


@pytest.mark.parametrize("name", ["run", "check", "evaluate"])
def test_a_folder_with_a_file_that_is_no_log(
    name: str, tmp_path: Path, compiled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The line that reads the others is said, and is accepted as it is; nothing of that is done unasked."""
    folder = tmp_path / "clicks"
    folder.mkdir()
    for place in range(2):
        (folder / f"{place}.csv").write_text(GOOD)
    (folder / "README.txt").write_text("of the shop\n")
    assert 2 == main(command(name, folder))
    *_, error, line = capsys.readouterr().err.splitlines()
    assert "README.txt has no column 'session_id', but of the shop" in error
    said, _, typed = line.strip().partition(": ")
    assert "2 of its 3 files are read by" == said
    assert 0 == main(shlex.split(typed)[1:])
    assert "--recommendations FILE" not in capsys.readouterr().err


def test_a_split_is_no_matter_of_reading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An error about it has no line that would read the log otherwise."""
    path = tmp_path / "clicks.csv"
    path.write_text(GOOD.replace(",", ";"))
    assert 2 == main([*command("evaluate", path), "--hold-out-days", "7"])
    assert 1 == capsys.readouterr().err.count("\n")


def test_several_files_in_one_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says how they are given."""
    (tmp_path / "a.csv").write_text(GOOD)
    assert 2 == main(command("run", tmp_path / f"a.csv,{tmp_path / 'b.csv'}"))
    assert "each of several files takes an --events of its own" in capsys.readouterr().err
