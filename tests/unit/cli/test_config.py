"""`config show`: each setting with its value and its origin, and no secret."""

import json
import tomllib
from pathlib import Path

import pytest

from stream_rec.cli.main import main
from stream_rec.settings import load, table
from stream_rec.settings.secrets import HIDDEN, without_secrets

BY_KEY = {setting.key: setting for setting in table()}

FILE = """
events = "kafka://h:9092/clicks"
retention = "2d"
k = 100
[kafka]
"sasl.password" = "env:PASSWORD"
security.protocol = "SASL_SSL"
[models.small]
share = 0.5
k = 50
age_days = inf
"""


def show(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert 0 == main(["config", "show", *argv])
    return capsys.readouterr().out


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All four layers: a file, a variable over it, and the test's flags."""
    monkeypatch.setenv("STREAM_REC_K", "70")
    path = tmp_path / "a.toml"
    path.write_text(FILE)
    return path


def test_each_setting_has_its_value_and_its_origin(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A default, a file, a variable and a flag, the stronger over the weaker, under the headings of the groups."""
    lines = show(capsys, "--config", str(config), "--n", "7", "--no-fallbacks").splitlines()
    words = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ")}
    assert words.keys() == BY_KEY.keys()
    assert ["2d", f"{config}:", "retention"] == words["retention"]
    assert ["70", "STREAM_REC_K"] == words["k"]
    assert ["7", "--n"] == words["n"]
    assert ["false", "--fallbacks"] == words["fallbacks"]
    assert ["1000", "default"] == words["max_session_events"]
    assert "Kafka topics:" in lines


def test_only_what_is_changed(capsys: pytest.CaptureFixture[str]) -> None:
    """A setting that has its default is left out, and so is a group without others."""
    shown = show(capsys, "--events", "a.csv", "--deny", "x", "--deny", "y", "--changed")
    assert "Source:\n  events  a.csv  --events\nRules on items:\n  deny    x,y    --deny\n" == shown


def test_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs: by key the value, the layer, and the place in it."""
    found = json.loads(show(capsys, "--config", str(config), "--as", "json"))
    assert found.keys() == BY_KEY.keys()
    assert {"value": "2d", "layer": "file", "where": f"{config}: retention"} == found["retention"]
    assert {"value": 70, "layer": "environment", "where": "STREAM_REC_K"} == found["k"]
    assert {"value": "none", "layer": "default", "where": "default"} == found["max_sessions"]
    assert {"small": {"share": 0.5, "k": 50, "age_days": "inf"}} == found["models"]["value"]


@pytest.mark.parametrize("changed", [[], ["--changed"]])
def test_toml_is_what_a_run_takes(
    config: Path, changed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file that it writes makes the same settings."""
    flags = ["--config", str(config), "--deny", "a\tb", "--event-type", "view=2", "--as", "toml", *changed]
    written = tmp_path / "b.toml"
    written.write_text(show(capsys, *flags))
    expected = load(config=config, environ={"STREAM_REC_K": "70"}, flags={"deny": ("a\tb",), "types": ("view=2",)})
    assert expected == load(config=written)


def test_secrets_are_in_no_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Even one that a run would refuse. TOML has such a line as a comment, so that no run takes it for a value."""
    flags = ["--events", "kafka://h:9092/t", "--kafka", "sasl.password=hunter2", "--kafka", "client.rack=r1",
             "--http", ":80", "--http-key", "shop:read:hunter2hunter2hunter2", "--registry", "http://u:hunter2@h",
             "--http-key", "app:read:env:KEY"]  # fmt: skip
    for form in ("text", "toml", "json"):
        shown = show(capsys, *flags, "--as", form)
        assert "hunter2" not in shown
        assert HIDDEN in shown
        assert all(kept in shown for kept in ("r1", "app:read:env:KEY", "shop:read:"))
        if form == "toml":
            assert {"client.rack": "r1"} == tomllib.loads(shown)["kafka"]
            assert "http_keys" not in tomllib.loads(shown)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("kafka", {"ssl.key.password": "x"}, {"ssl.key.password": HIDDEN}),
        ("kafka", {"sasl.jaas.config": "x"}, {"sasl.jaas.config": HIDDEN}),
        ("kafka", {"consumer.ssl.key.pem": "x"}, {"consumer.ssl.key.pem": HIDDEN}),
        ("kafka", {"ssl.key.location": "/k"}, {"ssl.key.location": "/k"}),
        ("registry_config", {"basic.auth.user.info": "u:p"}, {"basic.auth.user.info": HIDDEN}),
        ("registry_config", {"bearer.auth.token": "file:/t"}, {"bearer.auth.token": "file:/t"}),
        ("http_keys", ("justakey",), (HIDDEN,)),
        ("http_keys", ("a:read:plain:key",), (f"a:read:{HIDDEN}",)),
        ("events", "https://u:p@h/a.csv?X-Amz-Signature=s", f"https://{HIDDEN}@h/a.csv?{HIDDEN}"),
        ("more_events", ("s3://u:p@b/a?x", "b@c.csv"), (f"s3://{HIDDEN}@b/a?x", "b@c.csv")),
        ("max_sessions", None, None),
        ("quality_n", 5, 5),
    ],
)
def test_what_is_hidden(key: str, value: object, expected: object) -> None:
    """Passwords, keys, tokens and signatures; not references to them, nor names of files."""
    assert expected == without_secrets(BY_KEY[key], value)
