"""How a log is written: the names of its fields, its times, and which of its records are accepted.

Knows nothing of how bytes are read.
"""

from collections.abc import Collection, Iterable

import msgspec

from stream_rec.core.events.paths import is_in, roots
from stream_rec.core.events.types import MAX_ID_CHARS
from stream_rec.errors import SettingsError

__all__ = ["DecodeRules", "FieldMap", "accepts"]


def accepts(kind: str, types: Collection[str], shown_type: str | None) -> bool:
    """Return whether a type is one of *types*, or that of shown events, with what it has behind a colon."""
    return kind in types or (shown_type is not None and kind.partition(":")[0] == shown_type)


class FieldMap(msgspec.Struct, frozen=True, kw_only=True):
    """The log's name of each field of an event: a JSON key, the name or index of a column, or a path to it.

    docs/reference/paths.md says what a path may be.

    >>> from stream_rec import FieldMap
    >>> FieldMap(session_id="VisitId", item_id="ProductId").item_id
    'ProductId'
    """

    session_id: str = "session_id"
    item_id: str = "item_id"
    timestamp: str = "timestamp"
    type: str = "type"
    event_id: str = "event_id"
    user_id: str = "user_id"

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> "FieldMap":
        """Return the map of texts such as `session_id=SessionId`. Raises SettingsError, naming the invalid one."""
        names: dict[str, str] = {}
        for pair in pairs:
            field, equals, name = pair.partition("=")
            if not (equals and name) or field not in cls.__struct_fields__ or field in names:
                raise SettingsError(
                    "fields",
                    f"expected FIELD=NAME, each field once, with FIELD one of "
                    f"{', '.join(cls.__struct_fields__)}; found {pair!r}",
                )
            names[field] = name
        return cls(**names)

    def as_dict(self) -> dict[str, str]:
        """Return field -> the log's name of it."""
        return {field: getattr(self, field) for field in self.__struct_fields__}


class DecodeRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the log is written, and which of its records are accepted.

    >>> from stream_rec import DecodeRules
    >>> DecodeRules(timestamp_unit="s", types=frozenset({"view", "cart"})).timestamp_unit
    's'
    """

    fields: FieldMap = FieldMap()

    timestamp_unit: str = "ms"
    """`ms`, `s`, `us`, `ns`, `iso`, `excel` or `auto`."""

    timestamp_format: str | None = None
    """A strptime format; replaces the unit."""

    time_zone: str | None = None
    """The zone of times without an offset; None: UTC."""

    types: frozenset[str] | None = None
    """The accepted event types; None accepts all. `forget` is always accepted."""

    shown_type: str | None = None
    """The type of events that say what was shown, which is accepted whatever `types` are, with what it has behind a
    colon."""

    forget_types: frozenset[str] = frozenset()
    """Types that are orders to forget, besides `forget`."""

    lenient_ids: bool = False
    """Whether texts such as `null` and `123.0`, which tools write in place of nothing and of a number, are ids."""

    session_from_user: bool = False
    """Sessions are cut later from `user_id`, which is then required; `session_id` stays empty."""

    max_id_chars: int = MAX_ID_CHARS
    """Limits the memory that one visitor can take. Real ids have 1 to 64 characters."""

    max_record_bytes: int = 1 << 20

    beside: frozenset[str] = frozenset()
    """Columns that the rows get from elsewhere, such as the names of their file's folders."""

    max_future_ms: int | None = None
    """How far ahead of its log time an event may be. None: no event is compared with its log time."""

    def accepts(self, kind: str) -> bool:
        """Return whether events of a type are accepted."""
        return self.types is None or accepts(kind, self.types, self.shown_type)

    def required(self) -> tuple[str, ...]:
        """Return the log's names of the fields that every event must have."""
        owner = self.fields.user_id if self.session_from_user else self.fields.session_id
        return (owner, self.fields.item_id, self.fields.timestamp)

    def missing_in(self, names: Collection[str]) -> list[str]:
        """Return those of the required fields, by the log's names, that no record with *names* can have."""
        there = self.beside.union(names)
        return [name for name in self.required() if not is_in(name, there)]

    def field_of(self, name: str) -> str:
        """Return the field that *name*, by the log's names, is of."""
        return next((field for field, its in self.fields.as_dict().items() if its == name), "item_id")

    def columns_in(self, names: Iterable[str]) -> list[str]:
        """Return those of *names* that are read."""
        listed = list(names)
        texts = self.fields.as_dict().values()
        wanted = {root for text in texts for root in ([text] if text in listed else roots(text))}
        return [name for name in listed if name in wanted]
