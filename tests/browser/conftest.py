"""A page of the dashboard over a fake service, in the Chromium of this machine."""

from collections.abc import Iterator

import pytest
from chromium import NAMES, PLACE, chromium, find_chromium, new_page
from fake_service import FakeService, fake_service
from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser, shared: each test has a context of its own in it."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"no Chromium: none of {', '.join(NAMES)} is on the path, and {PLACE} names none")
    with chromium(program) as opened:
        yield opened


@pytest.fixture
def service() -> FakeService:
    """The service that the page calls; tests may change it at any time."""
    return FakeService(visits=120)


@pytest.fixture
def address(service: FakeService) -> Iterator[str]:
    """The address of the service."""
    with fake_service(service) as listening:
        yield listening


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page; fails the test if a script fails or the security policy refuses something."""
    with new_page(browser) as (opened, complaints):
        yield opened
        assert complaints == []
