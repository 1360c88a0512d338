"""What stands between the network and the application: pages of other origins.

Knows nothing of paths.
"""

import ipaddress

from stream_rec.web.errors import ApiError

__all__ = ["OriginGuard"]


class OriginGuard:
    """Without keys, what is open to this machine is open to every web page that is looked at on it.

    A browser tells a page's origin, and which host it believes to talk to: both must be ours. What is no browser tells
    no origin, and is let in. With *any_host* the service may be asked for by any name, so a page that gives its own
    name our address is let in too.
    """

    def __init__(self, host: str, origins: tuple[str, ...] = (), *, any_host: bool = False) -> None:
        self._host = host
        self._any_host = any_host
        self._origins = frozenset(origins)

    def __call__(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Raise ApiError for a page of another origin."""
        host = origin = None
        for name, value in headers:
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
        if host is not None and not (self._any_host or self._is_ours(host)):
            raise ApiError(
                403, "foreign_host", f"{host!r} is not this service: ask for it by its address, or give keys"
            )
        if origin is None or "*" in self._origins or origin in self._origins:
            return
        if origin.partition("://")[2] != host:
            raise ApiError(403, "foreign_origin", f"pages of {origin!r} may not call this: name it with --http-cors")

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition("]")[2].startswith(":") or host.count(":") == 1 else host
        if name in {"localhost", self._host}:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True
