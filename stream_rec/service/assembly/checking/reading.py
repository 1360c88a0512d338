"""What would read more of a source: names of fields, format, unit and delimiter, tried on its beginning."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from stream_rec.core.events import Event
from stream_rec.datasets.formats import is_named
from stream_rec.datasets.streams.formats import STREAMS, guess_stream
from stream_rec.errors import DecodeError, SettingsError, StreamRecError
from stream_rec.service.assembly.checking.guess import Guess, guess_settings, leaves_of
from stream_rec.service.assembly.checking.line import changed, command_line
from stream_rec.service.assembly.checking.sample import (
    FRAMED,
    Sample,
    binary_kind,
    sample_of_file,
    sample_of_records,
)
from stream_rec.service.assembly.inputs import (
    build_adapter,
    build_decode_rules,
    build_decoder,
    build_record_decoder,
    event_files,
    open_events,
)
from stream_rec.settings import Settings, is_topic
from stream_rec.transport.files import FoundFile
from stream_rec.transport.frames import without_registry
from stream_rec.transport.records import Record

__all__ = [
    "SHOWN_NAMES",
    "Hint",
    "binary_hint",
    "guess_of",
    "has_name",
    "reading_hint",
    "sample_within",
    "swapped_days",
    "with_line",
]

_TRIED: Final = 2000  # records
_STREAM_SAMPLE: Final = 100  # records
SHOWN_NAMES: Final = 12
_SAMPLED_FILES: Final = 20


class Hint(NamedTuple):
    """What looks wrong, and the settings to change, if any are."""

    text: str
    changes: Mapping[str, object] = {}


def with_line(error: SettingsError, settings: Settings, command: str = "check") -> SettingsError:
    """Return an *error* at opening a source with the line to type, a *command* that reads it, if one was found."""
    if error.key not in {"fields", "events", "format", "delimiter"} or not _files_of(settings) or has_name(settings):
        return error
    sample = sample_of(settings, ())
    text = error.message.removeprefix(f"{error.key}: ")
    plain = guess_of(settings, sample)
    for guess in (_stream_guess(settings, _as_records(sample)), plain):
        changes, n = ({}, 0) if guess is None else _fewest(settings, guess.changes, ())
        if n and (better := changed(settings, **changes)) != settings:
            return SettingsError(error.key, f"{text}\n  try: {command_line(command, better)}")
    other = None if plain is None or plain.lacking else _refused_beside(settings, plain, text)
    other = other or _without_strangers(settings, command)
    return error if other is None else SettingsError(error.key, f"{text}\n  {other}")


def _refused_beside(settings: Settings, guess: Guess, text: str) -> str | None:
    """Return which file of several is not as *guess*, which fits those before it; None for the same *text*."""
    better = _tried(settings, {name: value for name, value in guess.changes.items() if name != "format"})
    if better is None or len(_files_of(settings)) == 1:
        return None
    try:
        with closing(open_events(better)) as source:
            for _ in source.batches(_TRIED):
                pass
    except SettingsError as error:
        found = error.message.removeprefix(f"{error.key}: ")
        names = " ".join(f"--field {field}={path}" for field, path in better.fields.items())
        return None if found == text else f"the files differ: with {names}, {found}"
    except StreamRecError:
        pass
    return None


def _without_strangers(settings: Settings, command: str) -> str | None:
    """Return the *command* that reads those files of a folder that end alike, if it holds others that are no log."""
    folder = Path(settings.events)
    files = [Path(file.path) for file in _files_of(settings)]
    if settings.more_events or not folder.is_dir() or any(file.parent != folder for file in files):
        return None
    endings = Counter(file.suffix for file in files)
    for ending, n in endings.most_common() if len(endings) > 1 else ():
        better = changed(settings, events=str(folder / f"*{ending}"))
        if ending and _n_readable(better, ()):
            return f"{n} of its {len(files)} files are read by: {command_line(command, better)}"
    return None


def _as_records(sample: Sample) -> list[Record]:
    return [Record(b"", "", 0, number, row=row) for number, row in enumerate(sample.rows[:_STREAM_SAMPLE], 1)]


def has_name(settings: Settings) -> bool:
    """Whether the format is that of a public log or of a kind of producer: then nothing else is guessed."""
    return is_named(settings.format) or settings.format in STREAMS


def _files_of(settings: Settings) -> list[FoundFile]:
    """Return the files of the source; none if it cannot be read a second time."""
    if settings.events in {"-", "http"} or is_topic(settings.events):
        return []
    try:
        files = event_files(settings)
    except StreamRecError:
        return []
    return files if all(Path(file.path).is_file() for file in files) else []


def sample_of(settings: Settings, first: Sequence[Record]) -> Sample:
    """Return the beginning of the source: of files as they lie there, of anything else in its *first* records.

    Of several files, those that are as the first one with rows; what their folders' names say is in them.
    """
    files = _files_of(settings)
    if not files:
        return sample_of_records(first)
    given = None if settings.format == "auto" else settings.format
    found = Sample([], "")
    for file in files[:_SAMPLED_FILES]:
        sample = sample_of_file(file.path, given, settings.encoding)
        rows = [{**file.partition, **row} for row in sample.rows] if file.partition else sample.rows
        if not found.rows:
            found = sample._replace(rows=rows)
        elif rows and _is_alike(found, sample._replace(rows=rows)):
            found.rows.extend(rows)
        if len(found.rows) >= _TRIED:
            break
    return found


def _is_alike(one: Sample, other: Sample) -> bool:
    same_columns = one.layout in {"json", "jsonl"} or one.rows[0].keys() == other.rows[0].keys()
    return (one.layout, one.delimiter) == (other.layout, other.delimiter) and same_columns


def sample_within(settings: Settings, first: Sequence[Record]) -> Sample:
    """Return the beginning of the source as the format of the settings sees it: what is inside, if it opens records.

    Without rows for a format that has fields of its own, of which nothing is to be guessed.
    """
    if not has_name(settings):
        return sample_of(settings, first)
    adapter = build_adapter(settings) if _has_your_fields(settings.format) else None
    if adapter is None:
        return Sample([], "")
    adapted = map(adapter.adapted, first[:_TRIED])
    return Sample([dict(each.row) for each in adapted if each.row is not None and each.fault is None], "")


def _has_your_fields(name: str) -> bool:
    """Whether *name* is a format around fields that have their producers' own names."""
    return name in STREAMS and "session_id" not in STREAMS[name].fields


