"""What would help: hints at what looks wrong, and the settings that each of them would change.

Each change of a setting was tried on the beginning of the source, or is measured on all of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from stream_rec.core.events import SURELY_SECONDS, VIEW, Reason, time_reader
from stream_rec.datasets.formats import is_named
from stream_rec.datasets.statistics import Summary
from stream_rec.datasets.ties import Ties
from stream_rec.errors import DecodeError
from stream_rec.service.assembly.checking.guess import guessed_user, leaves_of
from stream_rec.service.assembly.checking.layouts import layout_advice
from stream_rec.service.assembly.checking.reading import (
    SHOWN_NAMES,
    Hint,
    binary_hint,
    guess_of,
    has_name,
    reading_hint,
    sample_within,
    swapped_days,
)
from stream_rec.service.assembly.checking.sample import Sample
from stream_rec.service.assembly.checking.shapes import SessionShapes, impressions_in
from stream_rec.service.assembly.checking.times import guess_time, is_ambiguous, units_in
from stream_rec.service.assembly.inputs import build_decode_rules
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.format import show_duration, show_time
from stream_rec.settings import Settings, is_topic
from stream_rec.transport.records import Record
from stream_rec.units import format_duration

__all__ = ["Seen", "find_hints"]

_SOME: Final = 0.01
_MINUTE: Final = 60_000
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_GAP_MS: Final = 30 * _MINUTE
_SEVERAL: Final = 3
_WILD: Final = 3  # so few events may have wrong clocks
_MANY_TIED: Final = 0.5


class Seen(NamedTuple):
    """What was seen of a source."""

    counts: Counters
    first: Sequence[Record]
    """The first records."""
    newest: Sequence[tuple[int, str]]
    """Time and place of the newest events, the newest first."""
    summary: Summary
    shapes: SessionShapes
    ties: Ties


def find_hints(settings: Settings, seen: Seen) -> Iterator[Hint]:
    """Yield what would help to read the source, and what looks odd in what was read."""
    counts, summary = seen.counts, seen.summary
    if not counts.n_read:
        yield Hint("the source is empty")
        return
    binary = binary_hint(settings, seen.first)
    if binary is not None:
        yield binary
        return
    advice = layout_advice(seen.first) if not counts.n_applied else None
    if advice is not None:
        yield Hint(advice)
        return
    sample = sample_within(settings, seen.first)
    reading = reading_hint(settings, sample, seen.first)
    if reading is not None:
        yield reading
        return  # the rest cannot be judged before that is right
    yield from _unreadable_hints(settings, counts, sample)
    yield from _never_hints(settings, summary)
    yield from _time_hints(settings, seen, sample)
    if counts.dead[Reason.FUTURE]:
        yield Hint(
            "events lie ahead of the time at which the topic took them, or of this machine's clock: correct the "
            "clocks; for a simulated log, say --max-future none"
        )
    yield from _session_hints(settings, seen, sample)
    yield from _tie_hints(settings, seen.ties)


# --- what cannot be read


def _unreadable_hints(settings: Settings, counts: Counters, sample: Sample) -> Iterator[Hint]:
    if counts.dead[Reason.NOT_UTF8] > _SOME * counts.n_read:
        if is_topic(settings.events):
            yield Hint("bytes are not UTF-8: let the producer write UTF-8")
        elif settings.encoding is None:
            text = "bytes are not UTF-8: if this is Latin-1, --encoding windows-1252 reads it"
            yield Hint(text, {"encoding": "windows-1252"})
    guess = guess_of(settings, sample)
    if guess is not None and guess.lacking and not counts.n_applied:
        names = ", ".join(list(leaves_of(sample.rows))[:SHOWN_NAMES])
        for field in guess.lacking:
            yield Hint(f"nothing looks like {field}: name it with --field {field}=NAME. There is: {names}")
    elif not (sample.rows or counts.n_applied or counts.dead[Reason.NOT_UTF8] or has_name(settings)):
        yield Hint("it is neither JSON nor a table with a delimiter that is known (comma, tab, semicolon, bar)")


def _never_hints(settings: Settings, summary: Summary) -> Iterator[Hint]:
    """Yield hints about optional fields that the settings name and no event has: perhaps a typo."""
    if not summary.events:
        return
    if "user_id" in settings.fields and not summary.users:
        yield Hint(f"no event has a user: is {settings.fields['user_id']!r} the right name?")
    if "type" in settings.fields and set(summary.types) == {VIEW}:
        yield Hint(f"every event is a {VIEW}: is {settings.fields['type']!r} the right name of the type?")


# --- times


def _time_hints(settings: Settings, seen: Seen, sample: Sample) -> Iterator[Hint]:
    counts, summary = seen.counts, seen.summary
    is_ms = settings.timestamp_format is None and settings.timestamp_unit == "ms"
    if is_ms and summary.events and (summary.last_timestamp or 0) < SURELY_SECONDS:
        yield Hint("times do not look like ms: try --timestamp-unit s", {"timestamp_unit": "s"})
        return  # before that is right, lateness cannot be judged
    times = leaves_of(sample.rows).get(build_decode_rules(settings).fields.timestamp, [])
    if settings.timestamp_format is not None:
        other = is_ambiguous(settings.timestamp_format, times)
        if other is not None:
            yield Hint(swapped_days(settings.timestamp_format, other))
    if settings.timestamp_format is None and settings.timestamp_unit == "auto" and (units := units_in(times)):
        yield Hint(_auto(units))
    if 2 * counts.dead[Reason.BAD_TIME] > counts.n_read and guess_time(times) is None:
        yield Hint("most times are in no known format: give theirs, as in --timestamp-format '%d.%m.%Y %H:%M'")
    elif summary.events and _are_local(settings, times):
        yield Hint("times have no offset, and are read as UTC: local ones need their zone: --time-zone Europe/Berlin")
    wild = _wild_hint(settings, seen)
    if wild is not None:  # what is late because of it says nothing about the log
        yield wild
    elif counts.dead[Reason.LATE]:
        yield _lateness_hint(settings, counts.dead[Reason.LATE], summary)
    retention, lateness = settings.retention_ms, settings.lateness_ms
    if retention is not None and 2 * lateness > retention:
        pause = f"a session starts again after a pause of {show_duration(retention - lateness)}"
        yield Hint(f"{pause}, which is the retention less the lateness: raise --retention to keep sessions whole")


def _are_local(settings: Settings, times: Sequence[object]) -> bool:
    """Whether another time zone would make other times of them, and the settings name none."""
    if settings.time_zone is not None or not times:
        return False
    unit, time_format = settings.timestamp_unit, settings.timestamp_format
    here, there = (time_reader(unit, time_format, zone) for zone in ("UTC", "Etc/GMT+5"))
    try:
        return here(times[0]) != there(times[0])
    except DecodeError:
        return False


def _auto(units: Mapping[str, int]) -> str:
    """Say what `auto` has found in the first records: each value is judged by itself, so a few may be of another."""
    first = next(iter(units))
    if len(units) == 1:
        return f"auto reads the first times as {first}: --timestamp-unit {first} refuses a later one of another size"
    parts = ", ".join(f"{n:,} as {unit}" for unit, n in units.items())
    return f"auto reads the first times in several units ({parts}): is that right?"


def _wild_hint(settings: Settings, seen: Seen) -> Hint | None:
    """Return a hint about a few events that lie long after all others: surely their clocks were wrong."""
    newest, summary = seen.newest, seen.summary
    retention = settings.retention_ms or 30 * _DAY
    for n in range(min(_WILD, len(newest) - 1), 0, -1):
        (first, place), (before, _) = newest[n - 1], newest[n]
        span = before - (summary.first_timestamp or 0)
        if summary.events >= _WILD * 10 and first - before > max(retention, span // 10):
            which = f"{place} ({show_time(first)})" if n == 1 else f"the first is {place}, {show_time(first)}"
            lie = "1 event lies" if n == 1 else f"{n} events lie"
            return Hint(
                f"{lie} {show_duration(first - before)} after all others: {which}. All events behind it are late: "
                "correct it, or remove it from the log"
            )
    return None


def _lateness_hint(settings: Settings, n_late: int, summary: Summary) -> Hint:
    retention = settings.retention_ms
    needed = _rounded_up(summary.lateness_ms_max)
    # Within half of the retention: a session starts again after a pause of the retention less the lateness.
    if retention is None or 2 * needed <= retention:
        text = f"{n_late:,} events are too late: --allowed-lateness {format_duration(needed)} would let all in"
        return Hint(text, {"allowed_lateness_ms": needed})
    most = _rounded_up(summary.lateness_ms_p99)
    if settings.lateness_ms < most and 2 * most <= retention:
        text = f"{n_late:,} events are too late: --allowed-lateness {format_duration(most)} would let most in"
        return Hint(text, {"allowed_lateness_ms": most})
    both = f"--retention {format_duration(2 * needed)} --allowed-lateness {format_duration(needed)}"
    text = f"{n_late:,} events are too late by far: sort the log by time, or let all in with {both}"
    return Hint(text, {"retention_ms": 2 * needed, "allowed_lateness_ms": needed})


def _rounded_up(millis: int) -> int:
    """Return *millis* rounded up to a whole minute, hour or day, by its size."""
    unit = next((unit for unit in (_DAY, _HOUR) if millis > _SEVERAL * unit), _MINUTE)
    return -(-millis // unit) * unit


# --- sessions, and what counts as a click


def _session_hints(settings: Settings, seen: Seen, sample: Sample) -> Iterator[Hint]:
    summary, shapes = seen.summary, seen.shapes
    fields = build_decode_rules(settings).fields
    shared = _shared_hint(settings, seen, sample)
    if shared is not None:
        yield shared
    elif settings.session_gap_ms is None and settings.shown is None and not is_named(settings.format):
        by_user = {**settings.fields, "user_id": settings.fields.get("session_id", "session_id")}
        cut: dict[str, object] = {"session_gap_ms": _GAP_MS}
        if summary.users and summary.sessions == summary.users and "+" not in fields.session_id:
            equal = "there are as many sessions as users: if one id stands for a visitor"
            yield Hint(f"{equal}, cut visits with --session-gap 30m", cut)
        elif share := shapes.pausing_share():
            text = (
                f"{share:.0%} of the sessions pause for more than a day: if {fields.session_id!r} stands for a "
                "visitor and not for a visit, cut visits with --session-gap 30m"
            )
            yield Hint(text, cut | {"fields": by_user})
    giant = shapes.giant()
    if giant is not None:
        others = f" ({giant.more} more like it)" if giant.more else ""
        yield Hint(
            f"the session {giant.session_id[:40]!r} has {giant.n:,} events{others}, and the next longest "
            f"{giant.next_longest:,}: is it a crawler, or an id that many visitors share?"
        )
    found = impressions_in(summary).items()
    impressions = {kind: n for kind, n in found if kind.partition(":")[0] != settings.shown}
    if impressions and not settings.types:
        shown = ", ".join(f"{kind} {n:,}" for kind, n in impressions.items())
        clicks = {kind: 1.0 for kind in summary.types if kind not in impressions}
        text = f"what pages show by themselves counts as a click ({shown}): let in the other types only"
        yield Hint(text, {"types": clicks})
    if summary.events and summary.session_length_mean == 1:
        yield Hint("every session has one event, so nothing follows anything: is session_id mapped to the right field?")


def _tie_hints(settings: Settings, ties: Ties) -> Iterator[Hint]:
    if ties.n_repeats and not settings.drop_repeats:
        text = f"{ties.n_repeats:,} events ({ties.share_repeats:.1%}) repeat another one exactly: leave them out"
        yield Hint(text, {"drop_repeats": True})
    if ties.n_tied > _MANY_TIED * max(1, ties.n_events - ties.n_repeats):
        order = "the ids of their items, which is no visit's" if ties.is_by_item else "the log"
        text = f"{ties.n_tied:,} events ({ties.share_tied:.1%}) have the time of another event of their session"
        yield Hint(f"{text}, and are taken in the order of {order}: are there times with more digits?")


def _shared_hint(settings: Settings, seen: Seen, sample: Sample) -> Hint | None:
    """Return a hint at session ids that are unique for a user only."""
    if settings.session_gap_ms is not None or is_named(settings.format):
        return None
    fields = build_decode_rules(settings).fields
    share, user = seen.shapes.shared_share(), fields.user_id
    if not share and not seen.summary.users:
        user = guessed_user(fields.as_dict(), sample.rows) or ""
        share = _share_with_users(sample, fields.session_id, user) if user else 0.0
    if not share or re.search(r"[+|\[]", fields.session_id):
        return None
    both = f"{user}+{fields.session_id}"
    text = f"{share:.0%} of the sessions belong to several users: their ids are unique for a user only"
    return Hint(text, {"fields": {**settings.fields, "session_id": both}})


def _share_with_users(sample: Sample, session: str, user: str) -> float:
    owners: dict[object, set[object]] = {}
    for row in sample.rows:
        if isinstance(row.get(session), str | int) and isinstance(row.get(user), str | int):
            owners.setdefault(row[session], set()).add(row[user])
    share = sum(len(each) > 1 for each in owners.values()) / max(1, len(owners))
    return share if share > 0.3 and len(owners) > 1 else 0.0  # noqa: PLR2004 - as for all sessions
