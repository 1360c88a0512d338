"""The settings: name, type, limits, default and meaning of each.

Knows nothing of files, environments or command lines. To add a setting, add a field and a docstring under it: the flag,
the environment variable, the TOML key and the reference page are made from it (`make docs` writes the page, and a test
fails while it is out of date).
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from stream_rec.core.bounds import NonNegative, Positive
from stream_rec.core.limits import DAY_MS, HOUR_MS
from stream_rec.settings.fields import Kind
from stream_rec.settings.types import (
    LONGEST_MS,
    SECOND_MS,
    BudgetBytes,
    CataloguePath,
    DestinationPath,
    DurationMs,
    EventField,
    Format,
    HostName,
    HostPort,
    ModelCount,
    Name,
    Origin,
    Path,
    PositiveDurationMs,
    RecordBytes,
    RefusedLimit,
    RegistryUrl,
    RetainedCount,
    SourcePath,
    TypeWeight,
)
from stream_rec.units import parse_duration

__all__ = ["SettingFields", "TrialSettings", "is_topic"]

_MAX_FUTURE_MS: Final = 5 * 60 * SECOND_MS


def is_topic(address: str) -> bool:
    """Return whether *address* is a Kafka topic, not a file or a pipe."""
    return address.lower().startswith("kafka:")


class TrialSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One table under `[models]`: a model beside the main one."""

    share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """The share of sessions that this model answers, from 0 to 1. With `0` it answers only requests that name
    it."""

    shadow: bool = False
    """Ask this model whenever the session's own model is asked, and measure its answers, but never serve
    them."""

    parameters: Mapping[str, object] = msgspec.field(default_factory=dict)
    """The parameters of this model: `preset`, and parameters from `m` to `newest_within`."""


