"""Settings that the operator must fix before a service starts (exit code 2, naming the key), and valid ones."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka_broker import Broker, Security
from serving import serving
from shop import CLIENTS, LOG, Shop, keyed, one_by_one, pairs
from topics import eventually

from stream_rec.cli.main import main
from stream_rec.core.engine import Engine

Refusal = Callable[..., str]


@pytest.fixture
def shop(broker: Broker) -> Shop:
    return Shop(broker)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refusal:
    """Run the command line, which must end with exit code 2, and return what it says."""
    # The command line would replace the root logger's handlers, which are the tests'.
    monkeypatch.setattr("stream_rec.service.metrics.log_setup.log_to_stderr", lambda *_: None)

    def run(*argv: object) -> str:
        assert 2 == main(["run", *map(str, argv)])
        gc.collect()  # a socket that was left to the collector is this test's error
        return capsys.readouterr().err

    return run


@CLIENTS
@pytest.mark.parametrize("missing", ["events", "recommendations", "dead_letters"])
def test_a_topic_that_is_not_there(broker: Broker, shop: Shop, client: str, missing: str) -> None:
    """It is waited for; the log has the key, the topic's name, and two ways to create it."""
    late = f"late-{shop.clicks}-{missing}"
    with serving(shop.address, **{**shop.flags, missing: late}, kafka_client=client) as service:
        eventually(lambda: service.is_over.is_set() or service.kafka_service.problems.now, "a problem")
        (problem,) = service.kafka_service.problems.now
        assert problem.message.startswith(f"{missing}: there is no topic {late!r}")
        assert "--create-topics" in problem.message
        assert f"--create --topic {late}" in problem.message
        broker.topic(late, exact=True)
        service.ready()
        assert [] == service.kafka_service.problems.now


@CLIENTS
def test_a_compacted_topic_of_events(broker: Broker, shop: Shop, refused: Refusal, client: str) -> None:
    """It is refused, since the broker removes clicks that the state holds; the message names the way round."""
    compacted = broker.topic("compacted", config={"cleanup.policy": "compact"})
    argv = shop.argv
    argv[argv.index("--events") + 1] = f"kafka://{shop.address}/{compacted}"
    said = refused(*argv, "--kafka-client", client)
    assert f"stream-rec: events: {compacted} has cleanup.policy=compact" in said
    assert "--allow-compacted" in said
    with serving(shop.address, **{**shop.flags, "events": compacted}, kafka_client=client, allow_compacted=True) as it:
        it.ready()


@CLIENTS
def test_topics_are_created(broker: Broker, client: str) -> None:
    """The service creates topics with the requested partitions and retention; existing ones stay unchanged."""
    shop = Shop(broker)
    fresh = {"recommendations": f"{shop.recs}-made", "dead_letters": f"{shop.dead}-made"}
    shop.produce(*keyed(LOG[:5]))
    flags = {**shop.flags, **fresh, "kafka_client": client}
    made: dict[str, Any] = {"topic_partitions": "3", "topic_retention_ms": "2h"}
    with serving(shop.address, **flags, **made, create_topics=True):
        eventually(shop.is_all_committed, "all")
    assert {shop.clicks: 1, **dict.fromkeys(fresh.values(), 3)} == {
        name: n_partitions(broker, name) for name in [shop.clicks, *fresh.values()]
    }
    assert {"7200000"} == {retention(broker, name) for name in fresh.values()}


def n_partitions(broker: Broker, topic: str) -> int:
    with broker.admin() as admin:
        return len(admin.describe_topics([topic])[0]["partitions"])


def retention(broker: Broker, topic: str) -> str:
    from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415  # late, as in kafka_broker.clients

    with broker.admin() as admin:
        described = admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, ["retention.ms"])], config_filter="all"
        )
        return str(described["topic"][topic]["retention.ms"]["value"])


def test_a_folder_of_snapshots_that_another_service_uses(shop: Shop, refused: Refusal, tmp_path: Path) -> None:
    """Two services that wrote into one folder would each recover the other's state."""
    with serving(shop.address, **shop.flags, snapshots=str(tmp_path)):
        said = refused(*shop.argv, "--snapshots", tmp_path)
    assert "stream-rec: snapshots: " in said
    assert "in use by another process" in said


class TestSecrets:
    """The listener with TLS and passwords."""

    @pytest.fixture
    def shop(self, secured_broker: Broker) -> Shop:
        return Shop(secured_broker)

    @pytest.fixture
    def secrets(self, security: Security, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """Credentials: the name from the environment, the password from a file."""
        monkeypatch.setenv("SHOP_USER", security.user)
        (tmp_path / "password").write_text(security.password + "\n", encoding="utf-8")
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "env:SHOP_USER",
            "sasl.password": f"file:{tmp_path / 'password'}",
            "ssl.ca.location": str(security.ca_file),
        }

    @staticmethod
    def argv(shop: Shop, security: Security, secrets: dict[str, str], client: str) -> list[str]:
        """Return the arguments of a service at the secured listener."""
        at = [word.replace(shop.address, security.sasl_tls) for word in shop.argv]
        return [*at, "--kafka-client", client, *(w for k, v in secrets.items() for w in ("--kafka", f"{k}={v}"))]

    @CLIENTS
    def test_from_a_file_and_from_the_environment(
        self,
        shop: Shop,
        security: Security,
        secrets: dict[str, str],
        client: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """With secrets as flags, then in a settings file, the service connects and answers."""
        shop.produce(*keyed(LOG[:20]))
        given = tuple(f"{key}={value}" for key, value in secrets.items())
        with serving(security.sasl_tls, **shop.flags, kafka=given, kafka_client=client) as service:
            eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "the first")
        monkeypatch.setenv("SHOP_PASSWORD", security.password)
        lines = "".join(
            f'"{key}" = "{value}"\n' for key, value in {**secrets, "sasl.password": "env:SHOP_PASSWORD"}.items()
        )
        config = tmp_path / "shop.toml"
        config.write_text(f"[kafka]\n{lines}", encoding="utf-8")
        shop.produce(*keyed(LOG[20:40]))
        with serving(security.sasl_tls, config=config, **shop.flags, kafka_client=client) as service:
            eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "the second")
        assert one_by_one(LOG[:40], shop.clicks, Engine()) == pairs(shop.answers())

    @CLIENTS
    def test_a_wrong_password(
        self,
        shop: Shop,
        security: Security,
        secrets: dict[str, str],
        refused: Refusal,
        client: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The error has the password's key, and not the password."""
        monkeypatch.setenv("WRONG", "not-the-password")
        argv = self.argv(shop, security, {**secrets, "sasl.password": "env:WRONG"}, client)
        said = refused(*argv)
        assert "stream-rec: kafka.sasl.password: " in said
        assert "not-the-password" not in said + caplog.text

    @CLIENTS
    def test_a_certificate_that_is_not_trusted(
        self, shop: Shop, security: Security, secrets: dict[str, str], refused: Refusal, client: str
    ) -> None:
        """The error names the key of the trusted certificates."""
        less = {key: value for key, value in secrets.items() if key != "ssl.ca.location"}
        said = refused(*self.argv(shop, security, less, client))
        assert "stream-rec: kafka.ssl.ca.location: " in said
        assert security.password not in said

    @CLIENTS
    def test_a_listener_without_tls(
        self, shop: Shop, security: Security, secrets: dict[str, str], refused: Refusal, client: str
    ) -> None:
        """The error names the key of the security protocol."""
        argv = [word.replace(security.sasl_tls, security.sasl) for word in self.argv(shop, security, secrets, client)]
        assert "stream-rec: kafka.security.protocol: " in refused(*argv)
