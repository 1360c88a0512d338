"""Runs a command of stream-rec in a process of its own that need not import and load everything first.

A server that has imported the program and loaded its kernels forks a process for each command. How a process begins
that a shell starts is the subject of tests of the installed program.

`python prepared.py` is the server: each line of its input is a command, and each line of its output an exit code.
"""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

__all__ = ["run"]


def run(argv: Sequence[str], output: Path, environment: Mapping[str, str]) -> int:
    """Run `stream-rec` with *argv* in the present folder; return its exit code, negative if a signal ended it.

    *output* gets what it prints, on both streams.
    """
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    asked = {"argv": list(argv), "folder": str(Path.cwd()), "output": str(output), "environment": dict(environment)}
    server.stdin.write(json.dumps(asked) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


@cache
def _server() -> subprocess.Popen[str]:
    """Start it, with what this process can import; it ends with this process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    atexit.register(server.communicate)
    return server


def _serve() -> None:
    from stream_rec.cli import main  # noqa: F401, PLC0415  # what asks for a server need not have it
    from stream_rec.service.assembly import warm_up  # noqa: PLC0415

    warm_up.warm_up_all()
    warm_up.warm_up_evaluation()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(**json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _become(argv: list[str], folder: str, output: str, environment: dict[str, str]) -> None:
    """Be the program, as a process that writes to a file, and end as it does."""
    from stream_rec.cli.main import main  # noqa: PLC0415

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream, to in ((0, os.open(os.devnull, os.O_RDONLY)), (1, file), (2, file)):
        os.dup2(to, stream)
    sys.stdin, sys.stdout = open(0, encoding="utf-8"), open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    sys.exit(main(argv))


if __name__ == "__main__":
    _serve()
