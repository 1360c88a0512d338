"""Brokers that cannot be reached: both clients say why, and what to do."""

import socket

import pytest

from stream_rec.errors import TransportError
from stream_rec.transport.kafka import KafkaClient, open_broker
from stream_rec.transport.timeouts import TransportTimeouts

SOON = TransportTimeouts(first_answer_s=0.05, metadata_try_s=0.05, diagnosis_s=0.5)


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_why_a_broker_cannot_be_reached(client: KafkaClient) -> None:
    """No such host, nothing listens, or what listens speaks something else; each may pass."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        silent.listen()
        cases = {
            "nowhere.invalid:9092,127.0.0.1:9": (
                "there is no host 'nowhere.invalid' (",
                "; nothing listens at 127.0.0.1:9: does the broker run, and are host and port right?",
            ),
            f"127.0.0.1:{port}": ("accepts connections", "is kafka.security.protocol (now PLAINTEXT) what that"),
        }
        for servers, expected in cases.items():
            with pytest.raises(TransportError, match="cannot be reached") as caught:
                open_broker(f"kafka://{servers}", client=client, timeouts=SOON)
            assert caught.value.retriable
            assert [True, True] == [words in caught.value.message for words in expected], caught.value.message
