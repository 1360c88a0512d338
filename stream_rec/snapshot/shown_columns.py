"""What sessions were shown, as named columns, and back. A file has them only if the engine counts shown events."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stream_rec.core.bounds import FARTHEST_MS
from stream_rec.core.shown import MOST_PLACES, SOURCES, ShownVisit
from stream_rec.snapshot.names import Packed, chunks_of, pack, unpack

__all__ = ["SHOWN_DTYPES", "SHOWN_WIDTHS", "shown_arrays", "visits_of"]

Array = npt.NDArray[Any]

SHOWN_DTYPES: Final[Mapping[str, str]] = {
    "shown_sessions": "bytes",
    "shown_session_lengths": "<u4",
    "shown_last": "<i8",
    "shown_counts": "<i4",
    "shown_items": "bytes",
    "shown_item_lengths": "<u4",
    "shown_item_codes": "<i4",
    "shown_numbers": "<i8",
    "shown_event_ids": "<u8",
    "shown_users": "bytes",
    "shown_user_lengths": "<u4",
    "shown_user_codes": "<i4",
}
"""The columns, in their order behind the others."""

SHOWN_WIDTHS: Final[Mapping[str, int]] = {"shown_counts": 3, "shown_numbers": 5}
_FIELDS: Final = 3


def shown_arrays(visits: Sequence[ShownVisit], yield_cpu: Callable[[], None]) -> Iterator[tuple[str, Packed | Array]]:
    """Yield the names and numbers of *visits*, as columns in the order of `SHOWN_DTYPES`; names bring their lengths."""
    items, item_codes = _coded(name for visit in visits for name in visit.items)
    users, user_codes = _coded(name for visit in visits for name in visit.users)
    numbers = list(chain.from_iterable(row for visit in visits for row in visit.items.values()))
    yield "shown_sessions", pack(chunks_of(visit.session_id for visit in visits), yield_cpu)
    yield "shown_last", np.array([visit.last for visit in visits], np.int64)
    counts = [(len(visit.items), len(visit.event_ids), len(visit.users)) for visit in visits]
    yield "shown_counts", np.array(counts, np.int32).reshape(-1, _FIELDS)
    yield "shown_items", pack(chunks_of(items), yield_cpu)
    yield "shown_item_codes", item_codes
    yield "shown_numbers", np.array(numbers, np.int64).reshape(-1, SHOWN_WIDTHS["shown_numbers"])
    yield "shown_event_ids", np.array([key for visit in visits for key in visit.event_ids], np.uint64)
    yield "shown_users", pack(chunks_of(users), yield_cpu)
    yield "shown_user_codes", user_codes


def _coded(names: Iterable[str]) -> tuple[list[str], Array]:
    """Return each name once, and for all *names* the place of theirs."""
    places: dict[str, int] = {}
    codes = array("i", (places.setdefault(name, len(places)) for name in names))
    return list(places), np.frombuffer(codes, np.int32) if codes else np.zeros(0, np.int32)


def visits_of(columns: Mapping[str, Array]) -> list[ShownVisit]:
    """Return what *columns* were made from. Raises ValueError for columns that contradict each other."""
    names = [_unpack(columns, each) for each in ("shown_session", "shown_item", "shown_user")]
    sessions, items, users = names
    counts, last, numbers = columns["shown_counts"], columns["shown_last"], columns["shown_numbers"]
    parts = (columns["shown_item_codes"], columns["shown_event_ids"], columns["shown_user_codes"])
    if (counts < 0).any() or len({len(sessions), len(set(sessions)), len(counts), len(last)}) > 1:
        raise ValueError("sessions that were shown items, and their counts, differ")
    ends = np.vstack([np.zeros((1, _FIELDS), np.int64), np.cumsum(counts, axis=0, dtype=np.int64)])
    if ends[-1].tolist() != [len(part) for part in parts] or len(numbers) != len(parts[0]):
        raise ValueError("shown items and their counts differ")
    _check_numbers(numbers, np.repeat(last, counts[:, 0]))
    for codes, table in ((parts[0], items), (parts[2], users)):
        if codes.size and codes.min() < 0:  # it would count from the end
            raise ValueError("a shown item or its user has no name")
        if codes.size and codes.max() >= len(table):
            raise ValueError("a shown item or its user has no name")
    rows = list(map(tuple, numbers.tolist()))
    item_codes, event_ids, user_codes = (part.tolist() for part in parts)
    visits = []
    for place, session_id in enumerate(sessions):
        (i, k, u), (i_end, k_end, u_end) = ends[place].tolist(), ends[place + 1].tolist()
        of_items = {items[code]: row for code, row in zip(item_codes[i:i_end], rows[i:i_end], strict=True)}
        of_users = [users[code] for code in user_codes[u:u_end]]
        ids = event_ids[k:k_end]
        if len(of_items) != i_end - i or len(set(ids)) != len(ids) or len(set(of_users)) != len(of_users):
            raise ValueError("a session was shown the same item twice")
        visits.append(ShownVisit(session_id, int(last[place]), of_items, ids, of_users))
    return visits


def _check_numbers(numbers: Array, last: Array) -> None:
    count, begun, ended, place, source = numbers.T
    is_right = (count > 0) & (begun <= ended) & (ended <= last) & (place >= 0) & (place <= MOST_PLACES)
    if not (is_right & (source >= 0) & (source < len(SOURCES)) & (begun >= -FARTHEST_MS)).all():
        raise ValueError("the counts of a shown item are none")
    if last.size and last.max() > FARTHEST_MS:
        raise ValueError("an item was shown at no time")


def _unpack(columns: Mapping[str, Array], name: str) -> list[str]:
    return unpack(columns[f"{name}s"].tobytes(), columns[f"{name}_lengths"])
