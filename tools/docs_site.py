"""Builds the documentation site into build/site/VERSION: `make site`, or `make site VERSION=dev`.

build/site may hold earlier versions (the workflow checks their branch out there): versions.json lists all of them,
newest first, and index.html leads to the newest release. Every warning of Sphinx is an error: a link or an anchor that
leads nowhere, a page that no list names, a docstring that cannot be read.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).parents[1]
SITE: Final = TREE / "build" / "site"
PAGE: Final = "docs/README.html"
_RELEASE: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def in_order(versions: list[str]) -> list[str]:
    """Return names of versions, newest release first, then the others by name."""
    releases = sorted((each for each in versions if _RELEASE.fullmatch(each)), key=_numbers, reverse=True)
    return [*releases, *sorted(each for each in versions if not _RELEASE.fullmatch(each))]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split("."))


def write_lists(site: Path) -> None:
    """Write versions.json and index.html for the versions whose folders are in *site*."""
    versions = in_order([page.parents[1].name for page in site.glob(f"*/{PAGE}")])
    (site / "versions.json").write_text(json.dumps(versions) + "\n", encoding="utf-8")
    (site / "index.html").write_text(_leading(f"{versions[0]}/{PAGE}"), encoding="utf-8")


def _leading(to: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>stream-rec</title>'
        f'<meta http-equiv="refresh" content="0; url={to}"><a href="{to}">stream-rec</a></html>\n'
    )


def main() -> int:
    """Build one version, and return Sphinx's exit code. With --lists FOLDER, only write the lists of that folder."""
    if sys.argv[1:2] == ["--lists"]:
        write_lists(Path(sys.argv[2]))
        return 0
    version = sys.argv[1] if len(sys.argv) > 1 else "dev"
    folder = SITE / version
    environment = {**os.environ, "STREAM_REC_SITE_VERSION": version, "PYTHONPATH": str(TREE)}
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", "docs/site", "--fail-on-warning", "--keep-going"]
    command += ["-d", "build/site-doctrees", "--quiet", ".", str(folder)]
    done = subprocess.run(command, cwd=TREE, env=environment, check=False)
    if done.returncode == 0:
        (folder / "index.html").write_text(_leading(PAGE), encoding="utf-8")
        write_lists(SITE)
        print(f"{folder.relative_to(TREE)}/{PAGE}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
