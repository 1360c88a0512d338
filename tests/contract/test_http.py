"""The contract of every path of the HTTP API, for a service without a broker and for one on a broker."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from web import Client, Running, embedded, eventually, on_broker

from stream_rec.cli.remote.stats_text import stats_lines
from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, Event
from stream_rec.service.activity import Doing, Phase
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.web.context import CallLimits
from stream_rec.web.routes import ROUTES
from stream_rec.web.stats import StatsMaker

NOW = int(time.time() * 1000)


def clicks(*sessions: str, start: int = NOW) -> list[dict[str, Any]]:
    """Sessions written as their items: `abc` is a visit to a, b and c."""
    return [
        {"session_id": f"s{n}", "item_id": item, "timestamp": start + 1000 * n + place}
        for n, items in enumerate(sessions)
        for place, item in enumerate(items)
    ]


SHOP = clicks("abc", "abd", "abd", "xy", start=NOW - 60_000)  # no event is ahead of its arrival


@pytest.fixture(params=["embedded", "broker"])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A service of each kind."""
    made: contextlib.AbstractContextManager[Running]
    made = embedded() if request.param == "embedded" else on_broker(MemoryBroker({"clicks": 1, "recs": 1}))
    with made as running:
        yield running


@pytest.fixture
def shop(running: Running) -> Client:
    """A client of a service with four sessions."""
    found = running.client.post("/v1/events", SHOP)
    assert len(SHOP) == found["accepted"]
    eventually(lambda: running.served.status().counts.n_applied == len(SHOP), "all applied")
    return running.client


def expected(
    session_id: str | None = None, items: list[str] | None = None, n: int | None = None
) -> list[dict[str, Any]]:
    """Return the recommendations of an engine over the same events."""
    engine = Engine()
    engine.apply([msgspec.convert(each, Event) for each in SHOP])
    found: list[dict[str, Any]] = msgspec.to_builtins(engine.recommend(session_id, items=items, n=n))
    return found


def _refusal(reply: Any) -> tuple[int, str]:
    return reply.status, reply.json["error"]["code"]


NDJSON = {"content-type": "application/x-ndjson"}


