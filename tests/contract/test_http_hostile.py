"""Clients that break the rules of HTTP, hang up, or want too much: they hurt nobody else, and never fill the log."""

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from web import Client, Running, embedded, eventually, is_ended, on_broker

from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.web import openapi
from stream_rec.web.context import CallLimits
from stream_rec.web.meter import REFUSED
from stream_rec.web.stats import Stats

HOST = b"host: localhost\r\n"
EVENT = b'{"session_id":"a","item_id":"i"}'


@pytest.fixture
def running() -> Iterator[Running]:
    """A service that holds at most 64 * 4 KiB of unanswered requests."""
    with on_broker(MemoryBroker({"clicks": 1, "recs": 1}), CallLimits(max_body_bytes=1 << 12)) as running:
        running.client.post("/v1/events", {"session_id": "a", "item_id": "i"})
        eventually(lambda: running.served.status().counts.n_applied == 1, "applied")
        yield running


def connect(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.server.port), timeout=10)


def exchange(running: Running, *parts: bytes, answers: int = 1) -> bytes:
    """Send *parts*, each in a write of its own; return what comes back, *answers* of them or all before the end."""
    with connect(running) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02 * (len(parts) > 1))
        got = b""
        while got.count(b"HTTP/1.1 ") < answers or not got.endswith((b"}", b"\n")):
            try:
                more = connection.recv(1 << 16)
            except ConnectionError:
                break
            if not more:
                break
            got += more
        return got


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def refusals(running: Running) -> dict[int, int]:
    """Return how many requests were refused before they reached an endpoint, by status."""
    return {code: n for (name, code), n in running.server.api.http.counts.items() if name == REFUSED}


def is_alive(port: int) -> bool:
    """Whether a new client gets an answer."""
    try:
        return Client(port)("GET", "/livez").status == 200
    except ConnectionError:
        return False


def hang_up(connection: socket.socket) -> None:
    """Close with a reset, as a browser does that leaves a page."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/stream HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/sessions/a/recommendations HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /docs HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: 90000\r\n" + HOST + b"\r\n{" + b" " * 70_000,
    ],
)
def test_clients_that_hang_up_leave_no_trace_in_the_log(
    running: Running, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Not while they are answered, and not while they stream figures: a page that is left is no error."""
    with caplog.at_level(logging.WARNING):
        for seconds in (0.0, 0.0, 0.001, 0.003, 0.01) * 8:
            connection = connect(running)
            connection.sendall(request_bytes)
            time.sleep(seconds)
            hang_up(connection)
        time.sleep(1.3)  # a stream writes once a second
        assert 200 == running.client("GET", "/livez").status
    assert [] == caplog.records


@pytest.mark.parametrize("parts", [1, 2])
def test_a_long_head_is_refused_however_it_arrives(running: Running, parts: int) -> None:
    """A head of more than 64 KiB, in one read or in several, in one header or in many."""
    for head in (
        b"x: " + b"a" * 70_000 + b"\r\n",
        b"".join(b"x%d: %s\r\n" % (n, b"a" * 100) for n in range(700)),
    ):
        whole = b"GET /livez HTTP/1.1\r\n" + HOST + head + b"\r\n"
        cut = len(whole) // parts
        assert 431 == status(exchange(running, *([whole] if parts == 1 else [whole[:cut], whole[cut:]])))
    whole = b"GET /livez?" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    assert 431 == status(exchange(running, whole))
    allowed = b"GET /livez HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 60_000 + b"\r\n\r\n"
    assert 200 == status(exchange(running, allowed))
    assert {431: 3} == refusals(running)


