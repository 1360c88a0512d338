"""Addresses of topics, and the settings of Kafka clients: accepted ones, refused ones, and the errors."""

import logging
import sys
from pathlib import Path
from typing import Any

import kafka.codec
import pytest
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from stream_rec.errors import SettingsError, TransportError
from stream_rec.settings import load
from stream_rec.transport.kafka import Address, open_broker, parse_address
from stream_rec.transport.kafka.config import Config, Role, read_config
from stream_rec.transport.kafka.confluent.config import confluent_settings, refused
from stream_rec.transport.kafka.kafka_python import broker as _python
from stream_rec.transport.kafka.kafka_python.broker import CLIENT_DEFAULTS
from stream_rec.transport.kafka.kafka_python.config import python_settings
from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors
from stream_rec.transport.timeouts import TransportTimeouts

CODECS = {"snappy": 2, "lz4": 3, "zstd": 4}
SECRET = "hunter2-s3cret"  # noqa: S105 (it is none)


def python(role: Role = "consumer", /, **given: str) -> dict[str, Any]:
    """The settings for kafka-python, from names with underscores for dots."""
    return python_settings(config(**given), role, CLIENT_DEFAULTS, TransportTimeouts())


def config(**given: str) -> Config:
    return read_config({name.replace("__", "."): value for name, value in given.items()}, {"SECRET": SECRET})


class TestAddresses:
    """kafka://host:port,host:port/topic."""

    @pytest.mark.parametrize(
        ("text", "servers", "topic"),
        [
            ("kafka://localhost:9092/clicks", "localhost:9092", "clicks"),
            ("kafka://b1/clicks", "b1:9092", "clicks"),
            ("kafka://b1:1,b2.example.org:2,10.0.0.1/a.b_c-d", "b1:1,b2.example.org:2,10.0.0.1:9092", "a.b_c-d"),
            ("kafka://[::1]:9093/clicks", "[::1]:9093", "clicks"),
            ("kafka://[::1]/clicks", "[::1]:9092", "clicks"),
        ],
    )
    def test_accepted(self, text: str, servers: str, topic: str) -> None:
        """Several brokers, omitted ports, IPv4 and IPv6."""
        assert Address(servers, topic) == parse_address(text, "events")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("kafka://localhost:9092", "names no topic"),
            ("kafka://localhost:9092/", "names no topic"),
            ("kafka://localhost:9092/a/b", "no name of a topic"),
            ("kafka://localhost:9092/a b", "no name of a topic"),
            ("kafka://localhost:9092/..", "no name of a topic"),
            ("kafka:///clicks", "found nothing"),
            ("kafka://b1:9092,,b2/clicks", "found nothing"),
            ("kafka://b 1/clicks", "'b 1'"),
            ("kafka://b1:http/clicks", "expected a port"),
            ("kafka://b1:99999/clicks", "expected a port"),
            ("kafka:b1/clicks", "expected an address"),
            ("clicks.jsonl", "expected an address"),
        ],
    )
    def test_refused(self, text: str, expected: str) -> None:
        """The error names the mistake, with an example of an address."""
        with pytest.raises(SettingsError, match="kafka://") as caught:
            parse_address(text, "events")
        assert "events" == caught.value.key
        assert expected in caught.value.message

    def test_credentials_in_an_address(self) -> None:
        """The error does not repeat them, and names the settings for them."""
        with pytest.raises(SettingsError, match=r"kafka\.sasl\.password") as caught:
            parse_address(f"kafka://shop:{SECRET}@b1/clicks", "events")
        assert SECRET not in str(caught.value)


