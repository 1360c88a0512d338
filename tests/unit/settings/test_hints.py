"""What is said of a setting or a value that there is not: a hint that works when it is followed."""

from pathlib import Path

import pytest

from stream_rec.errors import SettingsError
from stream_rec.settings import Kind, load, table
from stream_rec.settings.hints import EXAMPLES, OTHER_NAMES, OTHER_VALUES, bare, meant_names, meant_value

BY_KEY = {setting.key: setting for setting in table()}


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('topic = "clicks"', 'did you mean events = "kafka://HOST:9092/TOPIC"?'),
        ("port = 8000", 'did you mean http = ":8000"?'),
        ('sep = ";"', "did you mean 'delimiter'?"),
        ('group_id = "a"', "did you mean 'group'?"),
        ("event_type = {view = 1}", "did you mean 'types'?"),
        ("retenton = 1", "did you mean 'retention'?"),
        ('lateness = "1h"', "did you mean 'allowed_lateness'?"),
        ('deliminator = ","', "did you mean 'delimiter'?"),
        ("zzz = 1", "there is no such setting; see docs/reference/settings.md"),
    ],
)
def test_a_key_in_toml_that_there_is_not(tmp_path: Path, line: str, hint: str) -> None:
    """Other usual names and typing mistakes lead to the setting; nothing is suggested where none is near."""
    config = tmp_path / "a.toml"
    config.write_text(line)
    with pytest.raises(SettingsError) as caught:
        load(config=config)
    assert caught.value.message.endswith(hint)


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("STREAM_REC_TOPIC", "did you mean STREAM_REC_EVENTS=kafka://HOST:9092/TOPIC?"),
        ("STREAM_REC_SEPARATOR", "did you mean STREAM_REC_DELIMITER?"),
        ("STREAM_REC_EVENT_TYPE", "did you mean STREAM_REC_TYPES?"),
    ],
)
def test_a_variable_that_there_is_not(variable: str, hint: str) -> None:
    """Another usual name is refused, not passed over in silence."""
    with pytest.raises(SettingsError) as caught:
        load(environ={variable: "x"})
    assert caught.value.message.endswith(hint)


def test_variables_of_others_are_passed_over() -> None:
    """Kubernetes sets variables for a Service that is named stream-rec; tests and tools have some of their own."""
    names = [
        "PORT",
        "HOST",
        "SERVICE_HOST",
        "SERVICE_PORT",
        "PORT_8000_TCP",
        "PORT_8000_TCP_ADDR",
        "DATA",
        "TEST_KAFKA",
    ]
    assert "e" == load(environ={f"STREAM_REC_{name}": "x" for name in names}, flags={"events": "e"}).events


@pytest.mark.parametrize(
    ("flag", "value", "hint"),
    [
        ("format", "ndjson", "; did you mean 'jsonl'?"),
        ("format", "parquett", "; did you mean 'parquet'?"),
        ("timestamp_unit", "seconds", "; did you mean 's'?"),
        ("delivery", "exactly_once", "; did you mean 'exactly-once'?"),
        ("begin", "beginning", "; did you mean 'earliest'?"),
        ("fields", ("item=sku",), "; did you mean 'item_id'?"),
        ("fields", ("sesion_id=s",), "; did you mean 'session_id'?"),
        ("format", "qqqq", "connect"),
    ],
)
def test_a_word_that_a_setting_does_not_take(flag: str, value: object, hint: str) -> None:
    """The error ends in the word that was meant, if one is near."""
    with pytest.raises(SettingsError) as caught:
        load(flags={"events": "e", flag: value})
    assert caught.value.message.endswith(hint)


def test_values_of_the_environment_and_of_toml_have_the_hint_too(tmp_path: Path) -> None:
    """One reader makes the error of all layers."""
    with pytest.raises(SettingsError, match=r"did you mean 'warning'\?"):
        load(environ={"STREAM_REC_EVENTS": "e", "STREAM_REC_LOG_LEVEL": "warn"})
    config = tmp_path / "a.toml"
    config.write_text('[fields]\nproduct = "sku"')
    with pytest.raises(SettingsError, match=r"did you mean 'item_id'\?"):
        load(config=config)


def test_a_secret_is_in_no_hint() -> None:
    """Settings that may hold a secret have no words of their own."""
    assert all(not setting.choices for setting in table() if setting.private)


def test_all_that_the_tables_name_is_there() -> None:
    """Meant values are choices, examples are accepted, and no other name is that of a setting."""
    for key, words in OTHER_VALUES.items():
        assert set(words.values()) <= set(BY_KEY[key].choices), key
        assert not set(words) & {bare(choice) for choice in BY_KEY[key].choices}, key
        for word, meant in words.items():
            given = {word: "x"} if BY_KEY[key].kind is Kind.TABLE else word
            assert meant == meant_value(BY_KEY[key], given)
    for word, (key, example) in EXAMPLES.items():
        assert key in OTHER_NAMES[word]
        setting = BY_KEY[key]
        assert setting.from_texts([example]) if setting.kind is Kind.TABLE else setting.from_text(example)
    assert not OTHER_NAMES.keys() & BY_KEY.keys()


def test_words_that_have_nothing_in_common_are_not_near() -> None:
    """`delimiter` does not mean `dead_letters`."""
    assert [] == meant_names("delimiter", ["dead_letters", "deny", "direction"])
