"""The event-id window: a hash table of the ids of events that may still be repeated."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.dtypes import Structs
from stream_rec.core.index.kernel.state import ID_WINDOW, WATERMARK, State

__all__ = ["copy_ids", "find_id", "is_duplicate", "is_vacant"]


@inner
def is_vacant(seen: Structs, place: int) -> bool:
    """Return whether *place* holds no id."""
    return seen[place]["high"] == 0 and seen[place]["low"] == 0


@inner
def find_id(seen: Structs, high: np.uint64, low: np.uint64) -> int:
    """Return the place of an event id in the hash table, or of the vacant entry where it belongs."""
    mask = seen.size - 1
    place = np.int64(low & np.uint64(mask))
    while (seen[place]["high"] != high or seen[place]["low"] != low) and not is_vacant(seen, place):
        place = (place + 1) & mask
    return place


@inner
def _is_among(value: np.uint64, ordered: np.ndarray) -> bool:
    place = np.searchsorted(ordered, value)
    return place < ordered.size and ordered[place] == value


@inner
def copy_ids(state: State, table: Structs, without: np.ndarray) -> int:
    """Fill the new *table* with the ids that have not expired, without those of the owners *without* (ascending).

    Return how many it holds.
    """
    oldest = state.counters[WATERMARK] - state.limits[ID_WINDOW]
    n = 0
    for j in range(state.seen.size):
        entry = state.seen[j]
        if is_vacant(state.seen, j) or entry["time"] < oldest or _is_among(entry["owner"], without):
            continue
        place = find_id(table, entry["high"], entry["low"])
        table[place]["high"] = entry["high"]
        table[place]["low"] = entry["low"]
        table[place]["time"] = entry["time"]
        table[place]["owner"] = entry["owner"]
        n += 1
    return n


@inner
def is_duplicate(state: State, high: np.uint64, low: np.uint64) -> bool:
    """Return whether the window holds the event id and it has not expired."""
    place = find_id(state.seen, high, low)
    oldest = state.counters[WATERMARK] - state.limits[ID_WINDOW]
    return not is_vacant(state.seen, place) and state.seen[place]["time"] >= oldest
