"""TLS, passwords and tokens with both clients; errors name the wrong setting, and no secret ever shows."""

import base64
import gc
import http.server
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka_broker import Security
from subjects import fresh, read

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.broker import Broker, ProducerRecord, TopicSpec
from stream_rec.transport.kafka import KafkaClient, open_broker

PASSWORD = "STREAM_REC_TEST_PASSWORD"  # noqa: S105 (the name of a variable)


@pytest.fixture(autouse=True)
def no_dropped_sockets() -> Iterator[None]:
    """A socket that was left to the collector is this test's error, and not that of a later one."""
    yield
    gc.collect()


@pytest.fixture(params=["kafka-python", "confluent"])
def client(request: pytest.FixtureRequest) -> KafkaClient:
    """One client after the other."""
    chosen: KafkaClient = request.param
    return chosen


def works(broker: Broker) -> None:
    """Create a topic, write to it and read it, with all parts of the client."""
    topic = fresh("secured")
    broker.create_topics([TopicSpec(topic, 1)])
    writer = broker.writer(fresh("writer"))
    writer.begin()
    writer.send([ProducerRecord(topic, b"a")])
    writer.commit()
    reader = broker.reader()
    reader.assign(dict.fromkeys(broker.partitions(topic), 0))
    assert [b"a"] == [record.value for record in read(reader, 1)]
    reader.close()
    writer.close()
    broker.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_passwords(client: KafkaClient, security: Security, monkeypatch: pytest.MonkeyPatch, mechanism: str) -> None:
    """With each mechanism the right password is accepted, over TLS."""
    monkeypatch.setenv(PASSWORD, security.password)
    config = {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(security.ca_file),
        "sasl.mechanism": mechanism,
        "sasl.username": security.user,
        "sasl.password": f"env:{PASSWORD}",
    }
    works(open_broker(f"kafka://{security.sasl_tls}", client=client, config=config))


def test_tls_alone(client: KafkaClient, security: Security) -> None:
    """The client trusts the certificate that the setting names."""
    config = {"security.protocol": "SSL", "ssl.ca.location": str(security.ca_file)}
    works(open_broker(f"kafka://{security.tls}", client=client, config=config))


def test_a_certificate_that_is_not_trusted(client: KafkaClient, security: Security) -> None:
    """Without the file of trusted certificates, the error asks for that file."""
    with pytest.raises(SettingsError) as caught:
        open_broker(f"kafka://{security.tls}", client=client, config={"security.protocol": "SSL"})
    assert "kafka.ssl.ca.location" == caught.value.key


def test_tls_where_there_is_none(client: KafkaClient, security: Security) -> None:
    """The error for a listener without TLS differs from that for a broker that is away."""
    with pytest.raises(SettingsError) as caught:
        open_broker(f"kafka://{security.sasl}", client=client, config={"security.protocol": "SSL"})
    assert "kafka.security.protocol" == caught.value.key


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_wrong_password(
    client: KafkaClient, security: Security, tmp_path: Path, caplog: pytest.LogCaptureFixture, mechanism: str
) -> None:
    """The error names the password's setting, and neither error nor log nor repr shows the password."""
    wrong = "wr0ng-s3cret"
    (tmp_path / "password").write_text(f"{wrong}\n")
    config = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": security.user,
        "sasl.password": f"file:{tmp_path / 'password'}",
    }
    with caplog.at_level(logging.DEBUG), pytest.raises(SettingsError) as caught:
        open_broker(f"kafka://{security.sasl}", client=client, config=config)
    assert "kafka.sasl.password" == caught.value.key
    assert wrong not in str(caught.value)
    assert wrong not in caplog.text


def test_the_password_is_nowhere_to_be_seen(
    client: KafkaClient, security: Security, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The right password shows neither in the parts' reprs nor in the log, at any level."""
    monkeypatch.setenv(PASSWORD, security.password)
    config = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": security.user,
        "sasl.password": f"env:{PASSWORD}",
    }
    with caplog.at_level(logging.DEBUG):
        broker = open_broker(f"kafka://{security.sasl}", client=client, config=config)
        parts: list[Any] = [broker, broker.reader(), broker.writer(None)]
        works(broker)
    assert security.password not in caplog.text
    assert security.password not in repr(parts)
    for part in parts:
        part.close()


def test_a_broker_that_asks_for_a_password(client: KafkaClient, security: Security) -> None:
    """A client without credentials is refused, and does not wait for ever."""
    with pytest.raises((SettingsError, TransportError)):
        open_broker(f"kafka://{security.sasl}", client=client, config={})


class TokenEndpoint(http.server.BaseHTTPRequestHandler):
    """A token endpoint: unsigned tokens for one client, refusals for all others."""

    def do_POST(self) -> None:
        expected = "Basic " + base64.b64encode(b"app:s3cret").decode()
        is_known = self.headers["Authorization"] == expected
        body = json.dumps({"access_token": token(), "expires_in": 300, "token_type": "Bearer"}).encode()
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body if is_known else b"{}")

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def token() -> str:
    import time  # noqa: PLC0415 (here only)

    parts = [{"alg": "none", "typ": "JWT"}, {"sub": "shop", "iat": time.time() - 5, "exp": time.time() + 300}]
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), ""])


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A running token endpoint."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenEndpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()


def oauth(endpoint: str) -> dict[str, str]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": "app",
        "sasl.oauthbearer.client.secret": f"env:{PASSWORD}",
        "sasl.oauthbearer.token.endpoint.url": endpoint,
    }


def test_tokens(client: KafkaClient, security: Security, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OAUTHBEARER fetches its token where the settings say."""
    monkeypatch.setenv(PASSWORD, "s3cret")
    works(open_broker(f"kafka://{security.sasl}", client=client, config=oauth(endpoint)))


def test_a_token_that_is_refused(
    client: KafkaClient, security: Security, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong credentials for the token endpoint are a SettingsError."""
    monkeypatch.setenv(PASSWORD, "wr0ng")
    with pytest.raises(SettingsError, match=r"kafka\.sasl\.") as caught:
        open_broker(f"kafka://{security.sasl}", client=client, config=oauth(endpoint))
    assert "wr0ng" not in str(caught.value)
