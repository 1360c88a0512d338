"""How long until something happens: importing the package, the first answer of `run`, and compiling once."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

from common import COMMAND, Report, in_turn, report, scratch_folder, seconds

QUESTION = "how long until something happens?"
EVENT = b'{"session_id":"s1","item_id":"i1","timestamp":1700000000000,"type":"view"}\n'
IMPORTS = {
    "an empty program": "pass",
    "import stream_rec": "import stream_rec",
    "import numba (alone)": "import numba",
    "import stream_rec.core.engine (numba included)": "import stream_rec.core.engine",
}


def python(code: str) -> float:
    """Seconds that a fresh Python takes to run *code*, its own start included."""
    return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def first_answer(environ: dict[str, str] | None = None) -> float:
    """Seconds from starting `run` on a pipe to its first answer."""
    arguments = [*COMMAND, "run", "--events", "-", "--recommendations", "-"]
    started = perf_counter()
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(EVENT)
        process.stdin.flush()
        answer = process.stdout.readline()
        taken = perf_counter() - started
        process.stdin.close()
    assert answer, "run ended without an answer; run it by hand to see why"
    return taken


def warm(bench: Report, n_rounds: int) -> None:
    """Everything compiled, and on a warm disk: a first round is not counted."""
    rivals: dict[str, Callable[[], float]] = {name: partial(python, code) for name, code in IMPORTS.items()}
    rivals["first answer"] = first_answer
    rivals["stream-rec --help"] = lambda: seconds(
        lambda: subprocess.run([*COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
    )
    in_turn(1, rivals)
    taken = in_turn(n_rounds, rivals)
    bench.part("Fresh processes, warm disk, kernels compiled before")
    base = taken.pop("an empty program")
    bench.figure("an empty Python program", base, "s")
    empty = sum(base) / len(base)
    for name in list(IMPORTS)[1:]:
        target = "<= 0.5" if name == "import stream_rec" else None
        bench.figure(f"{name}, Python's own start taken off", [each - empty for each in taken[name]], "s", target)
    bench.figure("stream-rec --help, process and all", taken["stream-rec --help"], "s")
    bench.figure("stream-rec run, from start to first answer, process and all", taken["first answer"], "s", "<= 2")


def cold(bench: Report) -> None:
    """With an empty cache of compiled kernels, as on a new machine."""
    with scratch_folder() as folder:
        environ = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
        taken = first_answer(environ)
        n_bytes = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        again = first_answer(environ)
    bench.part("Once on a machine: the kernels are compiled and kept")
    bench.figure("stream-rec run, first answer, with nothing compiled", taken, "s")
    bench.figure("the same right after", again, "s")
    bench.figure("compiled code on disk", n_bytes / 2**20, "MiB")


def main() -> None:
    """Run the benchmark."""
    with report("start", QUESTION) as bench:
        warm(bench, 2 if bench.small else 10)
        cold(bench)


if __name__ == "__main__":
    main()
