#!/usr/bin/env bash
# A POST that also offers an upgrade loses its body.
#
# With:        httptools 0.9.0, uvicorn 0.54.0
# Expected:    a server may ignore the wish to upgrade to another protocol, and then answers the request as any other (RFC
#              9110, 7.8). Java's HttpClient offers HTTP/2 so with its first request over http://, body included.
# So it is:    the parser takes what follows the head for the other protocol: the application gets an empty body, and no
#              request behind it on the same connection is answered. Uvicorn warns twice for each, and goes on so.
# Seen:        2026-11-30: without the header the application got 5 bytes, with it 0
# The product: parses such a request a second time, without the wish: stream_rec/web/protocol.py
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check httptools==0.9.0 uvicorn==0.54.0

"$work/venv/bin/python" - <<'PY'
import asyncio
import socket
import sys

import uvicorn

UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEA\r\n"
got = []


async def app(scope, receive, send):
    got.append(len((await receive())["body"]))
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def call(port, more):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n" + more + b"\r\nhello")
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def main():
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    for more in (b"", UPGRADE):
        await call(listening.getsockname()[1], more)
    server.should_exit = True
    await serving


asyncio.run(main())
print(f"without the header the application got {got[0]} bytes, with it {got[1]}")
sys.exit(0 if got == [5, 0] else 1)
PY
