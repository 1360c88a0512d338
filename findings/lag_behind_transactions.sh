#!/usr/bin/env bash
# Behind transactions, what is left to read is never 0 by counting offsets, and one call has two ends of a partition.
#
# With:        kafka-python 3.0.12, confluent-kafka 2.16.1, Apache Kafka 4.3.1
# Expected:    a consumer that has read the last record is at the end: end - (its offset + 1) is 0. And the end that a
#              client has cached is the one that the broker gives when asked.
# So it is:    markers and aborted records have offsets and are not given out, so that difference stays above 0 for
#              good; the client's position() gets past them, though only while it is polled. And of a reader of
#              committed records the end that is asked for is that of what is committed, while the cached one
#              (highwater, cached=True) counts an open transaction too.
# Seen:        2026-11-30: 10 committed records, 5 aborted ones: last record 9, position 17, end 17, so 7 seem left,
#              with both clients; then 5 of an open transaction: kafka-python end_offsets 17, highwater 22;
#              confluent-kafka get_watermark_offsets 17, cached=True 22
# The product: goes by positions, past what is not given out, and asks for the end of what is committed:
#              stream_rec/transport/kafka/kafka_python/reader.py, stream_rec/transport/kafka/confluent/reader.py
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

import confluent_kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

BROKER = os.environ["BROKER"]
admin = KafkaAdminClient(bootstrap_servers=BROKER)
admin.create_topics({"answers": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
admin.close()
producer = KafkaProducer(bootstrap_servers=BROKER, transactional_id="shop")
producer.init_transactions()


def write(n, end):
    producer.begin_transaction()
    for _ in range(n):
        producer.send("answers", b"x")
    producer.flush()
    if end is not None:
        end()


write(10, producer.commit_transaction)
write(5, producer.abort_transaction)
ours, theirs = TopicPartition("answers", 0), confluent_kafka.TopicPartition("answers", 0, 0)
python = KafkaConsumer(bootstrap_servers=BROKER, enable_auto_commit=False, isolation_level="read_committed")
python.assign([ours])
python.seek(ours, 0)
confluent = confluent_kafka.Consumer({"bootstrap.servers": BROKER, "group.id": "reader"})
confluent.assign([theirs])
last = {}


def poll(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for batch in python.poll(100).values():
            last["kafka-python"] = batch[-1].offset
        message = confluent.poll(0.1)
        if message is not None and message.error() is None:
            last["confluent-kafka"] = message.offset()


def ends():
    return {
        "kafka-python": (python.end_offsets([ours])[ours], python.highwater(ours)),
        "confluent-kafka": (
            confluent.get_watermark_offsets(theirs)[1],
            confluent.get_watermark_offsets(theirs, cached=True)[1],
        ),
    }


poll(4)
position = {"kafka-python": python.position(ours), "confluent-kafka": confluent.position([theirs])[0].offset}
seen = {}
for client, (end, _) in ends().items():
    seen[client] = [last[client], position[client], end, end - last[client] - 1]
    print(client + ": last record {}, position {}, end {}, so {} seem left".format(*seen[client]))
write(5, None)
poll(2)
for client, (asked, known) in ends().items():
    seen[client] += [asked, known]
    print(f"{client}, with a transaction open: the end when asked {asked}, cached {known}")
producer.abort_transaction()
if set(map(tuple, seen.values())) != {(9, 17, 17, 7, 17, 22)}:
    sys.exit("changed")
PY
