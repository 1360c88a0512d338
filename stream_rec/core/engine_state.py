"""The exported state of an engine: all that its later answers depend on, and the content of a snapshot.

It shares no memory with the engine and never changes, so another thread may read it while the engine goes on. Knows
nothing of files.
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
from stream_rec.core.shown import ShownRules, ShownVisit

__all__ = ["EngineSnapshot", "differences", "rules_of"]


@dataclass(frozen=True, slots=True, eq=False)
class EngineSnapshot:
    """An engine at one moment, without deny list and model: a log leaves the same state under any."""

    limits: Limits
    session_gap_ms: int | None
    retained: RetainedState
    session_names: Sequence[str | None]
    """By ordinal; None for one without a session."""
    item_names: Sequence[str | None]
    """By ordinal."""
    type_names: Sequence[str | None]
    """By ordinal; None for one that was given back."""
    users: Mapping[int, Users]
    """The users of a session, by ordinal."""
    spans: OpenSpans | None
    """None if sessions are not cut from users."""
    shown_rules: ShownRules | None = None
    """Which events say what was shown; None: none does."""
    shown: Sequence[ShownVisit] = ()
    """What sessions were shown; those that saw nothing for longest first."""
    learned: Sequence[Mapping[str, Any]] | None = None
    """The fits of each model that learns an order, as numbers and arrays; None where none does."""

    @property
    def counts(self) -> dict[str, int]:
        """How many of each thing it holds."""
        return {
            "sessions": self.retained.sessions.size,
            "events": self.retained.item.size,
            "items": self.retained.items.size,
            "types": sum(name is not None for name in self.type_names),
            "event_ids": self.retained.ids.size,
            "sessions_with_users": len(self.users),
            "open_visitors": 0 if self.spans is None else len(self.spans.users),
            **({} if self.shown_rules is None else {"shown_sessions": len(self.shown)}),
        }

    def fault(self, most_types: int) -> str | None:
        """Return what no engine leaves, None if all is valid; equal names are left to `IdTable.of`. O(everything)."""
        return (
            self.retained.fault(len(self.type_names), self.limits.ahead_ms)
            or _fault_of_names(self.session_names, self.retained.sessions)
            or _fault_of_names(self.item_names, self.retained.items)
            or self._fault_of_rest(most_types)
        )

    def _fault_of_rest(self, most_types: int) -> str | None:
        n_events = self.retained.n_events
        if len(self.type_names) > most_types:
            return "it has too many types"
        if any(self.type_names[each] is None for each in np.unique(self.retained.type).tolist()):
            return "a type has no name"
        if self.users and not self.users.keys() <= set(self.retained.sessions.tolist()):
            return "a user took part in no session"
        if n_events.size and n_events.max() > self.limits.max_session_events:
            return "a session is too long"
        return None


def _fault_of_names(names: Sequence[str | None], ordinals: npt.NDArray[np.int32]) -> str | None:
    if ordinals.size and int(ordinals[-1]) >= len(names):
        return "an ordinal has no name"
    n_free = len(names) - ordinals.size
    if names.count(None) != n_free or (n_free and None in map(names.__getitem__, ordinals.tolist())):
        return "names and ordinals differ"
    return None


def names_of(names: Sequence[str | None], ordinals: npt.NDArray[np.int32], at_once: int) -> Iterator[list[str]]:
    """Yield the names of *ordinals*, *at_once* at a time."""
    for begin in range(0, ordinals.size, at_once):
        yield [names[each] for each in ordinals[begin : begin + at_once].tolist()]


def rules_of(limits: Limits, session_gap_ms: int | None, shown: ShownRules | None = None) -> dict[str, Any]:
    """Return the settings that a log's state depends on, with the values in force for those that default to others."""
    in_force = {"allowed_lateness_ms": limits.lateness_ms, "dedupe_window_ms": limits.window_ms}
    rules = {"limits": {**msgspec.structs.asdict(limits), **in_force}, "session_gap_ms": session_gap_ms}
    if shown is None:  # and the rules are those of programs that knew nothing of it
        return rules
    return {**rules, "shown": {"type": shown.type, "window_ms": shown.window_ms, "max_items": shown.max_items}}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], place: str = "") -> list[str]:
    """Return the differences of two mappings, each as "place: theirs, not ours"; [] for equal ones."""
    found = []
    for key in sorted({*theirs, *ours}):
        one, other = theirs.get(key), ours.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, f"{place}{key}.")
        elif one != other:
            found.append(f"{place}{key}: {one!r}, not {other!r}")
    return found
