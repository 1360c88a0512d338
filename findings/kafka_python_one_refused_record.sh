#!/usr/bin/env bash
# One record that the broker refuses ends the usefulness of kafka-python's default producer.
#
# With:        kafka-python 3.0.12, Apache Kafka 4.3.1
# Expected:    the record that is refused raises, and the next ones arrive, as they do without idempotence and with
#              confluent-kafka. The broker refuses, for example, a time more than an hour ahead of its clock
#              (message.timestamp.after.max.ms).
# So it is:    every later send of that producer to that partition raises the same error, though its records are
#              innocent. Idempotence is the default since 3.0, so this is what a plain KafkaProducer does.
# Seen:        2026-11-30: idempotent: first arrives, ahead InvalidTimestampError, then 3 of 3 InvalidTimestampError;
#              not idempotent: then 3 of 3 arrive; confluent-kafka, idempotent: then 3 of 3 arrive
# The product: throws a producer away after any error but a lost place in the group, and makes a new one:
#              stream_rec/transport/kafka/kafka_python/writer.py
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
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError

BROKER = os.environ["BROKER"]
admin = KafkaAdminClient(bootstrap_servers=BROKER)
admin.create_topics({"clicks": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
admin.close()


def two_hours_ahead():
    return int(time.time() * 1000) + 7_200_000


def with_kafka_python(idempotent):
    producer = KafkaProducer(bootstrap_servers=BROKER, enable_idempotence=idempotent)

    def send(**more):
        try:
            producer.send("clicks", b"x", **more).get(10)
        except KafkaError as error:
            return type(error).__name__
        return "arrives"

    outcomes = [send(), send(timestamp_ms=two_hours_ahead()), send(), send(), send()]
    producer.close(timeout=5)
    return outcomes


def with_confluent():
    producer, outcomes = confluent_kafka.Producer({"bootstrap.servers": BROKER, "enable.idempotence": True}), []
    for more in ({}, {"timestamp": two_hours_ahead()}, {}, {}, {}):
        producer.produce("clicks", b"x", on_delivery=lambda error, _: outcomes.append(error), **more)
        producer.flush(10)
    return [error.name() if error else "arrives" for error in outcomes]


seen = {
    "kafka-python, idempotent": with_kafka_python(True),
    "kafka-python, not idempotent": with_kafka_python(False),
    "confluent-kafka, idempotent": with_confluent(),
}
for client, outcomes in seen.items():
    print(f"{client}: {', '.join(outcomes)}")
refused = "InvalidTimestampError"
if list(seen.values()) != [
    ["arrives", refused, refused, refused, refused],
    ["arrives", refused, "arrives", "arrives", "arrives"],
    ["arrives", "INVALID_TIMESTAMP", "arrives", "arrives", "arrives"],
]:
    sys.exit("changed")
PY
