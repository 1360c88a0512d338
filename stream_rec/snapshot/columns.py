"""An engine's state as named columns of numbers and bytes, and back.

`DTYPES` lists the columns of a file in their order. A change to it, or to the meaning of a column, needs another
`VERSION`.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.bounds import FARTHEST_MS
from stream_rec.core.engine_state import EngineSnapshot, names_of
from stream_rec.core.index import field
from stream_rec.core.index.retained import RetainedState
from stream_rec.core.limits import Limits
from stream_rec.core.session_store import Users, each_user
from stream_rec.core.sessionizer import OpenSpans
from stream_rec.core.shown import ShownRules
from stream_rec.snapshot.learned_column import LEARNED_DTYPES, learned_bytes, learned_of
from stream_rec.snapshot.names import AT_ONCE, Packed, chunks_of, pack, unpack
from stream_rec.snapshot.shown_columns import SHOWN_DTYPES, SHOWN_WIDTHS, shown_arrays, visits_of

__all__ = ["DTYPES", "VERSION", "WIDTHS", "Facts", "columns_of", "dtypes_of", "facts_of", "state_of"]

VERSION: Final = 2
Array = npt.NDArray[Any]
Buffer = bytes | memoryview

DTYPES: Final[Mapping[str, str]] = {
    "session_names": "bytes",
    "session_name_lengths": "<u4",
    "session_hashes": "<u8",
    "session_events": "<i4",
    "event_items": "<i4",
    "event_times": "<i8",
    "event_types": "|u1",
    "item_names": "bytes",
    "item_name_lengths": "<u4",
    "item_hashes": "<u8",
    "type_names": "bytes",
    "type_name_lengths": "<u4",
    "event_ids": "<u8",
    "user_names": "bytes",
    "user_name_lengths": "<u4",
    "link_sessions": "<i4",
    "link_users": "<i4",
    "span_users": "bytes",
    "span_user_lengths": "<u4",
    "span_counts": "<i4",
    "spans": "<i8",
}
"""The columns of a file, in their order, with their types: "bytes" for concatenated names."""

WIDTHS: Final[Mapping[str, int]] = {"event_ids": 4, "spans": 3, **SHOWN_WIDTHS}
"""The columns with two dimensions, and the second of them."""


def dtypes_of(shown_rules: ShownRules | None, *, learns: bool = False) -> Mapping[str, str]:
    """Return the columns of a file, in their order.

    Those of shown items are there only where such are counted, what was learned only where an order is.
    """
    shown = {} if shown_rules is None else SHOWN_DTYPES
    return {**DTYPES, **shown, **(LEARNED_DTYPES if learns else {})}


class FileColumn(NamedTuple):
    """One column: its name, shape and bytes."""

    name: str
    shape: tuple[int, ...]
    pieces: list[Buffer]


_ALL: Final = {**DTYPES, **SHOWN_DTYPES, **LEARNED_DTYPES}


class Facts(NamedTuple):
    """The parts of a state that are not columns."""

    limits: Limits
    session_gap_ms: int | None
    watermark: int | None
    n_evicted: int
    spans_watermark: int | None
    shown_rules: ShownRules | None = None
    learns: bool = False
    """Whether an order is learned."""


def facts_of(state: EngineSnapshot) -> Facts:
    """Return the parts of *state* that are not columns."""
    retained, spans = state.retained, state.spans
    return Facts(
        state.limits,
        state.session_gap_ms,
        retained.watermark,
        retained.n_evicted,
        None if spans is None else spans.watermark,
        state.shown_rules,
        state.learned is not None,
    )


def columns_of(state: EngineSnapshot, yield_cpu: Callable[[], None]) -> Iterator[FileColumn]:
    """Yield the columns of *state* in the order of `DTYPES`, calling *yield_cpu* between pieces of work."""
    retained = state.retained
    yield from _names("session_names", pack(names_of(state.session_names, retained.sessions, AT_ONCE), yield_cpu))
    yield _numbers("session_hashes", retained.hash)
    yield _numbers("session_events", retained.n_events)
    yield _numbers("event_items", retained.item)
    yield _numbers("event_times", retained.time)
    yield _numbers("event_types", retained.type)
    yield from _names("item_names", pack(names_of(state.item_names, retained.items, AT_ONCE), yield_cpu))
    yield _numbers("item_hashes", retained.item_hash)
    yield from _names("type_names", pack(chunks_of(name or "" for name in state.type_names), yield_cpu))
    yield _numbers("event_ids", retained.ids.view("<u8").reshape(-1, 4))
    yield from _links(state, yield_cpu)
    yield from _spans(state.spans, yield_cpu)
    if state.shown_rules is not None:
        for name, each in shown_arrays(state.shown, yield_cpu):
            if isinstance(each, Packed):
                yield from _names(name, each)
            else:
                yield _numbers(name, each)
    if state.learned is not None:
        encoded = learned_bytes(state.learned)
        yield FileColumn("learned", (len(encoded),), [encoded])


def _numbers(name: str, values: Array) -> FileColumn:
    stored = np.ascontiguousarray(values, _ALL[name])
    return FileColumn(name, stored.shape, [stored.reshape(-1).view(np.uint8).data])


def _names(name: str, packed: Packed) -> Iterator[FileColumn]:
    yield FileColumn(name, (sum(map(len, packed.pieces)),), list(packed.pieces))
    yield _numbers(f"{name.removesuffix('s')}_lengths", packed.lengths)


def _links(state: EngineSnapshot, yield_cpu: Callable[[], None]) -> Iterator[FileColumn]:
    """Yield the users, and the pairs of session (by place) and user (by number)."""
    numbers: dict[str, int] = {}
    places = np.zeros(len(state.session_names), np.int32)
    places[state.retained.sessions] = np.arange(state.retained.sessions.size)
    sessions, users = array("i"), array("i")
    for n, (session, chain) in enumerate(state.users.items()):
        for user_id in each_user(chain):
            sessions.append(session)
            users.append(numbers.setdefault(user_id, len(numbers)))
        if n % AT_ONCE == 0:
            yield_cpu()
    yield from _names("user_names", pack(chunks_of(numbers), yield_cpu))
    yield _numbers("link_sessions", places[np.frombuffer(sessions, np.int32)])
    yield _numbers("link_users", np.frombuffer(users, np.int32))


def _spans(spans: OpenSpans | None, yield_cpu: Callable[[], None]) -> Iterator[FileColumn]:
    users: list[str] = []
    counts, bounds = array("i"), array("q")
    for n, (user_id, of_user) in enumerate(() if spans is None else spans.rows()):
        users.append(user_id)
        counts.append(len(of_user))
        for span in of_user:
            bounds.extend(span)
        if n % AT_ONCE == 0:
            yield_cpu()
    yield from _names("span_users", pack(chunks_of(users), yield_cpu))
    yield _numbers("span_counts", np.frombuffer(counts, np.int32))
    yield _numbers("spans", np.frombuffer(bounds, np.int64).reshape(-1, 3))


def state_of(columns: Mapping[str, Array], facts: Facts) -> EngineSnapshot:
    """Return the state that *columns* were made from. Its sessions and items have ordinals without gaps.

    Raises ValueError for columns that contradict each other.
    """
    session_names, item_names = _unpack(columns, "session_name"), _unpack(columns, "item_name")
    ids = np.ascontiguousarray(columns["event_ids"], np.uint64).reshape(-1).view(field.SEEN_ID)
    return EngineSnapshot(
        limits=facts.limits,
        session_gap_ms=facts.session_gap_ms,
        retained=RetainedState(
            facts.watermark,
            facts.n_evicted,
            np.arange(len(session_names), dtype=np.int32),
            columns["session_hashes"].astype(np.uint64, copy=False),
            columns["session_name_lengths"].astype(np.uint16),
            columns["session_events"].astype(np.int32, copy=False),
            columns["event_items"].astype(np.int32, copy=False),
            columns["event_times"].astype(np.int64, copy=False),
            columns["event_types"],
            np.arange(len(item_names), dtype=np.int32),
            columns["item_hashes"].astype(np.uint64, copy=False),
            columns["item_name_lengths"].astype(np.uint16),
            ids,
        ),
        session_names=session_names,
        item_names=item_names,
        type_names=_types_of(columns),
        users=_users_of(columns),
        spans=None if facts.session_gap_ms is None else _spans_of(columns, facts.spans_watermark),
        shown_rules=facts.shown_rules,
        shown=() if facts.shown_rules is None else visits_of(columns),
        learned=learned_of(columns["learned"].tobytes()) if facts.learns else None,
    )


def _unpack(columns: Mapping[str, Array], name: str) -> list[str]:
    return unpack(columns[f"{name}s"].tobytes(), columns[f"{name}_lengths"])


def _types_of(columns: Mapping[str, Array]) -> list[str | None]:
    """Return the types by ordinal. An empty text is the place of one that was given back, unless an event has it."""
    used = frozenset(np.unique(columns["event_types"]).tolist())
    return [name if name or place in used else None for place, name in enumerate(_unpack(columns, "type_name"))]


def _users_of(columns: Mapping[str, Array]) -> dict[int, Users]:
    names, numbers = _unpack(columns, "user_name"), columns["link_users"]
    if numbers.size and numbers.min() < 0:  # it would count from the end
        raise ValueError("a user has no name")
    users: dict[int, Users] = {}
    for place, number in zip(columns["link_sessions"].tolist(), numbers.tolist(), strict=True):
        others = users.get(place)
        users[place] = names[number] if others is None else (names[number], others)
    return users


def _spans_of(columns: Mapping[str, Array], watermark: int | None) -> OpenSpans:
    names, spans, counts = _unpack(columns, "span_user"), columns["spans"], columns["span_counts"]
    ends = [0, *np.cumsum(counts, dtype=np.int64).tolist()]
    if ends[-1] != len(spans) or (counts < 1).any():
        raise ValueError("open sessions and their counts differ")
    first, last, opened = spans.T
    if not ((first >= -FARTHEST_MS) & (first <= opened) & (opened <= last) & (last <= FARTHEST_MS)).all():
        raise ValueError("an open session ends before it begins")
    bounds = spans.tolist()
    parts = (bounds[begin:end] for begin, end in pairwise(ends))
    return OpenSpans.of(watermark, zip(names, parts, strict=True))
