"""The pages about a service on Kafka hold on a real broker."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kafka_broker.plugin import MakeBroker
from pages import blocks, play

ROOT = Path(__file__).parents[2]
PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if any(block.needs_broker for block in blocks(page)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A scratch folder; processes that a page leaves running (it writes `*.pid`) end with the test."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for noted in tmp_path.glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(noted.read_text()), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("kcat") is None, reason="no kcat here, which the pages read and write topics with")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_prints_what_it_shows(page: Path, own_broker: MakeBroker, folder: Path) -> None:
    """Every command runs on a broker as `make kafka` starts it, and prints what stands below it."""
    broker = own_broker()
    for topic in ("clicks", "recommendations"):
        broker.topic(topic, partitions=4, exact=True)
    assert play(page, broker.address) > 0
