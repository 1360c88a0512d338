#!/usr/bin/env bash
# While librdkafka is in a rebalance callback, every other call of that consumer waits, from any thread.
#
# With:        confluent-kafka 2.16.1 (librdkafka), Apache Kafka 4.3.1
# Expected:    the callback runs inside poll, on the thread that polls, so another thread may go on meanwhile: it asks
#              for the assignment, commits what it has done, pauses a partition. A time limit given to a call holds.
# So it is:    each of these calls returns only when the callback has: even memberid(), which asks no broker, and
#              list_topics(timeout=1). So a callback that waits for a worker to finish and commit, which is what it is
#              for, waits for a thread that waits for the callback.
# Seen:        2026-11-30, with a callback of 3 s: assignment, commit, committed, list_topics, memberid, pause and
#              position, each on a thread of its own, took 3.0 s
# The product: threads hand their calls to the one that is in the callback, which makes them for it:
#              stream_rec/transport/kafka/confluent/callbacks.py
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

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BROKER, CALLBACK_S = os.environ["BROKER"], 3.0
admin = AdminClient({"bootstrap.servers": BROKER})
admin.create_topics([NewTopic("clicks", 2, 1)])["clicks"].result()
is_in_callback, took = threading.Event(), {}
place = [TopicPartition("clicks", 0, 0)]


def member():
    return Consumer({
        "bootstrap.servers": BROKER, "group.id": "shop", "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
        "enable.auto.commit": False,
    })  # fmt: skip


def revoked(consumer, partitions):
    if not is_in_callback.is_set():
        is_in_callback.set()
        time.sleep(CALLBACK_S)


def timed(name, call):
    is_in_callback.wait()
    time.sleep(0.1)
    begun = time.monotonic()
    try:
        call()
    except KafkaException:
        pass  # a rebalance is under way, and commits are refused: the time is what counts
    took[name] = time.monotonic() - begun


first = member()
first.subscribe(["clicks"], on_revoke=revoked)
until = time.monotonic() + 10
while not first.assignment() and time.monotonic() < until:
    first.poll(0.1)
calls = {
    "assignment": first.assignment,
    "commit": lambda: first.commit(offsets=place, asynchronous=False),
    "committed": lambda: first.committed(place, timeout=1.0),
    "list_topics": lambda: first.list_topics(timeout=1.0),
    "memberid": first.memberid,
    "pause": lambda: first.pause(place),
    "position": lambda: first.position(place),
}
threads = [threading.Thread(target=timed, args=each) for each in calls.items()]
for thread in threads:
    thread.start()
second = member()
second.subscribe(["clicks"])
until = time.monotonic() + 20
while any(thread.is_alive() for thread in threads) and time.monotonic() < until:
    second.poll(0.1)
    first.poll(0.1)
print(f"during a callback of {CALLBACK_S:.0f} s, on other threads:",
      ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(took.items())))  # fmt: skip
if took.keys() != calls.keys() or min(took.values()) < CALLBACK_S - 0.5:
    sys.exit("changed")
PY
