"""Avro, by fastavro: records with the writer's own schema, so that its evolution changes nothing here."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

import msgspec
from fastavro import schemaless_reader
from fastavro.repository import AbstractSchemaRepository
from fastavro.schema import load_schema

__all__ = ["avro_reader"]

_ROOT: Final = "$root"
_BEYOND_JSON: Final = ("bytes", "fixed", "float", "double")


class _Schemas(AbstractSchemaRepository):  # type: ignore[misc]  # fastavro's, which is an extra
    """The schemas by the names that others use for them."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    def load(self, name: str) -> Any:  # noqa: ANN401 (a schema: a text, a list or a dictionary)
        return self._schemas[name]


def avro_reader(text: str, references: Mapping[str, str]) -> tuple[Callable[[bytes], object], bool]:
    """Return the reader of the schema *text*, and whether JSON can say what it reads.

    *references* are the schemas that it names. Raises anything.
    """
    schemas = {}
    for name, each in {**references, _ROOT: text}.items():
        schema = _with_plain_uuids(_parsed(each))
        schemas[name] = schema
        if name != _ROOT and isinstance(schema, dict):
            schemas[_full_name(schema)] = schema
    schema = load_schema(_ROOT, repo=_Schemas(schemas))

    def read(data: bytes) -> object:
        return schemaless_reader(BytesIO(data), schema, None)

    return read, all(map(_is_plain, schemas.values()))


def _parsed(text: str) -> Any:  # noqa: ANN401 (a schema)
    """Return the schema; a bare name, as some registries give `string`, is one too."""
    stripped = text.strip()
    return msgspec.json.decode(stripped) if stripped[:1] in {"{", "[", '"'} else stripped


def _is_plain(schema: Any) -> bool:  # noqa: ANN401 (a schema)
    """Whether *schema* has only types that JSON has: no bytes, no numbers with fractions, no logical types."""
    if isinstance(schema, list):
        return all(map(_is_plain, schema))
    if not isinstance(schema, dict):
        return schema not in _BEYOND_JSON
    if "logicalType" in schema or schema.get("type") in _BEYOND_JSON:
        return False
    inside = [schema[name] for name in ("type", "items", "values") if isinstance(schema.get(name), dict | list | str)]
    return all(map(_is_plain, inside)) and all(_is_plain(each["type"]) for each in schema.get("fields", []))


def _full_name(schema: Mapping[str, Any]) -> str:
    name, namespace = schema["name"], schema.get("namespace")
    return f"{namespace}.{name}" if namespace and "." not in name else name


def _with_plain_uuids(schema: Any) -> Any:  # noqa: ANN401 (a schema)
    """Return *schema* with UUIDs as the texts that they are written as: ids are texts."""
    if isinstance(schema, list):
        return [_with_plain_uuids(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    is_uuid = schema.get("logicalType") == "uuid" and schema.get("type") == "string"
    return {key: _with_plain_uuids(value) for key, value in schema.items() if not (is_uuid and key == "logicalType")}
