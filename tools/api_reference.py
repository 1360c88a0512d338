"""Write docs/reference/http.md from the OpenAPI document, which is made of the table of routes.

python tools/api_reference.py
"""

from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

from stream_rec.web.openapi import LINES, document, in_words

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "http.md"
INTRODUCTION = """\
# The HTTP API

<!-- Written by tools/api_reference.py from the OpenAPI document; `make docs` updates it. -->

A service that runs with `--http` shows the same at `/docs`, and as OpenAPI 3.1 at `/openapi.json`. How to use it, keys
and what is kept: [Serve it over HTTP](../how-to/http.md). Not in the document: `/livez`, `/metrics`
([metrics](metrics-prometheus.md)), `/v1/stream` (server-sent events: `stats`, the figures of `/v1/stats` each second,
and `history`, the points of `/v1/stats/history`: first all, then each new one), and the dashboard at `/`.
"""


def page() -> str:
    """The whole page."""
    described = document()
    parts = [INTRODUCTION]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            parts += _operation(method.upper(), path, operation)
    parts.append("## Types\n")
    for name, schema in sorted(described["components"]["schemas"].items()):
        parts += _type(name, schema)
    return "\n".join(parts).rstrip() + "\n"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"## `{method} {path}`\n"
    yield f"{operation['summary']} {operation['description']}\n"
    if operation["parameters"]:
        yield "| parameter | in | type |\n|---|---|---|"
        for each in operation["parameters"]:
            yield f"| `{each['name']}` | {each['in']} | {_kind(each['schema'])} |"
        yield ""
    if "requestBody" in operation:
        body = operation["requestBody"]
        lines = f"; also one on each line (`{LINES}`)" if LINES in body["content"] else ""
        yield f"Body: {_kind(_schema(body))}{lines}.\n"
    yield "| status | meaning | body |\n|---|---|---|"
    for status, answer in operation["responses"].items():
        yield f"| {status} | {answer['description']} | {_kind(_schema(answer))} |"
    yield ""


def _type(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if schema.get("description"):
        yield cleandoc(schema["description"]) + "\n"
    if schema.get("properties"):
        required = set(schema.get("required", ()))
        yield "| field | required | type |\n|---|---|---|"
        for field, kind in schema["properties"].items():
            yield f"| `{field}` | {'yes' if field in required else 'no'} | {_kind(kind)} |"
        yield ""


def _schema(content: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = content["content"]["application/json"]["schema"]
    return schema


def _kind(schema: Mapping[str, Any]) -> str:
    return in_words(schema, lambda name: f"[{name}](#{name.lower()})", lambda value: f"`{value}`")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
