"""OAuth tokens by client credentials, for a client that does not fetch them itself.

Knows HTTP and the three fields of an answer that matter (RFC 6749, section 4.4). A token is used until shortly before
it expires; secrets are in no error and no repr.
"""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.timeouts import TransportTimeouts

__all__ = ["ClientCredentials"]

_URL: Final = "kafka.sasl.oauthbearer.token.endpoint.url"
_REFUSED: Final = range(400, 500)
_USED_FOR: Final = 0.8


class ClientCredentials:
    """Fetches tokens from *url* for *client*. Safe to use from several threads."""

    def __init__(self, url: str, client: str, secret: str, scope: str | None, timeouts: TransportTimeouts) -> None:
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise SettingsError(_URL, f"expected an https:// address, found {url!r}")
        self._url = url
        self._timeouts = timeouts
        self._fields = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._authorization = base64.b64encode(
            f"{urllib.parse.quote_plus(client)}:{urllib.parse.quote_plus(secret)}".encode()
        ).decode()
        self._token = ""
        self._use_until = 0.0
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"ClientCredentials({self._url!r})"

    def token(self) -> str:
        """Return a valid token. Raises SettingsError where the credentials are refused, else TransportError."""
        with self._lock:
            if time.monotonic() >= self._use_until:
                self._fetch()
            return self._token

    def _fetch(self) -> None:
        answer = self._answer()
        token, lifetime = answer.get("access_token"), answer.get("expires_in", self._timeouts.token_lifetime_s)
        if not isinstance(token, str) or not isinstance(lifetime, int | float):
            raise SettingsError(_URL, f"{self._url} answers without an access_token")
        self._token = token
        self._use_until = time.monotonic() + lifetime * _USED_FOR

    def _answer(self) -> Mapping[str, Any]:
        request = urllib.request.Request(  # noqa: S310 (the constructor checks the scheme)
            self._url,
            urllib.parse.urlencode(self._fields).encode(),
            {"Authorization": f"Basic {self._authorization}", "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeouts.token_s) as answer:  # noqa: S310 (as above)
                read = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code in _REFUSED:
                message = f"the token endpoint {self._url} refuses these credentials (HTTP {error.code})"
                raise SettingsError("kafka.sasl.oauthbearer.client.secret", message) from None
            raise TransportError(f"{self._url}: no token, HTTP {error.code}", retriable=True) from None
        except (OSError, ValueError) as error:
            raise TransportError(f"{self._url}: no token: {error}", retriable=True) from None
        return read if isinstance(read, Mapping) else {}
