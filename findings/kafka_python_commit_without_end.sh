#!/usr/bin/env bash
# kafka-python's transaction calls know no time limit, whatever max_block_ms says.
#
# With:        kafka-python 3.0.12, Apache Kafka 4.3.1
# Expected:    commit_transaction raises a timeout after max_block_ms, as Java's does (a minute by default), and as
#              kafka-python's own send and init_transactions do.
# So it is:    commit_transaction (and abort_transaction, send_offsets_to_transaction) waits until the broker answers.
#              A service that has a few seconds left to stop cannot have them.
# Seen:        2026-11-30, with the broker stopped for 6 s (SIGSTOP) and max_block_ms=1500: commit_transaction returns
#              after 6.0 s
# The product: waits for the client's own results, with a limit:
#              stream_rec/transport/kafka/kafka_python/internals.py (BoundedProducer)
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

BROKER, PID = os.environ["BROKER"], int(os.environ["broker_pid"])
admin = KafkaAdminClient(bootstrap_servers=BROKER)
admin.create_topics({"answers": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
admin.close()
producer = KafkaProducer(bootstrap_servers=BROKER, transactional_id="shop", max_block_ms=1500)
producer.init_transactions()
producer.begin_transaction()
producer.send("answers", b"x").get(10)
os.kill(PID, signal.SIGSTOP)
threading.Timer(6.0, os.kill, (PID, signal.SIGCONT)).start()
begun = time.monotonic()
try:
    producer.commit_transaction()
    outcome = "returns"
except Exception as error:
    outcome = f"raises {type(error).__name__}"
took = time.monotonic() - begun
print(f"max_block_ms=1500: commit_transaction {outcome} after {took:.1f} s")
producer.close(timeout=5)
if outcome != "returns" or took < 5:
    sys.exit("changed")
PY
