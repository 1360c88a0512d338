"""What callers may do over HTTP: keys, scopes, origins."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from web import Client, Running, embedded

from stream_rec.errors import SettingsError
from stream_rec.web.keys import read_keys
from stream_rec.web.server import is_loopback, parse_address

READER, WRITER, ADMIN = "reader-key-0123456789", "writer-key-0123456789", "admin-key-0123456789"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A service with three keys."""
    keys = tmp_path / "keys"
    keys.write_text(f"# ours\nshop:read:{READER}\n\nfeed:write:{WRITER}\nboss:read+write+admin:{ADMIN}\n")
    with embedded(http_keys_file=str(keys)) as running:
        yield running


CALLS = (
    ("GET", "/v1/sessions/a/recommendations", None, "read"),
    ("POST", "/v1/recommendations", {"items": ["a"]}, "read"),
    ("GET", "/v1/items", None, "read"),
    ("GET", "/v1/popular", None, "read"),
    ("GET", "/v1/trending", None, "read"),
    ("GET", "/v1/newest", None, "read"),
    ("GET", "/v1/sessions", None, "admin"),
    ("GET", "/v1/sessions/a", None, "read"),
    ("GET", "/v1/stats", None, "read"),
    ("POST", "/v1/events", {"session_id": "a", "item_id": "i"}, "write"),
    ("POST", "/v1/events:recommend", {"event": {"session_id": "a", "item_id": "i"}}, "admin"),
    ("DELETE", "/v1/sessions/a", None, "admin"),
    ("DELETE", "/v1/users/a", None, "admin"),
    ("POST", "/v1/events", {"session_id": "a", "type": "forget"}, "admin"),
)


@pytest.mark.parametrize(("method", "path", "body", "scope"), CALLS)
def test_a_key_may_do_what_its_scopes_allow(running: Running, method: str, path: str, body: object, scope: str) -> None:
    """A call without a key, or with a key of another scope, is refused."""
    port = running.server.port
    assert 401 == Client(port)(method, path, body).status
    assert 401 == Client(port, "an-unknown-key-0123456789")(method, path, body).status
    assert Client(port, ADMIN)(method, path, body).status in {200, 202, 404, 422}  # 422: it has no catalogue
    allowed = {"read": {READER, ADMIN}, "write": {WRITER, ADMIN}, "admin": {ADMIN}}[scope]
    for key in {READER, WRITER, ADMIN} - allowed:
        assert 403 == Client(port, key)(method, path, body).status


def test_what_needs_no_key(running: Running) -> None:
    """Health checks, the documents and the dashboard's files: they hold no data of the service."""
    for path in ("/livez", "/readyz", "/openapi.json", "/docs", "/docs/plain", "/", "/static/docs.css"):
        assert 200 == Client(running.server.port)("GET", path).status