def test_trailers_are_dropped(running: Running) -> None:
    """What comes behind a body is no header; and while it comes, it counts as held."""
    head = b"POST /v1/events HTTP/1.1\r\ntransfer-encoding: chunked\r\n" + HOST + b"\r\n"
    body = b"%x\r\n%s\r\n0\r\n" % (len(EVENT), EVENT)
    assert 202 == status(exchange(running, head + body + b"host: evil.example\r\n\r\n"))
    with contextlib.suppress(ConnectionError):
        exchange(running, head + body, *[b"x: " + b"a" * 100_000 + b"\r\n"] * 5)
    eventually(lambda: {503: 1} == refusals(running), "refused")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (HOST + b"host: evil.example\r\n", "the header host is given twice"),
        (HOST + HOST, "the header host is given twice"),
        (b"", "expected the header host, found none"),
        (HOST + b"origin: http://localhost\r\norigin: http://evil.example\r\n", "the header origin is given twice"),
        (HOST + b"authorization: Bearer a\r\nAuthorization: Bearer b\r\n", "the header authorization is given twice"),
    ],
)
def test_headers_that_decide_who_may_call_are_given_once(running: Running, headers: bytes, expected: str) -> None:
    """Of two, a proxy could have judged the one, and the service would obey the other (RFC 9112, 3.2)."""
    answer = exchange(running, b"GET /livez HTTP/1.1\r\n" + headers + b"\r\n")
    assert 400 == status(answer)
    assert expected == msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])["error"]["message"]
    assert answer.endswith(b"}"), "nothing more is answered on this connection"


def test_a_client_of_http_1_0_needs_no_host(running: Running) -> None:
    """Old health checks send none."""
    assert 200 == status(exchange(running, b"GET /livez HTTP/1.0\r\n\r\n"))


