#!/usr/bin/env bash
# Partitions that are added while a static member restarts stay without an owner, with both Python clients.
#
# With:        confluent-kafka 2.16.1 (librdkafka 2.16.1), kafka-python 3.0.12, Apache Kafka 4.3.1
# Expected:    a consumer with a group.instance.id that restarts within its session timeout has its old partitions at
#              once, and the ones that were added meanwhile after the next look at the topic (KIP-814 says that the
#              leader keeps watching).
# So it is:    the broker answers the join with the assignment of before, and shares nothing out. The client compares
#              what it finds later with what it found when it joined: nothing is new, so it never joins again. The added
#              partitions are read by no member, for as long as the group lives; the group is Stable. A further member
#              that joins for a moment, without a name, makes the group share out everything.
# Seen:        2026-12-01: each client: 1 of 3 partitions 20 s after the restart, with a topic looked at each second;
#              3 of 3 after a guest has joined and left
# The product: looks for partitions in which the group has never committed, and sends such a guest:
#              stream_rec/service/running/partition_watch.py
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
from kafka import KafkaAdminClient, KafkaConsumer

BROKER = os.environ["BROKER"]
admin = KafkaAdminClient(bootstrap_servers=BROKER)


def of_confluent(topic, name):
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": BROKER, "group.id": topic, "session.timeout.ms": 20000, "heartbeat.interval.ms": 300,
        "topic.metadata.refresh.interval.ms": 1000, "log_level": 0, **({"group.instance.id": name} if name else {}),
    })  # fmt: skip
    consumer.subscribe([topic])
    return consumer, lambda: consumer.poll(0.5)


def of_kafka_python(topic, name):
    consumer = KafkaConsumer(
        topic, bootstrap_servers=BROKER, group_id=topic, group_instance_id=name, enable_auto_commit=False,
        session_timeout_ms=20000, heartbeat_interval_ms=300, metadata_max_age_ms=1000,
    )  # fmt: skip
    return consumer, lambda: consumer.poll(500)


def restarted(make):
    topic = make.__name__.replace("_", "-")
    admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)

    def turn(seconds, done):
        until = time.monotonic() + seconds
        while not done() and time.monotonic() < until:
            poll()

    consumer, poll = make(topic, "one")
    turn(20, consumer.assignment)
    consumer.close()
    admin.create_partitions({topic: 3})
    time.sleep(2)
    consumer, poll = make(topic, "one")
    turn(20, lambda: len(consumer.assignment()) == 3)
    before = len(consumer.assignment())
    guest, poll_guest = make(topic, None)
    until = time.monotonic() + 20
    while not guest.assignment() and time.monotonic() < until:
        poll()
        poll_guest()
    guest.close()
    turn(20, lambda: len(consumer.assignment()) == 3)
    after = len(consumer.assignment())
    consumer.close()
    print(f"{topic}: {before} of 3 partitions after the restart, {after} of 3 after a guest")
    return before, after


if [restarted(of_confluent), restarted(of_kafka_python)] != [(1, 3), (1, 3)]:
    sys.exit("changed")
PY
