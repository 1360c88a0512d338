"""Fixtures that give tests a real broker, or skip, saying why on the last lines.

`broker` is shared by all tests, `secured_broker` too; `own_broker` makes one that the test may end.
A test that asks for any of them is marked `kafka` by itself.
"""

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final, NoReturn, Protocol

import pytest

from kafka_broker.base import Broker, BrokerMissing, Security
from kafka_broker.cluster import Cluster
from kafka_broker.find import CHOICE_VARIABLE, choice, forced, open_broker

FIXTURES: Final = {"broker", "cluster", "secured_broker", "own_broker", "own_broker_of_module", "topic"}


class MakeBroker(Protocol):
    """Start a broker that the test may stop, kill and pause."""

    def __call__(self, *, secured: bool = False) -> Broker:
        """Return it once it answers; it ends with the test."""
        ...


class MakeTopic(Protocol):
    """Make a fresh topic."""

    def __call__(
        self,
        name: str = "topic",
        *,
        partitions: int = 1,
        retention_ms: int | None = None,
        config: dict[str, str] | None = None,
        exact: bool = False,
    ) -> str:
        """Return its name, which begins with *name* (*exact*: is *name*)."""
        ...


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker that tests share. No test may end or freeze it; each test has topics of its own."""
    with _started(tmp_path_factory.mktemp("broker")) as shared:
        yield shared


@pytest.fixture(scope="session")
def secured_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A shared broker that also listens with SASL and TLS: see its `security`."""
    with _started(tmp_path_factory.mktemp("secured-broker"), secured=True) as shared:
        yield shared


@pytest.fixture
def security(secured_broker: Broker) -> Security:
    """Addresses, user, password and certificate of `secured_broker`."""
    assert secured_broker.security is not None
    return secured_broker.security


@pytest.fixture
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeBroker]:
    """A maker of brokers that the test may stop, kill and pause; they end with the test."""
    with _maker(tmp_path_factory) as make:
        yield make


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three brokers that replicate, each of which the test may stop, kill, pause and cut off."""
    if choice() not in {"auto", "jars"}:
        go_without("a cluster is made of jars only")
    try:
        made = Cluster(tmp_path_factory.mktemp("cluster"))
    except BrokerMissing as missing:
        go_without(str(missing))
    with made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def own_broker_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeBroker]:
    """The same for a module's own fixtures; they end with the module."""
    with _maker(tmp_path_factory) as make:
        yield make


@pytest.fixture
def topic(broker: Broker) -> MakeTopic:
    """A maker of fresh topics on the shared broker; another broker has its own `broker.topic(...)`."""
    return broker.topic


@contextlib.contextmanager
def _maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeBroker]:
    with contextlib.ExitStack() as brokers:

        def make(*, secured: bool = False) -> Broker:
            return brokers.enter_context(_started(tmp_path_factory.mktemp("own-broker"), own=True, secured=secured))

        yield make


@contextlib.contextmanager
def _started(home: Path, *, own: bool = False, secured: bool = False) -> Iterator[Broker]:
    try:
        opened = open_broker(home, own=own, secured=secured)
    except BrokerMissing as missing:
        go_without(str(missing))
    with opened:
        opened.start()
        yield opened


def go_without(reason: str) -> NoReturn:
    """Skip for want of a broker, or of what a test needs beside one; fail where the environment asks for one."""
    if forced():
        pytest.fail(f"no Kafka broker, and {CHOICE_VARIABLE} asks for one: {reason}", pytrace=False)
    pytest.skip(f"{NO_BROKER}{reason}")


NO_BROKER: Final = "no Kafka broker: "


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a broker, before `-m` chooses."""
    for item in items:
        if FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, None, None]:
    """Say last, after all other summaries, how many tests went without a broker, and why."""
    yield
    reasons = [_reason(report.longrepr) for report in terminalreporter.getreports("skipped")]
    for reason in sorted({reason for reason in reasons if reason}):
        terminalreporter.write_line(f"Skipped tests: {reasons.count(reason)}, {reason}", yellow=True)


def _reason(longrepr: object) -> str:
    """Return the reason of a skip for want of a broker, else an empty text."""
    message = str(longrepr[2]) if isinstance(longrepr, tuple) else ""
    return message.removeprefix("Skipped: ") if NO_BROKER in message else ""
