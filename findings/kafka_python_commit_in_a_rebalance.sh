#!/usr/bin/env bash
# The classic rebalance listener, which commits what is done before its partitions go, raises in kafka-python 3.
#
# With:        kafka-python 3.0.12, Apache Kafka 4.3.1
# Expected:    on_partitions_revoked is the place to commit: its documentation in this very version recommends that, as
#              Java's does, and in kafka-python 2 it worked.
# So it is:    it runs on the client's own thread, where no call of the consumer may block: commit() raises
#              RuntimeError. poll does not raise it, so the rebalance goes on, nothing is committed, and the next owner
#              of the partitions does all of it again.
# Seen:        2026-11-30: commit() on the thread kafka-io-kafka-python-3.0.12: RuntimeError; poll raised nothing; then
#              committed: None
# The product: its listener is asynchronous, leaves word, and waits without blocking; the caller's thread commits:
#              stream_rec/transport/kafka/kafka_python/member.py
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
import sys
import threading
import time

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

BROKER = os.environ["BROKER"]
admin = KafkaAdminClient(bootstrap_servers=BROKER)
admin.create_topics({"clicks": {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
admin.close()
producer = KafkaProducer(bootstrap_servers=BROKER)
for number in range(10):
    producer.send("clicks", b"x", partition=number % 2)
producer.flush()
met = []


def member():
    return KafkaConsumer(
        bootstrap_servers=BROKER, group_id="shop", enable_auto_commit=False, auto_offset_reset="earliest",
        session_timeout_ms=6000, heartbeat_interval_ms=300,
    )  # fmt: skip


class Committing(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        if revoked and not met:
            try:
                first.commit()
                met.append(("returned", threading.current_thread().name))
            except Exception as error:
                met.append((type(error).__name__, threading.current_thread().name))

    def on_partitions_assigned(self, assigned):
        pass


first, raised = member(), []
first.subscribe(["clicks"], listener=Committing())
n = 0
while n < 10:
    n += sum(map(len, first.poll(500).values()))
second = member()
second.subscribe(["clicks"])
until = time.monotonic() + 20
while not (met and first.assignment() and second.assignment()) and time.monotonic() < until:
    try:
        first.poll(100)
    except Exception as error:
        raised.append(type(error).__name__)
    second.poll(100)
committed = {first.committed(TopicPartition("clicks", number)) for number in (0, 1)}
(outcome, thread), = met
print(f"commit() on the thread {thread}: {outcome}; poll raised {raised or 'nothing'}; then committed: {committed}")
if (outcome, raised, committed) != ("RuntimeError", [], {None}) or thread == threading.current_thread().name:
    sys.exit("changed")
PY
