"""The tests' broker is a real one: three clients write and read records, and records survive a crash."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, UnknownTopicOrPartitionError
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka_broker import Broker, Security
from kafka_broker.clients import opened
from kafka_broker.plugin import MakeBroker, MakeTopic

SECONDS = 60
CLICK = b'{"session_id": "s1", "item_id": "i7"}'


def produced(address: str, topic: str, *values: bytes, **security: Any) -> None:
    """Send *values* by kafka-python, each acknowledged."""
    with opened(KafkaProducer, bootstrap_servers=address, **security) as producer:
        for future in [producer.send(topic, value=value, key=b"s1") for value in values]:
            future.get(timeout=SECONDS)


def consumed(address: str, topic: str, count: int, **settings: Any) -> list[bytes]:
    """The first *count* values of partition 0, read by kafka-python."""
    values: list[bytes] = []
    deadline = time.monotonic() + SECONDS
    with opened(KafkaConsumer, bootstrap_servers=address, auto_offset_reset="earliest", **settings) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        while len(values) < count and time.monotonic() < deadline:
            for records in consumer.poll(timeout_ms=500).values():
                values += [record.value for record in records]
    return values


def consumed_by_confluent(settings: dict[str, Any], topic: str) -> bytes | None:
    """The first value of partition 0, read by confluent-kafka."""
    consumer = confluent_kafka.Consumer({"group.id": "unused", **settings})
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        message = consumer.poll(SECONDS)
        assert message is not None
        assert message.error() is None
        value: bytes | None = message.value()
    finally:
        consumer.close()
    return value


def test_kafka_python_reads_what_it_wrote(broker: Broker, topic: MakeTopic) -> None:
    """The default client writes a record and reads it."""
    clicks = topic("clicks")
    produced(broker.address, clicks, CLICK)
    assert [CLICK] == consumed(broker.address, clicks, 1)


def test_confluent_reads_what_it_wrote(broker: Broker, topic: MakeTopic) -> None:
    """The other client writes a record and reads it."""
    clicks = topic("clicks")
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address})
    producer.produce(clicks, CLICK)
    assert 0 == producer.flush(SECONDS)
    assert CLICK == consumed_by_confluent({"bootstrap.servers": broker.address}, clicks)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_every_codec_is_installed(broker: Broker, topic: MakeTopic, codec: str) -> None:
    """kafka-python comes with the libraries of all compressions that a topic may have."""
    clicks = topic("clicks")
    produced(broker.address, clicks, CLICK, compression_type=codec)
    assert [CLICK] == consumed(broker.address, clicks, 1)


def test_kcat_reads_and_writes(broker: Broker, topic: MakeTopic) -> None:
    """A third client, kcat, sees the same records."""
    kcat = shutil.which("kcat")
    if kcat is None:
        pytest.skip("there is no kcat here (the package is called kcat on Debian)")
    clicks = topic("clicks")
    at = [kcat, "-b", broker.address, "-t", clicks]
    subprocess.run([*at, "-P"], input=CLICK + b"\n", check=True, timeout=SECONDS)
    read = subprocess.run([*at, "-C", "-e", "-q"], capture_output=True, check=True, timeout=SECONDS)
    assert CLICK + b"\n" == read.stdout


def test_topics_are_as_asked_for(broker: Broker, topic: MakeTopic) -> None:
    """A topic has the requested partitions, and a new name each time."""
    first, second = topic("clicks", partitions=3), topic("clicks", partitions=3, retention_ms=60_000)
    assert first != second
    with broker.admin() as admin:
        assert [3, 3] == [len(found["partitions"]) for found in admin.describe_topics([first, second])]


def test_a_wrong_topic_is_not_created(broker: Broker) -> None:
    """A misspelt topic is an error, as it is in production."""
    with (
        opened(KafkaProducer, bootstrap_servers=broker.address, max_block_ms=2_000, retries=0) as producer,
        pytest.raises(KafkaError),
    ):
        producer.send("no-such-topic", value=CLICK).get(timeout=SECONDS)
    with broker.admin() as admin:
        assert UnknownTopicOrPartitionError.errno == admin.describe_topics(["no-such-topic"])[0]["error_code"]


@pytest.mark.slow
def test_a_crash_loses_nothing_acknowledged(own_broker: MakeBroker) -> None:
    """After SIGKILL and a new start the address, the records and the commits are the same."""
    broker = own_broker()
    clicks = broker.topic("clicks")
    with opened(KafkaProducer, bootstrap_servers=broker.address, transactional_id="t1") as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(clicks, value=CLICK).get(timeout=SECONDS)
        producer.commit_transaction()
    # The commit is acknowledged. Apache Kafka 4.3.1, killed before it has marked the records, may forget to.
    assert [CLICK] == consumed(broker.address, clicks, 1, isolation_level="read_committed")

    broker.kill()
    broker.start()

    assert [CLICK] == consumed(broker.address, clicks, 1, isolation_level="read_committed")


@pytest.mark.slow
def test_a_stop_and_a_start_keep_records(own_broker: MakeBroker) -> None:
    """After SIGTERM and a new start the records are the same."""
    broker = own_broker()
    clicks = broker.topic("clicks")
    produced(broker.address, clicks, CLICK)
    broker.restart()
    assert [CLICK] == consumed(broker.address, clicks, 1)


@pytest.mark.slow
def test_a_paused_broker_answers_only_when_it_resumes(own_broker: MakeBroker) -> None:
    """A client sees a paused broker as silence, and gets its answer when the broker resumes."""
    broker = own_broker()
    clicks = broker.topic("clicks")
    broker.pause()
    with pytest.raises(KafkaError), broker.admin(timeout_ms=1_000):
        pass
    broker.resume()
    produced(broker.address, clicks, CLICK)
    assert [CLICK] == consumed(broker.address, clicks, 1)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("tls", [False, True])
def test_passwords_by_kafka_python(secured_broker: Broker, security: Security, mechanism: str, *, tls: bool) -> None:
    """kafka-python connects with the right password, by every mechanism, with TLS and without."""
    clicks = secured_broker.topic("clicks")
    settings: dict[str, Any] = {
        "security_protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": security.user,
        "sasl_plain_password": security.password,
        "ssl_cafile": str(security.ca_file) if tls else None,
    }
    address = security.sasl_tls if tls else security.sasl
    produced(address, clicks, CLICK, **settings)
    assert [CLICK] == consumed(address, clicks, 1, **settings)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_passwords_by_confluent(secured_broker: Broker, security: Security, mechanism: str) -> None:
    """confluent-kafka connects with the right password, by every mechanism."""
    clicks = secured_broker.topic("clicks")
    produced(secured_broker.address, clicks, CLICK)
    settings = {
        "bootstrap.servers": security.sasl_tls,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": mechanism,
        "sasl.username": security.user,
        "sasl.password": security.password,
        "ssl.ca.location": str(security.ca_file),
    }
    assert CLICK == consumed_by_confluent(settings, clicks)


def test_tokens_by_confluent(secured_broker: Broker, security: Security) -> None:
    """OAUTHBEARER accepts an unsigned token for the user, since this broker checks no signature."""
    clicks = secured_broker.topic("clicks")
    produced(secured_broker.address, clicks, CLICK)
    settings = {
        "bootstrap.servers": security.sasl,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "enable.sasl.oauthbearer.unsecure.jwt": "true",
        "sasl.oauthbearer.config": f"principal={security.user}",
    }
    assert CLICK == consumed_by_confluent(settings, clicks)


class UnsignedToken(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python has no types
    """The token of a company's identity provider, without its signature."""

    def __init__(self, user: str) -> None:
        self._user = user

    def token(self) -> str:
        """A JSON web token for ten minutes."""
        now = int(time.time())
        parts = ({"alg": "none"}, {"sub": self._user, "iat": now, "exp": now + 600})
        encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
        return ".".join([*encoded, ""])


