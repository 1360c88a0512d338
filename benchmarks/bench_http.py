"""The HTTP API under load, on the cores that the load comes from too: half a million sessions, events streaming in.

`wrk` saturates it from a fixed number of connections; `vegeta` asks at a fixed rate without waiting, so that a
late answer does not delay the next request. Both must be on the path: `apt install wrk`, and
`go install github.com/tsenart/vegeta/v12@v12.12.0`. Rivals are absent: Serenade publishes 1,000 requests/s at a p90
below 7 ms for its own server, on other machines.
"""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import kafka_log
from common import COMMAND, Report, in_turn, report, scratch_folder

QUESTION = "how many recommendations does it serve, and how long does each take?"
EVENTS_A_SECOND = 2000
EVENTS_A_CALL = 20
RATE = 4000
WRK = """
local n = {sessions}
math.randomseed({seed})
request = function()
  {call}
end
"""
GET = 'return wrk.format("GET", "/v1/sessions/s" .. math.random(0, n - 1) .. "/recommendations")'
POST = """local s, i = math.random(0, n - 1), math.random(1, 2000)
  local body = '{"event":{"session_id":"s' .. s .. '","item_id":"i' .. i .. '"}}'
  return wrk.format("POST", "/v1/events:recommend", nil, body)"""


class Served(NamedTuple):
    """A service under load."""

    port: int
    pid: int
    sessions: int
    seconds: int
    folder: Path

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def served(log: Path, sessions: int, seconds: int, folder: Path, *options: str) -> Iterator[Served]:
    """`stream-rec run --http` with the log of that many sessions, once it is ready."""
    command = [*COMMAND, "run", "--events", str(log), "--http", "127.0.0.1:0", "--retention", "none"]
    command += ["--preset", "vmis-knn", "--m", "500", "--k", "100", "--n", "20", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            port = next(
                int(found[1]) for line in process.stderr if (found := re.search(r"127\.0\.0\.1:(\d+)/ in", line))
            )
            threading.Thread(target=process.stderr.read, daemon=True).start()
            _wait_until_ready(port)
            yield Served(port, process.pid, sessions, seconds, folder)
        finally:
            process.terminate()


def _wait_until_ready(port: int) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/readyz")
        if connection.getresponse().status == 200:
            return
        connection.close()
        time.sleep(0.1)
    raise SystemExit("the service was not ready in time")


@contextmanager
def events_streaming_in(service: Served) -> Iterator[list[int]]:
    """Two thousand events a second over HTTP, twenty a call, of sessions that come and go; yields a count of them."""
    over = threading.Event()
    sent = [0]
    feeder = subprocess.Popen(
        [sys.executable, __file__, "feed", str(service.port), str(service.sessions)], stdout=subprocess.PIPE, text=True
    )

    def count() -> None:
        assert feeder.stdout is not None
        for line in feeder.stdout:
            sent[0] = int(line)
        over.set()

    threading.Thread(target=count, daemon=True).start()
    try:
        yield sent
    finally:
        feeder.terminate()
        feeder.wait()


def feed(port: int, sessions: int) -> None:
    """Send events at their rate until ended; print now and then how many were accepted."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    begun, n = time.monotonic(), 0
    while True:
        body = json.dumps(
            [
                {"session_id": f"s{(n + at) * 7919 % sessions}", "item_id": f"i{(n + at) * 104729 % 2000 + 1}"}
                for at in range(EVENTS_A_CALL)
            ]
        )
        connection.request("POST", "/v1/events", body)
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 202, reply.status
        n += EVENTS_A_CALL
        if n % 1000 == 0:
            print(n, flush=True)
        time.sleep(max(0.0, begun + n / EVENTS_A_SECOND - time.monotonic()))


def saturated(service: Served, call: str, connections: int) -> dict[str, float]:
    """Ask as fast as the service answers, from so many connections."""
    script = service.folder / "load.lua"
    script.write_text(WRK.format(sessions=service.sessions, seed=time.monotonic_ns() % 100_000, call=call))
    before = _cpu_s(service.pid)
    options = ["-t1", f"-c{connections}", f"-d{service.seconds}s", "--latency", "-s", str(script)]
    printed = subprocess.run(["wrk", *options, service.url], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in printed, printed
    assert "Socket errors" not in printed, printed
    n = int(re.findall(r"(\d+) requests in", printed)[0])
    return {
        "rate": float(re.findall(r"Requests/sec:\s+([\d.]+)", printed)[0]),
        "cpu_us": 1e6 * (_cpu_s(service.pid) - before) / n,
    }


def at_a_rate(service: Served) -> dict[str, float]:
    """Ask at a fixed rate, also while answers are late."""
    targets = service.folder / "targets"
    with targets.open("w") as out:
        for n in range(RATE * service.seconds):
            path = f"/v1/sessions/s{n * 7919 % service.sessions}/recommendations"
            out.write(f"GET {service.url}{path}\n\n")
    attack = ["vegeta", "attack", f"-rate={RATE}", f"-duration={service.seconds}s", f"-targets={targets}"]
    results = subprocess.run([*attack, "-keepalive=true"], capture_output=True, check=True).stdout
    attacked = json.loads(
        subprocess.run(["vegeta", "report", "-type=json"], input=results, capture_output=True, check=True).stdout
    )
    assert attacked["success"] == 1.0, attacked
    return {name: attacked["latencies"][name] / 1e6 for name in ("50th", "90th", "99th")} | {"rate": attacked["rate"]}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def ask(bench: Report, service: Served, n_rounds: int) -> None:
    """Measure all calls, in turn, while events stream in."""
    asks: dict[str, Callable[[], dict[str, float]]] = {
        "get": lambda: saturated(service, GET, 32),
        "post": lambda: saturated(service, POST, 32),
        "rate": lambda: at_a_rate(service),
    }
    with events_streaming_in(service) as sent:
        time.sleep(2)
        begun, before = time.monotonic(), sent[0]
        found = in_turn(n_rounds, asks)
        streamed = (sent[0] - before) / (time.monotonic() - begun)
    bench.figure("GET recommendations, saturated", _of(found["get"], "rate"), "requests/s", ">= 10,000")
    bench.figure("CPU of that", _of(found["get"], "cpu_us"), "us a request")
    bench.figure("events:recommend, saturated", _of(found["post"], "rate"), "requests/s", ">= 6,000")
    bench.figure("CPU of that", _of(found["post"], "cpu_us"), "us a request")
    bench.figure(f"GET at {RATE:,}/s: reached", _of(found["rate"], "rate"), "requests/s")
    bench.figure(f"GET at {RATE:,}/s, p50", _of(found["rate"], "50th"), "ms")
    bench.figure(f"GET at {RATE:,}/s, p90", _of(found["rate"], "90th"), "ms")
    bench.figure(f"GET at {RATE:,}/s, p99", _of(found["rate"], "99th"), "ms", "<= 7")
    bench.figure("events that streamed in meanwhile", streamed, "events/s")


def _of(runs: list[dict[str, float]], what: str) -> list[float]:
    return [run[what] for run in runs]


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:2] == ["feed"]:
        feed(int(sys.argv[2]), int(sys.argv[3]))
        return
    for tool in ("wrk", "vegeta"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not on the path: see the top of this file")
    with report("http", QUESTION) as bench, scratch_folder() as folder:
        sessions, seconds, n_rounds = (10_000, 2, 1) if bench.small else (500_000, 10, 3)
        log = folder / "clicks.jsonl"
        with log.open("wb") as out:
            for _, value in kafka_log.events(sessions):
                out.write(value + b"\n")
        bench.part(f"{sessions:,} sessions, vmis-knn m 500 k 100, n 20; {EVENTS_A_SECOND:,} events/s stream in")
        with served(log, sessions, seconds, folder) as service:
            ask(bench, service, n_rounds)


if __name__ == "__main__":
    main()
