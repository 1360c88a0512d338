"""The public names: complete, correctly typed, and imported only when used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stream_rec


def in_a_fresh_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


ALIASES = {"SeatLostError": "AssignmentLostError"}
"""Former names, which stay."""


@pytest.mark.parametrize("name", stream_rec.__all__)
def test_every_public_name_resolves(name: str) -> None:
    """It exists, stays the same object, and `__name__` is its public name, or the one that an alias stands for."""
    value = getattr(stream_rec, name)
    assert value is getattr(stream_rec, name)
    assert name in dir(stream_rec)
    assert getattr(value, "__name__", name) == ALIASES.get(name, name)


def test_type_checkers_see_the_same_names() -> None:
    """Type checkers see the same names, from the same modules, as there are at run time."""
    tree = ast.parse(Path(stream_rec.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == stream_rec._HOME
    assert set(stream_rec.__all__) == {*seen, "__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """An unknown name raises AttributeError, so that `hasattr` and `from ... import` work."""
    with pytest.raises(AttributeError, match="has no attribute 'Enginee'"):
        stream_rec.Enginee  # type: ignore[attr-defined]  # noqa: B018  # the typo is the point


def test_importing_compiles_nothing() -> None:
    """Importing the package imports neither Numba nor NumPy; names that need them do."""
    code = "import sys, stream_rec; print(sorted({'numba', 'numpy', 'msgspec', 'kafka', 'click'} & set(sys.modules)))"
    assert in_a_fresh_process(code) == "[]\n"
    assert in_a_fresh_process("import stream_rec as s; s.Event; import sys; print('numba' in sys.modules)") == "False\n"


def test_a_star_import_brings_all_names() -> None:
    """`from stream_rec import *` works, as interactive users type it."""
    assert in_a_fresh_process("from stream_rec import *; print(Engine.__name__, model('stan').name)") == "Engine stan\n"
