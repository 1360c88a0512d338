"""Services with HTTP in this process, and a client for them, for tests of the API."""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from stream_rec.core.engine import Engine
from stream_rec.core.events import EventDecoder, EventEncoder
from stream_rec.service.assembly.standalone import build_standalone_service
from stream_rec.service.committing.destinations import OutputDestinations
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.processing.processor import Processor
from stream_rec.service.reporting.status import StatsTaker
from stream_rec.service.requests.ingest import TopicIngest
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.running.reporter import Reporter
from stream_rec.settings import load
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.web.context import CallLimits
from stream_rec.web.serve import build_server
from stream_rec.web.server import Server

SECONDS = 20.0


class Reply(NamedTuple):
    """A response."""

    status: int
    json: Any
    headers: dict[str, str]
    text: str


class Client:
    """Calls one server over one connection. For one thread."""

    def __init__(self, port: int, key: str | None = None) -> None:
        self.port = port
        self._key = key
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

    def __del__(self) -> None:
        self._connection.close()

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Call the server; a body that is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        if self._key is not None:
            headers.setdefault("authorization", f"Bearer {self._key}")
        self._connection.request(method, quote(path, safe="/:?=&%+.,[]"), data, headers)
        reply = self._connection.getresponse()
        text = reply.read()
        is_json = reply.headers.get_content_type() == "application/json"
        parsed = msgspec.json.decode(text) if is_json and text else None
        return Reply(reply.status, parsed, {k.lower(): v for k, v in reply.headers.items()}, text.decode())

    def get(self, path: str) -> Any:
        """Return the JSON of a GET that must succeed."""
        reply = self("GET", path)
        assert reply.status == 200, reply
        return reply.json

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON of a POST that must succeed."""
        reply = self("POST", path, body)
        assert reply.status in {200, 202}, reply
        return reply.json


def is_ended(connection: socket.socket) -> bool:
    """Whether the server ends *connection* without a word: in order, or reset, where it has not read all."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


class Running(NamedTuple):
    """A running service, its server, and a client of it."""

    client: Client
    server: Server
    served: ServiceHandle


def eventually(holds: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not {what} in time"
        time.sleep(0.01)


@contextlib.contextmanager
def embedded(key: str | None = None, **flags: Any) -> Iterator[Running]:
    """A service without a broker, with these settings; ready when entered, ended in good order with the block."""
    settings = load(flags={"events": "http", "http": "127.0.0.1:0", **flags})
    stop = threading.Event()
    failures: list[BaseException] = []
    with ExitStack() as undo:
        run, served = build_standalone_service(settings, undo)
        server = build_server(settings, served)
        undo.callback(server.close)
        server.start()

        def go() -> None:
            try:
                run.run(stop.is_set)
            except BaseException as error:  # noqa: BLE001  # the test sees it below
                failures.append(error)

        thread = threading.Thread(target=go, name="recommender")
        thread.start()
        try:
            eventually(lambda: failures or served.status().is_ready, "ready")
            yield Running(Client(server.port, key), server, served)
        finally:
            stop.set()
            thread.join(SECONDS)
        assert not thread.is_alive()
        assert [] == failures


@contextlib.contextmanager
def on_broker(broker: MemoryBroker, limits: CallLimits | None = None) -> Iterator[Running]:
    """A service on a broker in memory that has the topics `clicks` and `recs`; ready when entered."""
    request_queue, taker = RequestQueue(), StatsTaker()
    reporter = Reporter(None, taker, None)
    components = ServiceComponents(
        broker,
        "clicks",
        RecordDecoder(EventDecoder()),
        lambda counters, metrics: Processor(Engine(), counters=counters, metrics=metrics),
        OutputDestinations(answers_topic="recs"),
        transactional_id="one",
        listener=taker,
        request_queue=request_queue,
    )
    service = KafkaService(lambda _: components)
    ingest = TopicIngest(lambda: broker, "clicks", EventEncoder())
    served = ServiceHandle(request_queue, ingest, lambda: reporter.status(service), lambda: service.is_ready)
    server = Server(served, "127.0.0.1:0", limits=limits).start()
    stop = threading.Event()
    # The broker never waits: without a pause at each turn, the loop keeps the interpreter from the other threads.
    thread = threading.Thread(target=lambda: service.run(lambda: stop.wait(0.001)), name="service")
    thread.start()
    try:
        eventually(lambda: served.status().is_ready, "ready")
        yield Running(Client(server.port), server, served)
    finally:
        stop.set()
        thread.join(SECONDS)
        ingest.close()
        server.close()
    assert not thread.is_alive()
