"""Who may do what over HTTP."""

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
def test_a_key_does_what_its_scope_says(running: Running, method: str, path: str, body: object, scope: str) -> None:
    """Without a key nothing is done, with one of another scope neither."""
    port = running.server.port
    assert 401 == Client(port)(method, path, body).status
    assert 401 == Client(port, "nobody-knows-this-key")(method, path, body).status
    assert Client(port, ADMIN)(method, path, body).status in {200, 202, 404}
    allowed = {"read": {READER, ADMIN}, "write": {WRITER, ADMIN}, "admin": {ADMIN}}[scope]
    for key in {READER, WRITER, ADMIN} - allowed:
        assert 403 == Client(port, key)(method, path, body).status


def test_what_needs_no_key(running: Running) -> None:
    """Health checks, the documents and the dashboard's files: nothing in them is anybody's."""
    for path in ("/livez", "/readyz", "/openapi.json", "/docs", "/", "/static/docs.css"):
        assert 200 == Client(running.server.port)("GET", path).status


def test_the_stream_needs_one(running: Running) -> None:
    """It shows what the stats show."""
    assert 401 == Client(running.server.port)("GET", "/v1/stream").status
    assert 403 == Client(running.server.port, WRITER)("GET", "/v1/stream").status


@pytest.mark.parametrize(
    ("given", "told"),
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
def test_keys_that_are_none(given: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is wrong, and never shows a key."""
    monkeypatch.setenv("SHORT", "secret-too")
    monkeypatch.setenv("ACCENTS", "secret-é-0123456789")
    with pytest.raises(SettingsError, match=told) as caught:
        read_keys([given], None)
    assert "secret" not in str(caught.value)


def test_keys_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one name could not be told apart."""
    monkeypatch.setenv("KEY", READER)
    with pytest.raises(SettingsError, match="'shop' is given twice"):
        read_keys(["shop:read:env:KEY", "shop:write:env:KEY"], None)


def test_it_is_not_open_to_others_without_keys() -> None:
    """Beyond this machine it listens with keys, or if told that it is meant."""
    with pytest.raises(SettingsError, match="there are no keys"), embedded(http="0.0.0.0:0"):
        pass
    with embedded(http="0.0.0.0:0", insecure=True) as running:
        assert 200 == running.client("GET", "/livez").status
        assert 200 == running.client("GET", "/v1/stats", host="recs.internal:8000").status
        click = {"session_id": "a", "item_id": "i"}
        assert 403 == running.client("POST", "/v1/events", click, origin="https://evil.example").status


def test_an_origin_is_one() -> None:
    """A browser sends neither path nor slash: what cannot ever match is refused."""
    for written in ("https://shop.example/", "shop.example", ""):
        with pytest.raises(SettingsError, match="http_cors"), embedded(http_cors=[written]):
            pass


def test_web_pages_of_others_are_kept_out() -> None:
    """Without keys any page that is looked at here could do everything: its origin and its host must be ours."""
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
    """Without a host it is this machine alone; a port that is taken is an error that names it."""
    assert ("127.0.0.1", 80) == parse_address(":80")
    assert ("::1", 80) == parse_address("[::1]:80")
    assert [True, True, True, False, False] == list(
        map(is_loopback, ("127.0.0.1", "::1", "localhost", "192.0.2.1", "shop.example"))
    )
    with pytest.raises(SettingsError, match="port 70000"):
        parse_address(":70000")
    with embedded() as running:
        taken = f"127.0.0.1:{running.server.port}"
        with pytest.raises(SettingsError, match="cannot listen"), embedded(http=taken):
            pass


def test_pages_of_other_origins() -> None:
    """They may call only if their origin was named."""
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
