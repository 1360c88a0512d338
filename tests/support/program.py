"""The installed program as an operator runs it: a process with arguments, pipes and an exit code."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("stream-rec"))
SECONDS = 120
"""Enough for a machine that compiles the kernels first."""


def stream_rec(
    *argv: object, stdin: bytes = b"", env: Mapping[str, str] | None = None, code: int | None = 0
) -> subprocess.CompletedProcess[bytes]:
    """Run one command to its end, which must be with exit *code*; None: with any."""
    done = subprocess.run(
        [PROGRAM, *map(str, argv)],
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert code in {None, done.returncode}, done.stderr.decode()
    return done


def summary(stderr: bytes) -> dict[str, str]:
    """Return the lines of a run's summary by their names."""
    return {line[:15].strip(): line[15:] for line in stderr.decode().splitlines()}


def first_number(text: str) -> int:
    """`1,234 records` is 1234."""
    return int(text.split(maxsplit=1)[0].replace(",", ""))
