"""The part of `compare_outputs.py` that runs inside a build, by its public names only.

    python -P tools/compare_inside.py public | presets | where | settings | metrics | versions
    python -P tools/compare_inside.py save FOLDER LOG | load FOLDER | sample LOG EVENTS

With `-P` and PYTHONPATH at a build and its `tools`, each build answers for itself.
"""

import enum
import inspect
import json
import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

import stream_rec
from stream_rec import Engine, EventDecoder, Recommender, snapshot

HOME = re.compile(r"stream_rec(?:\.\w+)*\.(\w+)")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def main(act: str, *arguments: str) -> None:
    """Do one act, and print its result."""
    match act:
        case "where":
            print(Path(stream_rec.__file__).resolve().parents[1])
        case "presets":
            print("\n".join(stream_rec.PRESETS))
        case "public":
            print(json.dumps(public()))
        case "settings":
            import settings_reference  # noqa: PLC0415  # the build's own

            print(settings_reference.page())
        case "metrics":
            import metrics_reference  # noqa: PLC0415  # the build's own

            print(metrics_reference.page())
        case "versions":
            print(json.dumps(versions()))
        case "sample":
            sample(Path(arguments[0]), int(arguments[1]))
        case "save":
            save(Path(arguments[0]), Path(arguments[1]))
        case "load":
            print("\n".join(loaded(Path(arguments[0]))))
        case _:
            sys.exit(f"no such act: {act}")


# --- public names


def public() -> dict[str, Any]:
    """Return all public names, each with its description."""
    return {
        "all": sorted(stream_rec.__all__),
        "dir": sorted(name for name in dir(stream_rec) if name in stream_rec.__all__),
        "names": {name: described(getattr(stream_rec, name)) for name in sorted(stream_rec.__all__)},
    }


def described(value: Any) -> dict[str, Any]:  # noqa: ANN401  # any public name
    """Parameters, defaults and annotations of a function, or of a class and its public methods; else the value."""
    if inspect.isclass(value):
        found: dict[str, Any] = {
            "bases": [
                base.__name__ for base in value.__mro__ if base.__module__.startswith(("stream_rec", "builtins"))
            ],
            "attributes": sorted(name for name in dir(value) if not name.startswith("_")),
            "made with": signature(value),
            "methods": {name: signature(member) for name, member in methods(value)},
        }
        if issubclass(value, msgspec.Struct):
            found["fields"] = [f"{each.name} = {shown(each.default)}" for each in msgspec.structs.fields(value)]
        if issubclass(value, enum.Enum):
            found["members"] = [f"{each.name} = {each.value!r}" for each in value]
        return found
    return {"called with": signature(value)} if callable(value) else {"value": shown(value)}


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods of a class, inherited ones of ours included."""
    for name in sorted(dir(kind)):
        member = inspect.getattr_static(kind, name)
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if not name.startswith("_") and inspect.isfunction(plain):
            yield name, plain


def signature(function: Any) -> dict[str, Any]:  # noqa: ANN401  # any function or class
    """Parameters in their order, and apart from them the annotations."""
    try:
        found = inspect.signature(function)
    except ValueError:  # made in C, without a signature
        return {"parameters": "unknown"}
    notes = [f"{name}: {shown(each.annotation)}" for name, each in found.parameters.items()]
    return {
        "parameters": [
            f"{name} ({each.kind.description})" + ("" if each.default is each.empty else f" = {shown(each.default)}")
            for name, each in found.parameters.items()
        ],
        "annotations": [*notes, f"-> {shown(found.return_annotation)}"],
    }


def shown(value: object) -> str:
    """Return Python's text of a value, without its module and the address of an object."""
    written = value if isinstance(value, str) else inspect.formatannotation(value) if isinstance(value, type) else None
    return ADDRESS.sub("", HOME.sub(r"\1", written if written is not None else repr(value)))


# --- the interpreter, and a log that is always there


def versions() -> dict[str, str]:
    """Name the interpreter, and the libraries whose version may change a number or a byte."""
    locks = getattr(sys, "_is_gil_enabled", lambda: True)()
    python = f"{platform.python_version()}{'' if locks else 't'}"
    return {"Python": python} | {name: version(name) for name in ("numpy", "numba", "llvmlite", "msgspec")}


def sample(log: Path, events: int) -> None:
    """Write the first *events* of the bundled sample as JSON lines."""
    from stream_rec.datasets.sample import load_sample  # noqa: PLC0415  # no public name: older builds have it elsewhere

    with log.open("wb") as file:
        for event in load_sample()[0][:events]:
            row = {name: getattr(event, name) for name in ("session_id", "item_id", "timestamp", "type")}
            file.write(msgspec.json.encode(row) + b"\n")


# --- snapshots


def save(folder: Path, log: Path) -> None:
    """Learn *log*, JSON lines, and write a snapshot of an engine and one of a recommender into *folder*."""
    decoder = EventDecoder()
    engine = Engine("vstan")
    engine.apply([decoder.decode(line) for line in log.read_bytes().splitlines()])
    snapshot.save(engine, folder / "engine.srs")
    Recommender("vmis-knn", deny=["item-1"]).fit(log).save(folder / "recommender.srs")


def loaded(folder: Path) -> Iterator[str]:
    """Load both, and yield their contents and their answers, after one more event too."""
    engine = snapshot.load(folder / "engine.srs", "vstan")
    shop = Recommender.load(folder / "recommender.srs")
    yield repr(engine.stats())
    yield repr(shop.stats())
    for each in sorted(shop.session_ids())[:200]:
        yield f"{each}: {shop.session(each)}"
        yield repr([(item.item_id, item.score, str(item.source)) for item in shop.recommend(each)])
        yield repr([(item.item_id, item.score, str(item.source)) for item in engine.recommend(each)])


if __name__ == "__main__":
    main(*sys.argv[1:])
