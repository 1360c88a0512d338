"""A sample of a source -> the settings that would read it: names of fields, delimiter, unit of time.

A guess: whether it reads more of the source is for the caller to try.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from stream_rec.datasets.streams.formats import StreamFormat
from stream_rec.service.assembly.checking.sample import Row, Sample
from stream_rec.service.assembly.checking.times import TimeGuess, guess_time
from stream_rec.settings import Settings, is_topic

__all__ = ["Guess", "guess_settings", "guessed_user", "leaves_of"]

# Names that logs in the wild have for the fields, in lower case, letters and digits only; the surest first.
ALIASES: Final[Mapping[str, Sequence[str]]] = {
    "session_id": ("sessionid", "session", "sid", "visitid", "visit", "gasessionid", "sessid", "sessionkey",
                   "sessionnumber", "basketid", "basket", "cartid", "orderid", "order", "invoiceno", "invoice",
                   "sitzung", "sitzungsid", "besuch", "besuchsid"),
    "item_id": ("itemid", "item", "productid", "product", "sku", "stockcode", "articleid", "article", "contentid",
                "objectid", "movieid", "trackid", "videoid", "songid", "newsid", "asin", "aid", "itemids", "items",
                "cesubject", "artikelnummer", "artikelnr", "artikelid", "artikel", "produktnummer", "produktid",
                "produkt"),
    "timestamp": ("timestamp", "time", "ts", "eventtime", "eventtimestamp", "eventts", "datetime", "date", "createdat",
                  "occurredat", "happenedat", "collectortstamp", "tstamp", "sentat", "when", "invoicedate", "unixtime",
                  "timestampms", "timestamps", "times", "eventdate", "zeitpunkt", "zeitstempel", "zeit", "datum"),
    "user_id": ("userid", "user", "visitorid", "visitor", "anonymousid", "customerid", "customer", "clientid", "uid",
                "userpseudoid", "fullvisitorid", "domainuserid", "deviceid", "memberid", "cookieid", "cookie",
                "kundennummer", "kundennr", "kundenid", "kunde", "benutzerid", "benutzer", "nutzerid", "nutzer"),
    "type": ("type", "eventtype", "event", "action", "eventname", "actionname", "kind", "aktion", "ereignis"),
}  # fmt: skip
_MOST_ROWS: Final = 2000
_MOST_ELEMENTS: Final = 20
_DEEPEST: Final = 5
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SPECIAL: Final = re.compile(r"[.\[\]+|@]")
_FLOAT: Final = re.compile(r"[0-9]+\.0")
_HALF: Final = 0.5
_REQUIRED: Final = ("session_id", "item_id", "timestamp")
_GAP_MS: Final = 30 * 60_000

Leaves = dict[str, list[Any]]
"""Path -> values that it has in a few rows."""


class Guess(NamedTuple):
    """Settings to try, and what is doubtful about them."""

    changes: dict[str, object]
    either: str | None = None
    """The format with day and month the other way around, if both read the times."""
    lacking: tuple[str, ...] = ()
    """Required fields for which nothing was found."""


def guess_settings(
    settings: Settings, names: Mapping[str, str], sample: Sample, format_: StreamFormat | None = None
) -> Guess:
    """Return what would have to change in *settings*, whose *names* are those of the fields, to read *sample*.

    *format_* is that of the settings, if it is one that opens records: the sample is then what is inside.
    """
    own = {} if format_ is None else format_.fields
    leaves = leaves_of(sample.rows)
    fields = _fields(names, leaves, by_user=settings.session_gap_ms is not None)
    changes: dict[str, object] = {}
    by_user = "session_id" not in fields and "user_id" in fields and settings.shown is None  # which needs sessions
    if by_user and settings.session_gap_ms is None:
        changes["session_gap_ms"] = _GAP_MS
    wanted = {field: fields[field] for field in names if fields.get(field, field) not in {field, own.get(field)}}
    if wanted != dict(settings.fields):
        changes["fields"] = wanted
    owner = "user_id" if by_user or settings.session_gap_ms is not None else "session_id"
    lacking = tuple(field for field in (owner, *_REQUIRED[1:]) if field not in fields)
    time = guess_time(leaves[fields["timestamp"]], by_name=True) if "timestamp" in fields else None
    is_own_time = format_ is not None and format_.timestamp_unit is not None and "timestamp" not in wanted
    if time is not None and time.unit != "datetime" and not is_own_time:
        changes |= _time_changes(settings, time)
    ids = [leaves[fields[field]] for field in ("session_id", "item_id", "user_id") if fields.get(field) in leaves]
    if not settings.lenient_ids and any(sum(map(_is_whole_float, each)) > _HALF * len(each) for each in ids):
        changes["lenient_ids"] = True
    changes |= _layout_changes(settings, sample)
    return Guess(changes, None if time is None else time.either, lacking)


def guessed_user(names: Mapping[str, str], rows: Sequence[Row]) -> str | None:
    """Return the path of a field that looks like a user and is not a field of *names*."""
    leaves = {path: values for path, values in leaves_of(rows).items() if path not in names.values()}
    return _best("user_id", leaves)


def leaves_of(rows: Sequence[Row]) -> Leaves:
    """Return the paths in *rows* to single values, those with `[]` to elements of arrays, with some values of each."""
    leaves: Leaves = defaultdict(list)
    for row in rows[:_MOST_ROWS]:
        for path, value in _leaves(row, "", 0):
            leaves[path].append(value)
    return dict(leaves)


def _leaves(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    match value:
        case dict() if depth < _DEEPEST:
            for name, each in value.items():
                if path and not _NAME.fullmatch(str(name)):
                    continue  # no path leads there
                plain = path or not isinstance(each, dict | list) or not _SPECIAL.search(str(name))
                if plain:
                    yield from _leaves(each, f"{path}.{name}" if path else str(name), depth + 1)
        case list() | tuple() if depth < _DEEPEST and path:
            for each in value[:_MOST_ELEMENTS]:
                yield from _leaves(each, f"{path}[]", depth + 1)
        case None:
            return
        case _:
            yield path, value


def _fields(names: Mapping[str, str], leaves: Leaves, *, by_user: bool) -> dict[str, str]:
    """Return field -> path: the present one where the sample has it, else the likeliest."""
    found = {field: path for field, path in names.items() if _has(path, leaves)}
    if leaves and all(path.isdigit() for path in leaves):
        return found | _by_place(found, leaves, "user_id" if by_user else "session_id")
    order = ["timestamp", "item_id", *(["user_id"] if by_user else ["session_id"]), "type"]
    for field in order:
        if field not in found:
            free = {path: values for path, values in leaves.items() if path not in found.values()}
            path = _best(field, free)
            if path is not None:
                found[field] = path
    if "session_id" not in found and "user_id" not in found:
        path = _best("user_id", {path: values for path, values in leaves.items() if path not in found.values()})
        if path is not None:
            found["user_id"] = path
    if "timestamp" not in found:
        times = [path for path, each in leaves.items() if path not in found.values() and guess_time(each) is not None]
        if len(times) == 1:  # its values say what its name does not
            found["timestamp"] = times[0]
    return found


def _by_place(found: Mapping[str, str], leaves: Leaves, owner: str) -> dict[str, str]:
    """Return the fields of columns without names: a time is known by its values; first the owner, then the item."""
    free = [path for path in leaves if path not in found.values()]
    placed: dict[str, str] = {}
    if "timestamp" not in found:
        time = next((path for path in reversed(free) if guess_time(leaves[path]) is not None), None)
        if time is not None:
            placed["timestamp"] = time
            free.remove(time)
    ids = [path for path in free if _is_possible("item_id", leaves[path])]
    return placed | dict(zip([field for field in (owner, "item_id") if field not in found], ids, strict=False))


def _has(path: str, leaves: Leaves) -> bool:
    if path in leaves:
        return True
    return any(all(part in leaves for part in way.split("+")) for way in path.split("|"))


def _best(field: str, leaves: Leaves) -> str | None:
    """Return the path that most looks like *field* by its name, of those whose values could be that."""
    ranked = []
    for place, (path, values) in enumerate(leaves.items()):
        rank = _rank(field, path)
        if rank is not None and _is_possible(field, values):
            ranked.append((rank, path.count("[]"), path.count("."), place, path))
    return min(ranked)[-1] if ranked else None


def _rank(field: str, path: str) -> int | None:
    plain = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in path.replace("[]", "").split(".")]
    last, joined = plain[-1], "".join(plain)
    one = last.removesuffix("s") if path.endswith("[]") else last  # an array has the name of many
    for rank, alias in enumerate(ALIASES[field]):
        if alias in {last, one}:
            return rank
    words = [word.lower() for word in _WORD.findall(path.rpartition(".")[2])]
    endings = {"".join(words[place:]) for place in range(1, len(words))}
    for rank, alias in enumerate(ALIASES[field]):
        if field != "type" and alias in endings:
            return 100 + rank
        if last == "id" and joined.endswith(alias + "id"):
            return 200 + rank
    return None


def _is_possible(field: str, values: Sequence[object]) -> bool:
    """Whether most of *values* could be those of *field*."""
    if field == "timestamp":
        return guess_time(values, by_name=True) is not None
    kinds = Counter(type(each) for each in values)
    ids = kinds[str] + kinds[int]
    if field == "type":
        return kinds[str] > len(values) // 2 and not any(isinstance(each, str) and len(each) > 64 for each in values)  # noqa: PLR2004 - no name of a type
    return 2 * (ids + sum(hasattr(each, "hex") and not isinstance(each, float) for each in values)) > len(values)


def _is_whole_float(value: object) -> bool:
    """Whether *value* is text of a whole number written as a float: an id, in a column of pandas that lacks one."""
    return isinstance(value, str) and _FLOAT.fullmatch(value) is not None


def _time_changes(settings: Settings, time: TimeGuess) -> dict[str, object]:
    if settings.timestamp_format is not None and settings.timestamp_format in {time.format, time.either}:
        return {}
    if time.format is not None:
        return {"timestamp_format": time.format, "timestamp_unit": "ms"}
    changes: dict[str, object] = {}
    if settings.timestamp_format is not None:
        changes["timestamp_format"] = None
    if settings.timestamp_unit not in {time.unit, "auto"}:
        changes["timestamp_unit"] = time.unit
    return changes


def _layout_changes(settings: Settings, sample: Sample) -> dict[str, object]:
    """Return the format and the delimiter, where the name of the source and the settings do not say them."""
    changes: dict[str, object] = {}
    if sample.layout and settings.format != sample.layout and not _ending_says(settings, sample.layout):
        changes["format"] = sample.layout
    usual = {"csv": ",", "tsv": "\t"}.get(sample.layout)
    if sample.delimiter not in {usual, None, settings.delimiter}:
        changes["delimiter"] = sample.delimiter
    return changes


def _ending_says(settings: Settings, layout: str) -> bool:
    if settings.format != "auto":
        return False
    name = settings.events.lower().removesuffix(".gz")
    is_stream = settings.events == "-" or is_topic(settings.events)
    return name.endswith(f".{layout}") or (is_stream and layout == "jsonl")