class TestSecretSettings:
    """By reference only, and never shown."""

    @pytest.mark.parametrize(
        "key",
        ["sasl.password", "sasl_plain_password", "ssl.key.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"],
    )
    def test_plain_ones_are_refused(self, key: str) -> None:
        """The error says what to write instead, and does not show the secret."""
        with pytest.raises(SettingsError, match=r"env:NAME.*file:PATH") as caught:
            read_config({key: SECRET})
        assert f"kafka.{key}" == caught.value.key
        assert SECRET not in str(caught.value)

    def test_from_the_environment_and_from_files(self, tmp_path: Path) -> None:
        """A file may end with a newline, as editors write it."""
        (tmp_path / "password").write_text(f"{SECRET}\n")
        base = {"security.protocol": "SASL_SSL"}
        for reference in ("env:SECRET", f"file:{tmp_path / 'password'}"):
            read = read_config({**base, "sasl.password": reference}, {"SECRET": SECRET})
            assert SECRET == read.of("consumer")["sasl.password"]
            assert SECRET not in repr(read)
            assert "(hidden) or so" == read.hide(f"{SECRET} or so")

    @pytest.mark.parametrize("reference", ["env:NOT_SET", "env:", "file:/no/such/file", "file:"])
    def test_references_to_nothing(self, reference: str) -> None:
        """A SettingsError."""
        with pytest.raises(SettingsError, match=r"kafka\.sasl\.password"):
            read_config({"security.protocol": "SASL_SSL", "sasl.password": reference}, {})

    def test_an_empty_file(self, tmp_path: Path) -> None:
        """An empty file is an error, not an empty secret."""
        (tmp_path / "password").write_text("\n")
        with pytest.raises(SettingsError, match="empty"):
            read_config({"sasl.password": f"file:{tmp_path / 'password'}"}, {})

    def test_a_slip_on_the_command_line_repeats_nothing(self) -> None:
        """An argument without an equals sign may contain a password."""
        with pytest.raises(SettingsError) as caught:
            load(flags={"events": "-", "kafka": [f"sasl.password:{SECRET}"]})
        assert SECRET not in str(caught.value)


