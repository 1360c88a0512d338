"""The public names: all there, typed as what they are, and imported no sooner than asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stream_rec

OLDER_NAMES = {"SeatLostError": "AssignmentLostError"}


def in_a_fresh_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("name", stream_rec.__all__)
def test_every_public_name_resolves(name: str) -> None:
    """It is there, keeps its identity, and bears its name where it has one; an older name leads to the newer."""
    value = getattr(stream_rec, name)
    assert value is getattr(stream_rec, name)
    assert name in dir(stream_rec)
    assert getattr(value, "__name__", name) == OLDER_NAMES.get(name, name)


def test_what_type_checkers_see_is_what_there_is() -> None:
    """The names imported for type checkers are those found at run time, from the same modules."""
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
    """As from any module, so that `hasattr` and `from ... import` work."""
    with pytest.raises(AttributeError, match="has no attribute 'Enginee'"):
        stream_rec.Enginee  # type: ignore[attr-defined]  # noqa: B018  # the slip is the point


def test_importing_compiles_nothing() -> None:
    """Neither Numba nor NumPy comes with the package, only with what needs them."""
    code = "import sys, stream_rec; print(sorted({'numba', 'numpy', 'msgspec', 'kafka', 'click'} & set(sys.modules)))"
    assert in_a_fresh_process(code) == "[]\n"
    assert in_a_fresh_process("import stream_rec as s; s.Event; import sys; print('numba' in sys.modules)") == "False\n"


def test_a_star_import_brings_all_names() -> None:
    """`from stream_rec import *` is what interactive users type."""
    assert in_a_fresh_process("from stream_rec import *; print(Engine.__name__, model('stan').name)") == "Engine stan\n"
