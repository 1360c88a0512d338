"""What a service says while it runs: one line a happening, on standard error, with the time in UTC."""

import logging
import sys
import time
from typing import Final

__all__ = ["log_to_stderr"]

_FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s"
_QUIET: Final = ("kafka", "numba")


def log_to_stderr(level: str) -> None:
    """Write our messages of *level* and above, and of the clients' only what ends something.

    What the clients say of each lost connection, the service says once, with what it does about it.
    """
    formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)
