"""The Compose file is one, as Compose itself reads it; and it says what the image and the service expect."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream_rec.settings import table


def compose() -> list[str]:
    """The command of the Compose that is here; skips, saying why, where there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False, timeout=60).returncode == 0:
            return command
    pytest.skip("no docker with the compose plugin, and no docker-compose: the file is not validated")


def configured(tree: Path, *options: str) -> str:
    done = subprocess.run(
        [*compose(), *options, "config"], cwd=tree, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_compose_takes_the_file(tree: Path) -> None:
    """Every service is there, the second replica with its profile."""
    names = ("kafka:", "topics:", "stream-rec:", "simulator:")
    told = configured(tree)
    assert all(f"\n  {name}\n" in told for name in names)


def test_compose_takes_every_profile(tree: Path) -> None:
    """Monitoring, and the second replica."""
    told = configured(tree, "--profile", "monitoring", "--profile", "two")
    assert all(f"\n  {name}:\n" in told for name in ("prometheus", "grafana", "stream-rec-2"))


def test_its_variables_are_settings(tree: Path) -> None:
    """A slip in a name would be a setting that is silently not there."""
    variables = {f"STREAM_REC_{setting.key.upper()}" for setting in table()}
    for file in ("docker-compose.yml", "Dockerfile"):
        text = (tree / file).read_text(encoding="utf-8")
        assert set(re.findall(r"\bSTREAM_REC_[A-Z_]+(?=[:=])", text)) <= variables


def test_the_health_check_looks_where_the_service_writes(tree: Path) -> None:
    """One path in both places."""
    text = (tree / "Dockerfile").read_text(encoding="utf-8")
    (checked,) = re.findall(r"CMD (\[.*\])\n\nENTRYPOINT", text)
    command: Any = json.loads(checked)
    (written,) = re.findall(r"STREAM_REC_STATUS_FILE=(\S+)", text)
    assert ["stream-rec", "status", written] == command
