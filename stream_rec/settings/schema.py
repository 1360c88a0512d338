"""The settings themselves: name, type, limits, default and meaning of each, and what must agree.

Knows nothing of files, environments or command lines. To add a setting, add a field and the
docstring under it: the flag, the environment variable, the TOML key and the reference page follow
(`make docs` writes the page, and a test fails while it is out of date).
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from stream_rec.errors import SettingsError
from stream_rec.settings.fields import Kind, Setting, settings_of
from stream_rec.settings.types import (
    _DAY,
    _HOUR,
    _LONGEST,
    _SECOND,
    BudgetBytes,
    CataloguePath,
    Count,
    Decay,
    DestinationPath,
    EventField,
    Format,
    HostPort,
    Millis,
    ModelCount,
    Name,
    Origin,
    Path,
    PositiveMillis,
    RecordBytes,
    Share,
    SourcePath,
    Weight,
)
from stream_rec.units import parse_duration

__all__ = ["Settings", "TrialSettings", "is_topic", "table"]


class TrialSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One table under `[models]`: a model beside that of the settings themselves."""

    share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """The share of sessions that it answers, of 1. `0` answers only requests that name it."""

    shadow: bool = False
    """Ask it wherever the session's own model is asked, and judge what it says, but serve it to nobody."""

    parameters: Mapping[str, object] = msgspec.field(default_factory=dict)
    """What it has of its own: `preset` and parameters of the model."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of `stream-rec run`, checked. `None` means no limit, or nothing of the kind.

    Raises SettingsError, naming the key, where two settings contradict each other. Limits of single
    values are checked by `load`, at the edge.
    """

    events: SourcePath
    """Where events are read from: a `.csv`, `.tsv`, `.jsonl` or `.parquet` file, each also with
    `.gz` (but for Parquet), `-` for standard input (JSON lines), or a topic,
    `kafka://host:9092[,host:9092]/topic`, which is read until the service is stopped. With `http`,
    the word `http` says that they come over HTTP only."""

    format: Format = "auto"
    """How `events` are written, where the name does not tell (`u.data`, CSV on standard input):
    `auto` goes by the name's ending, and takes standard input for JSON lines. The name of a public
    log, such as `movielens`, says also what its columns are and how its times are written; then
    `events` may be the folder that holds the log's files."""

    recommendations: DestinationPath | None = None
    """Where answers are written, one JSON line each: a `.jsonl` or `.jsonl.gz` file, `-` for
    standard output, or a topic, `kafka://host:9092/topic`, where they are keyed by session. `none` is
    standard output, or with `http` nowhere: then who asks is answered, and nobody else."""

    requests: SourcePath | None = None
    """Where requests for recommendations are read from: JSON lines in a file or a pipe, answered
    after all events, or a topic, answered as they come."""

    dead_letters: DestinationPath | None = None
    """Where records that were not applied go, with their original bytes, position and reason: as
    JSON lines, or in a topic with the reason in headers. Without it they are counted only."""

    output_mode: Literal["new", "append", "overwrite"] = "new"
    """What becomes of a file of `recommendations` or `dead_letters` that is there already: `new`
    refuses one that is not empty, `append` goes on after its last line, `overwrite` replaces it."""

    answer: Literal["each-event", "requests", "none"] = "each-event"
    """What is answered: `each-event` answers every event after it is applied, and requests if a
    source of them is given; `requests` answers those only; `none` feeds the index and is silent."""

    coalesce: bool = False
    """Answer only the newest event of a session where several of them come in one batch: for those
    who show the latest answer only. What is left out depends on load."""

    request_ttl_ms: PositiveMillis | None = None
    """A request that is older when its turn comes is answered without items, with the reason
    `expired`. Holds for requests in a topic that do not bring a `ttl_ms` of their own."""

    fields: Annotated[
        Mapping[EventField, Name],
        Meta(
            extra={
                "flag": "--field",
                "metavar": "FIELD=NAME",
                "expected": "pairs such as session_id=SessionId; the fields of an event are "
                "session_id, item_id, timestamp, type, event_id and user_id",
            }
        ),
    ] = msgspec.field(default_factory=dict)
    """What the source calls the fields of an event, where it does not use their own names."""

    timestamp_unit: Literal["ms", "s", "us", "iso"] = "ms"
    """How the source writes times: milliseconds, seconds or microseconds since 1970 (UTC), or
    ISO 8601 text."""

    timestamp_format: Name | None = None
    """A strptime format for times in another form, such as `%d.%m.%Y %H:%M`; it takes the place of
    `timestamp_unit`. A time without an offset is UTC, and reading costs several microseconds each."""

    types: Annotated[
        Mapping[Name, Weight],
        Meta(
            extra={
                "flag": "--event-type",
                "metavar": "TYPE=WEIGHT",
                "expected": "pairs such as purchase=5, with a weight above 0",
            }
        ),
    ] = msgspec.field(default_factory=dict)
    """The event types to accept, and what each weighs. Once one is given, events of any other type
    are dead-lettered as `unknown_type`; with none given every type is accepted and weighs 1."""

    session_gap_ms: PositiveMillis | None = None
    """Cut sessions by idleness: an event more than this after its user's last one starts a new
    session. Events then need a `user_id`, and their `session_id` is not read."""

    max_record_bytes: RecordBytes = 1 << 20
    """A longer record is dead-lettered as `too_large` before it is parsed."""

    max_future_ms: Millis | None = _DAY
    """An event further than this ahead of this machine's clock is dead-lettered as `future`: one
    wrong clock would otherwise move the watermark and evict every session."""

    allowed_lateness_ms: Millis | None = None
    """How far behind the watermark an event may be and still join its session at its own time.
    An older one is dead-lettered as `late`. At most `retention`; `none` is one hour, or half of
    `retention` where that is less. A session begins anew after a pause of `retention` less this."""

    dedupe_window_ms: Millis | None = None
    """How long, in event time, an `event_id` is remembered, to recognise the same event sent again.
    `0` remembers none; `none` is as long as `allowed_lateness`."""

    retention_ms: PositiveMillis | None = 30 * _DAY
    """A session is kept until its last event is this far behind the watermark."""

    max_sessions: Count | None = None
    """Keep at most so many sessions; the oldest leave first."""

    max_events: Count | None = None
    """Keep at most so many events over all sessions; the oldest sessions leave first."""

    max_bytes: BudgetBytes | None = None
    """Keep the sessions, the index and the id tables within so much memory; the oldest sessions
    leave first."""

    max_session_events: Annotated[int, Meta(ge=1, le=65_535)] = 1000
    """A session keeps its last so many events. A crawler's endless session would otherwise slow
    down every answer it takes part in."""

    preset: Literal["default", "sknn", "v-sknn", "vmis-knn", "stan", "vstan", "wsknn"] = "default"
    """The model: a point in the parameter space of session-kNN; all but `default` were published."""

    m: ModelCount | None = None
    """Sample: how many of the sessions that share an item with the query are looked at.
    `none` is the preset's own."""

    k: ModelCount | None = None
    """Neighbours: how many of the sample, the most similar, give their items. `none` is the
    preset's own."""

    last: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """How many of the session's last events are the query. `none` is the preset's own."""

    weight: Literal["same", "linear", "distinct", "quadratic", "log", "exp", "wsknn-linear", "wsknn-log"] | None = None
    """What an item of the query weighs, by how far back it is. The formulas are in
    [the model](model.md#parameters). `none` is the preset's own, here and down to `bonus`."""

    weight_decay: Decay | None = None
    """For `weight = exp`: how fast the query's items fade, in places."""

    normalise: Literal["off", "query", "cosine"] | None = None
    """What similarity is divided by: nothing, the query's distinct items, or the lengths of both
    sessions."""

    age_days: Decay | None = None
    """A neighbour counts exp(-age/age_days); `inf`: its age does not matter."""

    match: Literal["off", "vmis", "div", "linear", "log", "quadratic", "exp", "wsknn-linear", "wsknn-log"] | None = None
    """Factor of a neighbour by how far back the newest item is that it shares with the query."""

    match_decay: Decay | None = None
    """For `match = exp`, in steps."""

    place_decay: Decay | None = None
    """An item counts exp(-distance/place_decay), in places of the neighbour from the shared item;
    `inf`: the distance does not matter."""

    places: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """Items of a neighbour further than this from the shared item, in places, count nothing."""

    direction: Share | None = None
    """Factor for items that the neighbour saw before the shared item."""

    every_time: bool | None = None
    """An item that a neighbour holds several times counts each time, not once."""

    idf: Literal["off", "vmis", "added"] | None = None
    """Factor of an item by its rarity."""

    idf_factor: Share | None = None
    """For `idf = added`."""

    rules: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    """Share of sequential rules in a score: of what came after the current item in other sessions.
    `1` looks for no neighbours."""

    rules_m: ModelCount | None = None
    """Rules are counted in so many of the newest sessions that hold the current item."""

    rules_steps: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """How far behind the current item an item may come, in places, and still count as following."""

    rules_weight: Literal["same", "div", "exp"] | None = None
    """What a rule counts, by distance."""

    rules_decay: Decay | None = None
    """For `rules_weight = exp`, in places."""

    repeats: Literal["scored", "counted"] | None = None
    """What the session's own items weigh: as much as they score, or the share that repeats have of
    the log."""

    sampling: Literal["recent", "common-items", "random", "weighted-events"] | None = None
    """Which `m` are the sample: the newest sessions, those with the most items of the query, any, or
    those whose events weigh most by `types`. Of equals the newer. All but `recent` look at every session
    that shares an item, which takes longer."""

    sampling_seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None = None
    """For `sampling = random`: the same one always draws the same sample."""

    require_type: Name | None = None
    """Sample only sessions with an event of this type."""

    min_type_weight: Share | None = None
    """Sample only sessions whose events weigh at least this in the mean, by `types`."""

    bonus_type: Name | None = None
    """For `sampling = weighted-events`: a session with an event of this type weighs `bonus` more."""

    bonus: Share | None = None
    """What such a session weighs more."""

    n: Annotated[int, Meta(ge=1, le=10_000)] = 20
    """How many items an answer holds at most."""

    seen: Literal["keep", "drop-current", "drop-session"] = "drop-current"
    """Which items of the session itself may be recommended: all of them, all but the current one,
    or none."""

    fallbacks: bool = True
    """Fill answers up to `n`: after the neighbours' items those that followed the last item, then
    those popular lately."""

    popular_half_life_ms: PositiveMillis = _DAY
    """After this much event time an event counts half towards what is popular lately."""

    models: Annotated[
        Mapping[Name, TrialSettings],
        Meta(
            extra={
                "kind": Kind.TABLES,
                "metavar": "JSON",
                "expected": "tables such as [models.fresh] with a share or shadow = true; as JSON, "
                '{"fresh": {"preset": "stan", "share": 0.1}}',
            }
        ),
    ] = msgspec.field(default_factory=dict)
    """Models that run beside that of the settings above, over the same sessions: a table `[models.NAME]` each,
    with `share` (of the sessions, 0 to 1; the main model has what is left) or `shadow = true` (asked and judged, served
    to nobody), with `preset`, and with any parameter from `m` to `fallbacks`. What a table does not say is
    as the main model has it. A session keeps its model."""

    models_salt: Name = "stream-rec"
    """Draws which sessions get which of `models`. Another one draws them anew: for a new experiment."""

    quality: bool = True
    """Hold each answer against what its visitor did next, by model: hit rate, rank and coverage, live."""

    quality_n: Annotated[int, Meta(ge=1, le=1000)] = 20
    """How many items of an answer count for `quality`; not more than `n`."""

    quality_windows: Annotated[
        tuple[Name, ...],
        Meta(extra={"metavar": "DURATION", "expected": "up to 8 durations of a second or more, such as 5m, 1h, 24h"}),
    ] = ("5m", "1h", "24h")
    """The stretches of event time, up to now, that `quality` is told of."""

    quality_sessions: Annotated[int, Meta(ge=1, le=100_000_000)] = 100_000
    """How many sessions' newest answers wait to be judged by the next event; those answered longest ago make way.
    Each takes 8 bytes for each of `quality_n` items, times one more than there are shadows."""

    deny: Annotated[
        tuple[Name, ...],
        Meta(extra={"metavar": "ITEM", "expected": "item ids, none of them empty"}),
    ] = ()
    """Items that are never recommended. They still count as evidence of what sessions share."""

    deny_file: Path | None = None
    """A file of more such items, one id a line (UTF-8)."""

    allow: Annotated[
        tuple[Name, ...],
        Meta(extra={"metavar": "ITEM", "expected": "item ids, none of them empty"}),
    ] = ()
    """The only items that may be recommended. With none given, here and in `allow_file`, all may."""

    allow_file: Path | None = None
    """A file of more such items, one id a line (UTF-8)."""

    catalogue: CataloguePath | None = None
    """What is known of items: a `.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet` file (also with `.gz`), which is read
    again when it changes, or a compacted topic, `kafka://host:9092/topic`, which is followed. Items that it says are
    unavailable are never recommended. See [the catalogue](../how-to/catalogue.md)."""

    filter: Name | None = None
    """An expression over the fields of the catalogue that must hold for every recommended item, such as
    `price < 50 and not tags contains "adult"`. See [expressions](expressions.md)."""

    same_category: bool = False
    """Recommend only items of the current item's category, where the catalogue knows it."""

    max_per_category: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """Recommend at most so many items of one category at a time."""

    boosts: Annotated[
        Mapping[Name, Annotated[float, Meta(ge=1e-6, le=1e6)]],
        Meta(
            max_length=15,
            extra={
                "flag": "--boost",
                "metavar": "EXPRESSION=FACTOR",
                "expected": 'at most 15 pairs such as tags contains "new"=1.5, with a factor from 1e-6 to 1e6 '
                "(in the environment ; stands between them)",
                "expressions": True,
            },
        ),
    ] = msgspec.field(default_factory=dict)
    """Expressions over the fields of the catalogue, and what the scores of items for which they hold are multiplied
    by."""

    kafka_client: Literal["kafka-python", "confluent"] = "kafka-python"
    """What speaks to Kafka: `kafka-python`, which is always there, or `confluent` (librdkafka), which is
    several times as fast and needs `pip install 'stream-rec[confluent]'`."""

    kafka: Annotated[
        Mapping[Name, str],
        Meta(
            extra={
                "metavar": "KEY=VALUE",
                "expected": "pairs such as security.protocol=SASL_SSL",
                "dotted": True,
                "private": True,
            }
        ),
    ] = msgspec.field(default_factory=dict)
    """Settings of the Kafka client by their usual names: `security.protocol`, `sasl.mechanism`,
    `compression.type`, ... With `consumer.`, `producer.` or `admin.` before it, one is for that part only.
    A secret is given as `env:NAME` or `file:PATH`, never as it is."""

    group: Name = "stream-rec"
    """The consumer group in Kafka. Processes of one group share the answering; another group answers
    the same topic for itself."""

    instance: Name | None = None
    """The name of this process in its group, the same at each start. With it a restart keeps its
    partitions and takes over at once; without, after the group's session timeout. No two processes
    may share one."""

    delivery: Literal["exactly-once", "at-least-once"] | None = None
    """`exactly-once` writes answers, dead letters and positions in one transaction; `at-least-once`
    is quicker, and may repeat answers after a crash. `none` is exactly once where all that is
    written goes to topics, and at least once where something goes to a file or a pipe."""

    begin: Literal["earliest", "latest"] = "earliest"
    """Where a new group begins to answer: at the first event that the topic holds, or after the
    last one, the others being learned from in silence."""

    create_topics: bool = False
    """Make the topics that are not there."""

    topic_partitions: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """Partitions of topics that are made; `none` is the broker's default. At most as many processes
    of a group can answer as there are partitions."""

    topic_replication: Annotated[int, Meta(ge=1, le=100)] | None = None
    """Copies of topics that are made; `none` is the broker's default."""

    topic_retention_ms: PositiveMillis | None = None
    """How long topics that are made keep their records; `none` is the broker's default. Events
    should be kept for `retention` at least."""

    snapshots: Path | None = None
    """A folder for snapshots of the state, for this process alone: a restart then reads the log
    from the last snapshot on, not from its beginning."""

    snapshot_every_ms: Annotated[int, Meta(ge=1000, le=_LONGEST, extra={"kind": Kind.DURATION})] = 5 * 60 * _SECOND
    """How often a snapshot is written, if something has changed, and whenever the service ends."""

    snapshots_kept: Annotated[int, Meta(ge=1, le=1000)] = 3
    """How many snapshots are kept, the newest ones."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What a service tells on standard error while it runs."""

    log_format: Literal["console", "json"] = "console"
    """How it is told: lines for people, or one JSON object a line, with `ts`, `level`, `logger`, `message` and
    the figures of the message by name."""

    tracing: bool = False
    """Send spans of batches and HTTP requests to an OpenTelemetry collector (OTLP over HTTP). Where it is, is
    told by OpenTelemetry's own variables, as `OTEL_EXPORTER_OTLP_ENDPOINT`. Needs
    `pip install 'stream-rec[tracing]'`."""

    http: HostPort | None = None
    """Where the HTTP API and the dashboard are served, `HOST:PORT`; `:8000` is port 8000 of this
    machine alone, and port 0 any free one. Needs `pip install 'stream-rec[serve]'`. Files are then
    read to their end, and the service stays, and takes events over HTTP."""

    http_keys: Annotated[
        tuple[Name, ...],
        Meta(
            extra={
                "flag": "--http-key",
                "metavar": "NAME:SCOPES:KEY",
                "expected": "texts such as shop:read+write:env:SHOP_KEY; scopes are read, write and admin",
                "private": True,
            }
        ),
    ] = ()
    """Keys that the HTTP API asks for. A scope is `read` (ask), `write` (send events) or `admin` (forget,
    and see other visitors: listed, and in explanations); several are joined by `+`. A key is given as `env:NAME` or
    `file:PATH`, never as it is, and has at least 16 characters."""

    http_keys_file: Path | None = None
    """A file of more keys, one `NAME:SCOPES:KEY` a line, with the keys as they are."""

    insecure: bool = False
    """Let `http` listen beyond this machine without keys, and be asked for by any name. Pages of other origins stay
    refused, but for one that gives its own name this address: where people browse, give keys."""

    http_cors: Annotated[
        tuple[Origin, ...],
        Meta(extra={"metavar": "ORIGIN", "expected": "origins such as https://shop.example, or *"}),
    ] = ()
    """Origins whose pages may call the HTTP API from a browser; `*` is any."""

    http_clock: Literal["auto", "wall", "log"] = "auto"
    """When an event was that comes over HTTP without a `timestamp`: by this machine's clock (`wall`), or by the log's,
    which goes on from its newest event (`log`). `auto` is `log` where files are read that ended longer ago than
    `retention`: by the wall's, the first click would be their sessions' end."""

    http_max_body_bytes: RecordBytes = 1 << 20
    """A longer request over HTTP is refused."""

    http_max_batch: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    """How many events or requests one call over HTTP may bring."""

    journal: Path | None = None
    """A file where events that came over HTTP are kept as JSON lines, without Kafka: written to disk before they are
    acknowledged, and read again at the next start. With a topic of events it is not needed."""

    status_file: Path | None = None
    """A file that is written anew each second with the state of the service as JSON;
    `stream-rec status FILE` reads it, and fails if the service is not ready."""

    batch_events: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024
    """How many records are read, applied and answered at a time, at most: a batch never waits to
    fill. Answers do not depend on it; speed and memory do."""

    def __post_init__(self) -> None:
        for check in _CHECKS:
            check(self)

    @property
    def is_exactly_once(self) -> bool:
        """`delivery`, or what its `none` stands for."""
        places = [self.events, self.dead_letters or self.events, self.answers_place or self.events]
        return self.delivery == "exactly-once" or (self.delivery is None and all(map(is_topic, places)))

    @property
    def answers_place(self) -> str | None:
        """Where answers are written, `recommendations` or what its `none` stands for; None where nothing is."""
        if self.answer == "none" or (self.recommendations is None and self.http is not None):
            return None
        return self.recommendations or "-"

    @property
    def answers_events(self) -> bool:
        """Whether each event is answered."""
        return self.answer == "each-event" and self.answers_place is not None

    @property
    def lateness_ms(self) -> int:
        """`allowed_lateness_ms`, or what its `none` stands for."""
        if self.allowed_lateness_ms is not None:
            return self.allowed_lateness_ms
        return _HOUR if self.retention_ms is None else min(_HOUR, self.retention_ms // 2)

    @property
    def quality_windows_ms(self) -> tuple[int, ...]:
        """`quality_windows` in milliseconds."""
        return tuple(map(parse_duration, self.quality_windows))


@cache
def table() -> tuple[Setting, ...]:
    """What there is to set, in the order of the reference page."""
    return settings_of(Settings)


def _lateness_within_retention(settings: Settings) -> None:
    retention = settings.retention_ms
    if retention is not None and settings.lateness_ms > retention:
        raise SettingsError(
            "allowed_lateness",
            f"is {settings.lateness_ms} ms, more than retention ({retention} ms): "
            "an event could join a session that has left; lower it, or keep sessions longer",
        )


def _requests_have_a_source(settings: Settings) -> None:
    if settings.answer == "requests" and settings.requests is None and settings.http is None:
        raise SettingsError("answer", "is 'requests', but no source of requests is given; name one with --requests")
    if settings.answer == "none" and settings.requests is not None:
        raise SettingsError("answer", "is 'none', but requests are given; drop --requests, or answer them")


def _places_differ(settings: Settings) -> None:
    _differ("requests", settings.requests, "events", settings.events)
    written = {"recommendations": settings.answers_place, "dead_letters": settings.dead_letters}
    _differ("dead_letters", settings.dead_letters, "recommendations", settings.answers_place)
    for key, place in written.items():
        for source in ("events", "requests"):
            if getattr(settings, source) != "-":  # `-` reads one stream and writes another
                _differ(key, place, source, getattr(settings, source))


def _differ(key: str, place: str | None, other_key: str, other: str | None) -> None:
    if place is not None and place == other:
        raise SettingsError(key, f"is {place!r}, as {other_key} is; give each a place of its own")


def _of_one_kind(settings: Settings) -> None:
    """A topic has no end, so what is answered after all events of it would never be."""
    if settings.requests is not None and is_topic(settings.requests) != is_topic(settings.events):
        raise SettingsError(
            "requests",
            f"is {settings.requests!r}, and events is {settings.events!r}: give both as topics of Kafka, or neither",
        )


def _deliverable(settings: Settings) -> None:
    if settings.delivery != "exactly-once":
        return
    places = {
        "events": settings.events,
        "recommendations": settings.answers_place,
        "dead_letters": settings.dead_letters,
    }
    for key, place in places.items():
        if place is not None and not is_topic(place):
            raise SettingsError(
                "delivery",
                f"is exactly-once, but {key} is {place!r}: only what is in Kafka can be one transaction; "
                "name a topic, or say at-least-once",
            )


def _rules_have_a_catalogue(settings: Settings) -> None:
    if settings.catalogue is not None:
        return
    for key in ("filter", "same_category", "max_per_category", "boosts"):
        if getattr(settings, key):
            raise SettingsError(key, "needs to know of items, but there is no catalogue; name one with --catalogue")


def _served(settings: Settings) -> None:
    """What only a served run takes, and what it does not."""
    if settings.http is None and settings.events == "http":
        raise SettingsError("events", "is 'http', but nothing is served: add --http HOST:PORT")
    if settings.journal is not None and (settings.http is None or is_topic(settings.events)):
        raise SettingsError(
            "journal", "is for events over HTTP without Kafka: a topic of events keeps them; drop it, or add --http"
        )


def is_topic(place: str) -> bool:
    """Whether *place* is a topic of Kafka, not a file or a pipe."""
    return place.lower().startswith("kafka:")


def _a_public_log_is_known(settings: Settings) -> None:
    if settings.format in _PLAIN_FORMATS:
        return
    told: Mapping[str, object] = {
        "fields": settings.fields,
        "timestamp_unit": settings.timestamp_unit if settings.timestamp_unit != "ms" else None,
        "timestamp_format": settings.timestamp_format,
    }
    for key, value in told.items():
        if value:
            raise SettingsError(key, f"is given, but {settings.format} is a public log, whose own is known; drop one")


def _shares_add_up(settings: Settings) -> None:
    for name, trial in settings.models.items():
        if trial.shadow and trial.share:
            raise SettingsError(f"models.{name}.share", "is given, but a shadow is served to nobody; drop one of both")
    total = sum(trial.share for trial in settings.models.values())
    if total > 1.0 + _ROUNDING:
        raise SettingsError("models", f"gives shares that add up to {total:g}, more than all sessions; lower them")


def _windows_are_durations(settings: Settings) -> None:
    try:
        windows = settings.quality_windows_ms
    except ValueError as error:
        raise SettingsError("quality_windows", f"has {list(settings.quality_windows)}; expected {error}") from None
    if not 1 <= len(windows) <= _MOST_WINDOWS or min(windows) < _SECOND or max(windows) > _LONGEST:
        raise SettingsError("quality_windows", f"has {len(windows)}; expected up to 8 durations of a second or more")


_ROUNDING: Final = 1e-9  # of shares that are written in decimals
_MOST_WINDOWS: Final = 8
_PLAIN_FORMATS: Final = ("auto", "jsonl", "json", "csv", "tsv", "parquet")
_CHECKS: Final = (
    _lateness_within_retention,
    _requests_have_a_source,
    _places_differ,
    _of_one_kind,
    _deliverable,
    _a_public_log_is_known,
    _shares_add_up,
    _windows_are_durations,
    _rules_have_a_catalogue,
    _served,
)
