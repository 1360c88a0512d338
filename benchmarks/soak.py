"""A service at its limits for twenty minutes: its memory and latency at the end beside the beginning.

    python benchmarks/soak.py                      # 20 minutes, or STREAM_REC_SOAK_MINUTES; `make soak`
    python benchmarks/soak.py --small              # one minute, to see that it runs

Not one of `bench_*`: it takes longer than all of them. Sessions are evicted all the time (`--max-sessions`), snapshots
are written, sessions and items are new ones for ever, records are repeated and broken. Each minute two clicks come from
wrong clocks, one of them within `--max-future`; half-way the topic gets another partition. No click may be late by it,
and none lost. Writes benchmarks/results/soak.{txt,json} and a picture, soak.svg.
"""

import json
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

import kafka_log
import numpy as np
from common import RESULTS, Report, report, scratch_folder
from confluent_kafka import Producer
from kafka_service import Visitors, read_status, running

QUESTION = "is a service at its limits as quick and as small at the end as at the beginning?"
RATE = 500  # events a second
EVERY_S = 5.0


class Sample(NamedTuple):
    """The service at one moment."""

    at_s: float
    rss_mib: float
    lag: int
    sessions: int
    p50_ms: float
    p99_ms: float


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def soak(bench: Report, seconds: float, max_sessions: int, client: str) -> list[Sample]:
    """Visit the service in stretches, and take a sample after each."""
    samples: list[Sample] = []
    with kafka_log.broker() as address, scratch_folder() as folder:
        status = folder / "status.json"
        kafka_log.filled(address, "clicks", max_sessions, 5)
        kafka_log.make_topic(address, "recs")
        options = [
            "--recommendations", f"kafka://{address}/recs", "--dead-letters", f"kafka://{address}/dead",
            "--create-topics", "--begin", "latest", "--kafka-client", client, "--max-sessions", str(max_sessions),
            "--retention", "none", "--snapshots", str(folder / "snapshots"), "--snapshot-every", "1m",
        ]  # fmt: skip
        with running(address, status, *options) as process:
            visitors = Visitors(address, "recs")
            visitors.visit(RATE, 2)
            begun = time.monotonic()
            noise = Noise(address)
            is_wider = False
            while (now := time.monotonic() - begun) < seconds:
                if not is_wider and now > seconds / 2:
                    is_wider = True
                    kafka_log.widen_topic(address, "clicks")
                sent = visitors.visit(RATE, EVERY_S)
                said = read_status(status)
                samples.append(
                    Sample(
                        now,
                        rss_mib(process.pid),
                        sum(said["lag"].values()),
                        said["stats"]["n_sessions"],
                        float(np.percentile(sent.latency_ms, 50)),
                        float(np.percentile(sent.latency_ms, 99)),
                    )
                )
            noise.close()
            visitors.close()
            # An added partition is noticed within seconds, and lag is counted every two.
            for _ in range(20):
                time.sleep(1)
                said = read_status(status)
                if not any(said["lag"].values()):
                    break
        counts = said["counts"]
        dead = sum(counts["dead"].values()) + counts["n_duplicates"]
        bench.part(f"{client}, {RATE:,} events/s for {seconds / 60:.0f} min, at most {max_sessions:,} sessions")
        bench.note(f"{counts['n_read']:,} read, {counts['n_applied']:,} applied, {dead:,} dead-lettered")
        assert counts["n_read"] == counts["n_applied"] + dead, "counters add up"
        bench.note(", ".join(f"{reason} {n:,}" for reason, n in sorted(counts["dead"].items())))
        bench.figure("clicks that were late", counts["dead"].get("late", 0), "clicks", "0")
        bench.figure("clicks of the future that were rejected", counts["dead"].get("future", 0), "clicks")
        bench.figure("clicks of the future that were sent", noise.n_far_ahead, "clicks")
        bench.figure("partitions read at the end", len(said["lag"]), "partitions")
    return samples


