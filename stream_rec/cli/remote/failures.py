"""What went wrong with a call to a service, as errors that name the address and the next step."""

import http.client
import socket
import ssl
from collections.abc import Mapping
from typing import Final

from stream_rec.cli.remote.address import KEY_VARIABLE, Address
from stream_rec.errors import SettingsError, StreamRecError, TransportError

__all__ = ["STRANGER", "NotFoundError", "no_answer", "refusal"]

STRANGER: Final = "it is not a stream-rec service: give the address of its --http with --url"
_UNAUTHORIZED: Final = 401


class NotFoundError(StreamRecError):
    """The service does not know what was asked for by its name."""


def refusal(
    url: str,
    status: int,
    problem: Mapping[str, str] | None,
    headers: Mapping[str, str],
    *,
    has_key: bool,
    waited_s: float,
) -> StreamRecError:
    """Return the error for an answer that is no success; *problem* is None if it is not in the API's form."""
    if problem is None:
        where = f", and sends to {headers['location']}" if "location" in headers else ""
        return TransportError(f"{url}: it answers {status}{where}; {STRANGER}")
    message = problem["message"]
    if status == _UNAUTHORIZED:
        return SettingsError("key", f"{url}: {message}; {_KNOWN_KEY if has_key else _SOME_KEY}")
    match status, problem["code"]:
        case 403, "forbidden":
            return SettingsError("key", f"{url}: {message}")
        case 422, _ if problem.get("field"):
            return SettingsError(problem["field"], f"{message} (said {url})")
        case _, "no_such_path" | "no_such_method":
            return StreamRecError(
                f"{url}: {message}; check --url, and the version of the service: an older one lacks it"
            )
        case 404, _:
            return NotFoundError(f"{url}: {message}")
        case 503, _:
            waited = f"after {waited_s:g} s, " if waited_s else ""
            hint = "--wait SECONDS waits longer, and its /readyz says what is wrong"
            return TransportError(f"{url}: {waited}{message}; {hint}", retriable=True)
    return StreamRecError(f"{url}: {message}")


_SOME_KEY: Final = f"set {KEY_VARIABLE}, or give --key env:NAME or file:PATH"
_KNOWN_KEY: Final = "give one of those of its --http-key"


def no_answer(error: Exception, place: Address, timeout_s: float) -> str:
    """Return why nothing came back from *place*, and what to do."""
    match error:
        case ConnectionRefusedError():
            return (
                f"nothing listens there: start a service with `stream-rec run ... --http :{place.port}`, or give the "
                "address of one with --url"
            )
        case socket.gaierror():
            return f"there is no host {place.host!r} ({error.strerror}): check --url"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message}): name that of the authority with --ca FILE"
        case ssl.SSLError():
            return f"it does not speak TLS ({error.reason or error}): is its address http://?"
        case TimeoutError():
            return f"no answer within {timeout_s:g} s: check the address, and the service's log"
        case http.client.RemoteDisconnected() | ConnectionResetError():
            hint = "" if place.is_tls else "; if it expects TLS, give an https:// address"
            return f"it closed the connection without an answer{hint}"
        case http.client.HTTPException():
            return "what listens there does not speak HTTP: give the address of the service's --http with --url"
    return f"cannot be reached ({getattr(error, 'strerror', None) or error}): check --url"
