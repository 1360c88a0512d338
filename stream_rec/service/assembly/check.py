"""What a source holds, which of its records a run would reject, and which settings would help.

Reads the whole source with the run's own settings, decoder and engine, so that its verdicts are the run's. The hints
are guesses, and say what they are based on.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import cache
from heapq import nlargest
from typing import Final, NamedTuple

import msgspec

from stream_rec.core.events import Event, Reason
from stream_rec.core.sessionizer import Sessionizer
from stream_rec.datasets.statistics import LogStatistics, Summary
from stream_rec.datasets.ties import TieCounter
from stream_rec.errors import SettingsError
from stream_rec.service.assembly.brokers import connect_broker
from stream_rec.service.assembly.checking.hints import Seen, find_hints
from stream_rec.service.assembly.checking.line import changed, command_line
from stream_rec.service.assembly.checking.reading import Hint, with_line
from stream_rec.service.assembly.checking.shapes import SessionShapes
from stream_rec.service.assembly.engine import build_engine
from stream_rec.service.assembly.inputs import build_record_decoder, in_order_of_time, open_events
from stream_rec.service.batches import Decoded, RejectedRecord
from stream_rec.service.consuming.bounded_topic import TopicSource
from stream_rec.service.consuming.record_decoder import Decode
from stream_rec.service.consuming.time_order import TimeOrder
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.format import show_size
from stream_rec.service.processing.processor import AnswerPolicy, Processor
from stream_rec.service.reporting.log_facts import log_facts
from stream_rec.settings import Settings, is_topic
from stream_rec.transport.kafka import parse_address
from stream_rec.transport.records import Progress, Record, Source

__all__ = ["Inspection", "inspect"]

_EXAMPLES: Final = 3
_SHOWN_CHARS: Final = 100
_UTF8_BYTES: Final = 4  # of one character, at most
_LABEL_CHARS: Final = 15
_FIRST: Final = 2000
_WILD: Final = 3  # so few events may have wrong clocks


class _Findings:
    """What was read: verdicts with a few examples of each, and the figures of readable events."""

    def __init__(self) -> None:
        self.examples: defaultdict[str, list[RejectedRecord]] = defaultdict(list)
        self.statistics = LogStatistics()
        self.shapes = SessionShapes()
        self.ties = TieCounter()
        """Of a source that is read in order of time."""
        self.first: list[Record] = []
        """The first records."""
        self.newest: list[tuple[int, str]] = []
        """Time and place of the newest events, the newest first."""

    def keep(self, records: Sequence[Record]) -> None:
        """Keep the first records."""
        if len(self.first) < _FIRST:
            self.first += list(records[: _FIRST - len(self.first)])

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


class RefusedRecord(msgspec.Struct, frozen=True):
    """One record that would be refused."""

    place: str
    message: str
    record: str
    """Its beginning, as text."""


class CheckReport(msgspec.Struct, frozen=True):
    """What a source holds, for programs."""

    source: str
    records: int
    accepted: int
    refused: dict[str, int]
    """By reason."""
    examples: dict[str, list[RefusedRecord]]
    """By reason, a few."""
    figures: Summary | None
    """Of the readable events; None if there are none."""
    hints: list[str]
    line: str | None
    """The command with all that the hints would change; None if they change nothing."""


class Inspection(NamedTuple):
    """What a source holds."""

    lines: list[str]
    """The report, as text."""
    report: "CheckReport"
    counters: Counters
    is_whole: bool
    """Whether the source was read to its end."""


def inspect(
    settings: Settings,
    stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_readable: Callable[[], None] = lambda: None,
) -> Inspection:
    """Read the source to its end, or until *stop*. Raises as a run would.

    *on_progress* is called after each batch with how far the source is, *on_readable* once, before one is applied.
    """
    prepare = cache(on_readable)
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
        for event in events:
            findings.shapes.see(event)

    is_whole = True
    with closing(_open_source(settings, decode, see)) as source:
        try:
            for records in source.batches(settings.batch_events):
                read = decode(records)
                if isinstance(source, TimeOrder):
                    findings.ties.add_all(each for each in read.decoded if type(each) is Event)
                else:
                    see(read.decoded)
                batch = read.batch(records)
                findings.keep(records)
                findings.see(settings, batch.records, read.decoded)
                prepare()
                findings.note(processor.process_events(batch).rejected)
                on_progress(source.progress)
                if stop():
                    is_whole = False
                    break
        except SettingsError as error:
            raise with_line(error, settings) from None
    processor.counters.check()
    summary = findings.statistics.summary()
    seen = Seen(processor.counters, findings.first, findings.newest, summary, findings.shapes, findings.ties.ties())
    hints = list(find_hints(settings, seen))
    line = _line_to_type(settings, hints)
    lines = [
        *_verdicts(settings, processor, findings),
        *_part(_figures(summary, processor)),
        *_part(["hints", *(f"  - {hint.text}" for hint in hints)] if hints else []),
        *_part(["try", f"  {line}"] if line else []),
    ]
    report = CheckReport(
        settings.events,
        processor.counters.n_read,
        processor.counters.n_applied,
        dict(_rejected(processor.counters)),
        {reason: [_example(settings, each) for each in some] for reason, some in findings.examples.items()},
        summary if summary.events else None,
        [hint.text for hint in hints],
        line,
    )
    return Inspection(lines, report, processor.counters, is_whole)


def _example(settings: Settings, rejected: RejectedRecord) -> RefusedRecord:
    return RefusedRecord(_place(settings, rejected.record), rejected.message, _clipped(rejected.record.value))


def _line_to_type(settings: Settings, hints: Sequence[Hint]) -> str | None:
    """Return the command with all that the *hints* would change; None if they change nothing."""
    changes = {name: value for hint in hints for name, value in hint.changes.items()}
    try:
        better = changed(settings, **changes)
    except SettingsError:  # they contradict each other: the first is followed first
        better = changed(settings, **next(hint.changes for hint in hints if hint.changes))
    return None if better == settings else command_line("check", better)


def _open_source(settings: Settings, decode: Decode, see: Callable[[Sequence[Decoded]], None]) -> Source:
    """Open the source as a run does; if that puts it in order, *see* is called in the order of the file."""
    if not is_topic(settings.events):
        try:
            return in_order_of_time(settings, open_events(settings), decode, see)
        except SettingsError as error:
            raise with_line(error, settings) from None
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
    rejected = _rejected(counts)
    yield _line("refused", f"{sum(n for _, n in rejected):,}")
    for reason, n in rejected:
        yield f"  {reason}: {n:,}{_share(n, counts.n_read)}"
        for each in findings.examples[reason]:
            yield f"    {_place(settings, each.record)}: {each.message}"
            yield f"      {_clipped(each.record.value)}"


def _rejected(counts: Counters) -> list[tuple[str, int]]:
    """Return the reasons and how often each is, the most frequent first."""
    rejected = {**counts.dead} | ({str(Reason.DUPLICATE): counts.n_duplicates} if counts.n_duplicates else {})
    return sorted(rejected.items(), key=lambda pair: (-pair[1], pair[0]))


def _place(settings: Settings, record: Record) -> str:
    partition = f"-{record.partition}" if is_topic(settings.events) else ""
    return f"{record.topic}{partition}:{record.offset}"


def _figures(summary: Summary, processor: Processor) -> Iterable[str]:
    facts = [*log_facts(summary)]
    yield from (_line(label, text) for label, text in facts)
    if facts:
        stats = processor.engine.stats()
        size = show_size(stats.n_bytes)
        yield _line("held at end", f"{stats.n_sessions:,} sessions, {stats.n_events:,} events; about {size} of memory")


def _clipped(value: bytes) -> str:
    text = value[: _SHOWN_CHARS * _UTF8_BYTES].decode(errors="backslashreplace")
    # Bytes from outside must not steer the terminal they are shown on.
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:_SHOWN_CHARS])
    return shown + (" ..." if len(text) > _SHOWN_CHARS else "")


def _line(label: str, value: str) -> str:
    return f"{label:<{_LABEL_CHARS}}{value}"


def _share(n: int, total: int) -> str:
    return f" ({n / total:.2%})" if total else ""
