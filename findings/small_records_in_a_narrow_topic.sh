#!/usr/bin/env bash
# A topic that takes 100,000 bytes does not take 1,000 records of 500 bytes, with either client.
#
# With:        confluent-kafka 2.16.1 (librdkafka), kafka-python 3.0.12, Apache Kafka 4.3.1
# Expected:    max.message.bytes of a topic bounds a record, by its name, and these are far from it. What the broker
#              bounds is a batch; so a client splits a batch that is refused, as Java's does.
# So it is:    librdkafka fills batches up to one size for all topics, and does not split: each of the small records
#              fails as too large. kafka-python splits, and all arrive; but flush raises UnknownError while it does.
# Seen:        2026-11-30: confluent-kafka: 1000 MSG_SIZE_TOO_LARGE; kafka-python: flush raises UnknownError (Future
#              not done), and a moment later 1000 of 1000 have arrived
# The product: asks the broker what each topic takes, and hands over no more at a time:
#              stream_rec/transport/kafka/batch_limits.py; asks a flush again that was woken by a split:
#              stream_rec/transport/kafka/kafka_python/internals.py
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'broker_end; rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=_broker.sh
. "$here/_broker.sh"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'kafka-python[crc32c]==3.0.12' confluent-kafka==2.16.1
broker_begin

"$work/venv/bin/python" -W ignore - <<'PY'
import os
import sys
import time
from collections import Counter

import confluent_kafka
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError

BROKER = os.environ["BROKER"]
admin = KafkaAdminClient(bootstrap_servers=BROKER)
narrow = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": "100000"}}
admin.create_topics({"dead-letters": narrow}, wait_for_metadata=True)
admin.close()
records = [os.urandom(500) for _ in range(1000)]

producer, outcomes = confluent_kafka.Producer({"bootstrap.servers": BROKER, "linger.ms": 100}), Counter()
for record in records:
    answered = lambda error, _: outcomes.update([error.name() if error else "arrives"])
    producer.produce("dead-letters", record, on_delivery=answered)
producer.flush(20)
print("confluent-kafka:", dict(outcomes))

producer = KafkaProducer(bootstrap_servers=BROKER, batch_size=1 << 18, linger_ms=100)
futures = [producer.send("dead-letters", record) for record in records]
try:
    producer.flush(20)
    flushed = "returns"
except KafkaError as error:
    flushed = type(error).__name__
until = time.monotonic() + 20
while not all(future.is_done for future in futures) and time.monotonic() < until:
    time.sleep(0.1)
arrived = sum(future.succeeded() for future in futures)
print(f"kafka-python: flush {flushed}; a moment later {arrived} of {len(futures)} have arrived")
producer.close(timeout=5)

if outcomes != {"MSG_SIZE_TOO_LARGE": 1000} or (flushed, arrived) != ("UnknownError", 1000):
    sys.exit("changed")
PY
