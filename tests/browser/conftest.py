"""A page of the dashboard, before a service that is made up, in the Chromium that is on this machine."""

from collections.abc import Iterator

import pytest
from chromium import NAMES, PLACE, chromium, find_chromium, new_page
from fake_service import FakeService, fake_service
from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Shared: each test has a context of its own in it."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"no Chromium: none of {', '.join(NAMES)} is here, and {PLACE} names none")
    with chromium(program) as opened:
        yield opened


@pytest.fixture
def service() -> FakeService:
    """What the page talks to; to be changed before and while it does."""
    return FakeService(visits=120)


@pytest.fixture
def address(service: FakeService) -> Iterator[str]:
    """Where it listens."""
    with fake_service(service) as told:
        yield told


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not complain, neither of a script's error nor of what its policy refused."""
    with new_page(browser) as (opened, complaints):
        yield opened
        assert complaints == []