def test_tokens_by_kafka_python(secured_broker: Broker, security: Security) -> None:
    """The default client's OAUTHBEARER accepts an unsigned token too."""
    clicks = secured_broker.topic("clicks")
    settings = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauth_token_provider": UnsignedToken(security.user),
    }
    produced(security.sasl, clicks, CLICK, **settings)
    assert [CLICK] == consumed(security.sasl, clicks, 1, **settings)


def test_tls_without_a_password(secured_broker: Broker, security: Security) -> None:
    """The certificate is for the address, and the client needs only the CA file."""
    clicks = secured_broker.topic("clicks")
    settings = {"security_protocol": "SSL", "ssl_cafile": str(security.ca_file)}
    produced(security.tls, clicks, CLICK, **settings)
    assert [CLICK] == consumed(security.tls, clicks, 1, **settings)


def test_a_wrong_password_is_refused(security: Security) -> None:
    """The secured listener accepts no wrong password."""
    with pytest.raises(KafkaError):
        produced(
            security.sasl,
            "clicks",
            CLICK,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_plain_username=security.user,
            sasl_plain_password="wrong",  # noqa: S106  # that is the point
            bootstrap_timeout_ms=3_000,
            max_block_ms=3_000,
        )


STARTER = """
import json, pathlib, sys, time
from kafka_broker.process import ProcessBroker
broker = ProcessBroker(pathlib.Path(sys.argv[1]))
broker.start()
print(json.dumps(broker.pid), flush=True)
time.sleep(600)
"""


def test_no_broker_outlives_the_tests(broker: Broker, tmp_path: Path, tree: Path) -> None:
    """A broker ends when the process that started it is killed with SIGKILL."""
    if "jars" not in broker.kind:
        pytest.skip("the broker of this run is not a process of ours")
    starter = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", STARTER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tree / "tests" / "support")},
    )
    assert starter.stdout is not None
    pid = json.loads(starter.stdout.readline())
    os.kill(pid, 0)
    starter.kill()
    starter.communicate()
    assert gone(pid)


def gone(pid: int) -> bool:
    """Whether the process ends within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if "\nState:\tZ" in status(pid):
            # Dead; its new parent has not collected it yet.
            return True
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    return False


def status(pid: int) -> str:
    """Return Linux's status of a process; an empty text elsewhere."""
    path = Path(f"/proc/{pid}/status")
    return path.read_text() if path.exists() else ""
