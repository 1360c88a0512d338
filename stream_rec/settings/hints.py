"""What was probably meant by a name or a value that there is not.

Two ways lead to it: letters that are nearly the same, and a table of the names that other programs have for the same
thing. Knows neither where a name was given nor how it is written there: it works with bare words.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

from stream_rec.settings.fields import Kind, Setting

__all__ = ["EXAMPLES", "OTHER_NAMES", "OTHER_VALUES", "bare", "example_for", "meant_names", "meant_value"]

_SIMILAR: Final = 0.75
"""Of two words without their first dashes. At 0.6, `delimiter` is near `dead-letters`, and most words near another."""

_SHORT: Final = 2
"""So short a word is a part of too many names."""

_TOPIC: Final = "kafka://HOST:9092/TOPIC"

OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "i": ("events",),
    "input": ("events",),
    "in": ("events",),
    "file": ("events",),
    "filename": ("events",),
    "path": ("events",),
    "source": ("events",),
    "src": ("events",),
    "log": ("events",),
    "clicks": ("events",),
    "url": ("events",),
    "topic": ("events",),
    "kafka_topic": ("events",),
    "t": ("events",),
    "input_topic": ("events",),
    "events_topic": ("events",),
    "source_topic": ("events",),
    "bootstrap_servers": ("events",),
    "bootstrap_server": ("events",),
    "brokers": ("events",),
    "broker": ("events",),
    "servers": ("events",),
    "kafka_servers": ("events",),
    "o": ("out", "recommendations"),
    "out": ("recommendations",),
    "output": ("out", "recommendations"),
    "output_file": ("out", "recommendations"),
    "outfile": ("out", "recommendations"),
    "output_topic": ("recommendations",),
    "recommendations_topic": ("recommendations",),
    "recs": ("recommendations",),
    "answers": ("recommendations",),
    "destination": ("recommendations",),
    "dst": ("recommendations",),
    "sink": ("recommendations",),
    "dlq": ("dead_letters",),
    "dead_letter_queue": ("dead_letters",),
    "dead_letter_topic": ("dead_letters",),
    "errors": ("dead_letters",),
    "rejected": ("dead_letters",),
    "overwrite": ("output_mode",),
    "append": ("output_mode",),
    "force": ("output_mode",),
    "c": ("config",),
    "conf": ("config",),
    "config_file": ("config",),
    "settings": ("config",),
    "sep": ("delimiter",),
    "separator": ("delimiter",),
    "d": ("delimiter",),
    "charset": ("encoding",),
    "codec": ("encoding",),
    "type": ("format", "types"),
    "file_format": ("format",),
    "schema": ("format", "fields", "registry"),
    "columns": ("fields",),
    "column": ("fields",),
    "mapping": ("fields",),
    "session_col": ("fields",),
    "item_col": ("fields",),
    "time_col": ("fields",),
    "session_column": ("fields",),
    "item_column": ("fields",),
    "time_column": ("fields",),
    "session_id": ("fields",),
    "item_id": ("fields",),
    "user_id": ("fields",),
    "time_unit": ("timestamp_unit",),
    "unit": ("timestamp_unit",),
    "date_format": ("timestamp_format",),
    "time_format": ("timestamp_format",),
    "tz": ("time_zone",),
    "timezone": ("time_zone",),
    "session_timeout": ("session_gap",),
    "timeout": ("session_gap",),
    "inactivity": ("session_gap",),
    "ttl": ("retention", "request_ttl"),
    "window": ("retention",),
    "max_age": ("retention",),
    "lateness": ("allowed_lateness",),
    "memory": ("max_bytes",),
    "max_memory": ("max_bytes",),
    "model": ("preset", "models"),
    "algorithm": ("preset",),
    "algo": ("preset",),
    "neighbours": ("k",),
    "neighbors": ("k",),
    "sample": ("m",),
    "sample_size": ("m",),
    "top": ("n",),
    "top_k": ("n",),
    "topk": ("n",),
    "top_n": ("n",),
    "topn": ("n",),
    "limit": ("n",),
    "max_items": ("n",),
    "normalize": ("normalise",),
    "exclude": ("deny",),
    "block": ("deny",),
    "blacklist": ("deny",),
    "denylist": ("deny",),
    "whitelist": ("allow",),
    "allowlist": ("allow",),
    "include": ("allow",),
    "items": ("catalogue",),
    "catalog": ("catalogue",),
    "group_id": ("group",),
    "consumer_group": ("group",),
    "g": ("group",),
    "client_id": ("instance",),
    "partitions": ("topic_partitions",),
    "replication_factor": ("topic_replication",),
    "offset": ("begin",),
    "offset_reset": ("begin",),
    "auto_offset_reset": ("begin",),
    "from_beginning": ("begin",),
    "schema_registry": ("registry",),
    "schema_registry_url": ("registry",),
    "kafka_config": ("kafka",),
    "command_config": ("kafka",),
    "security_protocol": ("kafka",),
    "checkpoint": ("snapshots",),
    "checkpoints": ("snapshots",),
    "state_dir": ("snapshots",),
    "snapshot_dir": ("snapshots",),
    "data_dir": ("snapshots",),
    "verbose": ("log_level",),
    "v": ("log_level",),
    "debug": ("log_level",),
    "loglevel": ("log_level",),
    "port": ("http",),
    "p": ("http",),
    "host": ("http",),
    "listen": ("http",),
    "bind": ("http",),
    "address": ("http",),
    "serve": ("http",),
    "api_key": ("http_keys",),
    "token": ("http_keys",),
    "cors": ("http_cors",),
    "batch_size": ("batch_events",),
    "batch": ("batch_events",),
    "threads": ("threads",),
    "workers": ("threads",),
    "jobs": ("threads",),
    "j": ("threads",),
    "n_jobs": ("threads",),
    "processes": ("threads",),
    "report": ("plot", "json"),
    "html": ("plot",),
    "chart": ("plot",),
    "presets": ("compare", "preset"),
    "metrics": ("cutoffs", "metric"),
    "split": ("hold_out_days", "hold_out_share"),
    "random_state": ("seed",),
    "n_trials": ("trials",),
}  # fmt: skip
"""Names that other programs have for the same thing, with underscores -> keys of settings, and options of commands."""

EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("topic", "t", "kafka_topic", "input_topic", "events_topic", "source_topic", "bootstrap_servers",
                     "bootstrap_server", "brokers", "broker", "servers", "kafka_servers"), ("events", _TOPIC)),
    **dict.fromkeys(("output_topic", "recommendations_topic"), ("recommendations", _TOPIC)),
    "dead_letter_topic": ("dead_letters", _TOPIC),
    **dict.fromkeys(("overwrite", "force"), ("output_mode", "overwrite")),
    "append": ("output_mode", "append"),
    **dict.fromkeys(("session_col", "session_column", "session_id"), ("fields", "session_id=NAME")),
    **dict.fromkeys(("item_col", "item_column", "item_id"), ("fields", "item_id=NAME")),
    **dict.fromkeys(("time_col", "time_column"), ("fields", "timestamp=NAME")),
    "user_id": ("fields", "user_id=NAME"),
    **dict.fromkeys(("verbose", "v", "debug"), ("log_level", "debug")),
    **dict.fromkeys(("port", "p"), ("http", ":8000")),
    "from_beginning": ("begin", "earliest"),
    **dict.fromkeys(("command_config", "security_protocol"), ("kafka", "security.protocol=SASL_SSL")),
}  # fmt: skip
"""Another name -> a key that it means, and how the value is written, where the key alone would not tell."""

OTHER_VALUES: Final[Mapping[str, Mapping[str, str]]] = {
    "format": {"ndjson": "jsonl", "jsonlines": "jsonl", "json_lines": "jsonl", "ldjson": "jsonl", "pq": "parquet",
               "tab": "tsv", "text": "csv", "txt": "csv", "ga": "ga4", "kafka_connect": "connect",
               "google_analytics": "ga4", "cdc": "debezium"},
    "output_mode": {"replace": "overwrite", "truncate": "overwrite", "force": "overwrite", "w": "overwrite",
                    "a": "append", "create": "new", "x": "new"},
    "answer": {"all": "each-event", "events": "each-event", "every": "each-event", "event": "each-event",
               "off": "none", "no": "none", "false": "none"},
    "timestamp_unit": {"seconds": "s", "second": "s", "sec": "s", "unix": "s", "epoch": "s", "milliseconds": "ms",
                       "millis": "ms", "micros": "us", "microseconds": "us", "nanos": "ns", "nanoseconds": "ns",
                       "iso8601": "iso", "iso_8601": "iso", "rfc3339": "iso", "datetime": "iso", "date": "iso"},
    "preset": {"knn": "sknn", "vsknn": "v-sknn", "vmis": "vmis-knn", "serenade": "vmis-knn"},
    "normalise": {"none": "off", "false": "off", "cos": "cosine"},
    "match": {"none": "off", "false": "off"},
    "idf": {"none": "off", "false": "off"},
    "kafka_client": {"librdkafka": "confluent", "confluent_kafka": "confluent"},
    "delivery": {"eos": "exactly-once", "transactional": "exactly-once"},
    "begin": {"beginning": "earliest", "start": "earliest", "oldest": "earliest", "first": "earliest",
              "end": "latest", "newest": "latest", "last": "latest", "now": "latest"},
    "log_level": {"warn": "warning", "err": "error", "critical": "error", "fatal": "error", "trace": "debug",
                  "verbose": "debug"},
    "log_format": {"text": "console", "plain": "console", "logfmt": "console"},
    "seen": {"none": "drop-session", "drop": "drop-session", "exclude": "drop-session", "all": "keep"},
    "http_clock": {"system": "wall", "event": "log"},
    "fields": {"item": "item_id", "product": "item_id", "product_id": "item_id", "sku": "item_id",
               "session": "session_id", "visit": "session_id", "visitor": "session_id", "user": "user_id",
               "customer": "user_id", "customer_id": "user_id", "time": "timestamp", "ts": "timestamp",
               "date": "timestamp", "datetime": "timestamp", "event": "type", "event_type": "type", "kind": "type"},
}  # fmt: skip
"""By the key of a setting: other words for its values, with underscores."""


def bare(word: str) -> str:
    """Return *word* as the tables here have it: without dashes before it, in small letters, with underscores."""
    return word.lstrip("-").strip().lower().replace("-", "_").replace(".", "_")


def meant_names(
    word: str, known: Iterable[str], aliases: Mapping[str, tuple[str, ...]] = OTHER_NAMES, most: int = 3
) -> list[str]:
    """Return the names among *known*, which are bare words, that *word* may mean: the likeliest first, at most *most*.

    What *aliases* say comes first, then names with similar letters; without any, names that hold all its parts.
    """
    wanted, names = bare(word), list(known)
    if not wanted:
        return []
    if wanted in names:
        return [wanted]
    found = [each for each in aliases.get(wanted, ()) if each in names]
    close = difflib.get_close_matches(wanted, names, n=most, cutoff=_SIMILAR)
    parts = set(wanted.split("_"))
    holding = [name for name in names if len(wanted) > _SHORT and parts <= set(name.split("_"))]
    return list(dict.fromkeys([*found, *close] or holding))[:most]


def example_for(word: str, key: str) -> str | None:
    """Return a value of the setting *key* for one who wrote *word*; None if its name says enough."""
    meant, example = EXAMPLES.get(bare(word), ("", None))
    return example if meant == key else None


def meant_value(setting: Setting, value: object) -> str | None:
    """Return the word that *value* may mean, for a setting whose words are known; None if none is near."""
    if not setting.choices:
        return None
    others = {word: (bare(meant),) for word, meant in OTHER_VALUES.get(setting.key, {}).items()}
    choices = {bare(choice): choice for choice in setting.choices}
    for word in [value] if setting.kind is Kind.CHOICE else _names_in(value):
        if isinstance(word, str) and word not in setting.choices:
            return next((choices[each] for each in meant_names(word, choices, others, most=1)), None)
    return None


def _names_in(table: object) -> list[object]:
    """Return the names in a table as it was given: in TOML, in one text, or in a text for each."""
    if isinstance(table, Mapping):
        return list(table)
    texts = table.split(",") if isinstance(table, str) else table if isinstance(table, list) else []
    return [text.partition("=")[0].strip() for text in texts if isinstance(text, str) and "=" in text]
