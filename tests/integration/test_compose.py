"""Compose accepts the Compose file, and the file agrees with the image and the service."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream_rec.settings import table


def compose() -> list[str]:
    """Return the command of the installed Compose; without one, skip and say why."""
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


def test_compose_accepts_the_file(tree: Path) -> None:
    """The configuration has every service but those of a profile."""
    names = ("kafka:", "topics:", "stream-rec:", "simulator:")
    services = configured(tree)
    assert all(f"\n  {name}\n" in services for name in names)


def test_compose_accepts_every_profile(tree: Path) -> None:
    """The profiles add monitoring and the second replica."""
    services = configured(tree, "--profile", "monitoring", "--profile", "two")
    assert all(f"\n  {name}:\n" in services for name in ("prometheus", "grafana", "stream-rec-2"))


def test_its_variables_are_settings(tree: Path) -> None:
    """A misspelt variable would be ignored without an error."""
    variables = {f"STREAM_REC_{setting.key.upper()}" for setting in table()}
    for file in ("docker-compose.yml", "Dockerfile"):
        text = (tree / file).read_text(encoding="utf-8")
        assert set(re.findall(r"\bSTREAM_REC_[A-Z_]+(?=[:=])", text)) <= variables


def test_the_health_check_reads_the_services_status_file(tree: Path) -> None:
    """The health check and the service's setting name the same path."""
    text = (tree / "Dockerfile").read_text(encoding="utf-8")
    (checked,) = re.findall(r"HEALTHCHECK .*\\\n +CMD (\[.*\])", text)
    command: Any = json.loads(checked)
    (written,) = re.findall(r"STREAM_REC_STATUS_FILE=(\S+)", text)
    assert ["stream-rec", "status", written] == command
