"""`help` of each public name ends in an example, which runs and prints what it shows."""

import doctest
import inspect

import pytest

import stream_rec

NAMES = [
    name
    for name in stream_rec.__all__
    if inspect.isclass(getattr(stream_rec, name)) or callable(getattr(stream_rec, name))
]


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_an_example(name: str) -> None:
    """A doctest in the docstring of the class or function."""
    value = getattr(stream_rec, name)
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(value) or "", {}, name, None, None)
    assert example.examples
    printed: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=printed.append)
    assert 0 == result.failed, "".join(printed)
