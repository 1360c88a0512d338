"""Write docs/how-to/clients.md: programs in five languages that send events, ask and forget.

Paths, methods, bodies and types come from the OpenAPI document, the rest from tools/clients: `@@NAME@@` in a template
there is what `_values` has under that name.

python tools/client_snippets.py
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stream_rec.web.openapi import document

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "clients.md"
TEMPLATES = Path(__file__).with_name("clients")
OPERATIONS = ("take_events", "recommend", "forget_session")
Json = Mapping[str, Any]


class Language(NamedTuple):
    """A language of the page."""

    name: str
    fence: str
    template: str
    """The name of its file, without the ending."""
    how: str
    """How to run it."""


LANGUAGES = (
    Language("curl", "sh", "curl", "Needs curl 7.76 or newer. `--retry` repeats a call that got 503, after the time of "
             "its `Retry-After`."),
    Language("Python", "py", "python", "`client.py`, for `python client.py`; it needs no package."),
    Language("TypeScript", "ts", "typescript", "`client.mts`, for Node 20 or newer: `npx -p typescript -p "
             "@types/node@22\ntsc --strict --target es2022 --module nodenext --types node client.mts && "
             "node client.mjs`. It calls with `fetch` alone,\nso it runs in a browser too, with the address and the "
             "key in place of `process.env`."),
    Language("Java", "java", "java", "`Client.java`, for Java 17 or newer, with Jackson (`com.fasterxml.jackson.core:"
             "jackson-databind`, 2.12 or newer)."),
    Language("Go", "go", "go", "`client.go`, for `go run client.go`, Go 1.22 or newer; it needs no module."),
)  # fmt: skip

INTRODUCTION = """\
# Clients in five languages

<!-- Written by tools/client_snippets.py from the OpenAPI document; `make docs` updates it. -->

