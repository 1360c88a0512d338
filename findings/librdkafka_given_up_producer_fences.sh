#!/usr/bin/env bash
# A producer that was given up because its start timed out comes back, and fences the one that took its place.
#
# With:        confluent-kafka 2.16.1 (librdkafka), Apache Kafka 4.3.1
# Expected:    init_transactions(timeout) that has raised _TIMED_OUT has had no effect; a new producer of the same
#              transactional id is the newest, so the broker lets it write.
# So it is:    the first one goes on asking on its own thread, as long as anything refers to it (an exception's
#              traceback is enough). It may have its turn after its successor had, because by then it tries to connect
#              only every few seconds. That raises the epoch, and the successor, amid its work, is fenced for good.
# Seen:        2026-11-30: the broker is away; 8 timeouts of the older; the broker comes back; the newer has its turn
#              after 1.1 s, commits up to 4 transactions, and is fenced within 1.7 s (in 4 of 4 runs as below, where the
#              older one connects late for sure; in 1 of 2 runs with the client's own pause between connections)
# The product: keeps the one producer that asks, and goes on waiting with it; close lets go of it:
#              stream_rec/transport/kafka/confluent/writer.py
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'broker_end; rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=_broker.sh
. "$here/_broker.sh"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check confluent-kafka==2.16.1
broker_begin

cat >"$work/show.py" <<'PY'
import os
import sys
import time
from pathlib import Path

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

BROKER, WORK = os.environ["BROKER"], Path(sys.argv[1])


def step(done, wait_for):
    (WORK / done).touch()
    while not (WORK / wait_for).exists():
        time.sleep(0.05)


def producer(**more):
    return Producer({"bootstrap.servers": BROKER, "transactional.id": "shop", "log_level": 0, **more})


admin = AdminClient({"bootstrap.servers": BROKER})
admin.create_topics([NewTopic("answers", 1, 1)])["answers"].result()
step("topic-is-made", "broker-is-away")
del admin
# So that its turn comes after the newer one's for sure; with the default it does so by chance.
older, n_timeouts = producer(**{"reconnect.backoff.ms": 6000, "reconnect.backoff.max.ms": 6000}), 0
for _ in range(8):
    try:
        older.init_transactions(1.0)
    except KafkaException as error:
        n_timeouts += error.args[0].name() == "_TIMED_OUT"
step("older-was-given-up", "broker-is-back")
newer, begun = producer(), time.monotonic()
newer.init_transactions(30)
turn, n, end = time.monotonic() - begun, 0, "is not fenced"
try:
    while time.monotonic() < begun + 25:
        newer.begin_transaction()
        newer.produce("answers", b"x")
        newer.commit_transaction(10)
        n += 1
        time.sleep(0.1)
except KafkaException as error:
    if error.args[0].name() == "_FENCED":
        end = f"is fenced after {time.monotonic() - begun:.1f} s"
print(f"{n_timeouts} timeouts of the older; the newer has its turn after {turn:.1f} s, commits {n} transactions, {end}")
if n_timeouts != 8 or end == "is not fenced":
    sys.exit("changed")
PY
"$work/venv/bin/python" "$work/show.py" "$work" &
show=$!
await() { while [[ ! -e "$work/$1" ]]; do kill -0 "$show" || exit 1; sleep 0.1; done; }
await topic-is-made
broker_end
touch "$work/broker-is-away"
await older-was-given-up
broker_start
touch "$work/broker-is-back"
wait "$show"