def guess_of(settings: Settings, sample: Sample) -> Guess | None:
    """Return the settings that would read *sample*; None if it holds no rows."""
    if not sample.rows:
        return None
    format_ = STREAMS.get(settings.format)
    return guess_settings(settings, build_decode_rules(settings).fields.as_dict(), sample, format_)


def _tried(settings: Settings, changes: Mapping[str, object]) -> Settings | None:
    try:
        return changed(settings, **changes)
    except SettingsError:
        return None


def _n_readable(settings: Settings, first: Sequence[Record], sample: Sample | None = None) -> int:
    """Return how many of the first records *settings* read as events."""
    try:
        if _files_of(settings):
            with closing(open_events(settings)) as source:
                decode = build_record_decoder(settings)
                n_events, n_records = 0, 0
                for batch in source.batches(_TRIED):
                    n_events += sum(type(each) is Event for each in decode(batch).decoded)
                    n_records += len(batch)
                    if n_records >= _TRIED:
                        break
                return n_events
        if sample is not None and sample.layout in {"csv", "tsv"} and first and first[0].row is None:
            return sum(_is_event(settings, row) for row in sample.rows)
        return sum(type(each) is Event for each in build_record_decoder(settings)(list(first)).decoded)
    except StreamRecError:
        return 0


def _is_event(settings: Settings, row: Mapping[str, object]) -> bool:
    try:
        return any(type(each) is Event for each in build_decoder(settings).decode_rows(row))
    except DecodeError:
        return False


def _fewest(
    settings: Settings, changes: Mapping[str, object], first: Sequence[Record], sample: Sample | None = None
) -> tuple[dict[str, object], int]:
    """Return *changes*, and how many events are read with them; without a format that content and name say already."""
    better = _tried(settings, changes)
    n_readable = 0 if better is None else _n_readable(better, first, sample)
    fewer = {name: value for name, value in changes.items() if name != "format"}
    if len(fewer) < len(changes) and changes["format"] not in STREAMS and _files_of(settings):
        plain = _tried(settings, fewer)
        n_plain = 0 if plain is None else _n_readable(plain, first)
        if n_plain >= n_readable:
            return fewer, n_plain
    return dict(changes), n_readable