class SettingFields(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of `stream-rec run`, and what follows from them. `None` means no limit, or absent."""

    events: SourcePath
    """The source of events: a file (CSV, TSV, JSON lines, a JSON array or Parquet, whatever its name and however it
    is packed), `-` for standard input, or a topic, `kafka://host:9092[,host:9092]/topic`. A topic is followed until
    the service is stopped. With `http`, the word `http` means that events come over HTTP only. A file may also be in
    an object store or on a web server (`s3://`, `gs://`, `abfss://`, `https://`). A folder with part files and
    partitions (`year=2024/`) and a pattern such as `clicks-*.csv` are all their files; `--events` may be repeated for
    files, and a list in the file of settings."""

    more_events: tuple[SourcePath, ...] = ()
    """Further files, folders and patterns, which are one log with `events`."""

    format: Format = "auto"
    """The format of `events`. `auto` recognises it by the file's first bytes. The name of a public log, such as
    `movielens`, also sets its columns and its time format; then `events` may be the folder with the log's
    files. The name of a kind of producer, such as `segment`, holds for topics and for files: it says where the
    fields of an event are, and fields that are given go before."""

    delimiter: Name | None = None
    """What separates the columns of a CSV or TSV file: a text, or one of the words `tab`, `comma`, `semicolon`, `pipe`
    and `space`. `none` recognises `,`, `;`, `|`, `::` and tabs by the file's first lines."""

    encoding: Name | None = None
    """The encoding of files of events, such as `latin-1`, `windows-1252` or `shift_jis`. `none` is UTF-8, and
    recognises UTF-16 and UTF-32."""

    in_order: bool = False
    """Take the events of a file in the order of the file, as those of a pipe or a topic, and reject those that come
    too late. Otherwise a file is read whole, and its events are taken in order of time: equal times in the order of
    the file."""

    drop_repeats: bool = False
    """Treat an event without an `event_id` that equals an earlier one in session, item, time, type and user as its
    duplicate: for logs that were written more than once. Applies to files, pipes and topics, within
    `dedupe_window`."""

    recommendations: DestinationPath | None = None
    """The destination of answers, one JSON line each: a `.jsonl` or `.jsonl.gz` file, `-` for standard output,
    or a topic, `kafka://host:9092/topic`, keyed by session. `none` is standard output, and in a terminal
    the last answers to a file of events; with `http`, answers then go only to HTTP callers and are not written
    anywhere."""

    requests: SourcePath | None = None
    """The source of requests for recommendations: JSON lines in a file or a pipe, answered after all events, or
    a topic, answered as they arrive."""

    dead_letters: DestinationPath | None = None
    """The destination of records that were not applied, with their original bytes, offset and reason: JSON
    lines, or a topic with the reason in headers. Without it such records are only counted."""

    output_mode: Literal["new", "append", "overwrite"] = "new"
    """What to do with an existing file of `recommendations` or `dead_letters`: `new` refuses a file that is not
    empty, `append` continues after its last line, `overwrite` replaces it."""

    answer: Literal["each-event", "requests", "none"] = "each-event"
    """What is answered: `each-event` answers every event after it is applied, and requests if they have a
    source; `requests` answers requests only; `none` only feeds the index."""

    coalesce: bool = False
    """If a batch has several events of a session, answer only the newest: for applications that show only the
    latest answer. How many answers this omits depends on the load."""

    request_ttl_ms: PositiveDurationMs | None = None
    """A request that is older than this when its turn comes gets an answer without items, with the reason
    `expired`. Applies to requests in a topic that have no `ttl_ms` of their own."""

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
    """The source's names for the fields of an event, if they differ from ours: keys, columns, or paths such as
    `properties.product_id` and `items[].item_id`."""

    timestamp_unit: Literal["ms", "s", "us", "ns", "iso", "excel", "auto"] = "ms"
    """The unit of times in the source: milliseconds, seconds, microseconds or nanoseconds since 1970 (UTC), ISO 8601
    text, or Excel's days. `auto` reads numbers of any unit from March 1973 on, each by its size, and ISO 8601 text."""

    timestamp_format: Name | None = None
    """A strptime format for times in another form, such as `%d.%m.%Y %H:%M`; it replaces `timestamp_unit`. Each time
    takes several microseconds to read."""

    time_zone: Name | None = None
    """The time zone of times without an offset, such as `Europe/Berlin`; `none` is UTC. Numbers since 1970 have none.
    Replicas need the same database of time zones."""

    types: Annotated[
        Mapping[Name, TypeWeight],
        Meta(
            extra={
                "flag": "--event-type",
                "metavar": "TYPE=WEIGHT",
                "expected": "pairs such as purchase=5, with a weight above 0",
            }
        ),
    ] = msgspec.field(default_factory=dict)
    """The event types to accept, and the weight of each. If any is given, events of other types are
    dead-lettered as `unknown_type`; if none is given, every type is accepted and weighs 1."""

    forget_types: Annotated[tuple[Name, ...], Meta(extra={"flag": "--forget-type"})] = ()
    """Types that are orders to forget, besides `forget`: such as `d`, with `--field type=op`, in a log of the changes
    of a table."""

    lenient_ids: bool = False
    """Accept ids that tools write in place of nothing (`null`, `NULL`, `None`, `NaN`, `undefined`, `\\N`, `ᴺᵁᴸᴸ`), and
    in tables of numbers (`123.0`, `1E+15`). By default they are refused, the first as `null_id`."""

    session_gap_ms: PositiveDurationMs | None = None
    """Cut sessions by idle time: an event more than this after its user's last one starts a new session. Events
    then need a `user_id`, and their `session_id` is ignored."""

    max_record_bytes: RecordBytes = 1 << 20
    """A longer record is dead-lettered as `too_large` before it is parsed."""

    max_refused: RefusedLimit | None = None
    """How many records of `events` may be refused: a share of those read (`1%`), or a count (`100`). With more, `run`
    and `check` do all their work, and then end with exit code 3. Duplicates are not counted. A service is judged when
    it is stopped."""

    max_future_ms: DurationMs | None = _MAX_FUTURE_MS
    """An event further than this ahead of its log time (when Kafka or HTTP took it) is dead-lettered as `future`. One
    within it moves the watermark to its log time at most: a wrong clock evicts no session. A file has no log time:
    there, an event this and a day ahead of this machine's clock is `future`. At most `allowed_lateness` and half of
    `popular_half_life`; the default is lowered to these. `none` rejects and corrects nothing, as a simulated log
    may need it."""

    allowed_lateness_ms: DurationMs | None = None
    """How far behind the watermark an event may be and still join its session at its own time. An older event
    is dead-lettered as `late`. At most `retention`; `none` is one hour, or half of `retention` if that is less.
    After a pause of `retention` less this, a session starts again as a new one."""

    dedupe_window_ms: DurationMs | None = None
    """How long, in event time, an `event_id` is remembered to recognise duplicates. `0` remembers none; `none`
    is as long as `allowed_lateness`."""

    retention_ms: PositiveDurationMs | None = 30 * DAY_MS
    """A session is kept until its last event is this far behind the watermark."""

    max_sessions: RetainedCount | None = None
    """Keep at most this many sessions; the oldest are evicted first."""

    max_events: RetainedCount | None = None
    """Keep at most this many events over all sessions; the oldest sessions are evicted first."""

    max_bytes: BudgetBytes | None = None
    """Keep the sessions, the index and the id tables within this much memory; the oldest sessions are evicted
    first."""

    max_session_events: Annotated[int, Meta(ge=1, le=65_535)] = 1000
    """A session keeps at most its last events, this many. Otherwise a crawler's endless session would slow down
    every answer that uses it."""

    preset: Literal["default", "sknn", "v-sknn", "vmis-knn", "stan", "vstan", "wsknn"] = "default"
    """The model: a named set of session-kNN parameters. All except `default` come from publications."""

    m: ModelCount | None = None
    """Sample size: how many of the sessions that share an item with the query are compared with it. `none` is
    the preset's value."""

    k: ModelCount | None = None
    """Neighbours: how many sessions of the sample, the most similar ones, contribute items. `none` is the
    preset's value."""

    last: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """How many of the session's last events are the query. `none` is the preset's value."""

    weight: Literal["same", "linear", "distinct", "quadratic", "log", "exp", "wsknn-linear", "wsknn-log"] | None = None
    """How much an item of the query weighs, by its distance from the end. The formulas are in [the
    model](model.md#parameters). `none` is the preset's value, here and in all parameters down to `bonus`."""

    weight_decay: Positive | None = None
    """For `weight = exp`: how fast the weight of the query's items decays, in places."""

    normalise: Literal["off", "query", "cosine"] | None = None
    """What similarity is divided by: nothing, the number of distinct items in the query, or the lengths of both
    sessions."""

    age_days: Positive | None = None
    """A neighbour counts exp(-age/age_days); `inf`: its age does not matter."""

    match: Literal["off", "vmis", "div", "linear", "log", "quadratic", "exp", "wsknn-linear", "wsknn-log"] | None = None
    """The factor of a neighbour by how far back in the query its newest shared item is."""

    match_decay: Positive | None = None
    """For `match = exp`: the decay, in steps."""

    place_decay: Positive | None = None
    """An item counts exp(-distance/place_decay), where the distance is in places of the neighbour from the
    shared item; `inf`: the distance does not matter."""

    places: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """Items of a neighbour that are more than this many places from the shared item do not count."""

    direction: NonNegative | None = None
    """The factor for items that the neighbour saw before the shared item."""

    every_time: bool | None = None
    """An item that a neighbour has several times counts each time, not once."""

    idf: Literal["off", "vmis", "added"] | None = None
    """The factor of an item by its rarity."""

    idf_factor: NonNegative | None = None
    """For `idf = added`: the factor of the rarity."""

    rules: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    """The share of sequential rules in a score, that is, of what came after the current item in other sessions.
    `1` uses rules only, without neighbours."""

    rules_m: ModelCount | None = None
    """Rules are counted in this many of the newest sessions that contain the current item."""

    rules_steps: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """How many places after the current item an item may come and still count as following."""

    rules_weight: Literal["same", "div", "exp"] | None = None
    """How much a rule counts, by distance."""

    rules_decay: Positive | None = None
    """For `rules_weight = exp`: the decay, in places."""

    repeats: Literal["scored", "counted"] | None = None
    """How much the session's own items weigh: `scored`, their score; `counted`, the share that repeats have in
    the log."""

    sampling: Literal["recent", "common-items", "random", "weighted-events"] | None = None
    """Which `m` sessions are the sample: the newest, those that share the most items with the query, random
    ones, or those whose events weigh most by `types`. Among equals, the newer. All except `recent` look at
    every session that shares an item, which takes longer."""

    sampling_seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None = None
    """For `sampling = random`: the same seed always draws the same sample."""

    require_type: Name | None = None
    """Sample only sessions with an event of this type."""

    min_type_weight: NonNegative | None = None
    """Sample only sessions whose events have at least this mean weight, by `types`."""

    bonus_type: Name | None = None
    """For `sampling = weighted-events`: a session with an event of this type weighs `bonus` more."""

    bonus: NonNegative | None = None
    """The additional weight of such a session."""

    n: Annotated[int, Meta(ge=1, le=10_000)] = 20
    """The maximum number of items in an answer."""

    seen: Literal["keep", "drop-current", "drop-session"] = "drop-current"
    """Which items of the session itself may be recommended: all, all except the current one, or none."""

    rerank: Literal["auto", "off", "linear", "hidden"] = "off"
    """Put items in an order that is learned from the retained sessions, live, and renewed as they change: `linear`, a
    weight for each feature; `hidden`, these and 16 hidden units; `auto`, that of both, or the model's own order, that
    was ahead on the newest questions. Until 3,000 questions can be learned from, the model's own order holds, and
    again after an order to forget, until the next weights are learned without what was forgotten."""

    fallbacks: bool = True
    """Fill answers up to `n`: after the neighbours' items, the items that followed the last item, then recently
    popular ones."""

    newest_fallback: Literal["off", "before-popular", "after-popular"] = "off"
    """Have `fallbacks` fill answers also with the newest items of the `catalogue`, by `listed_at`: before the popular
    ones, so in place of them, or after them. Those of the current item's category come first. See [new
    items](../how-to/new-items.md)."""

    newest_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """The share of an answer's places that is for new items of the `catalogue`: those listed last, of the current
    item's category first. `0.1` gives them the 5th place of each ten. A place that no item is new enough for is filled
    as usual. See [new items](../how-to/new-items.md)."""

    newest_within_ms: PositiveDurationMs = 30 * DAY_MS
    """How long an item counts as new for `newest_share`, after its `listed_at`, by the time of the log."""

    popular_half_life_ms: PositiveDurationMs = DAY_MS
    """The half-life, in event time, of an event's contribution to recent popularity."""

    trending_half_life_ms: PositiveDurationMs | None = None
    """The half-life, in event time, of the events in which `GET /v1/trending` finds what is above its usual share of
    recent popularity. It must be shorter than `popular_half_life`; the default is a 24th of it. No part of the state:
    it may be changed without a replay."""

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
    """Models that run beside the main one, over the same sessions: a table `[models.NAME]` for each, with a
    `share` (of the sessions, 0 to 1; the rest goes to the main model) or `shadow = true` (asked and measured,
    never served), a `preset`, and any parameters from `m` to `newest_within`. Parameters that a table omits are
    those of the main model. A session keeps its model."""

    models_salt: Name = "stream-rec"
    """Seeds the draw of which sessions get which of `models`. Change it to draw again, for a new experiment."""

    quality: bool = True
    """Compare each answer with what its visitor did next, for each model: hit rate, rank and coverage, live."""

    quality_n: Annotated[int, Meta(ge=1, le=1000)] = 20
    """How many items of an answer count for `quality`; at most `n`."""

    quality_windows: Annotated[
        tuple[Name, ...],
        Meta(extra={"metavar": "DURATION", "expected": "up to 8 durations of a second or more, such as 5m, 1h, 24h"}),
    ] = ("5m", "1h", "24h")
    """The windows of event time, up to now, over which `quality` is reported."""

    quality_sessions: Annotated[int, Meta(ge=1, le=100_000_000)] = 100_000
    """How many sessions' newest answers wait for the next event; beyond that, the least recently answered
    session is dropped. Each takes 8 bytes for each of `quality_n` items, times one more than the number of
    shadows."""

    shown: Name | None = None
    """The type of events that say what a visitor was shown, such as `shown`. They are no clicks: they are counted, for
    click-through rates and for `shown_at_most`, and change nothing else. Without it, they are events like any other.
    See [impressions](../how-to/impressions.md)."""

    shown_at_most: RetainedCount | None = None
    """An item that was shown this often to a session, and not clicked since, is not recommended to it any more. No part
    of the state: it may be changed without a replay. Needs `shown`."""

    shown_window_ms: PositiveDurationMs = DAY_MS
    """What a session was shown counts until it was shown nothing for so long, in event time. Longer than
    `allowed_lateness`."""

    shown_max_items: RetainedCount = 200_000
    """Most items counted as shown, of all sessions together, some 300 bytes each; those of the sessions that were shown
    nothing for longest leave first. A session has 200 at most."""

    deny: Annotated[
        tuple[Name, ...],
        Meta(extra={"metavar": "ITEM", "expected": "item ids, none of them empty"}),
    ] = ()
    """Items that are never recommended. They still count when sessions are compared."""

    deny_file: Path | None = None
    """A file of more such items, one id per line (UTF-8), in quotes if needed; `# ` begins a remark."""

    allow: Annotated[
        tuple[Name, ...],
        Meta(extra={"metavar": "ITEM", "expected": "item ids, none of them empty"}),
    ] = ()
    """The only items that may be recommended. If none is given, here and in `allow_file`, all items may."""

    allow_file: Path | None = None
    """A file of more such items, one id per line (UTF-8), in quotes if needed; `# ` begins a remark."""

    catalogue: CataloguePath | None = None
    """The source of item attributes: a `.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet` file (also with `.gz`),
    which is read again when it changes, or a compacted topic, `kafka://host:9092/topic`, which is followed.
    Items that it marks as unavailable are never recommended. See [the catalogue](../how-to/catalogue.md)."""

    filter: Name | None = None
    """An expression over the fields of the catalogue that must be true for every recommended item, such as
    `price < 50 and not tags contains "adult"`. See [expressions](expressions.md)."""

    same_category: bool = False
    """Recommend only items of the current item's category, if the catalogue has one for it."""

    max_per_category: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """Recommend at most this many items of one category in an answer."""

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
    """Expressions over the fields of the catalogue, each with a factor. If an expression is true for an item,
    the item's score is multiplied by the factor."""

    kafka_client: Literal["kafka-python", "confluent"] = "kafka-python"
    """The Kafka client: `kafka-python`, which is always installed, or `confluent` (librdkafka), which is
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
    `compression.type`, ... The prefix `consumer.`, `producer.` or `admin.` limits a setting to that part. Give
    a secret as `env:NAME` or `file:PATH`, never as it is."""

    registry: RegistryUrl | None = None
    """The schema registry of the topic of events, with Confluent's API: `http://localhost:8081`. Records in Avro,
    Protobuf or JSON Schema are then read with the schemas that they were written with. Needs `pip install
    'stream-rec[registry]'`."""

    registry_config: Annotated[
        Mapping[Name, str],
        Meta(
            extra={
                "metavar": "KEY=VALUE",
                "expected": "pairs such as ssl.ca.location=/etc/ssl/ca.pem",
                "dotted": True,
                "private": True,
            }
        ),
    ] = msgspec.field(default_factory=dict)
    """Settings of the registry's client by the names of confluent-kafka's: `basic.auth.user.info` (`USER:PASSWORD`),
    `bearer.auth.token`, `ssl.ca.location`, `ssl.certificate.location`, `ssl.key.location`, `timeout` (in seconds), ...
    Give a secret as `env:NAME` or `file:PATH`, never as it is."""

    group: Name = "stream-rec"
    """The consumer group in Kafka. Processes of one group share the answering; another group answers the same
    topic independently."""

    instance: Name | None = None
    """The name of this process in its group, the same at each start. With it, a restarted process keeps its
    partitions and resumes at once; without it, only after the group's session timeout. Each process needs a
    different name."""

    delivery: Literal["exactly-once", "at-least-once"] | None = None
    """`exactly-once` writes answers, dead letters and offsets in one transaction; `at-least-once` is faster,
    and may repeat answers after a crash. `none` is exactly once if all output goes to topics, and at least once
    if some goes to a file or a pipe."""

    begin: Literal["earliest", "latest"] = "earliest"
    """Where a new group starts to answer: at the first event in the topic, or after the last one. With
    `latest`, earlier events are learned without answers."""

    create_topics: bool = False
    """Create missing topics."""

    topic_partitions: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """The number of partitions of created topics; `none` is the broker's default. At most this many processes
    of a group can answer."""

    topic_replication: Annotated[int, Meta(ge=1, le=100)] | None = None
    """The replication factor of created topics; `none` is the broker's default."""

    topic_retention_ms: PositiveDurationMs | None = None
    """How long created topics keep their records; `none` is the broker's default. Keep events for at least
    `retention`."""

    allow_compacted: bool = False
    """Accept a topic of events with `cleanup.policy=compact`. The broker then removes all but the newest event of each
    key: after a restart without a snapshot, sessions lack what was removed."""

    snapshots: Path | None = None
    """A folder for snapshots of the state, used by this process only. A restart then reads the log from the
    last snapshot, not from its beginning."""

    snapshot_every_ms: Annotated[int, Meta(ge=1000, le=LONGEST_MS, extra={"kind": Kind.DURATION})] = 5 * 60 * SECOND_MS
    """How often a snapshot is written, if the state has changed. One is also written when the service stops."""

    snapshots_kept: Annotated[int, Meta(ge=1, le=1000)] = 3
    """How many snapshots are kept; older ones are removed."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level of messages that a running service logs to standard error."""

    log_format: Literal["console", "json"] = "console"
    """The format of the log: lines for people, or one JSON object per line, with `ts`, `level`, `logger`,
    `message` and the message's figures by name."""

    tracing: bool = False
    """Send spans of batches and HTTP requests to an OpenTelemetry collector (OTLP over HTTP). Its address is
    set by OpenTelemetry's own variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`. Needs `pip install
    'stream-rec[tracing]'`."""

    http: HostPort | None = None
    """The address of the HTTP API and the dashboard, `HOST:PORT`; `:8000` is port 8000 on this machine only,
    and port 0 is any free port. Needs `pip install 'stream-rec[serve]'`. With files, the service keeps running
    after their end, and accepts events over HTTP."""

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
    """API keys that the HTTP API requires. A scope is `read` (ask), `write` (send events) or `admin` (forget,
    and see other visitors in lists and explanations); join several with `+`. Give a key as `env:NAME` or
    `file:PATH`, never as it is; it has at least 16 characters."""

    http_keys_file: Path | None = None
    """A file of more keys, one `NAME:SCOPES:KEY` per line, with the keys as they are."""

    insecure: bool = False
    """Allow `http` to listen beyond this machine without keys, and accept requests for any host name if
    `http_hosts` names none. Pages of other origins are still refused, except a page whose own host name points
    to this address: where people browse, use keys."""

    http_hosts: Annotated[
        tuple[HostName, ...],
        Meta(extra={"flag": "--http-host", "metavar": "NAME", "expected": "names such as recs.internal, without port"}),
    ] = ()
    """Names by which callers without keys may reach the HTTP API; `localhost` and addresses need no mention.
    Allow `http` to listen beyond this machine without keys, and refuse requests for any other host name, so
    that no web page gets in by pointing its own name to this address. All who reach the port may do everything:
    for a private network, or a port that is published to one machine."""

    http_cors: Annotated[
        tuple[Origin, ...],
        Meta(extra={"metavar": "ORIGIN", "expected": "origins such as https://shop.example, or *"}),
    ] = ()
    """Origins whose pages may call the HTTP API from a browser; `*` is any origin."""

    http_clock: Literal["auto", "wall", "log"] = "auto"
    """The time of an event that comes over HTTP without a `timestamp`: this machine's clock (`wall`), or the
    log's clock (`log`), which continues from the newest event. `auto` is `log` if the files read ended longer
    ago than `retention`: by the wall clock, the first click would evict all their sessions."""

    http_max_body_bytes: RecordBytes = 1 << 20
    """A longer HTTP request is refused."""

    http_max_batch: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    """The maximum number of events or requests in one HTTP call."""

    journal: Path | None = None
    """A file that keeps events sent over HTTP, as JSON lines, for use without Kafka. They are written to disk
    before they are acknowledged, and read again at the next start. Not needed if `events` is a topic."""

    status_file: Path | None = None
    """A file to which the service writes its state each second, as JSON. `stream-rec status FILE` reads it, and
    fails if the service is not ready."""

    batch_events: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024
    """The maximum number of records that are read, applied and answered at a time; a batch never waits to fill.
    It affects speed and memory, not answers."""

    @property
    def is_exactly_once(self) -> bool:
        """Whether delivery is exactly once: `delivery`, or the meaning of its `none`."""
        addresses = [self.events, self.dead_letters or self.events, self.answers_place or self.events]
        return self.delivery == "exactly-once" or (self.delivery is None and all(map(is_topic, addresses)))

    @property
    def answers_place(self) -> str | None:
        """Where answers are written: `recommendations`, or the meaning of its `none`. None: nowhere."""
        if self.answer == "none" or (self.recommendations is None and self.http is not None):
            return None
        return self.recommendations or "-"

    @property
    def learns_order(self) -> bool:
        """Whether any model puts its candidates in an order that is learned."""
        own = [trial.parameters.get("rerank", self.rerank) for trial in self.models.values()]
        return any(each != "off" for each in (self.rerank, *own))

    @property
    def answers_events(self) -> bool:
        """Whether each event is answered."""
        return self.answer == "each-event" and self.answers_place is not None

    @property
    def lateness_ms(self) -> int:
        """`allowed_lateness_ms`, or the meaning of its `none`."""
        if self.allowed_lateness_ms is not None:
            return self.allowed_lateness_ms
        return HOUR_MS if self.retention_ms is None else min(HOUR_MS, self.retention_ms // 2)

    @property
    def future_ms(self) -> int | None:
        """`max_future_ms`, or the meaning of its default."""
        if self.max_future_ms != _MAX_FUTURE_MS:
            return self.max_future_ms
        return min(_MAX_FUTURE_MS, self.lateness_ms, self.popular_half_life_ms // 2)

    @property
    def quality_windows_ms(self) -> tuple[int, ...]:
        """`quality_windows` in milliseconds."""
        return tuple(map(parse_duration, self.quality_windows))
