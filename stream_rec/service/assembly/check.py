"""What a source holds, which of its records a run would reject, and which settings would help.

Reads the whole source with the run's own settings, decoder and engine, so that its verdicts are the run's. The hints
are guesses, and say what they are based on.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from heapq import nlargest
from typing import Any, Final

import msgspec

from stream_rec.core.events import SURELY_SECONDS, VIEW, Event, Reason
from stream_rec.core.sessionizer import Sessionizer
from stream_rec.datasets.statistics import LogStatistics, Summary
from stream_rec.errors import SettingsError
from stream_rec.service.assembly.brokers import connect_broker
from stream_rec.service.assembly.engine import build_engine
from stream_rec.service.assembly.inputs import (
    build_decode_rules,
    build_record_decoder,
    first_file,
    in_order_of_time,
    open_events,
)
from stream_rec.service.batches import Decoded, RejectedRecord
from stream_rec.service.consuming.bounded_topic import TopicSource
from stream_rec.service.consuming.record_decoder import Decode
from stream_rec.service.consuming.time_order import TimeOrder
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.format import show_duration, show_size, show_time
from stream_rec.service.processing.processor import AnswerPolicy, Processor
from stream_rec.settings import Settings, is_topic
from stream_rec.transport.files import open_source
from stream_rec.transport.kafka import parse_address
from stream_rec.transport.records import Progress, Record, Source
from stream_rec.units import format_duration

__all__ = ["inspect"]

_EXAMPLES: Final = 3
_SHOWN_CHARS: Final = 100
_UTF8_BYTES: Final = 4  # of one character, at most
_LABEL_CHARS: Final = 15
_LINE_BYTES: Final = 1 << 16
_MOSTLY: Final = 0.5
_SOME: Final = 0.01
_MINUTE: Final = 60_000
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_SEVERAL: Final = 3
_WILD: Final = 3  # so few events may have wrong clocks

# Other names that logs in the wild have for the fields, in lower case, letters and digits only.
_ALIASES: Final = {
    "session_id": ("sessionid", "session", "sid", "visitid", "visit", "basketid", "orderid", "invoiceno", "invoice"),
    "item_id": ("itemid", "item", "productid", "product", "sku", "stockcode", "articleid", "article", "contentid",
                "movieid", "asin"),
    "timestamp": ("timestamp", "time", "ts", "eventtime", "eventtimestamp", "datetime", "date", "createdat",
                  "invoicedate", "unixtime"),
    "user_id": ("userid", "user", "visitorid", "visitor", "customerid", "customer", "clientid", "uid"),
    "type": ("type", "eventtype", "event", "action"),
}  # fmt: skip


class _Findings:
    """What was read: verdicts with a few examples of each, and the figures of readable events."""

    def __init__(self) -> None:
        self.examples: defaultdict[str, list[RejectedRecord]] = defaultdict(list)
        self.statistics = LogStatistics()
        self.names: Counter[str] = Counter()
        """The names of fields in rejected records."""
        self.newest: list[tuple[int, str]] = []
        """Time and place of the newest events, the newest first."""

    def see(self, settings: Settings, records: Sequence[Record], decoded: Sequence[Decoded]) -> None:
        """Keep the newest events."""
        floor = self.newest[-1][0] if len(self.newest) > _WILD else -1
        found = [
            (each.timestamp, place)
            for place, each in enumerate(decoded)
            if type(each) is Event and each.timestamp > floor
        ]
        if found:
            placed = [(time, _place(settings, records[place])) for time, place in nlargest(_WILD + 1, found)]
            self.newest = nlargest(_WILD + 1, [*self.newest, *placed])

    def note(self, rejected: Sequence[RejectedRecord]) -> None:
        for each in rejected:
            examples = self.examples[str(each.reason)]
            if len(examples) < _EXAMPLES:
                examples.append(each)
                self.names.update(_names_in(each.record))


def inspect(
    settings: Settings,
    stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Iterable[str]:
    """Read the source to its end, or until *stop*; return the report's lines. Raises as a run would.

    *on_progress* is called after each batch with how far the source is.
    """
    findings = _Findings()
    policy = AnswerPolicy(answers_events=False, uses_log_times=settings.future_ms is not None)
    processor = Processor(build_engine(settings), policy=policy)
    decode = build_record_decoder(settings)
    gap = settings.session_gap_ms
    sessionizer = None if gap is None else Sessionizer(gap, settings.lateness_ms)

    def see(decoded: Sequence[Decoded]) -> None:
        events = [each for each in decoded if type(each) is Event]
        if sessionizer is not None:
            events = [each for each in sessionizer.assign(events) if type(each) is Event]
        findings.statistics.add_all(events)

    with closing(_open_source(settings, decode, see)) as source:
        try:
            for records in source.batches(settings.batch_events):
                read = decode(records)
                if not isinstance(source, TimeOrder):
                    see(read.decoded)
                batch = read.batch(records)
                findings.see(settings, batch.records, read.decoded)
                findings.note(processor.process_events(batch).rejected)
                on_progress(source.progress)
                if stop():
                    break
        except SettingsError as error:
            raise _with_guess(error, settings) from None
    processor.counters.check()
    summary = findings.statistics.summary()
    hints = list(_hints(settings, processor, findings, summary))
    return [
        *_verdicts(settings, processor, findings),
        *_part(_figures(summary, processor)),
        *_part(["hints", *(f"  - {hint}" for hint in hints)] if hints else []),
    ]


def _open_source(settings: Settings, decode: Decode, see: Callable[[Sequence[Decoded]], None]) -> Source:
    """Open the source as a run does; if that puts it in order, *see* is called in the order of the file."""
    if not is_topic(settings.events):
        return in_order_of_time(settings, open_events(settings), decode, see)
    broker = connect_broker(settings, settings.events, "events")
    return TopicSource(broker, parse_address(settings.events, "events").topic, decode)


def _part(lines: Iterable[str]) -> list[str]:
    """Return *lines* after an empty one, if there are any."""
    part = list(lines)
    return ["", *part] if part else []


def _verdicts(settings: Settings, processor: Processor, findings: _Findings) -> Iterable[str]:
    counts = processor.counters
    yield _line("source", settings.events)
    yield _line("records", f"{counts.n_read:,}")
    yield _line("accepted", f"{counts.n_applied:,}{_share(counts.n_applied, counts.n_read)}")
    if counts.n_forgets:
        nothing = f"; {counts.n_forgot_nothing:,} erased no session" if counts.n_forgot_nothing else ""
        yield _line("", f"{counts.n_forgets:,} of them orders to forget{nothing}")
    rejected = {**counts.dead} | ({str(Reason.DUPLICATE): counts.n_duplicates} if counts.n_duplicates else {})
    yield _line("refused", f"{sum(rejected.values()):,}")
    for reason, n in sorted(rejected.items(), key=lambda pair: (-pair[1], pair[0])):
        yield f"  {reason}: {n:,}{_share(n, counts.n_read)}"
        for each in findings.examples[reason]:
            yield f"    {_place(settings, each.record)}: {each.message}"
            yield f"      {_clipped(each.record.value)}"


def _place(settings: Settings, record: Record) -> str:
    partition = f"-{record.partition}" if is_topic(settings.events) else ""
    return f"{record.topic}{partition}:{record.offset}"


def _figures(summary: Summary, processor: Processor) -> Iterable[str]:
    if not summary.events or summary.first_timestamp is None or summary.last_timestamp is None:
        return
    stats = processor.engine.stats()
    span = show_duration(summary.last_timestamp - summary.first_timestamp)
    yield _line("events", f"{summary.events:,} readable, in {summary.sessions:,} sessions")
    yield _line("items", f"{summary.items:,}; the top 1 % have {summary.head_share:.0%} of the events")
    if summary.users:
        yield _line("users", f"{summary.users:,}")
    yield _line("types", ", ".join(f"{kind} {n:,}" for kind, n in list(summary.types.items())[:10]))
    yield _line("time", f"{show_time(summary.first_timestamp)} to {show_time(summary.last_timestamp)} ({span})")
    yield _line(
        "session length",
        f"mean {summary.session_length_mean:.1f}, median {summary.session_length_p50}, "
        f"90 % {summary.session_length_p90}, 99 % {summary.session_length_p99}, longest {summary.session_length_max}",
    )
    yield _line("repeats", f"{summary.repeats_share:.1%} of the events touch an item of their session again")
    yield _line("out of order", _lateness(summary))
    yield _line(
        "held at end",
        f"{stats.n_sessions:,} sessions, {stats.n_events:,} events; {show_size(stats.n_bytes)} by the store's prices",
    )


def _lateness(summary: Summary) -> str:
    if not summary.out_of_order_share:
        return "none"
    most = f"99 % of them by at most {show_duration(summary.lateness_ms_p99)}"
    return f"{summary.out_of_order_share:.2%} of the events; {most}, all by {show_duration(summary.lateness_ms_max)}"


def _hints(settings: Settings, processor: Processor, findings: _Findings, summary: Summary) -> Iterable[str]:
    counts = processor.counters
    if not counts.n_read:
        yield "the source is empty"
        return
    if _not_objects(counts, findings) > _MOSTLY * counts.n_read:
        yield "most of it is not JSON: if it is a table, say --format csv, or tsv"
    if counts.dead[Reason.NOT_UTF8] > _SOME * counts.n_read:
        yield "bytes are not UTF-8: if this is Latin-1, say --encoding windows-1252"
    if counts.dead[Reason.MISSING_FIELD]:
        yield from _missing_hints(settings, findings)
    yield from _never_hints(settings, summary)
    yield from _time_hints(settings, processor, findings, summary)
    if counts.dead[Reason.FUTURE]:
        yield (
            "events lie ahead of the time at which the topic took them, or of this machine's clock: correct the "
            "clocks; for a simulated log, say --max-future none"
        )
    if summary.users and settings.session_gap_ms is None and summary.sessions == summary.users:
        yield "there are as many sessions as users: if one id stands for a visitor, cut visits with --session-gap 30m"
    if summary.events and summary.session_length_mean == 1:
        yield "every session has one event, so nothing follows anything: is session_id mapped to the right field?"


def _never_hints(settings: Settings, summary: Summary) -> Iterable[str]:
    """Return hints about optional fields that the settings name and no event has: perhaps a typo."""
    if not summary.events:
        return
    if "user_id" in settings.fields and not summary.users:
        yield f"no event has a user: is {settings.fields['user_id']!r} the right name?"
    if "type" in settings.fields and set(summary.types) == {VIEW}:
        yield f"every event is a {VIEW}: is {settings.fields['type']!r} the right name of the type?"


def _time_hints(settings: Settings, processor: Processor, findings: _Findings, summary: Summary) -> Iterable[str]:
    counts = processor.counters
    unit = _unit_hint(settings, findings, summary)
    if unit is not None:  # before that is right, lateness cannot be judged
        yield f"times do not look like {settings.timestamp_unit}: try --timestamp-unit {unit}"
        return
    if counts.dead[Reason.BAD_TIME] > _MOSTLY * counts.n_read:
        yield "most times are in no known format: give theirs, as in --timestamp-format '%d.%m.%Y %H:%M'"
    wild = _wild_hint(settings, findings, summary)
    if wild is not None:  # what is late because of it says nothing about the log
        yield wild
    elif counts.dead[Reason.LATE]:
        yield from _lateness_hints(settings, counts.dead[Reason.LATE], summary)
    retention, lateness = settings.retention_ms, settings.lateness_ms
    if retention is not None and 2 * lateness > retention:
        pause = f"a session starts again after a pause of {show_duration(retention - lateness)}"
        yield f"{pause}, which is the retention less the lateness: raise --retention to keep sessions whole"


def _wild_hint(settings: Settings, findings: _Findings, summary: Summary) -> str | None:
    """Return a hint about a few events that lie long after all others: surely their clocks were wrong."""
    newest = findings.newest
    retention = settings.retention_ms or 30 * _DAY
    for n in range(min(_WILD, len(newest) - 1), 0, -1):
        (first, place), (before, _) = newest[n - 1], newest[n]
        span = before - (summary.first_timestamp or 0)
        if summary.events >= _WILD * 10 and first - before > max(retention, span // 10):
            which = f"{place} ({show_time(first)})" if n == 1 else f"the first is {place}, {show_time(first)}"
            lie = "1 event lies" if n == 1 else f"{n} events lie"
            return (
                f"{lie} {show_duration(first - before)} after all others: {which}. All events behind it are late: "
                "correct it, or remove it from the log"
            )
    return None


def _not_objects(counts: Counters, findings: _Findings) -> int:
    """Return how many records are not JSON: a row that begins with a number is JSON up to its first comma."""
    records = [each.record for each in findings.examples[str(Reason.WRONG_TYPE)]]
    rows = records and all(record.row is None and not record.value.lstrip().startswith(b"{") for record in records)
    return counts.dead[Reason.NOT_JSON] + (counts.dead[Reason.WRONG_TYPE] if rows else 0)


def _missing_hints(settings: Settings, findings: _Findings) -> Iterable[str]:
    rules = build_decode_rules(settings)
    missing = [name for name in rules.required() if not findings.names[name]]
    guess = _guess(settings, list(findings.names))
    if missing and guess:
        yield f"no rejected record has {missing[0]!r}: try {guess}"


def _lateness_hints(settings: Settings, n_late: int, summary: Summary) -> Iterable[str]:
    retention = settings.retention_ms
    needed = _rounded_up(summary.lateness_ms_max)
    # Within half of the retention: a session starts again after a pause of the retention less the lateness.
    if retention is None or 2 * needed <= retention:
        yield f"{n_late:,} events are too late: --allowed-lateness {format_duration(needed)} would let all in"
        return
    most = _rounded_up(summary.lateness_ms_p99)
    if settings.lateness_ms < most and 2 * most <= retention:
        yield f"{n_late:,} events are too late: --allowed-lateness {format_duration(most)} would let most in"
    else:
        both = f"--retention {format_duration(2 * needed)} --allowed-lateness {format_duration(needed)}"
        yield f"{n_late:,} events are too late by far: sort the log by time, or let all in with {both}"


def _rounded_up(millis: int) -> int:
    """Return *millis* rounded up to a whole minute, hour or day, by its size."""
    unit = next((unit for unit in (_DAY, _HOUR) if millis > _SEVERAL * unit), _MINUTE)
    return -(-millis // unit) * unit


def _unit_hint(settings: Settings, findings: _Findings, summary: Summary) -> str | None:
    unit = settings.timestamp_unit
    if settings.timestamp_format is not None:
        return None
    if unit == "ms" and summary.events and (summary.last_timestamp or 0) < SURELY_SECONDS:
        return "s"
    texts = [_time_in(settings, each.record) for each in findings.examples[Reason.BAD_TIME]]
    if unit != "iso" and any(re.match(r"\d{4}-\d\d-\d\d", text) for text in texts):
        return "iso"
    texts = [text for text in texts if text.isascii() and text.isdigit()]
    if texts:
        finer = {"s": "ms", "ms": "us", "iso": _unit_of(int(texts[0]))}
        return finer.get(unit)
    return None


def _unit_of(time: int) -> str:
    if time < SURELY_SECONDS:
        return "s"
    return "ms" if time < SURELY_SECONDS * 1000 else "us"


def _with_guess(error: SettingsError, settings: Settings) -> SettingsError:
    """Return an *error* about missing columns with a guess at which is which."""
    if error.key != "fields":
        return error
    guess = _guess(settings, _header(settings))
    text = error.message.removeprefix("fields: ")
    return SettingsError("fields", f"{text} (perhaps {guess})") if guess else error


def _guess(settings: Settings, names: Sequence[str]) -> str:
    """Return flags that map required fields which are not among *names* to likely ones; empty if there are none."""
    fields = build_decode_rules(settings).fields.as_dict()
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(names)}
    found = {
        field: plain[alias]
        for field, aliases in _ALIASES.items()
        if fields[field] not in names and (alias := next((a for a in aliases if a in plain), None)) is not None
    }
    if "session_id" in found or fields["session_id"] in names or settings.session_gap_ms is not None:
        gap = ""
        wanted = {field: name for field, name in found.items() if field != "user_id" or settings.session_gap_ms}
    else:  # no session, but perhaps a user whose visits can be separated
        gap = " --session-gap 30m" if "user_id" in found or fields["user_id"] in names else ""
        wanted = found
    return " ".join(f"--field {field}={name}" for field, name in wanted.items()) + gap


def _header(settings: Settings) -> list[str]:
    """Return the cells of the first line; empty where it cannot be read a second time."""
    if settings.events == "-" or is_topic(settings.events):
        return []
    try:
        with closing(open_source(first_file(settings), file_format="jsonl")) as source:
            first = next(iter(source.batches(1)))[0].value[:_LINE_BYTES].decode()
    except (StopIteration, IndexError, UnicodeDecodeError):
        return []
    delimiter = "\t" if "\t" in first else ","
    return [cell.strip('" \r') for cell in first.split(delimiter)]


def _names_in(record: Record) -> list[str]:
    if record.row is not None:
        return list(record.row)
    read = _as_object(record)
    return list(read)


def _time_in(settings: Settings, record: Record) -> str:
    row = record.row if record.row is not None else _as_object(record)
    return str(row.get(build_decode_rules(settings).fields.timestamp, ""))


def _as_object(record: Record) -> dict[str, Any]:
    try:
        read = msgspec.json.decode(record.value)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _clipped(value: bytes) -> str:
    text = value[: _SHOWN_CHARS * _UTF8_BYTES].decode(errors="backslashreplace")
    # Bytes from outside must not steer the terminal they are shown on.
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:_SHOWN_CHARS])
    return shown + (" ..." if len(text) > _SHOWN_CHARS else "")


def _line(label: str, value: str) -> str:
    return f"{label:<{_LABEL_CHARS}}{value}"


def _share(n: int, total: int) -> str:
    return f" ({n / total:.2%})" if total else ""