def reading_hint(settings: Settings, sample: Sample, first: Sequence[Record]) -> Hint | None:
    """Return the settings that read more of the source, or read its times right."""
    stream = _stream_guess(settings, first)
    return (
        _stream_hint(settings, stream, first)
        or _plain_hint(settings, sample, first)
        or _lacking_inside(settings, stream, first)
    )


def _plain_hint(settings: Settings, sample: Sample, first: Sequence[Record]) -> Hint | None:
    guess = guess_of(settings, sample)
    if guess is None or not guess.changes:
        return None
    n_now = _n_readable(settings, first)
    changes, n_then = _fewest(settings, guess.changes, first, sample)
    is_unit = "timestamp_unit" in guess.changes and n_then >= n_now > 0
    if not n_then or not (n_then > n_now or is_unit):
        return None
    is_only_unit = is_unit and n_then == n_now
    what = f"times do not look like {settings.timestamp_unit}" if is_only_unit else "it is written differently"
    text = f"{what}: the line below reads {n_then:,} events of the first {len(first[:_TRIED]):,} records"
    if "lenient_ids" in changes:
        text += ". Ids are whole numbers written as floats (1000.0): better write them as whole numbers"
    if guess.either is not None:
        text += f". {swapped_days(guess.changes.get('timestamp_format'), guess.either)}"
    return Hint(text, changes)


def swapped_days(taken: object, other: str) -> str:
    """Say that the format *other* reads the times as well as the one that is *taken*."""
    return (
        f"Whether the day or the month comes first does not show in these times: it reads {taken!r}; if that is the "
        f"wrong way around, say --timestamp-format {other!r}"
    )


def binary_hint(settings: Settings, first: Sequence[Record]) -> Hint | None:
    """Return what to do with records that are packed or framed, each by itself; None if most are neither."""
    kinds = [binary_kind(without_registry(each).value) for each in first[:_TRIED] if each.row is None]
    known = [kind for kind in kinds if kind is not None]
    if not known or 2 * len(known) < len(kinds) or _n_readable_records(settings, first):
        return None
    kind = known[0]
    if kind == FRAMED:
        return Hint(
            "records begin with the five bytes of a schema registry, and are not in JSON: name it with --registry "
            "http://HOST:PORT (pip install 'stream-rec[registry]')"
        )
    return Hint(f"records are packed ({kind}), each by itself: unpack them, or let the producer compress whole batches")


def _stream_guess(settings: Settings, first: Sequence[Record]) -> Guess | None:
    """Return the kind of producer whose records these look like, if any, and the names of the fields inside."""
    name = None if has_name(settings) else guess_stream(first[:_STREAM_SAMPLE])
    opened = None if name is None else _tried(settings, {"format": name})
    if opened is None:
        return None
    guess = guess_of(opened, sample_within(opened, first)) or Guess({})
    return guess._replace(changes={"format": name, **guess.changes})


def _stream_hint(settings: Settings, guess: Guess | None, first: Sequence[Record]) -> Hint | None:
    better = None if guess is None else _tried(settings, guess.changes)
    if guess is None or better is None:
        return None
    n_now, n_then = _n_readable(settings, first), _n_readable(better, first)
    if n_then <= n_now:
        return None
    of = f"{n_then:,} events of the first {len(first[:_TRIED]):,} records"
    return Hint(f"records look like those of {better.format}: the line below reads {of}", guess.changes)


def _lacking_inside(settings: Settings, guess: Guess | None, first: Sequence[Record]) -> Hint | None:
    """Return which fields are to be named beside the format, if nothing is read because of them."""
    if guess is None or not guess.lacking or _n_readable(settings, first):
        return None
    name = str(guess.changes["format"])
    inside = leaves_of(sample_within(changed(settings, format=name), first).rows)
    fields = " ".join(f"--field {field}=NAME" for field in guess.lacking)
    there = ", ".join(list(inside)[:SHOWN_NAMES])
    return Hint(f"records look like those of {name}, but {guess.lacking[0]} has no name that is known: say "
                f"--format {name} {fields}. There is: {there}")  # fmt: skip


def _n_readable_records(settings: Settings, first: Sequence[Record]) -> int:
    decoded = build_record_decoder(settings)(list(first[:_TRIED])).decoded
    return sum(type(each) is Event for each in decoded)