Each program sends two events, asks what to recommend, and erases the session again. They read the address from
`STREAM_REC_SERVICE_URL` (default `http://127.0.0.1:8000`) and the key from `STREAM_REC_SERVICE_KEY`, which a service
[without keys](http.md#keys) ignores; this one takes all three calls:

```sh
export STREAM_REC_SERVICE_KEY=$(openssl rand -hex 24)
stream-rec run --events http --http 127.0.0.1:8000 --http-key all:read+write+admin:env:STREAM_REC_SERVICE_KEY
```

Against a service that holds no other session, each program prints this; that for curl prints the answers as they are.

```text
2 events taken
tent 1.000 popular
1 session erased
```

They were run with curl 7.88, Python 3.11, Node 20.20 with TypeScript 7.0, Java 17 with Jackson 2.17, and Go 1.26; the
first two run in the tests. What all of them do, and a client of your own should do:

- **They repeat a call after 503**, when the time in `Retry-After` is over: the service recovers, is overloaded, or
  cannot write for now.
- **Each event has an `event_id`**, so that an event counts once, however often it is sent.
- **They wait for five seconds at most**, and then fail: a page can do without recommendations.
- **They read the error's `code` and `message`**: `{"error": {"code": .., "message": .., "field": ..}}`.
- **They keep the connection**, where the language's client does so by itself; a new connection takes longer than a
  recommendation.

For a whole client, generate one from `/openapi.json` (OpenAPI 3.1), for example with openapi-generator. All paths,
fields and limits: [the HTTP API](../reference/http.md).
"""


def page() -> str:
    """The whole page."""
    described = document()
    sections = [
        f"## {name}\n\n{how}\n\n```{fence}\n{program(template, described)}```\n"
        for name, fence, template, how in LANGUAGES
    ]
    return "\n".join([INTRODUCTION, *sections])


def program(template: str, described: Json | None = None) -> str:
    """The program that the file *template* makes of the document *described*, or of that of the present API."""
    values = _values(described or document())
    text = (TEMPLATES / f"{template}.template").read_text(encoding="utf-8")
    return re.sub(r"@@([\w.]+)@@", lambda found: values[found[1]], text)


def _values(described: Json) -> dict[str, str]:
    """By its name in a template, what stands for it."""
    schemas: Json = described["components"]["schemas"]
    values: dict[str, str] = {}
    names: list[str] = ["ErrorBody"]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            name = operation["operationId"]
            if name not in OPERATIONS:
                continue
            before, _, after = re.sub(r"\{\w+\}", "\0", path).partition("\0")
            answer = _answer(operation)
            names.append(answer)
            values |= {f"{name}.{key}": value for key, value in {
                "method": method.upper(), "path": path, "before": before, "after": after, "answer": answer,
                "then": f' + "{after}"' if after else "",
            }.items()}  # fmt: skip
            if "requestBody" in operation:
                (body, *_) = operation["requestBody"]["content"]["application/json"]["examples"].values()
                values |= {f"{name}.body.{key}": write(body["value"]) for key, write in WRITERS.items()}
    shown = list(dict.fromkeys(each for name in names for each in _with_those_inside(name, schemas)))
    for language, write in TYPES.items():
        values[f"types.{language}"] = "".join(write(name, schemas[name]) for name in shown).removesuffix("\n")
    return values


def _answer(operation: Json) -> str:
    """The name of the type of a single answer of *operation*."""
    (status,) = (each for each in operation["responses"] if each.startswith("2"))
    schema = operation["responses"][status]["content"]["application/json"]["schema"]
    return str(schema.get("anyOf", [schema])[0]["$ref"].rpartition("/")[2])


def _with_those_inside(name: str, schemas: Json) -> Iterator[str]:
    """The types that *name* is made of, the innermost first; those of a choice are left to `any`."""
    for schema in schemas[name]["properties"].values():
        inner = schema.get("items", schema)
        if "$ref" in inner:
            yield from _with_those_inside(inner["$ref"].rpartition("/")[2], schemas)
    yield name


# --- values


def _json(value: object) -> str:
    return json.dumps(value)


def _python(value: object) -> str:
    return json.dumps(value) if not isinstance(value, list) else _listed(value, "[", "]", "    ", "", _python)


def _typescript(value: object) -> str:
    match value:
        case list():
            return _listed(value, "[", "]", "  ", "", _typescript)
        case dict():
            return "{ " + ", ".join(f"{name}: {_typescript(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)


def _java(value: object) -> str:
    match value:
        case list():
            inside = ",\n".join(f"            {_java(each)}" for each in value)
            return f"List.of(\n{inside})"
        case dict():
            return "Map.of(" + ", ".join(f'"{name}", {_java(each)}' for name, each in value.items()) + ")"
    return json.dumps(value)


def _go(value: object) -> str:
    match value:
        case list():
            return _listed(value, "[]any{", "}", "\t\t", "\t", _go)
        case dict():
            return "map[string]any{" + ", ".join(f'"{name}": {_go(each)}' for name, each in value.items()) + "}"
    return json.dumps(value)


def _listed(value: list[Any], begin: str, end: str, indent: str, outdent: str, write: Any) -> str:  # noqa: ANN401 (one of these functions)
    """A list with each element on a line of its own."""
    return begin + "\n" + "".join(f"{indent}{write(each)},\n" for each in value) + outdent + end


WRITERS = {"json": _json, "python": _python, "typescript": _typescript, "java": _java, "go": _go}


# --- types


def _kind(schema: Json, words: Mapping[str, str]) -> str:
    """The type of *schema*, in the *words* of a language."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        some = [each for each in schema["anyOf"] if each.get("type") != "null"]
        kind = _kind(some[0], words) if len(some) == 1 else words["any"]
        return words["optional"].format(kind) if len(some) < len(schema["anyOf"]) else kind
    match schema.get("type"):
        case "array":
            return words["list"].format(_kind(schema["items"], words))
        case "object":
            return words["map"].format(_kind(schema["additionalProperties"], words))
        case str() as plain:
            return words[plain]
    return words["any"]


_IN_TYPESCRIPT = {
    "string": "string", "integer": "number", "number": "number", "boolean": "boolean", "any": "unknown",
    "list": "{}[]", "map": "Record<string, {}>", "optional": "{} | null",
}  # fmt: skip
_IN_JAVA = {
    "string": "String", "integer": "Long", "number": "Double", "boolean": "Boolean", "any": "JsonNode",
    "list": "List<{}>", "map": "Map<String, {}>", "optional": "{}",
}  # fmt: skip
_IN_GO = {
    "string": "string", "integer": "int64", "number": "float64", "boolean": "bool", "any": "json.RawMessage",
    "list": "[]{}", "map": "map[string]{}", "optional": "*{}",
}  # fmt: skip


def _typescript_type(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    fields = "".join(
        f"  {field}{'' if field in required else '?'}: {_kind(kind, _IN_TYPESCRIPT)};\n"
        for field, kind in schema["properties"].items()
    )
    return f"interface {name} {{\n{fields}}}\n\n"


def _java_type(name: str, schema: Json) -> str:
    fields = [f"{_kind(kind, _IN_JAVA)} {field}" for field, kind in schema["properties"].items()]
    lines = ", ".join(fields) if len(fields) < 4 else ",\n        ".join(["", *fields]).removeprefix(",")
    return f"    @JsonIgnoreProperties(ignoreUnknown = true)\n    record {name}({lines}) {{}}\n\n"


def _go_type(name: str, schema: Json) -> str:
    fields = [
        ("".join(part.title() for part in field.split("_")), _kind(kind, _IN_GO), field)
        for field, kind in schema["properties"].items()
    ]
    widths = [max(len(each[column]) for each in fields) for column in (0, 1)]
    lines = "".join(f'\t{own:{widths[0]}} {kind:{widths[1]}} `json:"{field}"`\n' for own, kind, field in fields)
    return f"type {name} struct {{\n{lines}}}\n\n"


TYPES = {"typescript": _typescript_type, "java": _java_type, "go": _go_type}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
