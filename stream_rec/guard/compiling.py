"""Says, once in a process and only to a person, that the first calls will compile for a while."""

import sys
from functools import cache
from typing import Final

from stream_rec.core.index.code_cache import is_cold

__all__ = ["announce_compilation"]

_FIRST: Final = ("apply", "ask_session")
"""The kernels that learn the first event, and answer for a session."""
_TEXT: Final = "stream-rec: compiling the kernels, once on this machine, about 20 s; `stream-rec warm-up` does it ahead"


@cache
def announce_compilation() -> None:
    """Explain the wait on a terminal or in a notebook. A pipe, a log or a service gets no line."""
    is_watched = sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    if is_watched and is_cold(*_FIRST):
        sys.stderr.write(f"{_TEXT}\n")
        sys.stderr.flush()
