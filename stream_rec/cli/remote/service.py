"""A running service, called over HTTP: one call, one connection. Errors name the address and the next step.

The standard library's client, since it follows no redirect: the key goes to the address that was given, and nowhere
else. Knows no command, and no path of the API.
"""

import http.client
import ssl
from collections.abc import Callable, Mapping
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from stream_rec.cli.remote.address import Address
from stream_rec.cli.remote.failures import STRANGER, no_answer, refusal
from stream_rec.errors import SettingsError, TransportError

__all__ = ["Service"]

_TIMEOUT_S: Final = 30.0
_UNAVAILABLE: Final = 503
_FIRST_FAILURE: Final = 300
_LONGEST_PAUSE_S: Final = 5.0


class Service:
    """The service at *address*.

    While it answers 503, a call waits as long as the answer says and tries again, for *wait_s* seconds at most; *tell*
    gets a line when that begins. Every call may be repeated: it reads, or erases.
    """

    def __init__(
        self,
        address: Address,
        key: str | None = None,
        *,
        ca: str | None = None,
        wait_s: float = 0.0,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.url = address.url
        self._address = address
        self._key = key
        self._tls = _tls(ca) if address.is_tls else None
        self._wait_s = wait_s
        self._tell = tell

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 (JSON)
        """Return the answer to a GET. Raises StreamRecError: NotFoundError for 404."""
        return self._call("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 (JSON)
        """Return the answer to a POST of *body* as JSON. Raises StreamRecError."""
        return self._call("POST", path, msgspec.json.encode(body))

    def delete(self, path: str) -> Any:  # noqa: ANN401 (JSON)
        """Return the answer to a DELETE. Raises StreamRecError."""
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 (JSON)
        until = monotonic() + self._wait_s
        is_told = False
        while True:
            status, headers, data = self._exchange(method, path, body)
            problem = None if status < _FIRST_FAILURE else _problem(data)
            if status != _UNAVAILABLE or problem is None:
                break
            pause = min(_seconds(headers.get("retry-after")), _LONGEST_PAUSE_S)
            if monotonic() + pause > until:
                break
            if not is_told:
                is_told = True
                self._tell(f"{self.url}: {problem['message']}; waiting for {self._wait_s:g} s at most (--wait)")
            sleep(pause)
        if status < _FIRST_FAILURE:
            return self._decoded(data)
        raise refusal(self.url, status, problem, headers, has_key=self._key is not None, waited_s=self._wait_s)

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request, and return status, headers and body. Raises TransportError."""
        place = self._address
        connection = (
            http.client.HTTPConnection(place.host, place.port, timeout=_TIMEOUT_S)
            if self._tls is None
            else http.client.HTTPSConnection(place.host, place.port, timeout=_TIMEOUT_S, context=self._tls)
        )
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key}"
        try:
            connection.request(method, place.path + path, body, headers)
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise TransportError(f"{self.url}: {no_answer(error, place, _TIMEOUT_S)}", retriable=True) from None
        finally:
            connection.close()

    def _decoded(self, data: bytes) -> Any:  # noqa: ANN401 (JSON)
        try:
            found = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = None
        if not isinstance(found, dict):
            raise TransportError(f"{self.url}: {STRANGER}")
        return found


def _problem(data: bytes) -> Mapping[str, str] | None:
    """Return what the service says is wrong; None if that is not how it says so."""
    try:
        return msgspec.json.decode(data, type=dict[str, dict[str, str]])["error"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
        return None


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else 1.0


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError("ca", f"cannot read certificates from {ca!r}: {error.strerror or error}") from None
