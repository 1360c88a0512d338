#!/usr/bin/env bash
# kafka-python may never again read a partition that was paused and resumed.
#
# With:        kafka-python 3.0.12, Apache Kafka 4.3.1
# Expected:    pause() stops poll from giving records of a partition, resume() lets them come again.
# So it is:    records that were fetched, and handed out in part, are parked at a pause. They come back into one place,
#              which must be empty in a way that it never is again once another partition was read in the meantime. A
#              partition with parked records is not fetched either. So poll gives other partitions' records and none of
#              this one, which is not paused: lag grows, and nothing says why.
# Seen:        2026-11-30: partition 0 has 1000 records: 100 read before its pause; in 6 s after resume 100, while
#              partition 1 gives all of its 11; paused: nothing
# The product: makes that place empty before each poll:
#              stream_rec/transport/kafka/kafka_python/internals.py (free_the_slot)
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
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

BROKER = os.environ["BROKER"]
admin = KafkaAdminClient(bootstrap_servers=BROKER)
admin.create_topics({"clicks": {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
admin.close()
producer = KafkaProducer(bootstrap_servers=BROKER)
ahead, behind = TopicPartition("clicks", 0), TopicPartition("clicks", 1)


def write(partition, n):
    for _ in range(n):
        producer.send("clicks", b"x", partition=partition.partition)
    producer.flush()


def read(seconds, enough=lambda: False):
    until = time.monotonic() + seconds
    while time.monotonic() < until and not enough():
        for partition, batch in consumer.poll(100, max_records=100).items():
            n_read[partition] += len(batch)


write(ahead, 1000)
consumer = KafkaConsumer(bootstrap_servers=BROKER, enable_auto_commit=False, auto_offset_reset="earliest")
consumer.assign([ahead, behind])
n_read = {ahead: 0, behind: 0}
read(10, lambda: n_read[ahead])
consumer.pause(ahead)
before = n_read[ahead]
write(behind, 10)
read(10, lambda: n_read[behind] == 10)
consumer.resume(ahead)
write(behind, 1)
read(6)
print(f"partition 0 has 1000 records: {before} read before its pause, {n_read[ahead]} six seconds after resume; "
      f"of partition 1's 11 records {n_read[behind]}; paused: {sorted(consumer.paused()) or 'nothing'}")  # fmt: skip
if not (0 < before == n_read[ahead] < 1000 and n_read[behind] == 11 and not consumer.paused()):
    sys.exit("changed")
PY
