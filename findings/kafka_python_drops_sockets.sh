#!/usr/bin/env bash
# kafka-python leaves the socket of each refused connection open.
#
# With:        kafka-python 3.0.12
# Expected:    a client closes the sockets that it opens: those of failed attempts at once, the rest when it ends.
# So it is:    a refused, late or given-up connection is dropped as it is, and so is the connection of a failed TLS
#              handshake. Python closes them some time later, when its collector comes by, and says ResourceWarning: to a
#              test suite with warnings as errors it is the failure of whichever test runs then. A program whose
#              collector runs seldom keeps them for as long.
# Seen:        2026-11-30, attempts for 3 s at a port that refuses: KafkaTimeoutError, and no socket closed by the client
# The product: closes them, and at the end all others: stream_rec/transport/kafka/kafka_python/internals.py
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -q --disable-pip-version-check kafka-python==3.0.12 || exit 2

cat >"$work/show.py" <<'PY'
import gc
import socket
import sys
import warnings

from kafka import KafkaConsumer

dropped = []


def note(message, category, *_, **__):
    if category is ResourceWarning and "unclosed <socket" in str(message):
        dropped.append(message)


warnings.simplefilter("always")
warnings.showwarning = note
made, make = [], socket.socket.connect_ex


def counted(self, address):
    made.append(id(self))
    return make(self, address)


socket.socket.connect_ex = counted
with socket.socket() as bound:
    bound.bind(("127.0.0.1", 0))  # nothing listens: each attempt is refused
    try:
        KafkaConsumer(bootstrap_servers="127.0.0.1:%d" % bound.getsockname()[1], bootstrap_timeout_ms=3000)
    except Exception as error:
        print(type(error).__name__)
gc.collect()
print(f"{len(dropped)} sockets dropped, in {len(made)} calls of connect")
sys.exit(0 if len(dropped) > 1 else 1)
PY
"$work/venv/bin/python" "$work/show.py" 2>/dev/null || { echo changed >&2; exit 1; }
