#!/usr/bin/env bash
# A kafka-python consumer that polls in short turns may leave its group for ever, in silence, when its topic grows.
#
# With:        kafka-python 3.0.12, Apache Kafka 4.3.1
# Expected:    when a topic gets more partitions, the group's leader joins again and assigns them, whatever the timeout
#              of its polls; at the latest after the session timeout it is in the group again.
# So it is:    the client remembers the new partitions when it assigns them, which is before the group has answered. If
#              a poll ends in between, the next one compares, finds nothing new, and never asks for that answer. The
#              consumer keeps showing its old partitions, sends no heartbeats, and is removed from the group; no poll
#              raises anything, and no rebalance follows.
# Seen:        2026-12-01: where the broker writes after 200 ms: polls of 100 ms: 1 of 3 partitions after 25 s, the group
#              is Empty with 0 members, polls raised nothing (and returned at once, 2,000 a second); polls of 2,000 ms:
#              3 of 3 partitions, the group is Stable with 1 member
# The product: has the client join until it has an assignment:
#              stream_rec/transport/kafka/kafka_python/internals.py (insist_on_joining)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'broker_end; rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=_broker.sh
. "$here/_broker.sh"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'kafka-python[crc32c]==3.0.12'
# So long the broker may gather what it writes about groups: as in a cluster whose replicas are far apart, an answer to
# the leader takes a moment.
broker_settings=(group.coordinator.append.linger.ms=200)
broker_begin

"$work/venv/bin/python" -W ignore - <<'PY'
import os
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer

BROKER = os.environ["BROKER"]
admin = KafkaAdminClient(bootstrap_servers=BROKER)


def with_polls_of(milliseconds):
    topic, group, raised = f"clicks-{milliseconds}", f"shop-{milliseconds}", []
    admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    consumer = KafkaConsumer(
        topic, bootstrap_servers=BROKER, group_id=group, enable_auto_commit=False, session_timeout_ms=6000,
        heartbeat_interval_ms=300, metadata_max_age_ms=1000,
    )  # fmt: skip

    def turn(seconds, n):
        until = time.monotonic() + seconds
        while len(consumer.assignment()) < n and time.monotonic() < until:
            try:
                consumer.poll(milliseconds)
            except Exception as error:
                raised.append(type(error).__name__)

    turn(20, 1)
    admin.create_partitions({topic: 3})
    turn(25, 3)
    (described,) = admin.describe_groups([group]).values()
    found = len(consumer.assignment()), described["group_state"], len(described["members"]), raised
    print(f"polls of {milliseconds} ms: {found[0]} of 3 partitions, the group is {found[1]} with {found[2]} members, "
          f"polls raised {raised or 'nothing'}")  # fmt: skip
    consumer.close()
    return found


if (with_polls_of(100), with_polls_of(2000)) != ((1, "Empty", 0, []), (3, "Stable", 1, [])):
    sys.exit("changed")
PY
