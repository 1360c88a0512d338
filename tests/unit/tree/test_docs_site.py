"""The documentation site, as far as it can be looked at without building it: `make site` does that."""

import json
import re
from pathlib import Path

import docs_site
import pytest

import stream_rec


def test_versions_stand_beside_each_other(tmp_path: Path) -> None:
    """The newest release first, by its numbers; what leads in leads to it."""
    for version in ("0.9.0", "dev", "0.10.0", "0.2.0"):
        (tmp_path / version / "docs").mkdir(parents=True)
        (tmp_path / version / docs_site.PAGE).write_text("", encoding="utf-8")
    (tmp_path / "torn").mkdir()
    docs_site.write_lists(tmp_path)
    listed = json.loads((tmp_path / "versions.json").read_text(encoding="utf-8"))
    assert ["0.10.0", "0.9.0", "0.2.0", "dev"] == listed
    assert f'href="0.10.0/{docs_site.PAGE}"' in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_reference_lists_every_public_name(tree: Path) -> None:
    """Once each."""
    page = (tree / "docs/site/library.rst").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. \w+:: stream_rec\.(\w+)$", page, re.MULTILINE)
    assert sorted(set(stream_rec.__all__) - {"__version__"}) == sorted(listed)


@pytest.mark.parametrize("name", ["furo", "myst-parser", "Sphinx", "sphinx-copybutton"])
def test_what_builds_the_site_is_pinned(name: str, tree: Path) -> None:
    """To one version."""
    pinned = (tree / "docs/site/requirements.txt").read_text(encoding="utf-8")
    assert re.search(rf"^{name}==\S+$", pinned, re.MULTILINE)
