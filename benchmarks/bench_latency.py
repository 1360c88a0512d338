"""From an event's sending to its answer's arrival, through a real broker, on one machine."""

from pathlib import Path

import kafka_log
import numpy as np
from common import Report, report, scratch_folder
from kafka_service import Visitors, running

QUESTION = "how long from an event in to its answer out, at which rate?"
RATES = (100, 1_000, 10_000)
TARGETS = {
    (100, "exactly-once", 50): "<= 20",
    (100, "at-least-once", 50): "<= 20",
    (1_000, "at-least-once", 99): "<= 50",
    (1_000, "exactly-once", 99): "<= 150",
}


def latency(bench: Report, address: str, status: Path, client: str, delivery: str, seconds: float) -> None:
    """One service at all rates, after a little warm-up."""
    answers = f"recs-{client}-{delivery}"
    kafka_log.make_topic(address, answers)
    options = ["--recommendations", f"kafka://{address}/{answers}", "--kafka-client", client, "--delivery", delivery]
    options += ["--group", answers, "--begin", "latest", "--retention", "none", "--allowed-lateness", "30d"]
    with running(address, status, *options):
        visitors = Visitors(address, answers)
        visitors.visit(200, 2)
        bench.part(f"{client}, {delivery}")
        for rate in RATES:
            n_before = visitors.n_sent
            sent = visitors.visit(rate, seconds)
            n = visitors.n_sent - n_before
            bench.note(f"{rate:,} events/s: {n:,} sent, {len(sent.at):,} answered")
            for percent in (50, 90, 99):
                value = float(np.percentile(sent.latency_ms, percent)) if len(sent.at) else float("inf")
                bench.figure(
                    f"p{percent} at {rate:,} events/s, {client}, {delivery}",
                    value,
                    "ms",
                    TARGETS.get((rate, delivery, percent)),
                )
        visitors.close()
    status.unlink(missing_ok=True)


def main() -> None:
    """Run the benchmark."""
    with report("latency", QUESTION) as bench, kafka_log.broker() as address, scratch_folder() as folder:
        n_sessions, seconds = (10_000, 3.0) if bench.small else (100_000, 20.0)
        log = kafka_log.filled(address, "clicks", n_sessions, 5)
        bench.note(f"{sum(log.ends.values()):,} events learned before; {kafka_log.PARTITIONS} partitions")
        for client in ("kafka-python", "confluent"):
            for delivery in ("exactly-once", "at-least-once"):
                latency(bench, address, folder / "status.json", client, delivery, seconds)


if __name__ == "__main__":
    main()
