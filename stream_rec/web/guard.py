"""Keeps out web pages of other origins. Knows nothing of paths."""

import ipaddress

from stream_rec.web.errors import ApiError

__all__ = ["OriginGuard"]


class OriginGuard:
    """Refuses calls from web pages of other origins, for services without keys.

    Without keys, every web page that is open on this machine could call the service. A browser sends the origin of the
    page and the host that it means to call: both must be ours. Other programs send no origin, and are let in. Ours are
    addresses, `localhost`, *host* and *hosts*. With *any_host* any host name is accepted; so a page can get in by
    pointing its own name at our address.
    """

    def __init__(
        self, host: str, origins: tuple[str, ...] = (), *, hosts: tuple[str, ...] = (), any_host: bool = False
    ) -> None:
        self._hosts = frozenset(name.lower() for name in ("localhost", host, *hosts))
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
                403,
                "foreign_host",
                f"{host!r} is not the address of this service: call it by its address, set keys, or name the host with "
                "--http-host",
            )
        if origin is None or "*" in self._origins or origin in self._origins:
            return
        if origin.partition("://")[2] != host:
            raise ApiError(
                403, "foreign_origin", f"pages of {origin!r} may not call this service: allow them with --http-cors"
            )

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition("]")[2].startswith(":") or host.count(":") == 1 else host
        if name.lower() in self._hosts:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True
