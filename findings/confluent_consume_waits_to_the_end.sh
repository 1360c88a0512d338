#!/usr/bin/env bash
# confluent-kafka's consume(500, 1.0) gives one record a second after it came.
#
# With:        confluent-kafka 2.16.1 (librdkafka), Apache Kafka 4.3.1
# Expected:    a call that takes the most to give and the longest to wait returns when there is something, as poll does
#              here, in Java and in kafka-python (max_records, timeout_ms).
# So it is:    it waits until it has all 500, or the whole time. At a low rate each record is as late as the limit is
#              long; and a shorter limit to make up for that is a busy loop.
# Seen:        2026-11-30, one record written 0.1 s into the call: consume(500, 1.0) returns it after 1.0 s, poll(1.0)
#              after 0.1 s
# The product: waits with poll, then takes what is there with consume(n, 0):
#              stream_rec/transport/kafka/confluent/reader.py
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'broker_end; rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=_broker.sh
. "$here/_broker.sh"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check confluent-kafka==2.16.1
broker_begin

"$work/venv/bin/python" - <<'PY'
import os
import sys
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BROKER = os.environ["BROKER"]
admin = AdminClient({"bootstrap.servers": BROKER})
admin.create_topics([NewTopic("clicks", 1, 1)])["clicks"].result()
producer = Producer({"bootstrap.servers": BROKER})
consumer = Consumer({"bootstrap.servers": BROKER, "group.id": "reader", "enable.auto.commit": False})
consumer.assign([TopicPartition("clicks", 0, 0)])


def write():
    producer.produce("clicks", b"x")
    producer.flush(10)


def seconds(ask):
    threading.Timer(0.1, write).start()
    begun = time.monotonic()
    messages = ask()
    assert len(messages) == 1 and messages[0] is not None and messages[0].error() is None
    return time.monotonic() - begun


write()
assert consumer.poll(20) is not None  # everything is connected
consuming = min(seconds(lambda: consumer.consume(500, 1.0)) for _ in range(3))
polling = min(seconds(lambda: [consumer.poll(1.0)]) for _ in range(3))
print(f"one record, written 0.1 s into the call: consume(500, 1.0) {consuming:.1f} s, poll(1.0) {polling:.1f} s")
if consuming < 0.95 or polling > 0.6:
    sys.exit("changed")
PY
