"""The Makefile calls what there is: a module that moves takes its target along."""

import re
from importlib import import_module
from pathlib import Path


def test_the_makefile_calls_functions_that_exist(tree: Path) -> None:
    """Each function of the package that a target calls is in the module that it imports."""
    text = (tree / "Makefile").read_text(encoding="utf-8")
    n_calls = 0
    for package, module in re.findall(r"from (stream_rec[\w.]*) import (\w+)", text):
        for function in re.findall(rf"\b{module}\.(\w+)\(", text):
            assert callable(getattr(import_module(f"{package}.{module}"), function)), function
            n_calls += 1
    assert n_calls >= 2
