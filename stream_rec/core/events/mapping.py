"""Structs that are mappings to others: to `dict`, to `json` and to pydantic, which is never imported here.

Knows nothing of the structs.
"""

from inspect import cleandoc
from typing import Any

import msgspec

__all__ = ["AsMapping", "without_examples"]


class AsMapping:
    """Makes a struct a mapping to `dict(...)` and `json.dumps(..., default=dict)`, and a type of pydantic's.

    A field that is unset is not there. Values are what JSON knows: lists, dictionaries, text, numbers and None.
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
        """Return the names of the fields that are set."""
        names: tuple[str, ...] = self.__struct_fields__  # type: ignore[attr-defined]  # of the struct
        return [name for name in names if getattr(self, name) is not msgspec.UNSET]

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


def _inlined(schema: Any, components: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
    """Return *schema* with each reference replaced by what it refers to; none refers to itself."""
    if isinstance(schema, list):
        return [_inlined(each, components) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(components[schema["$ref"]], components)
    return {key: _inlined(value, components) for key, value in schema.items() if key != "discriminator"}
