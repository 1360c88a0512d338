"""What a release needs agrees with the tree: versions, Pythons, the workflows, what the sdist holds."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_rec._version import __version__

ROOT = Path(__file__).parents[3]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.name != "config.yml"]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_citation_names_the_version_and_its_date() -> None:
    """Those of the newest version in the changelog."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, date = re.findall(r"^## \[(\d[\d.]*)\] - (\S+)$", changelog, re.MULTILINE)[0]
    citation = read(ROOT / "CITATION.cff")
    assert (__version__, version) == (version, citation["version"])
    assert date == citation["date-released"]
    assert project()["project"]["license"] == citation["license"]


def test_the_newest_minor_version_is_supported() -> None:
    """SECURITY.md names it."""
    minor = ".".join(__version__.split(".")[:2])
    assert f"| {minor}.x," in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_python_is_tested() -> None:
    """Each that the package names, in CI and before a release."""
    classifiers = project()["project"]["classifiers"]
    pythons = [found[1] for each in classifiers if (found := re.search(r":: (3\.\d+)$", each))]
    for name in ("ci.yml", "release.yml"):
        assert pythons == read(GITHUB / "workflows" / name)["jobs"]["test"]["strategy"]["matrix"]["python"], name


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_little_and_ends(workflow: Path) -> None:
    """Actions have versions, jobs a time limit; what may write is said by its job; there are no secrets."""
    text = workflow.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert [] == [each for each in used if not re.fullmatch(r"[\w/-]+@(v\d+|release/v\d+|[0-9a-f]{40})", each)]
    assert "secrets." not in text
    steps = read(workflow)
    assert {"contents": "read"} == steps["permissions"]
    assert all("timeout-minutes" in job for job in steps["jobs"].values())


def test_only_one_job_is_trusted_by_the_index() -> None:
    """It runs none of our code: it takes what was built, and passes it on."""
    jobs = read(GITHUB / "workflows" / "release.yml")["jobs"]
    assert ["publish"] == [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})]
    assert "release" == jobs["publish"]["environment"]
    assert [] == [step["run"] for step in jobs["publish"]["steps"] if "run" in step]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_an_issue_form_asks(form: Path) -> None:
    """Each field has a name of its own and a question."""
    asked = read(form)
    assert asked["name"]
    assert asked["description"]
    fields = [each for each in asked["body"] if each["type"] != "markdown"]
    assert len(fields) == len({each["id"] for each in fields})
    assert all(each["attributes"]["label"] for each in fields)


def test_the_sdist_holds_the_tree() -> None:
    """Every file that git knows is in a folder of the sdist, so that its tests find what they read."""
    if not (ROOT / ".git").exists():
        pytest.skip("no repository: an sdist is tested from where it was built")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()  # noqa: S607
    included = project()["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    always = {".gitignore", "LICENSE", "pyproject.toml"}  # Hatchling's own choice
    roots = {each.removeprefix("/") for each in included} | always
    tops = {each.partition("/")[0] for each in listed}
    assert set() == {each for each in tops if each not in roots and not each.endswith(".md")}
