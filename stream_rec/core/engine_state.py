"""All that an engine's later answers depend on, taken out of it: what a snapshot keeps.

Shares no memory with the engine that it was taken from, and nobody changes it, so that another thread may read it
while the engine goes on. Knows nothing of files, nor of what is said about it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.index.retained import RetainedState
from stream_rec.core.limits import Limits
from stream_rec.core.session_store import Users
from stream_rec.core.sessionizer import OpenSpans

__all__ = ["EngineSnapshot", "differences", "rules_of"]


@dataclass(frozen=True, slots=True, eq=False)
class EngineSnapshot:
    """An engine at one moment. The deny list and the model are not of it: a log leaves the same state under any."""

    limits: Limits
    session_gap_ms: int | None
    retained: RetainedState
    session_names: Sequence[str | None]
    """By slot; None for one without a session."""
    item_names: Sequence[str | None]
    """By number."""
    type_names: Sequence[str]
    users: Mapping[int, Users]
    """Who took part in the session of a slot."""
    spans: OpenSpans | None
    """None where sessions are not cut from users."""

    @property
    def counts(self) -> dict[str, int]:
        """How much of what there is."""
        return {
            "sessions": self.retained.slot.size,
            "events": self.retained.item.size,
            "items": self.retained.items.size,
            "types": len(self.type_names),
            "event_ids": self.retained.ids.size,
            "sessions_with_users": len(self.users),
            "open_visitors": 0 if self.spans is None else len(self.spans.users),
        }

    def fault(self, most_types: int) -> str | None:
        """Tell what no engine leaves, None if nothing; that names differ is left to a table of them. O(everything)."""
        return (
            self.retained.fault(len(self.type_names))
            or _fault_of_names(self.session_names, self.retained.slot)
            or _fault_of_names(self.item_names, self.retained.items)
            or self._fault_of_rest(most_types)
        )

    def _fault_of_rest(self, most_types: int) -> str | None:
        n_events = self.retained.n_events
        if len(self.type_names) > most_types:
            return "it has too many types"
        if self.users and not self.users.keys() <= set(self.retained.slot.tolist()):
            return "a user took part in no session"
        if n_events.size and n_events.max() > self.limits.max_session_events:
            return "a session is too long"
        return None


def _fault_of_names(names: Sequence[str | None], numbers: npt.NDArray[np.int32]) -> str | None:
    if numbers.size and int(numbers[-1]) >= len(names):
        return "a number has no name"
    n_free = len(names) - numbers.size
    if names.count(None) != n_free or (n_free and None in map(names.__getitem__, numbers.tolist())):
        return "names and numbers differ"
    return None


def names_of(names: Sequence[str | None], numbers: npt.NDArray[np.int32], at_once: int) -> Iterator[list[str]]:
    """Yield the names of *numbers*, *at_once* at a time."""
    for begin in range(0, numbers.size, at_once):
        yield [names[number] for number in numbers[begin : begin + at_once].tolist()]


def rules_of(limits: Limits, session_gap_ms: int | None) -> dict[str, Any]:
    """Return the rules in force under which a log leaves its state; defaults that depend on others are worked out."""
    worked_out = {"allowed_lateness_ms": limits.lateness_ms, "dedupe_window_ms": limits.window_ms}
    return {"limits": {**msgspec.structs.asdict(limits), **worked_out}, "session_gap_ms": session_gap_ms}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], place: str = "") -> list[str]:
    """Return where two mappings differ, each as "place: theirs, not ours"; equal ones give []."""
    found = []
    for key in sorted({*theirs, *ours}):
        one, other = theirs.get(key), ours.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, f"{place}{key}.")
        elif one != other:
            found.append(f"{place}{key}: {one!r}, not {other!r}")
    return found
