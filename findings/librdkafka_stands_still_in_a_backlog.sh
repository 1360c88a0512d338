#!/usr/bin/env bash
# librdkafka answers poll with nothing for a second, in the middle of a backlog.
#
# With:        confluent-kafka 2.16.1 (librdkafka), Apache Kafka 4.3.1
# Expected:    a consumer that catches up is bound by its own speed: the client fetches ahead, so a poll has records at
#              once.
# So it is:    when enough is fetched ahead (100,000 records or 64 MiB), it puts the next fetch of that partition off by
#              a second (fetch.queue.backoff.ms), and asks no sooner when the queue runs dry. A fast consumer empties it
#              in less, so it stands still for the rest of each such second: a replay takes several times as long.
# Seen:        2026-11-30, 600,000 records of 100 bytes: by default 1.6 to 3.0 s, in which one or two polls waited
#              0.9 s; with fetch.queue.backoff.ms=10 0.6 to 0.9 s, and no poll waited 0.3 s
# The product: sets it to 10: stream_rec/transport/kafka/confluent/reader.py
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
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BROKER, N = os.environ["BROKER"], 600_000
admin = AdminClient({"bootstrap.servers": BROKER})
admin.create_topics([NewTopic("clicks", 1, 1)])["clicks"].result()
producer = Producer({"bootstrap.servers": BROKER, "linger.ms": 20, "queue.buffering.max.messages": 2 * N})
for number in range(N):
    producer.produce("clicks", b"x" * 100)
    if number % 10_000 == 0:
        producer.poll(0)
producer.flush()


def read(**more):
    consumer = Consumer({"bootstrap.servers": BROKER, "group.id": "reader", "enable.auto.commit": False, **more})
    consumer.assign([TopicPartition("clicks", 0, 0)])
    n, long_waits, begun = 0, [], time.monotonic()
    while n < N:
        asked = time.monotonic()
        message = consumer.poll(5)
        waited = time.monotonic() - asked
        if n and waited > 0.3:
            long_waits.append(round(waited, 1))
        if message is not None and message.error() is None:
            n += 1 + len(consumer.consume(499, 0))
    took = time.monotonic() - begun
    consumer.close()
    return took, long_waits


by_default, soon = read(), read(**{"fetch.queue.backoff.ms": 10})
for name, (took, long_waits) in (("by default", by_default), ("fetch.queue.backoff.ms=10", soon)):
    print(f"{name}: {N:,} records in {took:.1f} s; polls that waited longer than 0.3 s: {long_waits or 'none'}")
if not by_default[1] or len(soon[1]) >= len(by_default[1]):
    sys.exit("changed")
PY
