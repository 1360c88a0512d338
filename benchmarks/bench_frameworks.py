"""The processor time of a web framework and a server for one call: 20 constant items, encoded by msgspec.

Time of the processor, not requests a second: it is what is left to recommend with, and does not depend on what the load
costs. Those that are not installed are left out, and named: `pip install litestar fastapi blacksheep granian`.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from common import Report, in_turn, report

from stream_rec.core.events import Answer, Recommendation

QUESTION = "what does a call over HTTP cost by itself?"
ITEMS = [Recommendation(f"i{n}", 1.0 / (n + 1), "neighbours") for n in range(20)]
ENCODE = msgspec.json.Encoder().encode
PATH = "/v1/sessions/{session_id}/recommendations"
SERVERS = ("uvicorn", "granian")
Untyped = Any
"""The type of an object of a library that may not be installed."""


def answer(session_id: str) -> Answer:
    """Return the answer to each call."""
    return Answer(session_id, None, ITEMS, 5, {"clicks-0": 5}, "vmis-knn")


def asgi() -> Untyped:
    """No framework: the least cost of all."""

    async def app(scope: Untyped, receive: Untyped, send: Untyped) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": f"{scope['type']}.startup.complete"})
            return
        body = ENCODE(answer(scope["path"].split("/")[3]))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def starlette() -> Untyped:
    """With its own requests and responses."""
    from starlette.applications import Starlette  # noqa: PLC0415  # one of them a process
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def ask(request: Request) -> Response:
        return Response(ENCODE(answer(request.path_params["session_id"])), media_type="application/json")

    return Starlette(routes=[Route(PATH, ask)])


def litestar() -> Untyped:
    """With msgspec's structs, its fastest way."""
    from litestar import Litestar, get  # type: ignore[import-not-found]  # noqa: PLC0415

    @get(PATH.replace("session_id", "session_id:str"), sync_to_thread=False)  # type: ignore[untyped-decorator]
    def ask(session_id: str, n: int = 20) -> Answer:
        del n
        return answer(session_id)

    return Litestar([ask])


def fastapi() -> Untyped:
    """With bytes that are already encoded."""
    from fastapi import FastAPI, Response  # noqa: PLC0415

    app = FastAPI()

    @app.get(PATH)
    async def ask(session_id: str, n: int = 20) -> Response:
        del n
        return Response(ENCODE(answer(session_id)), media_type="application/json")

    return app


def blacksheep() -> Untyped:
    """With bytes that are already encoded."""
    from blacksheep import Application, Content, Response  # type: ignore[import-not-found]  # noqa: PLC0415

    app = Application()

    @app.router.get(PATH)  # type: ignore[untyped-decorator]
    async def ask(session_id: str, n: int = 20) -> Response:
        del n
        return Response(200, content=Content(b"application/json", ENCODE(answer(session_id))))

    return app


FRAMEWORKS: dict[str, Callable[[], Untyped]] = {
    each.__name__: each for each in (asgi, starlette, litestar, fastapi, blacksheep)
}


def serve(framework: str, server: str, port: int) -> None:
    """Serve until ended."""
    app = FRAMEWORKS[framework]()
    if server == "uvicorn":
        import uvicorn  # noqa: PLC0415

        uvicorn.run(app, port=port, log_level="error", access_log=False, loop="uvloop", http="httptools")
        return
    import uvloop  # noqa: PLC0415
    from granian.server.embed import Server  # type: ignore[import-not-found]  # noqa: PLC0415

    uvloop.run(Server(app, address="127.0.0.1", port=port, interface="asgi", log_enabled=False).serve())


def cost(framework: str, server: str, seconds: int) -> dict[str, float]:
    """Microseconds of processor a call, and calls a second."""
    port = 20_000 + os.getpid() % 20_000
    url = f"http://127.0.0.1:{port}{PATH.format(session_id='abc')}?n=20"
    with subprocess.Popen([sys.executable, __file__, "serve", framework, server, str(port)]) as process:
        try:
            _wait(url)
            before = _cpu_s(process.pid)
            done = subprocess.run(
                ["wrk", "-t1", "-c32", f"-d{seconds}s", url], capture_output=True, text=True, check=True
            )
            n = int(re.findall(r"(\d+) requests in", done.stdout)[0])
            rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", done.stdout)[0])
            return {"cpu_us": 1e6 * (_cpu_s(process.pid) - before) / n, "rate": rate}
        finally:
            process.terminate()


def _wait(url: str) -> None:
    for _ in range(200):
        if not subprocess.run(["wrk", "-t1", "-c1", "-d1s", url], capture_output=True, check=False).returncode:
            return
        time.sleep(0.1)
    raise SystemExit("it did not begin to serve")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def ask(bench: Report) -> None:
    """Measure all that are installed, in turn."""
    is_there = {name: name == "asgi" or importlib.util.find_spec(name) is not None for name in (*FRAMEWORKS, *SERVERS)}
    missing = [name for name, there in is_there.items() if not there]
    if missing:
        bench.note(f"not installed: {', '.join(missing)}")
    seconds, n_rounds = (1, 1) if bench.small else (3, 3)
    rivals: dict[str, Callable[[], dict[str, float]]] = {}
    for server in SERVERS:
        for name in FRAMEWORKS:
            if is_there[name] and is_there[server]:
                rivals[f"{name} on {server}"] = lambda name=name, server=server: cost(name, server, seconds)  # type: ignore[misc]
    for what, runs in in_turn(n_rounds, rivals).items():
        bench.figure(what, [run["cpu_us"] for run in runs], "us a call")
        bench.figure(f"{what}, saturated", [run["rate"] for run in runs], "calls/s")


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not on the path: apt install wrk")
    with report("frameworks", QUESTION) as bench:
        ask(bench)


if __name__ == "__main__":
    main()
