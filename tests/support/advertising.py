"""A broker that answers, and advertises an address at which nothing can be reached, as one in a container may.

A proxy before a broker, which puts another address into what it answers.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

__all__ = ["advertising"]

_BYTES = 1 << 16


@contextlib.contextmanager
def advertising(broker: str, host: str, port: int) -> Iterator[str]:
    """Yield an address of *broker* at which it names *host*, as long as its own, and *port* for itself."""
    own_host, _, own_port = broker.partition(":")
    before = own_host.encode() + struct.pack(">i", int(own_port))
    after = host.encode() + struct.pack(">i", port)
    assert len(before) == len(after)

    def pipe(source: socket.socket, sink: socket.socket, *, rewrite: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_BYTES):
                sink.sendall(data.replace(before, after) if rewrite else data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listening.accept()
                behind = socket.create_connection((own_host, int(own_port)))
                opened.extend([caller, behind])
                for ends, rewrite in (((caller, behind), False), ((behind, caller), True)):
                    threading.Thread(target=pipe, args=ends, kwargs={"rewrite": rewrite}, daemon=True).start()

    opened: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in opened:
                each.close()
