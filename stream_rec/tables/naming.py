"""Which column holds which field, as programs say it, and what is wrong with how they said it."""

from collections.abc import Mapping

from stream_rec.core.events import FieldMap
from stream_rec.errors import SettingsError
from stream_rec.nearest import did_you_mean

__all__ = ["field_map", "map_with_fields"]

_OTHER_NAMES = {
    "session": "session_id", "visit": "session_id", "item": "item_id", "product": "item_id", "product_id": "item_id",
    "sku": "item_id", "time": "timestamp", "ts": "timestamp", "date": "timestamp", "event_type": "type",
    "event": "type", "user": "user_id", "customer": "user_id",
}  # fmt: skip


def field_map(given: object) -> FieldMap:
    """Return the map of *given*: field -> the name of its column, or its number where there is no header.

    Raises SettingsError, in the words of a program.
    """
    if isinstance(given, FieldMap):
        return given
    known = FieldMap.__struct_fields__
    form = f"expected a dictionary from a field ({', '.join(known)}) to the name of its column"
    if not isinstance(given, Mapping):
        raise SettingsError("fields", f'{form}, as in fields={{"item_id": "sku"}}; found {given!r:.80}')
    for field, name in given.items():
        if field not in known:
            swapped = f'; did you mean fields={{"{name}": "{field}"}}?' if name in known else ""
            meant = swapped or did_you_mean(str(field), known, _OTHER_NAMES)
            raise SettingsError("fields", f"{form}; {field!r} is no field{meant}")
        if (not name and name != 0) or not isinstance(name, str | int) or isinstance(name, bool):
            raise SettingsError("fields", f"{form}; found {name!r:.80} for {field!r}")
    return FieldMap(**{field: str(name) for field, name in given.items()})


def map_with_fields(field: str) -> str:
    """Return what to do about a table without a column for *field*."""
    return f'map them with `fields`, as in fields={{"{field}": "..."}}'
