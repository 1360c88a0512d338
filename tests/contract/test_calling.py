"""The commands that call a running service: what they print, and what they say when it does not answer."""

import json
import re
import shlex
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from certificates import certificate
from registry_double import registry_double
from web import Running, embedded

from stream_rec.cli.ask import ask
from stream_rec.cli.main import main
from stream_rec.cli.remote.address import KEY_VARIABLE, URL_VARIABLE
from stream_rec.core.events import RequestDecoder

NOW = int(time.time() * 1000)
KEY = "0123456789-of-the-test"
READ_KEY = "9876543210-of-the-test"
TITLES = {"tent": "Tent for two", "stove": "Gas stove", "lamp": "Lamp \x1b[2J", "wok": None}
LOG = [
    (f"s{visit}", item, NOW - 1_000_000 + 1000 * (10 * visit + place), f"u{visit % 3}")
    for visit in range(12)
    for place, item in enumerate([*TITLES][visit % 2 : 2 + visit % 3])
]

Calls = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a catalogue, two keys and a journal."""
    folder = tmp_path_factory.mktemp("calling")
    lines = [json.dumps({"id": item, "title": title, "price": 9.5}) for item, title in TITLES.items() if title]
    (folder / "catalogue.jsonl").write_text("\n".join(lines))
    (folder / "keys").write_text(f"all:read+write+admin:{KEY}\npage:read:{READ_KEY}\n")
    places = {"http_keys_file": "keys", "catalogue": "catalogue.jsonl", "journal": "journal"}
    with embedded(KEY, **{setting: str(folder / name) for setting, name in places.items()}) as running:
        fields = ("session_id", "item_id", "timestamp", "user_id")
        running.client.post("/v1/events", [dict(zip(fields, event, strict=True)) for event in LOG])
        yield running


@pytest.fixture
def call(service: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Run a command against the service; returns exit code, output and messages, in which no key may be."""
    monkeypatch.setenv(URL_VARIABLE, f"127.0.0.1:{service.server.port}")
    monkeypatch.setenv(KEY_VARIABLE, KEY)

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = capsys.readouterr()
        assert KEY not in out + err
        assert READ_KEY not in out + err
        return code, out, err

    return run


def test_ask_prints_titles_and_why(call: Calls) -> None:
    """Items with titles in columns that are not cut, and shares that add up to the whole score."""
    code, out, err = call("ask", "s10", "--why", "-n", "4")
    assert (0, "") == (code, err)
    head, columns, *_ = out.splitlines()
    assert head.startswith("for the session s10: tent (Tent for two)")
    assert columns.split() == ["item", "title", "price", "score", "source"]
    assert "lamp (Lamp \\x1b[2J)" in head
    assert re.search(r"^\d  stove +Gas stove +9\.50 +[\d.]+ +\w+$", out, re.MULTILINE)
    shares = re.search(r"^1 .*\n((?: +\d+ % .*\n)+)", out, re.MULTILINE)
    assert shares is not None, out
    assert 98 <= sum(map(int, re.findall(r"(\d+) %", shares[1]))) <= 102
    assert re.search(r" old: \w+ \d places? (after|before) \w+", out)


def test_ask_prints_the_answer_of_the_api(call: Calls, service: Running) -> None:
    """With --json it is what the API says, with the rules of the options."""
    rules = ["--exclude", "tent", "--filter", "price < 20", "--boost", 'title = "Gas stove"=3', "--last", "2"]
    rules += ["--rerank", "off"]
    code, out, _ = call("ask", "--item", "tent", "--item", "lamp", "--json", *rules)
    body = {"items": ["tent", "lamp"], "exclude": ["tent"], "filter": "price < 20", "last": 2, "rerank": "off"}
    body["boost"] = {'title = "Gas stove"': 3.0}
    assert (0, service.client.post("/v1/recommendations?details=true", body)) == (code, json.loads(out))


def test_ask_has_an_option_for_each_field_of_a_request() -> None:
    """Those of the API, but for what makes no sense of one question: its own id, and how long it may wait."""
    fields = set(RequestDecoder.fields.__struct_fields__) - {"request_id", "ttl_ms", "hide_sessions"}
    names = {"session": "session_id", "why": "explain"}
    options = {names.get(each.name or "", each.name) for each in ask.params}
    assert fields == options - {"is_json", "url", "key", "ca", "wait"}


def test_what_is_not_known_is_noted(call: Calls) -> None:
    """An unknown item or session changes no answer, so it is said."""
    code, out, err = call("ask", "--item", "tnt", "--item", "tent")
    assert (0, "after tnt, tent (Tent for two)") == (code, out.splitlines()[0])
    assert "note: no retained session holds the item 'tnt', and no catalogue lists it\n" == err
    assert "note: the session 'no/body' is not retained" in call("ask", "no/body")[2]


def test_stats_are_those_of_the_api(call: Calls) -> None:
    """Single figures, and the same as JSON."""
    call("ask", "s1")
    code, out, err = call("stats")
    assert (0, "") == (code, err)
    lines = {line[:15].strip(): line[15:] for line in out.splitlines() if line}
    assert "ready" == lines["state"]
    assert f"{len(LOG)} applied" in lines["read"]
    assert "3 items, 0 unavailable" == lines["catalogue"]
    assert "default: 100 % of sessions" == lines["model"]
    assert "outlive the process" == lines["events by HTTP"]
    assert re.search(r"^http +[\d.,]+ +[\d.,]+ +[\d.,]+$", out, re.MULTILINE)
    assert "ready" == json.loads(call("stats", "--json")[1])["state"]