class TestBothClients:
    """Checks that need no client."""

    @pytest.mark.parametrize(
        "key",
        ["group.id", "enable.auto.commit", "isolation.level", "transactional.id", "bootstrap.servers",
         "consumer.group.id", "auto_offset_reset", "partitioner", "producer.acks"],
    )  # fmt: skip
    def test_fixed_settings(self, key: str) -> None:
        """They are refused under either spelling, for any part, with the reason."""
        with pytest.raises(SettingsError, match="cannot be set: ") as caught:
            read_config({key: "x"})
        assert f"kafka.{key}" == caught.value.key

    def test_credentials_that_would_not_be_used(self) -> None:
        """A user name without a protocol that uses it is a mistake."""
        with pytest.raises(SettingsError, match="SASL_SSL") as caught:
            config(sasl__username="shop")
        assert "kafka.security.protocol" == caught.value.key

    def test_settings_of_one_part(self) -> None:
        """A prefix makes a setting one part's, which comes before that of all parts."""
        read = config(linger__ms="5", producer__linger__ms="9", consumer__fetch__min__bytes="2")
        assert {"linger.ms": "9"} == read.of("producer")
        assert {"linger.ms": "5", "fetch.min.bytes": "2"} == read.of("consumer")

    def test_a_client_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error names its extra."""
        for name in [name for name in sys.modules if name.startswith("stream_rec.transport.kafka.confluent.broker")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "confluent_kafka", None)
        with pytest.raises(SettingsError, match=r"pip install 'stream-rec\[confluent\]'") as caught:
            open_broker("kafka://b1", client="confluent")
        assert "kafka_client" == caught.value.key


class TestKafkaPython:
    """Kafka's names, librdkafka's and its own; values by the type of its defaults."""

    def test_names_and_types(self) -> None:
        """Whole numbers, switches, choices in capitals, and none."""
        given = python(
            "producer",
            request__timeout__ms="5000",
            linger_ms="3",
            compression__type="none",
            message__max__bytes="1000",
            client__id="me",
        )
        assert {
            "request_timeout_ms": 5000,
            "linger_ms": 3,
            "compression_type": None,
            "max_request_size": 1000,
            "client_id": "me",
        } == given
        assert {"check_crcs": False, "fetch_max_wait_ms": 7} == python(check__crcs="false", fetch__wait__max__ms="7")

    def test_settings_of_some_parts(self) -> None:
        """A setting of all parts goes to those that have it."""
        assert {} == python("admin", linger__ms="5")

    def test_credentials(self) -> None:
        """Under Kafka's and librdkafka's names."""
        given = {"security__protocol": "sasl_plaintext", "sasl__mechanism": "scram-sha-256", "sasl__username": "u"}
        given["sasl__password"] = "env:SECRET"  # noqa: S105 (a reference to one)
        assert {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": "u",
            "sasl_plain_password": SECRET,
        } == python(**given)

    @pytest.mark.parametrize(
        ("key", "meant"),
        [
            ("request.timeout", "request.timeout.ms"),
            ("compresion.type", "compression.type"),
            ("sasl.user", "sasl.username"),
        ],
    )
    def test_misspelt_names(self, key: str, meant: str) -> None:
        """The error suggests the most similar name."""
        with pytest.raises(SettingsError, match=f"did you mean '{meant}'") as caught:
            python_settings(
                read_config({"security.protocol": "SASL_SSL", key: "1"}),
                "consumer",
                CLIENT_DEFAULTS,
                TransportTimeouts(),
            )
        assert f"kafka.{key}" == caught.value.key

    def test_a_setting_of_another_part(self) -> None:
        """A scope that does not have it is an error, though others have."""
        with pytest.raises(SettingsError) as caught:
            python(consumer__linger__ms="5")
        assert "kafka.consumer.linger.ms" == caught.value.key

    @pytest.mark.parametrize("key", ["ssl_context", "kafka_client", "metric_reporters", "socket_options"])
    def test_objects(self, key: str) -> None:
        """Settings that are Python objects are refused."""
        with pytest.raises(SettingsError):
            python(**{key: "x"})

    @pytest.mark.parametrize(("key", "value"), [("request.timeout.ms", "soon"), ("check.crcs", "perhaps")])
    def test_values_of_a_wrong_type(self, key: str, value: str) -> None:
        """The error says what was expected."""
        with pytest.raises(SettingsError, match=f"expected .*, found '{value}'") as caught:
            python_settings(read_config({key: value}), "consumer", CLIENT_DEFAULTS, TransportTimeouts())
        assert f"kafka.{key}" == caught.value.key

    @pytest.mark.parametrize("key", ["ssl.ca.location", "ssl.certificate.location"])
    def test_files_of_certificates(self, tmp_path: Path, key: str) -> None:
        """The error names a file that is missing or wrong, before any connection."""
        (tmp_path / "ca.pem").write_text("no certificate")
        for path in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
            with pytest.raises(SettingsError) as caught:
                python(security__protocol="SSL", **{key.replace(".", "__"): str(path)})
            assert f"kafka.{key}" == caught.value.key

    @pytest.mark.parametrize("algorithm", ["https", "none"])
    def test_names_in_certificates(self, algorithm: str) -> None:
        """They are checked unless a setting says otherwise; the certificate always is."""
        context = python(security__protocol="SSL", ssl__endpoint__identification__algorithm=algorithm)["ssl_context"]
        assert (algorithm == "https") == context.check_hostname
        assert context.verify_mode.name == "CERT_REQUIRED"

    def test_tokens_need_an_endpoint(self) -> None:
        """The error names the missing setting."""
        with pytest.raises(SettingsError) as caught:
            python(security__protocol="SASL_SSL", sasl__mechanism="OAUTHBEARER", sasl__oauthbearer__client__id="app")
        assert "kafka.sasl.oauthbearer.client.secret" == caught.value.key


class TestConfluent:
    """librdkafka uses Kafka's names."""

    def test_settings_of_another_part_are_left_out(self) -> None:
        """It would log a warning about a setting of another part."""
        read = config(linger__ms="5", fetch__min__bytes="2", client__id="me")
        assert {"linger.ms": "5", "client.id": "me"} == confluent_settings(read, "producer")
        assert {"fetch.min.bytes": "2", "client.id": "me"} == confluent_settings(read, "consumer")
        assert {"client.id": "me"} == confluent_settings(read, "admin")

    def test_misspelt_names_and_wrong_values(self) -> None:
        """The error has the setting that librdkafka names."""
        pytest.importorskip("confluent_kafka")
        for key, expected in (
            ("sokcet.timeout.ms", "did you mean 'socket.timeout.ms'"),
            ("socket.timeout.ms", "Invalid value"),
        ):
            with pytest.raises(SettingsError, match=expected) as caught:
                open_broker("kafka://127.0.0.1:1", client="confluent", config={key: "soon"})
            assert f"kafka.{key}" == caught.value.key

    def test_an_error_without_quotes(self) -> None:
        """Its key is `kafka`."""
        assert "kafka" == refused(config(), "producer", "`a` must be larger than `b`").key


