"""kafka-python leaves no socket to the collector, however a connection ends."""

import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket, create_connection
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport

from stream_rec.transport.kafka.kafka_python.internals import opened


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Every socket that the client makes."""
    sockets: list[socket.socket] = []
    make = KafkaNetSocket.socket

    def remembered(self: KafkaNetSocket, *arguments: Any) -> socket.socket:
        sockets.append(make(self, *arguments))
        return sockets[-1]

    monkeypatch.setattr(KafkaNetSocket, "socket", remembered)
    return sockets


@pytest.fixture
def loop() -> Iterator[NetworkSelector]:
    """The client's loop."""
    made = NetworkSelector()
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """It accepts connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_a_refused_connection(loop: NetworkSelector, made: list[socket.socket]) -> None:
    """Nothing listens there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(KafkaConnectionError):
            loop.run(create_connection, loop, "127.0.0.1", bound.getsockname()[1])
    assert [-1] == [each.fileno() for each in made]


def test_a_connection_that_comes_too_late(
    loop: NetworkSelector, made: list[socket.socket], server: socket.socket
) -> None:
    """Its time is over before it begins."""
    with pytest.raises(KafkaConnectionError, match="timed out"):
        loop.run(create_connection, loop, "127.0.0.1", server.getsockname()[1], (), None, time.monotonic() - 1)
    assert [-1] == [each.fileno() for each in made]


def test_a_failed_handshake(loop: NetworkSelector, server: socket.socket) -> None:
    """The peer ends it."""
    ours = socket.create_connection(server.getsockname())
    theirs, _ = server.accept()
    theirs.close()
    ours.settimeout(0)
    transport = KafkaSSLTransport(loop, ours, host="127.0.0.1", ssl_context=ssl.create_default_context())
    secured = transport._sock
    with pytest.raises(OSError, match=r"EOF|reset|Broken"):
        loop.run(transport.handshake)
    assert -1 == secured.fileno()


def test_a_client_that_ends_amid_its_work(made: list[socket.socket], server: socket.socket) -> None:
    """Sockets that its loop waits for are closed with it, also where the client has forgotten them."""
    clients: list[Any] = []

    def make(kafka_client: Any, **settings: Any) -> Any:
        clients.append(kafka_client(**settings))
        return clients[-1]

    client: KafkaNetClient = opened(make, {"bootstrap_servers": "127.0.0.1:1", "api_version": (3, 0)})
    forgotten = socket.create_connection(server.getsockname())
    client._net.add_reader(forgotten, lambda: None)
    client.close()
    assert -1 == forgotten.fileno()
