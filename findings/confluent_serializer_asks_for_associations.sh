#!/usr/bin/env bash
# Confluent's serializers ask the registry a question of a new kind first, and one refusal fails every record.
#
# With:        confluent-kafka 2.16.1 (JSONSerializer), a registry of this script's own
# Expected:    a serializer asks what registries have offered for years: POST /subjects/clicks-value/versions. So a new
#              version of the client needs nothing new of a registry that is older, compatible, or behind a proxy that
#              lets through the known paths only.
# So it is:    it first asks GET /associations/resources/-/clicks. A 404 is taken for "there are none"; 403 or 405,
#              which is what a proxy or a compatible registry may say to an unknown path, fails this record and each
#              later one. With subject.name.strategy.type=TOPIC it does not ask.
# Seen:        2026-11-30: 404: 2 of 2 records written; 405: 0 of 2, SchemaRegistryError; 403: 0 of 2; 405 with
#              subject.name.strategy.type=TOPIC: 2 of 2
# The product: uses neither serializers nor their deserializers, and asks for schemas by their numbers alone:
#              stream_rec/transport/kafka/registry/client.py
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'confluent-kafka[json,schemaregistry]==2.16.1'

"$work/venv/bin/python" - <<'PY'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

SCHEMA = json.dumps({"title": "Click", "type": "object", "properties": {"item_id": {"type": "string"}}})


class Registry(BaseHTTPRequestHandler):
    """Registers schemas, and answers any other question with `status`."""

    status = 404
    asked = []

    def do_GET(self):
        self.asked.append("GET " + self.path.partition("?")[0])
        self.answer(self.status, {"error_code": self.status, "message": "not here"})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append("POST " + self.path.partition("?")[0])
        self.answer(200, {"id": 1, "version": 1, "subject": "clicks-value", "schema": SCHEMA, "schemaType": "JSON"})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
threading.Thread(target=server.serve_forever, daemon=True).start()


def outcome(status, **conf):
    Registry.status, Registry.asked = status, []
    client = SchemaRegistryClient({"url": f"http://127.0.0.1:{server.server_address[1]}"})
    serialize, written = JSONSerializer(SCHEMA, client, conf=conf), 0
    for _ in range(2):
        try:
            written += serialize({"item_id": "i1"}, SerializationContext("clicks", MessageField.VALUE)) is not None
        except SchemaRegistryError:
            pass
    print(f"unknown paths give {status}, {conf or 'by default'}: {written} of 2 written; it asked {Registry.asked}")
    return written, Registry.asked[0].split()[0]


strategy = {"subject.name.strategy.type": "TOPIC"}
seen = [outcome(404), outcome(405), outcome(403), outcome(405, **strategy)]
if seen != [(2, "GET"), (0, "GET"), (0, "GET"), (2, "POST")]:
    sys.exit("changed")
PY
