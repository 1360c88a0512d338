#!/usr/bin/env bash
# A wrong password looks to kafka-python like a broker that is away.
#
# With:        kafka-python 3.0.12, Apache Kafka 4.3.1 (SASL PLAIN)
# Expected:    the broker answers that the password is wrong, so the constructor raises SaslAuthenticationFailedError.
# So it is:    the broker waits (100 ms by default), then sends its refusal and hangs up at once. Where both arrive
#              together, kafka-python drops what it has read for the end of the connection, connects again, and ends
#              with KafkaTimeoutError: Unable to bootstrap. The operator looks for a network that is broken.
# Seen:        2026-11-30: the right password is let in; 5 of 5 wrong ones end with KafkaTimeoutError after 4 s
# The product: has the connection hand over what was read before its end
#              (stream_rec/transport/kafka/kafka_python/internals.py), and where the client has failed, gives the
#              credentials once by hand to learn the reason (.../diagnosis.py)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'broker_end; rm -rf "$work"' EXIT
# shellcheck source-path=SCRIPTDIR source=_broker.sh
. "$here/_broker.sh"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'kafka-python[crc32c]==3.0.12'
broker_ports
login=org.apache.kafka.common.security.plain.PlainLoginModule
broker_settings=(
  "listeners=PLAINTEXT://$BROKER,SASL://$SPARE,CONTROLLER://$CONTROLLER"
  "advertised.listeners=PLAINTEXT://$BROKER,SASL://$SPARE"
  "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
  sasl.enabled.mechanisms=PLAIN
  "listener.name.sasl.plain.sasl.jaas.config=$login required user_shop=\"right\";"
)
broker_begin

"$work/venv/bin/python" -W ignore - <<'PY'
import os
import sys
import time
from collections import Counter

from kafka import KafkaConsumer
from kafka.errors import KafkaError


def outcome(password):
    begun = time.monotonic()
    try:
        KafkaConsumer(
            bootstrap_servers=os.environ["SPARE"], security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN",
            sasl_plain_username="shop", sasl_plain_password=password, bootstrap_timeout_ms=4000,
        ).close()  # fmt: skip
    except KafkaError as error:
        return f"{error} after {time.monotonic() - begun:.0f} s".replace(os.environ["SPARE"], "the broker")
    return "let in"


right, wrong = outcome("right"), Counter(outcome("wrong") for _ in range(5))
print("the right password:", right)
for text, n in wrong.items():
    print(f"a wrong one, {n} of 5 times: {text}")
# By chance the two arrive apart, and the refusal is heard: most of five is enough.
if right != "let in" or sum(n for text, n in wrong.items() if "Unable to bootstrap" in text) < 3:
    sys.exit("changed")
os._exit(0)  # clients that could not be opened leave threads
PY