@pytest.mark.parametrize(("before", "after"), [(logging.CRITICAL, logging.CRITICAL), (logging.DEBUG, logging.INFO)])
def test_secrets_never_make_the_client_louder(monkeypatch: pytest.MonkeyPatch, before: int, after: int) -> None:
    """With secrets the client does not log every byte; a higher level stays as it is."""
    monkeypatch.setattr(_python, "KafkaAdminClient", lambda **_: None)
    monkeypatch.setattr(_python, "advertised", lambda _: [])
    log = logging.getLogger("kafka")
    kept = log.level
    log.setLevel(before)
    try:
        given = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.password": "env:SECRET"}
        _python.PythonBroker("localhost:9092", read_config(given, {"SECRET": "x"}), TransportTimeouts())
        assert after == log.level
    finally:
        log.setLevel(kept)


def test_a_missing_leader_is_retriable() -> None:
    """A partition has no leader for a moment while its broker starts."""
    import kafka.errors as theirs  # noqa: PLC0415  # the client, for this test alone

    from stream_rec.transport.kafka.config import read_config  # noqa: PLC0415
    from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors  # noqa: PLC0415

    error = KafkaPythonErrors("broker:9092", read_config({}), TransportTimeouts()).translated(
        theirs.UnknownBrokerIdError(-1), "asking for ends"
    )
    assert isinstance(error, TransportError)
    assert error.retriable


class TestMissingCodecs:
    """kafka-python reads and writes three codecs by libraries that the newest Python may have no wheels of."""

    @pytest.mark.parametrize(("codec", "library"), [("lz4", "lz4"), ("snappy", "snappy"), ("zstd", "zstd")])
    def test_what_to_install(self, monkeypatch: pytest.MonkeyPatch, codec: str, library: str) -> None:
        """A producer that is to write it is a wrong setting; a batch that holds it stops the reader. Both say it."""
        builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, -1, 1 << 20)
        builder.append(0, 1000, None, b"x" * 1000, [])
        batch = bytes(builder.build())
        assert codec == python("producer", compression__type=codec)["compression_type"]
        monkeypatch.setattr(kafka.codec, library, None)
        with pytest.raises(SettingsError, match=rf"{codec} is not installed.*'stream-rec\[codecs\]'") as refused:
            python("producer", compression__type=codec.upper())
        assert "kafka.compression.type" == refused.value.key
        errors = KafkaPythonErrors("broker:9092", config(), TransportTimeouts())
        with (
            pytest.raises(TransportError, match=rf"{codec}.*not found: pip install 'stream-rec\[codecs\]'") as stopped,
            errors.during("reading clicks"),
        ):
            list(DefaultRecordBatch(batch))
        assert not stopped.value.retriable

    def test_none_and_gzip_need_nothing(self) -> None:
        """They are never asked for a library."""
        assert "gzip" == python("producer", compression__type="gzip")["compression_type"]
        assert python("producer", compression__type="none")["compression_type"] is None
