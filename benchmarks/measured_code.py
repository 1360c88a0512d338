"""Which code a figure is of: the rooms that a result depends on, and a hash of what they do.

A result keeps the hashes of its rooms (`common.py`), so that `tools/figures.py` can tell, without git, whether they
have changed since. Comments, docstrings and the layout of lines are not in a hash: only what the interpreter runs is.
It is the same on every Python that reads the code.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Final

__all__ = ["FIGURES", "RESULTS", "changed_rooms", "every_room_of", "hashes", "rooms_of"]

TREE: Final = Path(__file__).parents[1]

_KERNEL: Final = ("core/index/kernel",)
_INDEX: Final = (*_KERNEL, "core/index/arrays.py", "core/index/index.py", "core/index/retained.py")
_LEARNING: Final = (*_INDEX, "core/session_store.py", "core/ids.py")
_ENGINE: Final = (*_LEARNING, "core/engine", "core/model")
_EVENTS: Final = ("core/events",)
_FILES: Final = (*_EVENTS, "transport/files", "service/consuming")
_SERVICE: Final = ("service/committing", "service/consuming", "service/processing", "service/running")
_CLIENTS: Final = ("transport/kafka/confluent", "transport/kafka/kafka_python", "transport/decode.py")
_WEB: Final = ("service/requests", "service/processing", "web")
_EVALUATE: Final = (*_ENGINE, "evaluate/asking.py", "evaluate/metrics.py", "evaluate/kernel")

RESULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "evaluate": _EVALUATE,
    "explain": _ENGINE,
    "files": _FILES,
    "frameworks": (),
    "http": (*_ENGINE, *_WEB),
    "ingest": (*_LEARNING, "core/engine", *_EVENTS),
    "kafka": (*_ENGINE, *_SERVICE, *_EVENTS, *_CLIENTS),
    "lab": (*_EVALUATE, "evaluate/search.py"),
    "latency": (*_ENGINE, *_SERVICE, *_EVENTS, *_CLIENTS),
    "library": (*_ENGINE, "guard", "library", "tables"),
    "memory": _LEARNING,
    "profile": _ENGINE,
    "query": _ENGINE,
    "real_data": _ENGINE,
    "rerank": (*_EVALUATE, "core/rerank", "core/rerank/kernel", "evaluate/learned.py"),
    "rules": (*_ENGINE, "core/catalogue"),
    "run": (*_ENGINE, *_FILES, "service/processing", "service/committing"),
    "snapshot": (*_LEARNING, "core/engine_state.py", "snapshot"),
    "soak": (*_ENGINE, *_SERVICE, *_EVENTS, *_CLIENTS, "snapshot"),
    "start": ("__init__.py", "cli", "core/compiled.py", "service/assembly"),
    "transport": (*_EVENTS, *_CLIENTS),
    "tuned": (*_EVALUATE, "evaluate/search.py", "evaluate/space.py"),
}
"""Result -> the files and folders (without those in them) below `stream_rec/` that its figures depend on."""

FIGURES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("query", "p* inside the kernel, *"): _KERNEL,
    ("query", "wsknn * takes, as a multiple of ours, *"): _KERNEL,
    ("ingest", "kernel, *"): _LEARNING,
}
"""Result and pattern of figures -> what these depend on, where it is less than the rest of the result does."""


def rooms_of(result: str, figure: str | None = None) -> tuple[str, ...]:
    """Return the rooms of a result, or of one figure of it; none for a result that is not listed."""
    if figure is not None:
        for (of, pattern), rooms in FIGURES.items():
            if of == result and fnmatchcase(figure, pattern):
                return rooms
    return RESULTS.get(result, ())


def every_room_of(result: str) -> tuple[str, ...]:
    """Return the rooms of a result and of each of its figures."""
    own = (room for (of, _), rooms in FIGURES.items() if of == result for room in rooms)
    return tuple(dict.fromkeys([*RESULTS.get(result, ()), *own]))


def hashes(rooms: Iterable[str], tree: Path = TREE) -> dict[str, str]:
    """Return room -> hash of the Python files in it, of this tree or another; an empty text where there is no room."""
    return {room: _hash(tree / "stream_rec", room) for room in dict.fromkeys(rooms)}


def changed_rooms(kept: Mapping[str, str], rooms: Iterable[str], now: Mapping[str, str]) -> list[str]:
    """Return those of *rooms* whose hash *now* is not the one *kept* with a result, or that it did not keep."""
    return [room for room in rooms if kept.get(room) != now[room]]


def _hash(package: Path, room: str) -> str:
    place = package / room
    files = sorted(place.glob("*.py")) if place.is_dir() else [place] if place.is_file() else []
    if not files:
        return ""
    total = hashlib.sha256()
    for file in files:
        total.update(f"\n{file.relative_to(package).as_posix()}\n".encode())
        for part in _parts(_without_docstrings(ast.parse(file.read_bytes()))):
            total.update(part.encode())
    return total.hexdigest()[:16]


def _without_docstrings(tree: ast.AST) -> ast.AST:
    """Drop texts that stand alone: docstrings of modules, classes, functions and fields."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, [each for each in block if not _is_text(each)])
    return tree


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _parts(value: object) -> Iterator[str]:
    """Write a syntax tree as text. Empty fields are left out: later Pythons have more of them, for the same code."""
    if isinstance(value, ast.JoinedStr):  # Pythons differ in where they split the texts between its values
        yield "(JoinedStr"
        for is_text, parts in groupby(value.values, key=lambda each: isinstance(each, ast.Constant)):
            if is_text:
                text = "".join(str(each.value) for each in parts if isinstance(each, ast.Constant))
                yield repr(text) if text else ""
            else:
                for each in parts:
                    yield from _parts(each)
        yield ")"
    elif isinstance(value, ast.AST):
        yield f"({type(value).__name__}"
        for name, field in ast.iter_fields(value):
            if field is not None and field != []:
                yield f" {name}="
                yield from _parts(field)
        yield ")"
    elif isinstance(value, list):
        yield "["
        for each in value:
            yield from _parts(each)
        yield "]"
    else:
        yield repr(value)
