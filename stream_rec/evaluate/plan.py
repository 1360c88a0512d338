"""Which events are learned, which asked, and when: prequential, hold-out and windows as stretches of one log.

A question is an event that is not the first of its session: given the events before it, which item comes next? Knows
nothing of models or metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np

from stream_rec.core.dtypes import I64, Mask
from stream_rec.core.events import Event
from stream_rec.core.limits import DAY_MS, HOUR_MS
from stream_rec.errors import SettingsError
from stream_rec.evaluate.log import EvaluationLog, log_of

__all__ = [
    "Plan",
    "Stretch",
    "WhoseSessions",
    "far_continued",
    "hold_out_days",
    "hold_out_files",
    "hold_out_random",
    "hold_out_since",
    "in_parts",
    "prequential",
    "sessions_of",
    "thinned",
    "windows",
    "with_own_sessions",
]

_HOURS_MS: Final = 6 * HOUR_MS
_FAR_SHARE: Final = 0.2
_KNOWN_SHARE: Final = 0.01
_OWN: Final = "test\0"  # no id of a log begins like this

StretchKind = Literal["live", "learn", "frozen"]
QuestionChoice = Literal["next", "last"]
WhoseSessions = Literal["same", "own"]


class Stretch(NamedTuple):
    """Events begin..end of a log: `live` asks and learns them one by one, `learn` only learns, `frozen` only asks."""

    kind: StretchKind
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One pass over one log."""

    name: str
    log: EvaluationLog
    stretches: Sequence[Stretch]
    rows: I64
    """[Q] events asked for, ascending."""

    def __post_init__(self) -> None:
        """Refuse a plan without a question: it gives no figure."""
        if not len(self.rows):
            raise SettingsError("events", "hold no question: no session that is asked has a second event")


def asked_rows(log: EvaluationLog, which: QuestionChoice, among: Mask | None = None) -> I64:
    """Return the events asked for: all but the first of each session, or only the last of each session.

    Only events that *among* marks are asked for. The query is all that came before in the session, asked or learned.
    """
    asked = log.place > 0
    if which == "last":
        asked &= log.place == log.lengths()[log.session] - 1
    return np.flatnonzero(asked if among is None else asked & among)


def in_parts(plan: Plan, shares: Sequence[float]) -> Plan:
    """Cut the stretches that are asked after these *shares* of the questions."""
    cuts = [int(plan.rows[min(len(plan.rows) - 1, round(share * len(plan.rows)))]) for share in shares]
    stretches = []
    for each in plan.stretches:
        edges = [each.begin, *(cut for cut in cuts if each.begin < cut < each.end and each.kind != "learn"), each.end]
        stretches += [Stretch(each.kind, begin, end) for begin, end in pairwise(edges)]
    return replace(plan, stretches=stretches)


def thinned(plan: Plan, most: int, seed: int) -> Plan:
    """Keep at most *most* questions, of sessions drawn by *seed*. A session keeps all of its questions or none."""
    if len(plan.rows) <= most:
        return plan
    sessions = plan.log.session[plan.rows]
    asked = np.bincount(sessions, minlength=len(plan.log.session_names))
    order = np.random.default_rng(seed).permutation(len(asked))
    kept = np.zeros(len(asked), np.bool_)
    kept[order[np.cumsum(asked[order]) <= most]] = True
    return replace(plan, rows=plan.rows[kept[sessions]])


def prequential(events: Sequence[Event], which: QuestionChoice = "next") -> Plan:
    """Ask before each event, then learn the event."""
    log = log_of(events)
    return Plan("prequential", log, [Stretch("live", 0, len(log))], asked_rows(log, which))


def hold_out_files(train: Sequence[Event], test: Sequence[Event], which: QuestionChoice = "next") -> Plan:
    """Learn *train*, then ask about *test* without learning it."""
    log = log_of([*train, *test])
    # planted bug: hold-out-learns-test
    stretches = [Stretch("learn", 0, len(train)), Stretch("frozen", len(train), len(log))]
    return Plan("hold-out", log, stretches, asked_rows(log, which, np.arange(len(log)) >= len(train)))