class TestRecommendations:
    """The paths that recommend."""

    def test_for_a_session(self, shop: Client) -> None:
        """The items are those of an engine, and the answer states the events it is based on."""
        found = shop.get("/v1/sessions/s0/recommendations?n=3")
        assert expected("s0", n=3) == found["items"]
        assert max(each["timestamp"] for each in SHOP) == found["as_of"]
        assert ("s0", "default") == (found["session_id"], found["model"])
        assert len(SHOP) == sum(found["offsets"].values()) + len(found["offsets"])

    def test_for_items(self, shop: Client) -> None:
        """A request for items belongs to no session."""
        found = shop.post("/v1/recommendations", {"items": ["a", "b"], "request_id": "r1"})
        assert expected(items=["a", "b"]) == found["items"]
        assert (None, "r1") == (found["session_id"], found["request_id"])

    def test_for_many(self, shop: Client) -> None:
        """Answers are in the order of the requests, each as if it were alone; to lines, they are lines."""
        requests = [{"session_id": "s0"}, {"items": ["x"]}, {"session_id": "s0", "n": 1}, {"session_id": "new"}]
        found = shop.post("/v1/recommendations", {"requests": requests})["answers"]
        assert [expected("s0"), expected(items=["x"]), expected("s0", n=1), expected("new")] == [
            each["items"] for each in found
        ]
        assert {"answers": []} == shop.post("/v1/recommendations", {"requests": []})
        lines = b"\n\n".join(map(msgspec.json.encode, requests))
        reply = shop("POST", "/v1/recommendations", lines, **NDJSON)
        assert (200, "application/x-ndjson") == (reply.status, reply.headers["content-type"])
        assert found == [msgspec.json.decode(line) for line in reply.text.splitlines()]
        for wrong, code in {b'{"n": 0}': "out_of_range", b"{": "not_json", b"3": "wrong_type"}.items():
            reply = shop("POST", "/v1/recommendations", lines + b"\n" + wrong, **NDJSON)
            assert code == reply.json["error"]["code"]
            assert reply.json["error"]["field"].startswith("[4]")

    def test_parameters_in_the_query(self, shop: Client) -> None:
        """Each has its type, lists are given item by item, and excluded items are not recommended."""
        found = shop.get(
            "/v1/sessions/s0/recommendations?n=2&preset=sknn&fallbacks=false&exclude=d&exclude=x&seen=keep"
        )
        assert "sknn" == found["model"]
        assert not {"d", "x"} & {each["item_id"] for each in found["items"]}
        assert {"neighbours"} == {each["source"] for each in found["items"]}

    def test_an_unknown_session_gets_what_is_popular(self, shop: Client) -> None:
        """There is always something to show, and its source is stated."""
        found = shop.get("/v1/sessions/unknown/recommendations?n=2")
        assert ["popular", "popular"] == [each["source"] for each in found["items"]]

    def test_details(self, shop: Client) -> None:
        """With `details` each item has what is known of it."""
        found = shop.get("/v1/sessions/s0/recommendations?n=1&details=true")
        assert 2 == found["items"][0]["sessions"]

    def test_similar(self, shop: Client) -> None:
        """Similar items are those of a request for this item alone."""
        assert expected(items=["x"], n=2) == shop.get("/v1/items/x/similar?n=2")["items"]

    def test_an_event_and_its_answer(self, shop: Client) -> None:
        """The answer includes the event that it came with, with and without parameters."""
        at = int(time.time() * 1000)
        event = {"session_id": "me", "item_id": "x", "timestamp": at}
        found = shop.post("/v1/events:recommend", {"event": event})
        assert at == found["as_of"]
        assert "y" == found["items"][0]["item_id"]
        assert "x" not in {each["item_id"] for each in found["items"]}
        found = shop.post("/v1/events:recommend", {"event": event | {"item_id": "a"}, "n": 1, "seen": "drop-session"})
        assert 1 == len(found["items"])
        assert found["items"][0]["item_id"] not in "xa"
        assert ["x", "a"] == [each["item_id"] for each in shop.get("/v1/sessions/me")["events"]]


