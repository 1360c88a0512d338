"""The bugs that `make plant` plants can be planted: each has its marker in the source, and each marker its bug."""

import re
from pathlib import Path

import plant_bugs
import pytest

KERNEL = re.compile(r"^@(entry|inner)\b", re.MULTILINE)
SOURCE = """def f():
    first  # planted bug: one
    # planted bug: two (2 lines), three
    second
    third
"""


@pytest.mark.parametrize(
    ("marker", "wrong", "expected"),
    [
        ("one", "x", SOURCE.replace("first  # planted bug: one", "x")),
        ("two", "x\ny", SOURCE.replace("    second\n    third\n", "    x\n    y\n")),
        ("three", "", SOURCE.replace("    second\n", "")),
    ],
)
def test_a_marker_names_lines(marker: str, wrong: str, expected: str) -> None:
    """The line that it stands behind, or those below it."""
    assert expected == plant_bugs.plant(SOURCE, marker, wrong)


@pytest.mark.parametrize(
    "text", ["# planted bug: A Name", "# planted bug: one (lines)", "# planted bug: one\n# planted bug: one"]
)
def test_a_malformed_marker_is_an_error(text: str) -> None:
    """A marker that names nothing, or two places, would plant nothing."""
    with pytest.raises(ValueError, match="marker"):
        plant_bugs.markers(text)


@pytest.mark.parametrize("bug", plant_bugs.BUGS, ids=lambda bug: bug.marker)
def test_a_bug_has_its_place(bug: plant_bugs.Bug, tree: Path) -> None:
    """Its markers exist, the wrong code differs from the code there and still compiles, and its tests exist."""
    for file, marker, wrong in bug.changes:
        source = (tree / file).read_text(encoding="utf-8")
        planted = plant_bugs.plant(source, marker, wrong)
        place = plant_bugs.markers(source)[marker]
        right = "\n".join(
            line.partition("  # planted bug:")[0] for line in source.splitlines()[place.start : place.stop]
        )
        assert wrong.split() != right.split()
        compile(planted, file, "exec")
    for test in bug.seen_by:
        file, _, name = test.partition("::")
        text = (tree / file).read_text(encoding="utf-8")
        assert all(part in text for part in name.split("::"))


def test_each_marker_has_its_bug(tree: Path) -> None:
    """A marker that no bug names would stay in the source for ever."""
    there = {
        (path.relative_to(tree).as_posix(), marker)
        for path in (tree / "stream_rec").rglob("*.py")
        for marker in plant_bugs.markers(path.read_text(encoding="utf-8"))
    }
    assert {(file, marker) for bug in plant_bugs.BUGS for file, marker, _ in bug.changes} == there


def test_each_kernel_lies_in_a_folder_of_that_name(tree: Path) -> None:
    """For a bug in one of these, `make plant` compiles all kernels; for others the tree's compiled ones serve."""
    with_kernels = {path for path in (tree / "stream_rec").rglob("*.py") if KERNEL.search(path.read_text("utf-8"))}
    assert with_kernels
    assert {"kernel"} == {path.parent.name for path in with_kernels}