def test_the_stream_needs_a_key(running: Running) -> None:
    """With the scope read, as the figures do."""
    assert 401 == Client(running.server.port)("GET", "/v1/stream").status
    assert 403 == Client(running.server.port, WRITER)("GET", "/v1/stream").status


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("shop:read", "entry 1 is not NAME:SCOPES:KEY"),
        ("shop:look:env:KEY", "'look' is not a scope"),
        ("shop:read:secret-as-it-is-0123", "never itself"),
        ("shop:read:env:NOT_THERE", "the environment variable NOT_THERE is not set"),
        ("shop:read:file:/not/there", "cannot read the key's file"),
        ("shop:read:env:SHORT", "fewer than 16 characters"),
        ("shop:read:env:ACCENTS", "characters that a header cannot carry"),
    ],
)
def test_a_malformed_key_is_refused(given: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is wrong, and never shows a key."""
    monkeypatch.setenv("SHORT", "secret-too")
    monkeypatch.setenv("ACCENTS", "secret-é-0123456789")
    with pytest.raises(SettingsError, match=message) as caught:
        read_keys([given], None)
    assert "secret" not in str(caught.value)


def test_two_keys_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that names a key must mean one."""
    monkeypatch.setenv("KEY", READER)
    with pytest.raises(SettingsError, match="'shop' is given twice"):
        read_keys(["shop:read:env:KEY", "shop:write:env:KEY"], None)


def test_named_hosts_take_the_place_of_keys() -> None:
    """With them a service listens beyond this machine, and answers to addresses and these names only."""
    for insecure in (False, True):
        with embedded(http="0.0.0.0:0", http_hosts=["stream-rec", "Recs.internal"], insecure=insecure) as running:
            for host in ("stream-rec:8000", "recs.internal", "localhost:9", "127.0.0.1", "10.1.2.3:80", "[::1]:8000"):
                assert 200 == running.client("GET", "/v1/stats", host=host).status
            for host in ("evil.example", "stream-rec.evil.example:8000", "stream-rec."):
                reply = running.client("GET", "/v1/stats", host=host)
                assert (403, "foreign_host") == (reply.status, reply.json["error"]["code"])
            click = {"session_id": "a", "item_id": "i"}
            assert 403 == running.client("POST", "/v1/events", click, origin="https://evil.example").status


def test_other_machines_need_keys() -> None:
    """Without keys a service listens beyond this machine only with names of hosts, or with --insecure."""
    with pytest.raises(SettingsError, match="there are no keys"), embedded(http="0.0.0.0:0"):
        pass
    with embedded(http="0.0.0.0:0", insecure=True) as running:
        assert 200 == running.client("GET", "/livez").status
        assert 200 == running.client("GET", "/v1/stats", host="recs.internal:8000").status
        click = {"session_id": "a", "item_id": "i"}
        assert 403 == running.client("POST", "/v1/events", click, origin="https://evil.example").status


def test_a_malformed_origin_is_refused() -> None:
    """A browser sends an origin without path or slash, so one with them could never match."""
    for written in ("https://shop.example/", "shop.example", ""):
        with pytest.raises(SettingsError, match="http_cors"), embedded(http_cors=[written]):
            pass


def test_web_pages_of_other_origins_are_refused() -> None:
    """Without keys every page open on this machine could do everything: its origin and its host must be ours."""
    order = {"session_id": "a", "type": "forget"}
    with embedded(http_cors=["https://shop.example"]) as running:
        call = running.client
        own = f"http://127.0.0.1:{running.server.port}"
        assert 202 == call("POST", "/v1/events", order, origin=own).status
        assert 202 == call("POST", "/v1/events", order, origin="https://shop.example").status
        assert 403 == call("POST", "/v1/events", order, origin="https://evil.example").status
        assert 403 == call("POST", "/v1/events", order, host="evil.example").status
        assert 403 == call("GET", "/v1/stats", host="evil.example:80").status
        assert 200 == call("GET", "/v1/stats", host="localhost:8000").status
        assert 200 == call("GET", "/v1/stats", host="[::1]:8000").status


def test_addresses() -> None:
    """Without a host it is this machine alone; the error for a port in use names the address and a way out."""
    assert ("127.0.0.1", 80) == parse_address(":80")
    assert ("::1", 80) == parse_address("[::1]:80")
    assert [True, True, True, False, False] == list(
        map(is_loopback, ("127.0.0.1", "::1", "localhost", "192.0.2.1", "shop.example"))
    )
    with pytest.raises(SettingsError, match="port 70000"):
        parse_address(":70000")
    with embedded() as running:
        taken = f"127.0.0.1:{running.server.port}"
        with pytest.raises(SettingsError, match="end the process that listens there"), embedded(http=taken):
            pass


def test_pages_of_other_origins() -> None:
    """They may call only if their origin is allowed."""
    with embedded(http_cors=["https://shop.example"]) as running:
        asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
        reply = running.client("OPTIONS", "/v1/events", **asked)
        assert "https://shop.example" == reply.headers["access-control-allow-origin"]
        reply = running.client("OPTIONS", "/v1/events", **(asked | {"origin": "https://evil.example"}))
        assert "access-control-allow-origin" not in reply.headers
    with embedded() as running:
        assert (
            "access-control-allow-origin" not in running.client("GET", "/v1/stats", origin="https://a.example").headers
        )
