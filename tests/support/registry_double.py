"""A schema registry in this process, as far as readers need one: schemas by id, by GUID and by version, and outages."""

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class RegistryDouble:
    """Answers at `url`. `asked` are the paths that were asked for; while `is_away`, each call gets a 503."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.is_away = False
        self.login: str | None = None
        """`USER:PASSWORD`, where it wants one."""
        self.token: str | None = None
        self._answers: dict[str, dict[str, Any]] = {}

    def add(
        self, number: int, schema: object, kind: str = "AVRO", *, guid: str | None = None, references: Any = ()
    ) -> None:
        """Keep a schema under an id, and maybe under a GUID."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        answer = {"schema": text, "schemaType": kind, "references": list(references)}
        self._answers[f"/schemas/ids/{number}"] = answer
        if guid is not None:
            self._answers[f"/schemas/guids/{guid}"] = answer

    def add_version(self, subject: str, version: int, schema: object, *, references: Any = ()) -> None:
        """Keep a schema that others refer to."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        self._answers[f"/subjects/{subject}/versions/{version}"] = {
            "subject": subject, "version": version, "id": 0, "schema": text, "references": list(references),
        }  # fmt: skip

    def answer(self, path: str, authorization: str | None) -> tuple[int, object]:
        """Return the status and the body."""
        self.asked.append(path)
        if self.is_away:
            return 503, {"error_code": 50003, "message": "away"}
        basic = None if self.login is None else "Basic " + base64.b64encode(self.login.encode()).decode()
        wanted = basic if self.token is None else f"Bearer {self.token}"
        if wanted is not None and authorization != wanted:
            return 401, {"error_code": 401, "message": f"{authorization} is not let in"}
        if path == "/schemas/types":
            return 200, ["AVRO", "JSON", "PROTOBUF"]
        found = self._answers.get(path)
        return (404, {"error_code": 40403, "message": "Schema not found"}) if found is None else (200, found)


@contextlib.contextmanager
def registry_double(tls: ssl.SSLContext | None = None) -> Iterator[RegistryDouble]:
    """A registry that ends with the block, with *tls* one that speaks HTTPS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = double.answer(self.path.partition("?")[0], self.headers.get("Authorization"))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        double = RegistryDouble(f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield double
        finally:
            server.shutdown()
            thread.join()