def sessions_of(
    name: str, train: Sequence[Event], test: Sequence[Event], whose: WhoseSessions
) -> tuple[Sequence[Event], list[str]]:
    """Return the events of *test*, the log of the option *name*, with sessions as *whose* says, and notes.

    `own`: whatever ids *train* has, a session of *test* is another one. `same`: it continues the one of its id; a note
    says where that looks wrong.
    """
    known = set(train)
    n_known = sum(event in known for event in test)
    notes = []
    if n_known > _KNOWN_SHARE * len(test):
        notes.append(f"{n_known:,} of {len(test):,} events of --{name} are in --train too: the model has learned them")
    if whose == "own":
        return with_own_sessions(test), notes
    far, n = far_continued(train, test)
    if far > _FAR_SHARE * n:
        notes.append(
            f"{far:,} of {n:,} sessions of --{name} have the id of a session of --train that ended hours before, and "
            f"continue it: if --{name} numbers its sessions again, say --{name}-sessions own"
        )
    return test, notes


def far_continued(train: Sequence[Event], test: Sequence[Event]) -> tuple[int, int]:
    """Return how many sessions of *test* have the id of one of *train* that ended hours before; and how many it has."""
    ended = {event.session_id: event.timestamp for event in train}
    begun: dict[str, int] = {}
    for event in test:
        begun.setdefault(event.session_id, event.timestamp)
    far = sum(time - ended[name] > _HOURS_MS for name, time in begun.items() if name in ended)
    return far, len(begun)


def with_own_sessions(test: Sequence[Event]) -> list[Event]:
    """Return *test* with sessions of its own, whatever ids another log has."""
    return [msgspec.structs.replace(event, session_id=f"{_OWN}{event.session_id}") for event in test]


def hold_out_since(events: Sequence[Event], since_ms: int, which: QuestionChoice = "next") -> Plan:
    """Hold out the whole sessions that begin at *since_ms* or later.

    A session that began before is learned up to then; its later events are neither learned nor asked.
    """
    begun: dict[str, int] = {}
    for event in events:
        begun.setdefault(event.session_id, event.timestamp)
    train = [event for event in events if event.timestamp < since_ms]
    test = [event for event in events if begun[event.session_id] >= since_ms]
    return _checked(train, test, which)


def hold_out_days(events: Sequence[Event], days: float, which: QuestionChoice = "next") -> Plan:
    """Hold out the sessions that begin within the last *days* of the log."""
    return hold_out_since(events, events[-1].timestamp - round(days * DAY_MS), which)


def hold_out_random(events: Sequence[Event], share: float, seed: int, which: QuestionChoice = "next") -> Plan:
    """Hold out a *share* of the sessions, drawn by *seed*."""
    names = list(dict.fromkeys(event.session_id for event in events))
    n_drawn = round(share * len(names))
    drawn = np.random.default_rng(seed).permutation(len(names))[:n_drawn]
    held_out = {names[place] for place in drawn.tolist()}
    train = [event for event in events if event.session_id not in held_out]
    return _checked(train, [event for event in events if event.session_id in held_out], which)


def _checked(train: Sequence[Event], test: Sequence[Event], which: QuestionChoice) -> Plan:
    for part, verb in ((train, "learn"), (test, "ask")):
        if not part:
            raise SettingsError("events", f"leave nothing to {verb} where they are split: split them elsewhere")
    return hold_out_files(train, test, which)


def windows(events: Sequence[Event], window_ms: int, which: QuestionChoice = "next", *, live: bool = False) -> Plan:
    """Ask about each window of time with what was learned before it, then learn the window. The first is not asked.

    With *live*, the same questions go to a model that learns each event at once: the difference is the window's cost.
    """
    log = log_of(events)
    number = (log.time - log.time[0]) // window_ms
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(log)]
    stretches = [Stretch("learn", 0, edges[1])]
    for begin, end in pairwise(edges[1:]):
        if live:
            stretches.append(Stretch("live", begin, end))
        else:
            stretches += [Stretch("frozen", begin, end), Stretch("learn", begin, end)]
    return Plan("windows", log, stretches, asked_rows(log, which, np.arange(len(log)) >= edges[1]))
