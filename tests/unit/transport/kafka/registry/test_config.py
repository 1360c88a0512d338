"""The registry's settings: what is refused with which name, and that secrets show nowhere."""

from pathlib import Path

import pytest

from stream_rec.errors import SettingsError
from stream_rec.transport.kafka.registry.config import read_registry_config

URL = "https://registry:8081"


@pytest.mark.parametrize(
    ("url", "given", "key", "said"),
    [
        ("registry:8081", {}, "registry", "http://localhost:8081"),
        ("https://shop:secret@registry", {}, "registry", "basic.auth.user.info"),
        (URL, {"ssl.ca.locatoin": "ca.pem"}, "registry_config.ssl.ca.locatoin", "did you mean 'ssl.ca.location'"),
        (URL, {"basic.auth.user.info": "shop:secret"}, "registry_config.basic.auth.user.info", "env:NAME"),
        (URL, {"bearer.auth.token": "secret"}, "registry_config.bearer.auth.token", "env:NAME"),
        (URL, {"basic.auth.user.info": "env:NAMELESS"}, "registry_config.basic.auth.user.info", "USER:PASSWORD"),
        (URL, {"ssl.key.location": "key.pem"}, "registry_config.ssl.key.location", "ssl.certificate.location"),
        (URL, {"timeout": "soon"}, "registry_config.timeout", "seconds"),
    ],
)
def test_a_wrong_setting_is_named(url: str, given: dict[str, str], key: str, said: str) -> None:
    """With what to write in its place, and without the secret."""
    with pytest.raises(SettingsError) as caught:
        read_registry_config(url, given, {"NAMELESS": "secret"})
    assert key == caught.value.key
    assert said in caught.value.message
    assert "secret@" not in caught.value.message


def test_secrets_show_nowhere(tmp_path: Path) -> None:
    """Neither in the repr nor in a message that repeats them; the client gets them, from a variable or a file."""
    key = tmp_path / "key"
    key.write_text("of-the-key\n")
    given = {
        "basic.auth.user.info": "env:LOGIN",
        "ssl.certificate.location": "cert.pem",
        "ssl.key.password": f"file:{key}",
    }
    config = read_registry_config(URL, given, {"LOGIN": "shop:of-the-user"})
    assert "shop:of-the-user" == config.client()["basic.auth.user.info"]
    assert "of-the-key" == config.client()["ssl.key.password"]
    assert "of-the" not in repr(config)
    assert "of-the" not in config.hide("user of-the-user, all shop:of-the-user, key of-the-key")


def test_a_token_needs_nothing_beside_it() -> None:
    """The client's own rule, a cluster beside each token, is one of Confluent's cloud."""
    config = read_registry_config(URL, {"bearer.auth.token": "env:TOKEN"}, {"TOKEN": "t"})
    assert "STATIC_TOKEN" == config.client()["bearer.auth.credentials.source"]
