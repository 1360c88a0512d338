#!/usr/bin/env bash
# kafka-python as it is installed by its name alone reads at a third of its speed.
#
# With:        kafka-python 3.0.12, crc32c 2.9.post0, Apache Kafka 4.3.1
# Expected:    pip install kafka-python is the client; its extras (crc32c, lz4, zstd, ...) add codecs.
# So it is:    the checksum of every batch, which is not compressed and which every topic has, is then computed in plain
#              Python, byte for byte, and takes two thirds of the time. Nothing says so.
# Seen:        2026-11-30, CPU of reading 100,000 records of 80 bytes, microseconds a record: 24.4 without the extra
#              crc32c, 7.5 with it
# The product: depends on kafka-python[crc32c,lz4,snappy,zstd]: pyproject.toml
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'broker_end; rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=_broker.sh
. "$here/_broker.sh"
python3 -m venv "$work/bare"
python3 -m venv "$work/extra"
"$work/bare/bin/pip" install -q --disable-pip-version-check kafka-python==3.0.12
"$work/extra/bin/pip" install -q --disable-pip-version-check kafka-python==3.0.12 crc32c==2.9.post0
broker_begin

cat >"$work/show.py" <<'PY'
import os
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

BROKER, N = os.environ["BROKER"], 100_000
if sys.argv[1] == "write":
    admin = KafkaAdminClient(bootstrap_servers=BROKER)
    admin.create_topics({"clicks": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    producer = KafkaProducer(bootstrap_servers=BROKER, linger_ms=20, batch_size=1 << 18)
    for _ in range(N):
        producer.send("clicks", b"x" * 80)
    producer.flush()
    sys.exit()
best = float("inf")
for _ in range(3):
    consumer, n = KafkaConsumer(bootstrap_servers=BROKER, enable_auto_commit=False), 0
    partition = TopicPartition("clicks", 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    begun = time.process_time()
    while n < N:
        n += sum(map(len, consumer.poll(500, max_records=5000).values()))
    best = min(best, (time.process_time() - begun) / N * 1e6)
    consumer.close()
print(f"{best:.1f}")
PY
"$work/extra/bin/python" -W ignore "$work/show.py" write
bare="$("$work/bare/bin/python" -W ignore "$work/show.py" read)"
extra="$("$work/extra/bin/python" -W ignore "$work/show.py" read)"
echo "CPU of reading, microseconds a record: $bare without the extra crc32c, $extra with it"
awk -v bare="$bare" -v extra="$extra" 'BEGIN { exit !(bare > 2 * extra) }' || { echo changed >&2; exit 1; }
