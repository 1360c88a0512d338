#!/usr/bin/env bash
# Of two kafka-python consumers under one group.instance.id, the older one never learns that it was replaced.
#
# With:        kafka-python 3.0.12, confluent-kafka 2.16.1, Apache Kafka 4.3.1
# Expected:    the broker fences the older of two members of one static name, so its poll raises, as with
#              confluent-kafka (and as KIP-345 says); so a second process by mistake shows at once.
# So it is:    kafka-python's older member stops its heartbeats, and goes on reading the partitions that it had; its
#              poll raises nothing. Both members read each record. Only a commit tells, so a consumer that keeps its
#              place elsewhere (in a database) never learns it.
# Seen:        2026-11-30: kafka-python: the older member keeps [0], poll raises nothing in 10 s, both read the same
#              record, and a commit of the older one raises FencedInstanceIdError; confluent-kafka: poll of the older
#              one gives the error _FATAL
# The product: looks whether heartbeats have stopped for several turns of poll, and ends:
#              stream_rec/transport/kafka/kafka_python/internals.py (is_fenced), .../member.py
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
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition

BROKER = os.environ["BROKER"]
admin = KafkaAdminClient(bootstrap_servers=BROKER)
admin.create_topics({"clicks": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
admin.close()
producer = KafkaProducer(bootstrap_servers=BROKER)


def with_kafka_python():
    def member():
        return KafkaConsumer(
            "clicks", bootstrap_servers=BROKER, group_id="shop", group_instance_id="one", enable_auto_commit=False,
            session_timeout_ms=6000, heartbeat_interval_ms=300,
        )  # fmt: skip

    def turn(seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, consumer in members.items():
                try:
                    for batch in consumer.poll(100).values():
                        read[name] += len(batch)
                except Exception as error:
                    raised.append((name, type(error).__name__))

    members, read, raised = {"older": member()}, {"older": 0, "newer": 0}, []
    turn(4)
    members["newer"] = member()
    turn(10)  # longer than the session of 6 s
    producer.send("clicks", b"x").get(10)
    turn(3)
    keeps = sorted(partition.partition for partition in members["older"].assignment())
    try:
        members["older"].commit({TopicPartition("clicks", 0): OffsetAndMetadata(1, "", -1)}, timeout_ms=5000)
        commit = "returns"
    except Exception as error:
        commit = type(error).__name__
    print(f"kafka-python: the older member keeps {keeps}, polls raised {raised or 'nothing'}, records read: {read}, "
          f"a commit of the older one: {commit}")  # fmt: skip
    return keeps == [0] and not raised and read == {"older": 1, "newer": 1} and commit == "FencedInstanceIdError"


def with_confluent():
    def member():
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": BROKER, "group.id": "store", "group.instance.id": "one", "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 300, "log_level": 0,
        })  # fmt: skip
        consumer.subscribe(["clicks"])
        return consumer

    older = member()
    until = time.monotonic() + 10
    while not older.assignment() and time.monotonic() < until:
        older.poll(0.1)
    newer, error = member(), None
    until = time.monotonic() + 10
    while error is None and time.monotonic() < until:
        newer.poll(0.1)
        message = older.poll(0.1)
        error = message and message.error() and message.error().name()
    print(f"confluent-kafka: the older member's poll gives {error}")
    return error == "_FATAL"


if not (with_kafka_python() & with_confluent()):
    sys.exit("changed")
PY
