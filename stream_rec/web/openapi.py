"""The OpenAPI document of the API, made from the table of routes, and a plain page that shows it.

The page needs no script; the viewer in `static/docs.html`, which does, reads the document.
"""

from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any, Final

import msgspec

from stream_rec._version import __version__
from stream_rec.core.events import Answer, without_examples, without_nulls
from stream_rec.web.errors import ErrorBody
from stream_rec.web.keys import WRITE
from stream_rec.web.readiness import Readiness
from stream_rec.web.routes import ROUTES, Route

__all__ = ["LINES", "document", "in_words", "page"]

LINES: Final = "application/x-ndjson"
"""The media type of an object on each line."""

_REF: Final = "#/components/schemas/{name}"
_ANY_PATH: Final = {
    401: "The key is missing or unknown.",
    403: "The key lacks a scope.",
    413: "The call exceeds a limit.",
    422: "A field or parameter is unknown, missing, or out of range: the error names it.",
    503: "The service is not ready, or overloaded: try again.",
}
_LIMITS: Final = {"minimum": "from", "maximum": "to", "minLength": "at least", "maxLength": "at most"}
_WITH_BODY: Final = {400: "The body is not JSON, or not a whole gzip.", 415: "The body is packed, and not in gzip."}


def document() -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    kinds = [kind for route in ROUTES for kind in (*route.answer, *route.body)]
    queries = [route.query for route in ROUTES]
    more = [kind for route in ROUTES for kind in route.more.values()]
    kinds += [*queries, *more, ErrorBody, Readiness]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    without_examples(components)
    without_nulls(components, Answer)
    by_kind = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind, components)
    paths["/readyz"] = {"get": _readyz(by_kind[id(Readiness)])}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stream-rec",
            "version": __version__,
            "description": "Live session-based recommendations. Further paths: /livez for health checks, /metrics "
            "for Prometheus, /v1/stream for the figures of /v1/stats and /v1/stats/history as server-sent "
            "events.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, by_kind: Mapping[int, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [_tag(route)],
        "summary": route.summary,
        "description": f"Needs {_scopes(route.scopes)} if the service has keys.",
        "security": [{"key": []}, {}],
        "parameters": list(_parameters(route, by_kind, components)),
        "responses": dict(_responses(route, by_kind)),
    }
    if route.body:
        schema = _any_of(route.body, by_kind)
        content: dict[str, Any] = {"application/json": {"schema": schema}}
        if route.examples:
            examples = {name: {"value": value} for name, value in route.examples.items()}
            content["application/json"]["examples"] = examples
        if route.as_lines:
            content[LINES] = {"schema": by_kind[id(route.body[0])]}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _readyz(schema: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """Return the operation of `/readyz`, which is no route of the table: it has a text too, and needs no key."""
    content = {"application/json": {"schema": schema}, "text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": "readyz",
        "tags": ["State"],
        "summary": "Is it ready, and what does it do until then?",
        "description": "Needs no key. A text; with `Accept: application/json`, JSON.",
        "security": [{}],
        "parameters": [],
        "responses": {
            "200": {"description": "It is ready.", "content": content},
            "503": {"description": "It is not ready.", "content": content},
        },
    }


def _tag(route: Route) -> str:
    """Return the heading that a viewer puts the operation under."""
    if Answer in route.answer:
        return "Recommendations"
    if WRITE in route.scopes:
        return "Events"
    return "Forgetting" if route.method == "DELETE" else "State"


def _scopes(scopes: tuple[str, ...]) -> str:
    named = " and ".join(f"`{scope}`" for scope in scopes)
    return f"the scope {named}" if len(scopes) == 1 else f"the scopes {named}"


def _any_of(kinds: tuple[Any, ...], by_kind: Mapping[int, Any]) -> Any:  # noqa: ANN401  # JSON
    schemas = [by_kind[id(kind)] for kind in kinds]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _parameters(route: Route, by_kind: Mapping[int, Any], components: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    in_path = [part.strip("{}") for part in route.path.split("/") if part.startswith("{")]
    for name in in_path:
        schema = {"type": "string", "minLength": 1, "maxLength": 512}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if route.method == "GET":
        described = components[by_kind[id(route.query)]["$ref"].rpartition("/")[2]]
        for name, schema in described["properties"].items():
            if name not in route.without:
                yield {"name": name, "in": "query", "schema": schema}
    for name, kind in route.more.items():
        yield {"name": name, "in": "query", "schema": by_kind[id(kind)]}


def _responses(route: Route, by_kind: Mapping[int, Any]) -> Iterator[tuple[str, Any]]:
    schema = _any_of(route.answer, by_kind)
    content = {"application/json": {"schema": schema}}
    if route.answers_lines:
        content[LINES] = {"schema": by_kind[id(route.answer[0])]}
    yield str(route.status), {"description": "Success.", "content": content}
    failed = {"application/json": {"schema": {"$ref": _REF.format(name="ErrorBody")}}}
    meanings = _ANY_PATH | (_WITH_BODY if route.body else {}) | dict(route.errors)
    for status, meaning in sorted(meanings.items()):
        yield str(status), {"description": meaning, "content": failed}


# --- the page


def page(described: Mapping[str, Any]) -> str:
    """Return the document as an HTML page."""
    parts = [f"<h1>stream-rec {escape(described['info']['version'])}: HTTP API</h1>"]
    parts.append(f"<p>{escape(described['info']['description'])}</p>")
    parts.append(
        '<p><a href="/openapi.json">openapi.json</a> · '
        '<a href="/docs">with a try-out</a> · <a href="/">dashboard</a></p><nav><ul>'
    )
    operations = [
        (method.upper(), path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    parts += [f'<li><a href="#{op["operationId"]}">{method} {escape(path)}</a></li>' for method, path, op in operations]
    parts.append("</ul></nav>")
    schemas = described["components"]["schemas"]
    for method, path, operation in operations:
        parts += _section(method, path, operation)
    parts.append("<h2>Types</h2>")
    for name, schema in sorted(schemas.items()):
        parts += _type(name, schema)
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>stream-rec: HTTP API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/static/docs.css"></head><body><main>{body}</main></body></html>'
    )


def _section(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section id="{operation["operationId"]}"><h2><code>{method} {escape(path)}</code></h2>'
    yield f"<p>{escape(operation['summary'])} {_prose(operation['description'])}</p>"
    rows = [(parameter["name"], parameter["in"], _shape(parameter["schema"])) for parameter in operation["parameters"]]
    if rows:
        yield "<table><thead><tr><th>parameter</th><th>in</th><th>type</th></tr></thead><tbody>"
        for name, where, shape in rows:
            yield f"<tr><td><code>{escape(name)}</code></td><td>{where}</td><td>{shape}</td></tr>"
        yield "</tbody></table>"
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]
        lines = ", also one on each line" if LINES in content else ""
        yield f"<p>Body: {_shape(content['application/json']['schema'])}{lines}</p>"
    yield "<ul>"
    for status, answer in operation["responses"].items():
        shape = _shape(answer["content"]["application/json"]["schema"])
        yield f"<li><code>{status}</code> {escape(answer['description'])} {shape}</li>"
    yield "</ul></section>"


def _type(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section id="type-{escape(name)}"><h3>{escape(name)}</h3>'
    yield f"<p>{_prose(schema.get('description', ''))}</p>"
    required = set(schema.get("required", ()))
    if schema.get("properties"):
        yield "<table><tbody>"
        for field, kind in schema["properties"].items():
            needed = "required" if field in required else ""
            yield f"<tr><td><code>{escape(field)}</code></td><td>{_shape(kind)}</td><td>{needed}</td></tr>"
        yield "</tbody></table>"
    yield "</section>"


def in_words(schema: Mapping[str, Any], link: Callable[[str], str], code: Callable[[str], str]) -> str:
    """Return a schema in a few words; *link* makes a link to a named type, *code* sets a value as code."""
    if "$ref" in schema:
        return link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(in_words(each, link, code) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(code(str(value)) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {in_words(schema.get('items', {}), link, code)}"
    limits = " ".join(f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema)
    unit = " characters" if "maxLength" in schema else ""
    return str(schema.get("type", "anything")) + (f", {limits}{unit}" if limits else "")


def _shape(schema: Mapping[str, Any]) -> str:
    return in_words(
        schema,
        lambda name: f'<a href="#type-{escape(name)}">{escape(name)}</a>',
        lambda value: f"<code>{escape(value)}</code>",
    )


def _prose(text: str) -> str:
    """Return the text as HTML, with `code` set as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
