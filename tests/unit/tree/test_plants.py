"""The bugs that `make plant` plants can be planted: each text stands once in the file that it is of."""

from pathlib import Path

import plant_bugs
import pytest


@pytest.mark.parametrize("bug", plant_bugs.BUGS, ids=lambda bug: bug.what)
def test_a_bug_has_its_place(bug: plant_bugs.Bug, tree: Path) -> None:
    """What has moved or was reworded would be told only by `make plant`, which takes long."""
    for file, right, wrong in ((bug.file, bug.right, bug.wrong), *bug.also):
        assert 1 == (tree / file).read_text(encoding="utf-8").count(right)
        assert right != wrong
    for test in bug.seen_by:
        file, _, name = test.partition("::")
        text = (tree / file).read_text(encoding="utf-8")
        assert all(part in text for part in name.split("::"))