class TestEvents:
    """Events that are accepted, and events that are not."""

    def test_one_or_many(self, running: Running) -> None:
        """An object is one event, an array many; an event without a timestamp gets the present time."""
        client = running.client
        before = int(time.time() * 1000)
        assert 1 == client.post("/v1/events", {"session_id": "a", "item_id": "i", "type": "cart"})["accepted"]
        assert 2 == client.post("/v1/events", [{"session_id": "a", "item_id": f"i{n}"} for n in range(2)])["accepted"]
        assert 0 == client.post("/v1/events", [])["accepted"]
        eventually(lambda: running.served.status().counts.n_applied == 3, "applied")
        events = client.get("/v1/sessions/a")["events"]
        assert [("i", "cart"), ("i0", "view"), ("i1", "view")] == [(each["item_id"], each["type"]) for each in events]
        assert all(before <= each["timestamp"] <= time.time() * 1000 for each in events)

    def test_the_receipt_has_their_offsets(self, running: Running) -> None:
        """On a broker they are in the log before they are acknowledged."""
        found = running.client.post("/v1/events", SHOP)
        assert running.served.ingest.is_durable == found["durable"]
        if found["durable"]:
            assert len(SHOP) == sum(found["offsets"].values()) + len(found["offsets"])

    @pytest.mark.parametrize(
        ("body", "code", "field"),
        [
            (b"{", "not_json", None),
            (b"\xff", "not_json", None),
            ({"session_id": "a"}, "missing_field", "item_id"),
            ({"item_id": "a"}, "missing_field", "session_id"),
            ({"session_id": "", "item_id": "i"}, "wrong_type", "session_id"),
            ({"session_id": "a" * 513, "item_id": "i"}, "wrong_type", "session_id"),
            ({"session_id": "a", "item_id": "i", "timestamp": -1}, "out_of_range", "timestamp"),
            ({"session_id": "a", "item_id": "i", "timestamp": "now"}, "wrong_type", "timestamp"),
            ([{"session_id": "a", "item_id": "i"}, {"session_id": "a"}], "missing_field", "[1].item_id"),
            ([{"session_id": "a", "item_id": "i"}, 3], "wrong_type", "[1]"),
            ({"type": "forget"}, "missing_field", "session_id"),
        ],
    )
    def test_malformed_events_are_refused(self, running: Running, body: Any, code: str, field: str | None) -> None:
        """The error names the field, and no event of the call is applied."""
        reply = running.client("POST", "/v1/events", body)
        assert (code, field) == (reply.json["error"]["code"], reply.json["error"].get("field"))
        assert (400 if code == "not_json" else 422) == reply.status
        assert 0 == running.served.status().counts.n_read

    def test_calls_over_a_limit_are_refused(self, running: Running) -> None:
        """Calls have a limit of events and one of bytes."""
        many = [{"session_id": "a", "item_id": "i"}] * 1001
        assert (413, "too_many") == _refusal(running.client("POST", "/v1/events", many))
        assert (413, "too_many") == _refusal(
            running.client("POST", "/v1/recommendations", {"requests": [{"session_id": "a"}] * 1001})
        )
        explained = {"requests": [{"session_id": "a", "explain": True}] * 21}
        assert (413, "too_many") == _refusal(running.client("POST", "/v1/recommendations", explained))
        reply = running.client("POST", "/v1/events", b" " * (2 << 20))
        assert (413, "too_large") == _refusal(reply)

    def test_wrong_parameters_are_refused(self, shop: Client) -> None:
        """The error names a parameter that is out of range, unknown, or given twice."""
        for path, code, field in (
            ("/v1/sessions/s0/recommendations?n=0", "out_of_range", "n"),
            ("/v1/sessions/s0/recommendations?n=x", "wrong_type", "n"),
            ("/v1/sessions/s0/recommendations?nn=1", "unknown_field", "nn"),
            ("/v1/sessions/s0/recommendations?n=1&n=2", "wrong_type", "n"),
            ("/v1/sessions/s0/recommendations?preset=best", "out_of_range", "preset"),
            ("/v1/sessions/s0/recommendations?seen=never", "wrong_type", "seen"),
            ("/v1/items?limit=0", "out_of_range", "limit"),
        ):
            reply = shop("GET", path)
            assert (422, code, field) == (reply.status, reply.json["error"]["code"], reply.json["error"].get("field"))
        bodies: list[tuple[Any, str | None]] = [
            ({}, None),
            ({"session_id": "a", "nn": 1}, "nn"),
            ([], ""),
            ({"requests": [3]}, "requests[0]"),
            ({"requests": [{"session_id": "a"}, {}]}, "requests[1]"),
        ]
        for body, named in bodies:
            reply = shop("POST", "/v1/recommendations", body)
            assert (422, named) == (reply.status, reply.json["error"].get("field"))

    def test_requests_that_take_long_are_refused(self, shop: Client) -> None:
        """Requests in a topic may take minutes; over HTTP all other calls would wait for them."""
        for name, value in (("n", 1001), ("m", 20_001), ("last", 1001)):
            reply = shop("GET", f"/v1/sessions/s0/recommendations?{name}={value}")
            assert (422, name) == (reply.status, reply.json["error"]["field"])
        for n in (1001, 10_001, 99_999, 10**18):  # the limit over HTTP is named, and not that of a topic
            body = {"session_id": "s0", "n": n}
            replies = [
                (shop("GET", f"/v1/sessions/s0/recommendations?n={n}"), "n"),
                (shop("GET", f"/v1/popular?n={n}"), "n"),
                (shop("POST", "/v1/recommendations", body), "n"),
                (shop("POST", "/v1/events:recommend", body | {"event": SHOP[0]}), "n"),
                (shop("POST", "/v1/recommendations", {"requests": [{"items": []}, body]}), "requests[1].n"),
            ]
            for reply, field in replies:
                error = reply.json["error"]
                assert (422, "out_of_range", field) == (reply.status, error["code"], error["field"])
                assert error["message"].startswith("expected at most 1000 ")
            similar = shop("GET", f"/v1/items/x/similar?n={n}").json["error"]
            assert ("out_of_range", "n", True) == (similar["code"], similar["field"], "<= 1000" in similar["message"])
        many = {"requests": [{"session_id": "a", "n": 1000}] * 21}
        assert (413, "too_many") == _refusal(shop("POST", "/v1/recommendations", many))
        reply = shop("GET", "/v1/sessions/s0/recommendations?" + "&".join(["exclude=a"] * 1001))
        assert (413, "too_many") == _refusal(reply)
        assert 422 == shop("DELETE", f"/v1/sessions/{'a' * 513}").status
        filters = {"requests": [{"session_id": "a", "filter": f"price < {j}"} for j in range(9)]}
        assert (413, "too_many") == _refusal(shop("POST", "/v1/recommendations", filters))

    def test_requests_without_n_count_with_the_default_n(self, running: Running) -> None:
        """Otherwise a call could get any number of items from a service with a large default."""
        running.server.api.service = running.served._replace(usual_n=1000)
        many = {"requests": [{"session_id": "a"}] * 21}
        assert (413, "too_many") == _refusal(running.client("POST", "/v1/recommendations", many))

    def test_an_event_is_not_applied_if_its_request_cannot_be_answered(self, shop: Client) -> None:
        """Sent again with a corrected request, it would count twice."""
        body = {"event": {"session_id": "new", "item_id": "a", "timestamp": NOW + 9000}, "preset": "best"}
        assert 422 == shop("POST", "/v1/events:recommend", body).status
        assert 404 == shop("GET", "/v1/sessions/new").status

    def test_an_event_that_is_sent_again_is_answered_again(self, shop: Client) -> None:
        """A caller that lost the answer sends the event again: it counts once, and is answered."""
        event = {"session_id": "again", "item_id": "a", "timestamp": NOW + 9000, "event_id": "e1"}
        first, second = (shop.post("/v1/events:recommend", {"event": event}) for _ in range(2))
        assert first["items"] == second["items"]
        assert 1 == len(shop.get("/v1/sessions/again")["events"])

    def test_an_event_of_the_future_is_refused_alone(self, running: Running) -> None:
        """A wrong clock affects its own event, not those of the same call."""
        if running.served.max_future_ms is None:
            running.server.api.service = running.served._replace(max_future_ms=1000)
        events = [{"session_id": "a", "item_id": "i"}, {"session_id": "a", "item_id": "j", "timestamp": NOW * 2}]
        found = running.client.post("/v1/events", events)
        assert (1, [(1, "future")]) == (found["accepted"], [(each["index"], each["code"]) for each in found["refused"]])
        assert (422, "future") == _refusal(running.client("POST", "/v1/events", events[1]))