@pytest.mark.parametrize("wanted", [b"websocket", b"h2c"])
def test_an_upgrade_is_ignored(running: Running, wanted: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Java's client asks for HTTP/2 with its first request: it is answered, body and next request included."""
    upgrade = HOST + b"connection: Upgrade, HTTP2-Settings\r\nupgrade: " + wanted + b"\r\nhttp2-settings: AAEA\r\n"
    post = b"POST /v1/events HTTP/1.1\r\ncontent-length: %d\r\n%s\r\n%s" % (len(EVENT), upgrade, EVENT)
    get = b"GET /livez HTTP/1.1\r\n" + upgrade + b"\r\n"
    with caplog.at_level(logging.WARNING):
        for answer in (exchange(running, post + get + get, answers=3), exchange(running, post, get, get, answers=3)):
            assert [b"202", b"200", b"200"] == [each.split(b" ")[0] for each in answer.split(b"HTTP/1.1 ")[1:]]
        head, _, body = post.partition(b"\r\n\r\n")
        assert 202 == status(exchange(running, head + b"\r\n\r\n", body))
        closing = get.replace(b"connection: Upgrade", b"connection: close, Upgrade")
        assert b"connection: close" in exchange(running, closing + get)
        assert 405 == status(exchange(running, b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + b"\r\n"))
    assert [] == caplog.records


@pytest.mark.parametrize(
    "trash", [b"\x16\x03\x01\x02", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n"]
)
def test_what_is_not_http_is_refused_and_counted(
    running: Running, trash: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """In the one shape of errors, and without a line in the log for each: a scanner would fill it."""
    with caplog.at_level(logging.WARNING):
        answer = exchange(running, trash)
    assert 400 == status(answer)
    assert "malformed" == msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])["error"]["code"]
    assert ([], {400: 1}) == (caplog.records, refusals(running))


def test_a_refusal_is_not_taken_for_the_answer_to_an_earlier_request(running: Running) -> None:
    """If the first of two requests on a connection is not answered yet, the second is refused by closing it."""
    first = b"POST /v1/events:recommend HTTP/1.1\r\ncontent-length: %d\r\n%s\r\n" % (len(EVENT) + 10, HOST)
    answer = exchange(running, first + b'{"event":' + EVENT + b"}" + b"trash\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 400")


def test_pipelined_requests_are_limited(running: Running) -> None:
    """A hundred may wait on one connection; more would be held in memory before the first is answered."""
    one = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
    assert 100 == exchange(running, one * 100, answers=100).count(b"200 OK")
    exchange(running, one * 2000, answers=2000)
    assert {429: 1} == refusals(running)


def test_all_connections_together_hold_a_limited_number_of_bytes(running: Running) -> None:
    """Beyond it, long bodies are refused with 503 and short calls are answered; what is held is given back."""
    shared = 64 << 12
    head = b"POST /v1/events HTTP/1.1\r\ncontent-length: 100000\r\n" + HOST + b"\r\n"
    with contextlib.ExitStack() as undo:
        holders = [undo.enter_context(connect(running)) for _ in range(40)]
        for holder in holders:
            with contextlib.suppress(ConnectionError):
                holder.sendall(head + b" " * 20_000)  # beyond the limit of a body, but it is not read to its end
        pages = [undo.enter_context(connect(running)) for _ in range(40)]
        for page in pages:
            with contextlib.suppress(ConnectionError):
                page.sendall(head.replace(b"POST /v1/events", b"GET /docs") + b" " * 20_000)
        heads = [undo.enter_context(connect(running)) for _ in range(40)]
        for each in heads:
            with contextlib.suppress(ConnectionError):
                each.sendall(b"GET /livez HTTP/1.1\r\nx: " + b"a" * 20_000)
        eventually(lambda: 503 in refusals(running), "refused")
        running.client.post("/v1/events", {"session_id": "a", "item_id": "i"})
        held = running.server.connections.n_bytes
        assert held <= shared + 120 * (1 << 14)
    eventually(lambda: running.server.connections.n_bytes == 0, "given back")


def test_many_ids_in_a_call_are_refused(running: Running) -> None:
    """Ten thousand in all lists of a call: reading more of them would stop all other calls."""
    with embedded() as roomy:
        ids = [str(n) for n in range(10_001)]
        bodies: list[dict[str, Any]] = [
            {"items": ids},
            {"session_id": "a", "exclude": ids},
            {"session_id": "a", "exclude": ids[:6000], "allow": ids[:6000]},
            {"requests": [{"session_id": "a", "exclude": ids[:200]}] * 60},
        ]
        for body in bodies:
            reply = roomy.client("POST", "/v1/recommendations", body)
            assert (413, "too_many") == (reply.status, reply.json["error"]["code"])
        body = {"event": {"session_id": "a", "item_id": "i"}, "exclude": ids}
        assert 413 == roomy.client("POST", "/v1/events:recommend", body).status
        assert 200 == roomy.client("POST", "/v1/recommendations", {"items": ids[:10_000]}).status


def test_the_documents_are_encoded_once(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoding them at each call would let callers of them stop all others."""
    first = running.client("GET", "/openapi.json")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr("json.dumps", never)
    monkeypatch.setattr(openapi, "document", never)
    monkeypatch.setattr(openapi, "page", never)
    assert first.text == running.client("GET", "/openapi.json").text
    assert 200 == running.client("GET", "/docs").status == running.client("GET", "/").status


def test_an_unknown_item_has_nothing_similar(running: Running) -> None:
    """What is popular is not similar: 404, as for the item itself."""
    assert 200 == running.client("GET", "/v1/items/i/similar").status
    reply = running.client("GET", "/v1/items/unknown/similar")
    assert (404, "not_found") == (reply.status, reply.json["error"]["code"])


def test_a_client_with_a_slow_body_is_counted() -> None:
    """It is closed without an answer, and counted as a timeout."""
    with on_broker(MemoryBroker({"clicks": 1, "recs": 1}), CallLimits(max_wait_s=1.0)) as running:
        with connect(running) as connection, connect(running):
            connection.sendall(b"POST /v1/events HTTP/1.1\r\ncontent-length: 10\r\n" + HOST + b"\r\n")
            assert is_ended(connection)
        assert {408: 1} == refusals(running), "not the one that sent nothing"
        # On a busy machine, a new client too may take longer than that: the next one is served.
        eventually(lambda: is_alive(running.server.port), "answered")


def test_too_many_connections_are_refused_with_one_warning(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Clients decide how often that happens, so the log says it once a minute."""
    running.server.connections.most = 2
    with contextlib.ExitStack() as undo, caplog.at_level(logging.WARNING):
        for _ in range(5):
            undo.enter_context(connect(running))
        time.sleep(0.1)
        for _ in range(3):
            assert 503 == status(exchange(running, b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"))
    assert 1 == len(caplog.records)


def test_the_figures_are_made_about_once_a_second(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callers ask for them: making them at each call would let these stop all others."""
    api = running.server.api
    make, made = api.stats, []

    def counting() -> Stats:
        made.append(time.monotonic())
        return make()

    monkeypatch.setattr(api, "stats", counting)
    begun = time.monotonic()
    for _ in range(50):
        assert "ready" == running.client.get("/v1/stats")["state"]
    assert len(made) <= 2 + (time.monotonic() - begun) / 0.8