class Noise:
    """Broken, repeated and new records, ten a second, and each minute two of wrong clocks. On a thread of its own."""

    def __init__(self, address: str) -> None:
        self.n_far_ahead = 0
        self._address = address
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        producer = Producer({"bootstrap.servers": self._address})
        bad = [b"{", b'{"session_id":"s","item_id":"i","timestamp":5}', b"\xff\xfe", b'{"session_id":1.5}']
        n = 0
        while not self._over.wait(0.1):
            kafka_log.send(producer, "clicks", b"noise", bad[n % len(bad)])
            kafka_log.send(producer, "clicks", b"new", _click(f"new-{n // 3}", f"new-{n}", 0, f"new-{n // 2}"))
            if n % 600 == 0:
                self.n_far_ahead += 1
                kafka_log.send(producer, "clicks", b"ahead", _click(f"ahead-{n}", "i1", 23 * 3600))
                kafka_log.send(producer, "clicks", b"ahead", _click(f"ahead-{n}", "i1", 4 * 60))
            n += 1
        producer.flush(10)


def _click(session: str, item: str, ahead_s: int, event_id: str | None = None) -> bytes:
    click = {"session_id": session, "item_id": item, "timestamp": int((time.time() + ahead_s) * 1000)}
    return json.dumps(click | ({} if event_id is None else {"event_id": event_id})).encode()


def print_quarters(bench: Report, samples: list[Sample]) -> None:
    """Print the first and the last quarter beside each other."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[:quarter], samples[-quarter:]
    for name, unit in (("rss_mib", "MiB"), ("p50_ms", "ms"), ("p99_ms", "ms")):
        first = bench.figure(f"{name}, first quarter", [getattr(each, name) for each in early], unit)
        last = bench.figure(f"{name}, last quarter", [getattr(each, name) for each in late], unit)
        bench.figure(f"{name}, last over first", last / first, "")
    bench.figure("largest lag of a sample", max(each.lag for each in samples), "records")
    bench.figure("lag at the end", samples[-1].lag, "records", "0")
    bench.figure("sessions retained at the end", samples[-1].sessions, "sessions")


def picture(samples: list[Sample], path: Path) -> None:
    """Three curves over time, as SVG: no library for three lines."""
    width, height, left, top = 760, 130, 70, 24
    rows = [
        ("memory, MiB", [each.rss_mib for each in samples]),
        ("latency p50, ms", [each.p50_ms for each in samples]),
        ("latency p99, ms", [each.p99_ms for each in samples]),
        ("lag, records", [float(each.lag) for each in samples]),
    ]
    end = max(each.at_s for each in samples) or 1.0
    parts = []
    for row, (title, values) in enumerate(rows):
        base = top + row * (height + 40)
        most = max(*values, 1e-9)
        points = " ".join(
            f"{left + (width - left - 20) * each.at_s / end:.1f},{base + height - height * value / most:.1f}"
            for each, value in zip(samples, values, strict=True)
        )
        parts.append(
            f'<text x="{left}" y="{base - 6}" class="t">{title}</text>'
            f'<text x="{left - 8}" y="{base + 10}" class="n">{most:,.0f}</text>'
            f'<text x="{left - 8}" y="{base + height}" class="n">0</text>'
            f'<path d="M{left} {base}V{base + height}H{width - 20}" class="a"/>'
            f'<polyline points="{points}" class="l"/>'
        )
    total = top + len(rows) * (height + 40)
    style = (
        ".t{font:14px sans-serif;fill:#333}.n{font:12px sans-serif;fill:#666;text-anchor:end}"
        ".a{fill:none;stroke:#999}.l{fill:none;stroke:#0969da;stroke-width:1.5}rect{fill:#fff}"
    )
    foot = f'<text x="{width - 20}" y="{total - 4}" class="n">{end / 60:.0f} minutes</text>'
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}"><style>{style}</style>'
        f'<rect width="{width}" height="{total}"/>{"".join(parts)}{foot}</svg>\n',
        encoding="utf-8",
    )


def main() -> None:
    """Run the benchmark."""
    with report("soak", QUESTION) as bench:
        minutes = float(os.environ.get("STREAM_REC_SOAK_MINUTES", "20"))
        seconds, max_sessions = (60.0, 5_000) if bench.small else (minutes * 60.0, 200_000)
        samples = soak(bench, seconds, max_sessions, "confluent")
        print_quarters(bench, samples)
        if not bench.small:
            picture(samples, RESULTS / "soak.svg")
            lines = [json.dumps(each._asdict()) + "\n" for each in samples]
            (RESULTS / "soak_samples.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
