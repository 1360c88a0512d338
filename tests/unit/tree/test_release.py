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


def locked(name: str) -> dict[str, str]:
    """The versions of a lock, by the names of packages, without those that Linux never needs."""
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines
    assert [] == [line for line in lines if "--hash=sha256:" not in line]
    needed = [line for line in lines if not re.search(r"== '(win32|nt|emscripten)'", line)]
    return {normal(line.partition("==")[0]): re.split(r"[ ;]", line.partition("==")[2])[0] for line in needed}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_locks_have_the_versions_of_the_tests_and_hashes() -> None:
    """What is in several of them, and in constraints.txt, has one version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    tested = {normal(name): version for name, version in tested.items()}
    for name in ("build", "dev", "image", "release"):
        lock = locked(name)
        assert {each: tested.get(each, version) for each, version in lock.items()} == lock, name
    assert set() == tested.keys() - locked("dev").keys()
    assert {"setuptools"} == locked("image").keys() - tested.keys()  # `pip freeze` leaves it out
    assert set() == locked("build").keys() - locked("release").keys()


def test_locks_have_what_the_project_needs() -> None:
    """Each requirement of the package and of its extras, and those of the groups: `tools/lock --hashes` was run."""
    named = project()
    extras = named["project"]["optional-dependencies"]

    def names(requirements: list[object]) -> set[str]:
        found = {normal(re.split(r"[^\w.-]", each)[0]) for each in requirements if isinstance(each, str)}
        return found - {"stream-rec"}

    plain = names(named["project"]["dependencies"])
    served = [*extras["confluent"], *extras["registry"], *extras["serve"], *extras["tables"], *extras["tracing"]]
    assert set() == (plain | names(served)) - locked("image").keys()
    assert set() == {each for some in extras.values() for each in names(some)} - locked("dev").keys()
    for group, requirements in named["dependency-groups"].items():
        assert set() == names(requirements) - locked(group).keys()


def test_the_image_is_installed_by_hashes() -> None:
    """The package itself aside, which has no dependencies left to install."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    installs = re.findall(r"pip install (.*?)(?: &&|$)", text, re.MULTILINE)
    assert 3 == len(installs)
    assert all("--require-hashes" in each or "--no-deps --no-index" in each for each in installs)


def test_each_package_of_the_image_has_its_licence_on_the_page() -> None:
    """With its version: `make release` was run after the lock was changed."""
    page = (ROOT / "docs" / "reference" / "licences.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w.-]+) \| (\d\S*) \| (\S.*?) \|", page, re.MULTILINE)
    assert locked("image") == {normal(name): version for name, version, _ in rows}


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