class TestReading:
    """The paths that show sessions and items."""

    def test_sessions(self, shop: Client) -> None:
        """Sessions come newest first, each with its last items."""
        found = shop.get("/v1/sessions?limit=2")["sessions"]
        assert [("s3", 2, ["x", "y"]), ("s2", 3, ["a", "b", "d"])] == [
            (each["session_id"], each["n_events"], each["items"]) for each in found
        ]

    def test_a_session(self, shop: Client) -> None:
        """A session has all its events, oldest first; one that is not retained is not found."""
        assert ["a", "b", "c"] == [each["item_id"] for each in shop.get("/v1/sessions/s0")["events"]]
        assert (404, "not_found") == _refusal(shop("GET", "/v1/sessions/unknown"))

    def test_items(self, shop: Client) -> None:
        """Items are found by a part of the id; without one, the popular items are listed."""
        assert [{"item_id": "a", "sessions": 3}] == shop.get("/v1/items?q=A")["items"]
        assert {"a", "b"} == {each["item_id"] for each in shop.get("/v1/items?limit=2")["items"]}
        assert {"item_id": "y", "sessions": 1} == shop.get("/v1/items/y")
        shop.post("/v1/events:recommend", {"event": {"session_id": "s9", "item_id": "für"}})
        assert ["für"] == [each["item_id"] for each in shop.get("/v1/items?q=f%C3%BC")["items"]]
        assert (404, "not_found") == _refusal(shop("GET", "/v1/items/nothing"))

    def test_ids_of_all_kinds(self, running: Running) -> None:
        """A slash, a space or a letter of another script is a part of an id; a whole number becomes text."""
        running.client.post("/v1/events:recommend", {"event": {"session_id": 7, "item_id": 8, "user_id": 9}})
        assert "8" == running.client.get("/v1/sessions/7")["events"][0]["item_id"]
        for name in ("a/b", "ä ö", "%2F", "日本"):
            event = {"session_id": name, "item_id": name, "timestamp": NOW}
            running.client.post("/v1/events:recommend", {"event": event})
            path = "/v1/sessions/" + "".join(f"%{byte:02X}" for byte in name.encode())
            assert name == running.client.get(path)["session_id"]


