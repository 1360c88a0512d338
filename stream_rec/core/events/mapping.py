"""Structs that are mappings to others: to `dict`, to `json` and to pydantic, which is never imported here.

Knows nothing of the structs.
"""

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import msgspec
import msgspec.inspect

__all__ = ["AsMapping", "without_examples", "without_nulls"]


class AsMapping:
    """Makes a struct a mapping to `dict(...)` and `json.dumps(..., default=dict)`, and a type of pydantic's.

    An optional field that is None is not there. Values are what JSON knows: lists, dictionaries, text, numbers, None.
    `json.dumps` takes no mapping but a dictionary, and a struct cannot be one: hence `default=dict`, or `to_dict`.
    """

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dictionary that `json.dumps` takes, all that it holds included."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def to_json(self) -> str:
        """Return it as JSON, as the service writes it."""
        return msgspec.json.encode(self).decode()

    def keys(self) -> list[str]:
        """Return the names of the fields that the JSON has."""
        names: tuple[str, ...] = self.__struct_fields__  # type: ignore[attr-defined]  # of the struct
        n_needed = len(names) - len(self.__struct_defaults__)  # type: ignore[attr-defined]  # of the struct
        return [name for place, name in enumerate(names) if place < n_needed or getattr(self, name) is not None]

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  # of any field
        if name not in self.keys():
            raise KeyError(name)
        return msgspec.to_builtins(getattr(self, name))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, Any]:
        """Validate a value of this type, or a dictionary that makes one; serialise it as a dictionary."""
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": cls._from},
            "serialization": {"type": "function-plain", "function": dict},
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> dict[str, Any]:
        """Describe the dictionary."""
        (schema,), components = msgspec.json.schema_components([cls], ref_template="{name}")
        without_examples(components)
        without_nulls(components, cls)
        inlined: dict[str, Any] = _inlined(schema, components)
        return inlined

    @classmethod
    def _from(cls, value: object) -> Any:  # noqa: ANN401  # of this class
        return value if isinstance(value, cls) else msgspec.convert(value, cls)


def without_examples(components: dict[str, Any]) -> None:
    """Remove the examples in Python from the descriptions of JSON schemas, which are docstrings.

    And the indentation of their lines, which Python itself removes from 3.13 on: so the schemas are the same on each.
    """
    for schema in components.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"].partition(">>> ")[0]).rstrip()


def without_nulls(components: dict[str, Any], kind: type) -> None:
    """Remove null from the properties that *kind*, or a struct in it, leaves out where they are None.

    *components* are the JSON schemas of structs by name; those of other structs stay as they are.
    """
    for name in set(_leaving_out(msgspec.inspect.type_info(kind))):
        for schema in components[name]["properties"].values():
            if "default" in schema and schema["default"] is None:
                del schema["default"]
                kinds = [each for each in schema.pop("anyOf") if each != {"type": "null"}]
                schema.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def _leaving_out(info: msgspec.inspect.Type) -> Iterator[str]:
    """Yield the names of the structs in *info*, itself included, that leave out what has its default."""
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls.__struct_config__.omit_defaults:
            yield info.cls.__name__
        for field in info.fields:
            yield from _leaving_out(field.type)
    elif isinstance(info, msgspec.inspect.ListType):
        yield from _leaving_out(info.item_type)
    elif isinstance(info, msgspec.inspect.UnionType):
        for each in info.types:
            yield from _leaving_out(each)


def _inlined(schema: Any, components: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
    """Return *schema* with each reference replaced by what it refers to; none refers to itself."""
    if isinstance(schema, list):
        return [_inlined(each, components) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(components[schema["$ref"]], components)
    return {key: _inlined(value, components) for key, value in schema.items() if key != "discriminator"}
