#!/usr/bin/env bash
# Confluent's registry client has no timeout: a registry that hangs is waited for without end.
#
# With:        confluent-kafka 2.16.1 (SchemaRegistryClient), a server of this script's own
# Expected:    a client with max.retries (3 by default) gives up on a server that accepts a connection and answers
#              nothing, as a frozen process and some load balancers do. Its HTTP library has a timeout of 5 s.
# So it is:    the client sets that timeout to none. The call waits as long as the connection lives, and the thread that
#              consumes with it. With timeout=2 and max.retries=0 it raises after 2 s.
# Seen:        2026-11-30: by default: no answer within 12 s; timeout=2, max.retries=0: ReadTimeout after 2.0 s
# The product: gives both, and decides by itself when to ask again: stream_rec/transport/kafka/registry/config.py
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'confluent-kafka[schemaregistry]==2.16.1'

"$work/venv/bin/python" - <<'PY'
import os
import socket
import threading
import time

from confluent_kafka.schema_registry import SchemaRegistryClient

listening = socket.create_server(("127.0.0.1", 0))  # the system accepts for it, and nobody answers
url = f"http://127.0.0.1:{listening.getsockname()[1]}"


def outcome(**conf):
    found = []

    def ask():
        begun = time.monotonic()
        try:
            SchemaRegistryClient({"url": url, **conf}).get_subjects()
        except Exception as error:
            found.append((type(error).__name__, time.monotonic() - begun))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(12)
    said = f"{found[0][0]} after {found[0][1]:.1f} s" if found else "no answer within 12 s"
    print(f"{conf or 'by default'}: {said}", flush=True)
    return bool(found)


seen = [outcome(), outcome(**{"timeout": 2, "max.retries": 0})]
os._exit(0 if seen == [False, True] else 1)
PY