def test_weights_are_those_of_the_stats(call: Calls) -> None:
    """A service that learns no order says how to begin."""
    said = "no model of this service learns an order: start it with --rerank auto\n"
    assert (0, said, "") == call("weights")
    assert {"orders": []} == json.loads(call("weights", "--json")[1])


def test_forget_says_how_many(call: Calls, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only with --yes or a yes on a terminal; a session once, then nothing and exit code 1; and all of a user."""
    call_api = service.client
    assert (2, "") == call("forget", "s0")[:2]
    assert 200 == call_api("GET", "/v1/sessions/s0").status
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    asked: list[str] = []

    def refuse(text: str) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr(click, "confirm", refuse)
    assert (1, "", "stream-rec: nothing was erased\n") == call("forget", "s0")
    assert re.match(r"erase the session 's0' \(2 events, the newest of [\dT:.-]+Z\) at http://127", asked[0])
    assert 200 == call_api("GET", "/v1/sessions/s0").status
    code, out, err = call("forget", "s0", "--yes")
    assert (0, "") == (code, err)
    assert out.startswith("erased 1 session (receipt ")
    assert 404 == call_api("GET", "/v1/sessions/s0").status
    code, out, err = call("forget", "s0", "--yes")
    assert (1, True) == (code, out.startswith("erased 0 sessions"))
    assert "nothing was retained for the session 's0'" in err
    receipt = json.loads(call("forget", "--user", "u1", "--yes", "--json")[1])
    assert (4, "u1") == (receipt["sessions"], receipt["user_id"])
    assert 2 == call("forget", "s3", "--user", "u1", "--yes")[0]


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ("ask s1 -n 99999", 2, "stream-rec: n: expected at most 1000 over HTTP, found 99999 (said "),
        ("ask s1 --filter 'price <'", 1, "filter: at character 8: expected a value"),
        ("ask s1 --boost x", 2, "is not EXPR=FACTOR"),
        ("ask", 2, "give a session, or items with --item"),
        ("ask s1 --item tent", 2, "not both"),
        ("stats --url :1", 1, "http://127.0.0.1:1: nothing listens there: start a service with `stream-rec run"),
        ("stats --url nosuch.invalid", 1, "there is no host 'nosuch.invalid'"),
        ("stats --url ftp://x", 2, "url: 'ftp://x' is not the address of a service"),
        ("stats --url http://me:secret@x", 2, "url: an address holds no credentials: give the key with --key"),
        ("stats --url http://x:y", 2, "url: 'http://x:y' is no address"),
        ("stats --key 0123456789", 2, "key: expected env:NAME or file:PATH: other users of this machine can see"),
        ("stats --key env:NO_SUCH", 2, "key: the environment variable NO_SUCH is not set"),
        ("stats --key env:OTHER_KEY", 2, "the key is unknown; give one of those of its --http-key"),
        ("forget s1 --yes --key env:READ_KEY", 2, "it lacks the scope admin"),
        ("stats --key env:TWO_KEYS", 2, "key: TWO_KEYS holds more than a key"),
        ("stats --ca nowhere.pem --url https://x", 2, "ca: cannot read certificates from 'nowhere.pem'"),
    ],
)  # fmt: skip
def test_errors_name_the_next_step(
    argv: str, code: int, message: str, call: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2 for what the caller must change, 1 where the service is not there."""
    for name, value in {"READ_KEY": READ_KEY, "OTHER_KEY": "another-key", "TWO_KEYS": "one\ntwo"}.items():
        monkeypatch.setenv(name, value)
    found, out, err = call(*shlex.split(argv))
    assert (code, "") == (found, out)
    assert message in err


def test_a_missing_key_and_one_in_a_file(call: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a key the error says how to give one; a file gives it."""
    monkeypatch.delenv(KEY_VARIABLE)
    code, _, err = call("stats")
    assert (2, True) == (code, f"set {KEY_VARIABLE}, or give --key env:NAME or file:PATH" in err)
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert 0 == call("stats", "--key", f"file:{tmp_path / 'key'}")[0]


def test_waits_for_a_service_that_is_not_ready(call: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the answer and --wait say, and says so; with --wait 0 the error names the next step."""
    ready = threading.Event()
    monkeypatch.setattr("stream_rec.web.context.Api.is_ready", property(lambda _: ready.is_set()))
    assert 0 == call("stats", "--wait", "0")[0]
    code, _, err = call("ask", "s1", "--wait", "0")
    assert (1, True) == (code, "the service is not ready: try again; --wait SECONDS waits longer" in err)
    timer = threading.Timer(0.1, ready.set)
    timer.start()
    code, _, err = call("ask", "s1", "--wait", "20")
    assert (0, True) == (code, "waiting for 20 s at most (--wait)" in err)


def test_tls(call: Calls, service: Running, tmp_path: Path) -> None:
    """A certificate is trusted if its authority is named; what is no service, and who speaks no TLS, is said."""
    ca, key = certificate(tmp_path, "service")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, key, "of-the-key")
    with registry_double(context) as double:
        assert "its certificate is not trusted (self-signed certificate): name" in call("stats", "--url", double.url)[2]
        _, _, err = call("stats", "--url", double.url, "--ca", str(ca))
        assert "it answers 404; it is not a stream-rec service: give the address" in err
    assert "it does not speak TLS" in call("stats", "--url", f"https://127.0.0.1:{service.server.port}")[2]
