"""Shown events and clicks of one batch, each to where it belongs, as if they had come one by one.

Clicks go to the kernel, as many at a time as possible. What was shown is counted afterwards, in the order of the log,
at the watermark that the clicks before it left: it changes no click. Only an answer that leaves out what its session
has ignored must wait for what was shown before it: its event is then applied alone.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.dtypes import U8
from stream_rec.core.engine.columns import EventColumns
from stream_rec.core.events import Event
from stream_rec.core.index import field
from stream_rec.core.outcome import SHOWN
from stream_rec.core.shown import Impressions, Seen, ShownAs, seen_of

__all__ = ["Mixed", "count_shown", "mixed_in", "only", "stretches"]

Places = npt.NDArray[np.intp]


class Mixed(NamedTuple):
    """Which events of a batch are clicks, and what the others say."""

    clicks: Places
    shown: dict[int, ShownAs | None]
    """By place; None for one whose type cannot be read."""


def mixed_in(events: Sequence[Event], impressions: Impressions) -> Mixed:
    """Tell clicks from shown events."""
    kinds = [event.type for event in events]
    of_type = {kind: impressions.said_by(kind) for kind in set(kinds) if impressions.is_shown(kind)}
    shown = {place: of_type[kind] for place, kind in enumerate(kinds) if kind in of_type}
    clicks = np.arange(len(events))
    return Mixed(clicks if not shown else np.delete(clicks, list(shown)), shown)


def stretches(events: Sequence[Event], mixed: Mixed, wanted: U8 | None, impressions: Impressions) -> list[int]:
    """Return where to cut the batch: each *wanted* event whose answer may leave something out is a part of its own."""
    alone: set[int] = set()
    if wanted is not None and impressions.rules.at_most is not None:
        more = Counter(events[place].session_id for place in mixed.shown)
        asked = [place for place in mixed.clicks.tolist() if wanted[place]]
        names = {events[place].session_id for place in asked}
        ignoring = impressions.may_ignore({name: more[name] for name in names})
        # planted bug: shown-answered-together
        alone = {place for place in asked if events[place].session_id in ignoring}
    return sorted({0, len(events), *alone, *(place + 1 for place in alone)})


def count_shown(
    events: Sequence[Event],
    mixed: Mixed,
    columns: EventColumns,
    outcome: U8,
    before: int,
    impressions: Impressions,
) -> list[tuple[int, Seen]]:
    """Count what was shown and clicked, in order; return each event that counts, with its place.

    *outcome*, [n], holds those of the clicks, and gets those of the shown events; *before* is the watermark before all.
    """
    found: list[tuple[int, Seen]] = []
    if not mixed.shown and impressions.n_sessions == 0:
        return found
    watermark = before
    reach = columns.reach.tolist()
    for place, event in enumerate(events):
        if place not in mixed.shown:
            if outcome[place] == field.APPLIED:
                watermark = max(watermark, reach[place])  # planted bug: shown-late-by-batch
                clicked = impressions.click(event.session_id, event.item_id, event.timestamp)
                if clicked is not None:
                    found.append((place, clicked))
            continue
        said = mixed.shown[place]
        now = None if watermark == field.NEVER else watermark
        if said is None:
            outcome[place] = field.UNKNOWN_TYPE
        elif impressions.is_late(event.timestamp, now):
            outcome[place] = field.LATE
        elif impressions.show(event, said):
            outcome[place] = SHOWN
            found.append((place, seen_of(event.session_id, said)))
        else:
            outcome[place] = field.DUPLICATE
    return found


def only(columns: EventColumns, places: Places) -> EventColumns:
    """Return the columns of the events at *places*."""
    ids = columns.id_key
    return EventColumns(columns.time[places], columns.reach[places], ids[places] if ids.size else ids)