class TestForgetting:
    """Law 7 over HTTP."""

    def test_a_session(self, shop: Client) -> None:
        """It is gone after the receipt, and answers are as if it had never existed."""
        found = shop("DELETE", "/v1/sessions/s1").json
        assert ("s1", 1) == (found["session_id"], found["sessions"])
        assert found["receipt"]
        eventually(lambda: shop("GET", "/v1/sessions/s1").status == 404, "forgotten")
        assert {"a": 2} == {each["item_id"]: each["sessions"] for each in shop.get("/v1/items?q=a")["items"]}

    def test_a_user(self, running: Running) -> None:
        """Forgetting a user erases all sessions with an event of the user."""
        events = [
            {"session_id": f"s{n}", "item_id": "i", "timestamp": NOW, "user_id": user} for n, user in enumerate("uuv")
        ]
        running.client.post("/v1/events", events)
        eventually(lambda: running.served.status().counts.n_applied == 3, "applied")
        assert 2 == running.client("DELETE", "/v1/users/u").json["sessions"]
        eventually(lambda: running.client("GET", "/v1/sessions/s0").status == 404, "forgotten")
        assert 404 == running.client("GET", "/v1/sessions/s1").status
        assert 200 == running.client("GET", "/v1/sessions/s2").status


class TestOperations:
    """Paths that are not about recommendations."""

    def test_health(self, running: Running) -> None:
        """A running service is alive and ready."""
        assert (200, "alive\n") == running.client("GET", "/livez")[::3]
        assert (200, "ready\n") == running.client("GET", "/readyz")[::3]
        found = running.client("GET", "/readyz", accept="application/json").json
        assert (True, "ready", "ready", []) == (
            found["ready"],
            found["state"],
            found["doing"]["phase"],
            found["problems"],
        )

    def test_not_ready(self, running: Running) -> None:
        """A recovering service is alive and not ready, and calls get an error that says so."""
        status = running.served.status()
        doing = Doing(Phase.READING, "reading the events (24%), about 25s to go", 8.0, 12, 50, 0.24, 25.3)
        recovering = msgspec.structs.replace(status, state="recovering", doing=doing)
        running.server.api.service = running.served._replace(status=lambda: recovering, is_ready=lambda: False)
        assert 200 == running.client("GET", "/livez").status
        assert (503, f"recovering\n{doing.message}\n") == running.client("GET", "/readyz")[::3]
        reply = running.client("GET", "/readyz", accept="application/json")
        assert (503, False, msgspec.to_builtins(doing)) == (reply.status, reply.json["ready"], reply.json["doing"])
        api = running.server.api
        api.stats_maker = StatsMaker(api.service, api.http)
        stats = running.client.get("/v1/stats")
        assert ("recovering", doing.message) == (stats["state"], stats["doing"]["message"])
        assert f"doing {doing.message}" == " ".join(list(stats_lines(stats))[1].split())
        reply = running.client("GET", "/v1/sessions/a/recommendations")
        assert (503, "not_ready") == _refusal(reply)
        assert "1" == reply.headers["retry-after"]
        assert "the service is not ready (reading the events (24%), about" in reply.json["error"]["message"]

    def test_stats(self, shop: Client) -> None:
        """Counters, and the size of what is retained."""
        eventually(lambda: (shop.get("/v1/stats")["retained"] or {}).get("sessions") == 4, "counted")
        found = shop.get("/v1/stats")
        assert len(SHOP) == found["counts"]["read"] == found["counts"]["applied"] == found["retained"]["events"]
        assert "ready" == found["state"]

    def test_the_stream(self, running: Running) -> None:
        """The stream sends the same figures once a second, as server-sent events; first those of the last hour."""
        with socket.create_connection(("127.0.0.1", running.server.port), timeout=10) as connection:
            connection.sendall(b"GET /v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
            got = b""
            while got.count(b"event: stats") < 2:
                got += connection.recv(65536)
        assert b"content-type: text/event-stream" in got
        blocks = got.partition(b"event: ")[2].split(b"event: ")
        names, bodies = zip(*(block.split(b"\ndata: ", 1) for block in blocks), strict=True)
        assert b"history" == names[0]
        assert "ready" == msgspec.json.decode(bodies[names.index(b"stats")].partition(b"\n")[0])["state"]
        earlier = msgspec.json.decode(bodies[0].partition(b"\n")[0])
        found = running.client.get("/v1/stats/history")
        n_points = len(earlier["at_ms"])
        assert 0 < n_points == len(earlier["series"]["rates.events_per_s"])
        assert earlier["at_ms"] == found["at_ms"][:n_points]

    def test_every_path_is_documented(self, running: Running) -> None:
        """The document has every route with its answers and parameters; the page shows them."""
        found = running.client.get("/openapi.json")
        assert {(route.path, route.method.lower()) for route in ROUTES} | {("/readyz", "get")} == {
            (path, method) for path, methods in found["paths"].items() for method in methods
        }
        named = {
            each["name"] for each in found["paths"]["/v1/sessions/{session_id}/recommendations"]["get"]["parameters"]
        }
        assert {"session_id", "n", "preset", "exclude", "details"} <= named
        page = running.client("GET", "/docs/plain").text
        assert all(route.path in page for route in ROUTES)

    def test_wrong_paths(self, running: Running) -> None:
        """Unknown paths and methods get errors of the same shape."""
        assert (404, "no_such_path") == _refusal(running.client("GET", "/v2/stats"))
        for path in ("/health", "/healthz", "/Health/"):
            reply = running.client("GET", path)
            assert (404, "no_such_path") == _refusal(reply)
            assert "/livez" in reply.json["error"]["message"]
            assert "/readyz" in reply.json["error"]["message"]
        assert (405, "no_such_method") == _refusal(running.client("PUT", "/v1/stats", b""))

    def test_pages_may_run_only_their_own_files(self, running: Running) -> None:
        """The dashboard and its files have a security policy that forbids everything else."""
        for path in ("/", "/docs", "/docs/plain", "/static/docs.css", "/static/swagger-ui/swagger-ui-bundle.js"):
            reply = running.client("GET", path)
            assert 200 == reply.status
            assert "default-src 'self'" in reply.headers["content-security-policy"]


# --- all at once


def test_answers_are_those_of_the_offset_that_they_state(running: Running) -> None:
    """While many clients call and events arrive, each answer is that of an engine at its offset."""
    log = [{"session_id": f"s{n % 7}", "item_id": f"i{n * n % 11}", "timestamp": NOW + n} for n in range(300)]
    answers: list[Answer] = []
    over = threading.Event()

    def call() -> None:
        client = Client(running.server.port)
        while not over.is_set():
            answers.append(msgspec.convert(client.get("/v1/sessions/s3/recommendations?n=5"), Answer))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for start in range(0, len(log), 10):
        running.client.post("/v1/events", log[start : start + 10])
    eventually(lambda: running.served.status().counts.n_applied == len(log), "all applied")
    over.set()
    for caller in callers:
        caller.join()
    engine = Engine()
    expected = [engine.recommend("s3", n=5)]
    for each in log:
        engine.apply([msgspec.convert(each, Event)])
        expected.append(engine.recommend("s3", n=5))
    offsets = {sum(offset + 1 for offset in answer.offsets.values()) for answer in answers}
    assert len(offsets) > 3, "answered at several offsets"
    for answer in answers:
        assert expected[sum(offset + 1 for offset in answer.offsets.values())] == answer.items


def test_a_connection_with_an_endless_head_is_closed(running: Running) -> None:
    """An endless head must not fill the memory; a long body is allowed."""
    with socket.create_connection(("127.0.0.1", running.server.port), timeout=10) as connection:
        connection.sendall(b"GET /v1/stats HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"a" * 65536)
                time.sleep(0.01)
            connection.settimeout(5)
            assert b"" == connection.recv(1)
            return
    body = {"session_id": "a", "item_id": "i" * 500}
    assert 202 == running.client("POST", "/v1/events", [body] * 200).status, "a long body is not a head"


@pytest.fixture
def impatient() -> Iterator[Running]:
    """A service that waits a second for a head, and as long for a body."""
    with on_broker(MemoryBroker({"clicks": 1, "recs": 1}), CallLimits(max_wait_s=1.0)) as running:
        yield running


def test_a_connection_whose_body_arrives_too_slowly_is_closed(impatient: Running) -> None:
    """Even if bytes arrive steadily: otherwise the connection would stay open for ever."""
    head = b"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\n"
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", impatient.server.port), timeout=10) as connection:
        connection.sendall(head)
        connection.settimeout(0.1)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < begun + 5:
                connection.sendall(b" ")
                with contextlib.suppress(TimeoutError):
                    assert b"" == connection.recv(1)
                    break
        assert 0.9 < time.monotonic() - begun < 4


def test_a_connection_whose_body_has_arrived_stays_open(impatient: Running) -> None:
    """Even if it came after the head; and no timer is left that would close the connection later."""
    head = b"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
    body = b'{"session_id":"a","item_id":"i"}'
    with socket.create_connection(("127.0.0.1", impatient.server.port), timeout=10) as connection:
        connection.sendall(head % len(body))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 202")
        connection.settimeout(1.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        connection.settimeout(10)
        assert b"200 OK" in connection.recv(1000)


def test_slow_and_broken_clients_do_not_stop_others(running: Running) -> None:
    """A thousand connections that send half a request, or none, or disconnect: others are answered as before."""
    port = running.server.port
    with contextlib.ExitStack() as undo:
        for n in range(1000):
            connection = undo.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            match n % 4:
                case 0:
                    connection.sendall(b"GET /v1/sessions/a/recommen")
                case 1:
                    connection.sendall(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
                case 2:
                    connection.sendall(b"GET /v1/sessions/a/recommendations HTTP/1.1\r\nhost: x\r\n\r\n")
                    connection.close()
        begun = time.monotonic()
        running.client.post("/v1/events", SHOP)
        eventually(lambda: running.served.status().counts.n_applied == len(SHOP), "applied", 5)
        assert running.client.get("/v1/sessions/s0/recommendations")["items"]
        assert time.monotonic() - begun < 5
