"""Why no connection to a broker comes about, and what to do: the clients only say that none does.

Connects by hand. Knows neither client, and nothing of what is said over a connection.
"""

import contextlib
import socket
from collections.abc import Iterable
from typing import Final

from stream_rec.errors import TransportError

__all__ = ["refuse_unreachable", "why_unreachable"]

_MOST: Final = 3
"""Addresses that are tried: a cluster may have hundreds."""


def why_unreachable(servers: str, protocol: str | None, timeout_s: float) -> str:
    """Return why no broker answers at one of *servers*, and what to do; *timeout_s* is that of all connections."""
    addresses = [
        (host.strip("[]"), int(port)) for host, _, port in (each.rpartition(":") for each in servers.split(","))
    ]
    reasons = []
    for host, port in addresses[:_MOST]:
        reason = _refusal(host, port, timeout_s / min(len(addresses), _MOST))
        if reason is None:
            return (
                f"{host}:{port} accepts connections, and no broker answers there: it may be starting; if not, is "
                f"kafka.security.protocol (now {protocol or 'PLAINTEXT'}) what that listener speaks? With TLS it is "
                "SSL or SASL_SSL"
            )
        reasons.append(reason)
    return (
        f"{'; '.join(reasons)}: does the broker run, and are host and port right? In a container, localhost is the "
        "container itself, and outside of Docker's network its names are unknown"
    )


def refuse_unreachable(servers: str, advertised: Iterable[tuple[str, int]], timeout_s: float) -> None:
    """Raise TransportError where none of the *advertised* addresses, which *servers* named, accepts a connection.

    All requests but the first go to these. *timeout_s* is that of all connections.
    """
    addresses = list(advertised)
    reasons = []
    for host, port in addresses[:_MOST]:
        reason = _refusal(host, port, timeout_s / min(len(addresses), _MOST))
        if reason is None:
            return
        reasons.append(reason)
    if not reasons:
        return
    names = ", ".join(f"{host}:{port}" for host, port in addresses[:_MOST])
    raise TransportError(
        f"{servers} answers, and sends its clients on to {names}, which cannot be reached ({'; '.join(reasons)}): let "
        "the broker's advertised.listeners name an address that this machine reaches, in Docker one listener for the "
        "host (localhost:PORT) and one for containers",
        retriable=True,
    )


def _refusal(host: str, port: int, timeout_s: float) -> str | None:
    """Return why *host* does not accept a connection; None if it does."""
    try:
        with contextlib.closing(socket.create_connection((host, port), timeout_s)):
            return None
    except socket.gaierror as error:
        return f"there is no host {host!r} ({error.strerror})"
    except ConnectionRefusedError:
        return f"nothing listens at {host}:{port}"
    except TimeoutError:
        return f"{host}:{port} does not answer within {timeout_s:.1f} s"
    except OSError as error:
        return f"{host}:{port}: {error.strerror or error}"
