"""What a person sees at a terminal, and a pipe does not: a pseudo-terminal in place of the three streams."""

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

from program import PROGRAM, SECONDS

ROWS = [
    f'{{"session_id":"s{n % 7}","item_id":"i{n % 5}","timestamp":{1_700_000_000_000 + n * 1000}}}' for n in range(40)
]
EXAMPLE = """
from stream_rec import Engine, Event
for _ in range(2):
    Engine("vmis-knn")
print("made")
"""


def at_a_terminal(*argv: str, **env: str) -> str:
    """Run a program at a terminal of 80 columns, and return what it shows."""
    own, its = pty.openpty()
    with subprocess.Popen(
        argv, stdin=its, stdout=its, stderr=its, env={**os.environ, "COLUMNS": "80", **env}
    ) as running:
        os.close(its)
        shown = b""
        while select.select([own], [], [], SECONDS)[0]:
            try:
                piece = os.read(own, 65536)
            except OSError:  # how Linux says that nobody has the terminal open any more
                break
            if not piece:
                break
            shown += piece
        assert 0 == running.wait(SECONDS), shown.decode()
    os.close(own)
    return shown.decode()


def test_a_run_without_an_output_shows_its_last_answers(tmp_path: Path) -> None:
    """Three, and how to get all; with `-` it writes all of them; a pipe gets all in any case."""
    log = tmp_path / "clicks.jsonl"
    log.write_text("\n".join(ROWS), encoding="utf-8")
    argv = [PROGRAM, "run", "--events", str(log), "--n", "1"]
    shown = at_a_terminal(*argv)
    assert 3 == shown.count('"as_of"')
    assert f'"as_of":{1_700_000_000_000 + 39_000}' in shown
    assert "the last 3 of 40 answers; --recommendations FILE keeps all" in " ".join(shown.split())
    assert "answers        40" in shown
    assert 40 == at_a_terminal(*argv, "--recommendations", "-").count('"as_of"')
    piped = subprocess.run(argv, capture_output=True, check=True, timeout=SECONDS).stdout
    assert 40 == len(piped.splitlines())


def test_the_library_says_once_that_it_will_compile(tmp_path: Path) -> None:
    """On a terminal, where no compiled code is kept yet; neither a pipe nor a second engine gets the line."""
    argv = [sys.executable, "-c", EXAMPLE]
    cold = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert 1 == at_a_terminal(*argv, **cold).count("compiling the kernels, once")
    piped = subprocess.run(argv, capture_output=True, check=True, timeout=SECONDS, env={**os.environ, **cold})
    assert (b"made\n", b"") == (piped.stdout, piped.stderr)
