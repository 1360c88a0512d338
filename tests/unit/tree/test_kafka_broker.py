"""Which broker the tests get, and what is said where there is none. Starts none."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka_broker import BrokerMissing, open_broker
from kafka_broker.base import LOOPBACK, free_ports, port_is_free
from kafka_broker.clients import opened
from kafka_broker.docker_engine import environment
from kafka_broker.external import ExternalBroker
from kafka_broker.find import choice, forced

A_TEST = "tests/integration/test_kafka_broker.py::test_kafka_python_reads_what_it_wrote"
NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "JAVA_HOME": "/nowhere", "STREAM_REC_TEST_KAFKA": ""}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this run itself was told is not for these tests."""
    for variable in ("STREAM_REC_TEST_KAFKA", "STREAM_REC_KAFKA_BROKER"):
        monkeypatch.delenv(variable, raising=False)


def test_nothing_is_forced_by_itself() -> None:
    """A laptop without a broker skips."""
    assert "auto" == choice()
    assert not forced()


def test_none_means_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever wants quick tests has them, wherever a broker could be had."""
    monkeypatch.setenv("STREAM_REC_KAFKA_BROKER", "none")
    assert not forced()
    with pytest.raises(BrokerMissing, match="STREAM_REC_KAFKA_BROKER is none"):
        open_broker(tmp_path)


def test_a_choice_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt choice is no silent `auto`."""
    monkeypatch.setenv("STREAM_REC_KAFKA_BROKER", "jar")
    with pytest.raises(ValueError, match="is 'jar'; it may be auto, env, docker, jars, none"):
        choice()


def test_a_forced_choice_is_the_only_one_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No falling back to another broker than the one asked for."""
    monkeypatch.setenv("STREAM_REC_KAFKA_BROKER", "env")
    assert forced()
    with pytest.raises(BrokerMissing) as missing:
        open_broker(tmp_path)
    assert "env: STREAM_REC_TEST_KAFKA is not set" == str(missing.value)


def test_the_address_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever names a broker gets it; but nobody else's broker is ever one to kill."""
    monkeypatch.setenv("STREAM_REC_TEST_KAFKA", "127.0.0.1:1")
    assert isinstance(open_broker(tmp_path), ExternalBroker)
    monkeypatch.setenv("STREAM_REC_KAFKA_BROKER", "env")
    with pytest.raises(BrokerMissing, match="neither ours to end"):
        open_broker(tmp_path, own=True)


def test_every_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where none can be had, each way to have one says what it lacks."""
    for variable, value in NOWHERE.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(BrokerMissing) as missing:
        open_broker(tmp_path)
    for reason in (
        "env: STREAM_REC_TEST_KAFKA is not set",
        "docker: no Docker engine",
        "jars: /nowhere/bin/java is Java 0",
    ):
        assert reason in str(missing.value)


def a_run(tree: Path, choice: str) -> subprocess.CompletedProcess[str]:
    """One test that needs a broker, on a machine that seems to have none."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", A_TEST],
        cwd=tree,
        env={**os.environ, **NOWHERE, "STREAM_REC_KAFKA_BROKER": choice},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_last_lines_say_why_tests_skipped(tree: Path) -> None:
    """Nobody has to scroll up to see that Kafka was left out."""
    done = a_run(tree, "auto")
    assert 0 == done.returncode
    said, passed = done.stdout.splitlines()[-2:]
    assert said.startswith("Skipped tests: 1, no Kafka broker: env: STREAM_REC_TEST_KAFKA is not set; docker: ")
    assert "1 skipped" in passed


def test_a_forced_broker_that_is_absent_fails(tree: Path) -> None:
    """CI cannot go without one and be green."""
    done = a_run(tree, "jars")
    assert 1 == done.returncode
    assert "no Kafka broker, and STREAM_REC_KAFKA_BROKER asks for one: jars: " in done.stdout


def test_docker_gets_the_same_settings() -> None:
    """One table of settings, in the names that the images read."""
    assert "1" == environment()["KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR"]
    assert "1" == environment()["KAFKA_TRANSACTION_STATE_LOG_MIN_ISR"]


def test_ports_are_free_and_not_for_outgoing_connections() -> None:
    """A client that calls a broker which is down is never connected to itself."""
    ports = free_ports(5)
    assert 5 == len(set(ports))
    assert all(port < 32_768 and port_is_free(port) for port in ports)


@pytest.mark.parametrize("client", [KafkaAdminClient, KafkaConsumer, KafkaProducer])
def test_a_client_that_cannot_be_opened_leaves_nothing(client: type) -> None:
    """No thread (and no open pair of sockets, which would warn) of a client whose broker is not there."""
    before = set(threading.enumerate())
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    with pytest.raises(KafkaError), opened(client, bootstrap_servers=address, bootstrap_timeout_ms=300):
        pass
    assert set() == set(threading.enumerate()) - before
