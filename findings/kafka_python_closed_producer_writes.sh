#!/usr/bin/env bash
# A kafka-python producer whose close(timeout) gave up goes on writing.
#
# With:        kafka-python 3.0.12, Apache Kafka 4.3.1
# Expected:    close(timeout=1) waits that long for what was sent, then ends the producer and fails the rest, as Java's
#              does: after it, nothing more is written.
# So it is:    close flushes first, and where that takes too long raises, before it has ended anything. The producer is
#              not closed, its thread lives, and writes the records once the broker answers: a service that gave up
#              on them and sent them again has them twice.
# Seen:        2026-11-30, with the broker stopped for a moment (SIGSTOP): close raises KafkaTimeoutError after 1.0 s;
#              its thread is alive; the broker goes on, and 3 of 3 records arrive
# The product: forces an end where close raises: stream_rec/transport/kafka/kafka_python/internals.py (BoundedProducer)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'broker_end; rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=_broker.sh
. "$here/_broker.sh"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'kafka-python[crc32c]==3.0.12'
broker_begin

"$work/venv/bin/python" -W ignore - <<'PY'
import os
import signal
import sys
import threading
import time

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError

BROKER, PID = os.environ["BROKER"], int(os.environ["broker_pid"])
admin = KafkaAdminClient(bootstrap_servers=BROKER)
admin.create_topics({"answers": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
admin.close()
others = set(threading.enumerate())
producer = KafkaProducer(bootstrap_servers=BROKER)
producer.send("answers", b"in time").get(10)
os.kill(PID, signal.SIGSTOP)
try:
    futures = [producer.send("answers", b"given up") for _ in range(3)]
    begun = time.monotonic()
    try:
        producer.close(timeout=1)
        closing = "returns"
    except KafkaError as error:
        closing = f"raises {type(error).__name__}"
    took = time.monotonic() - begun
finally:
    os.kill(PID, signal.SIGCONT)
alive = bool(set(threading.enumerate()) - others)
until = time.monotonic() + 10
while not all(future.is_done for future in futures) and time.monotonic() < until:
    time.sleep(0.1)
arrived = sum(future.succeeded() for future in futures)
thread = "alive" if alive else "gone"
print(f"close {closing} after {took:.1f} s; its thread is {thread}; {arrived} of 3 records arrive")
if (closing, alive, arrived) != ("raises KafkaTimeoutError", True, 3):
    sys.exit("changed")
os._exit(0)  # the producer cannot be closed in any other way
PY
