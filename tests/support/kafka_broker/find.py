"""The choice of the tests' broker. No silent fallback: a forced choice that is not available is an error."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kafka_broker.base import Broker, BrokerMissing
from kafka_broker.docker_engine import DockerBroker
from kafka_broker.external import ExternalBroker
from kafka_broker.process import ProcessBroker

ADDRESS_VARIABLE: Final = "STREAM_REC_TEST_KAFKA"
CHOICE_VARIABLE: Final = "STREAM_REC_KAFKA_BROKER"
CHOICES: Final = ("auto", "env", "docker", "jars", "none")


def choice() -> str:
    """Return the choice of the environment: one of `CHOICES`."""
    chosen = os.environ.get(CHOICE_VARIABLE) or "auto"
    if chosen not in CHOICES:
        raise ValueError(f"{CHOICE_VARIABLE} is {chosen!r}; it may be {', '.join(CHOICES)}")
    return chosen


def forced() -> bool:
    """Return whether the absence of a broker is a failure."""
    return choice() not in {"auto", "none"}


def open_broker(home: Path, *, own: bool = False, secured: bool = False) -> Broker:
    """Return the first broker that is available here, not yet started; `BrokerMissing`, with every reason, if none is.

    *own*: one that may be stopped and killed. *secured*: with listeners for SASL and TLS.
    """
    sources: dict[str, Callable[[], Broker]] = {
        "env": lambda: _from_environment(own=own, secured=secured),
        "docker": lambda: _from_docker(secured=secured),
        "jars": lambda: ProcessBroker(home, secured=secured),
    }
    if choice() == "none":
        raise BrokerMissing(f"{CHOICE_VARIABLE} is none")
    reasons = []
    for name, source in sources.items():
        if choice() in {"auto", name}:
            try:
                return source()
            except BrokerMissing as missing:
                reasons.append(f"{name}: {missing}")
    raise BrokerMissing("; ".join(reasons))


def _from_environment(*, own: bool, secured: bool) -> Broker:
    address = os.environ.get(ADDRESS_VARIABLE)
    if not address:
        raise BrokerMissing(f"{ADDRESS_VARIABLE} is not set")
    if own or secured:
        raise BrokerMissing(f"the broker at {address} is neither ours to end, nor known to be secured")
    return ExternalBroker(address)


def _from_docker(*, secured: bool) -> Broker:
    if secured:
        raise BrokerMissing("the secured broker is made from jars only")
    return DockerBroker()
