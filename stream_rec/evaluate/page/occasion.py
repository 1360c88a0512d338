"""When, how and on which log: what a page says of an evaluation beside its figures."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from stream_rec._version import __version__
from stream_rec.core.events import Event
from stream_rec.core.model import DEFAULT_PRESET, PRESETS
from stream_rec.datasets.statistics import LogStatistics
from stream_rec.evaluate.page.document import details_html, facts_html, section_html, table_html
from stream_rec.evaluate.whole_table import WholeTable
from stream_rec.service.metrics.format import show_duration
from stream_rec.service.reporting.log_facts import log_facts

__all__ = ["Occasion", "log_html", "occasion_html", "written"]


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """How an evaluation was made."""

    command: str
    """As it was typed."""
    settings: Mapping[str, str]
    """Those that differ from their defaults."""
    sources: Mapping[str, str]
    """What each log was, by its part: `log`, or `learned` and `asked`."""
    began: datetime


def log_html(occasion: Occasion, events: Sequence[Event], refused: Mapping[str, int], **more: str) -> str:
    """Return what the log is, the statistics of its *events*, which records were *refused*, and *more* facts."""
    statistics = LogStatistics()
    statistics.add_all(events)
    facts = dict(log_facts(statistics.summary()))
    facts.pop("out of order", None)  # these events are in the order in which they are asked
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(refused.items()) if n)
    return section_html("The log", facts_html({**occasion.sources, **facts, "left out": reasons, **more}))


def occasion_html(occasion: Occasion, models: Mapping[str, Mapping[str, object]]) -> str:
    """Return date, version, command, the settings that differ from their defaults, and the parameters of *models*."""
    began = f"{occasion.began.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    took = show_duration(round((datetime.now(UTC) - occasion.began).total_seconds() * 1000))
    settings = ", ".join(f"{key} = {value}" for key, value in occasion.settings.items()) or "all have their defaults"
    facts = {
        "began": f"{began}; took {took}",
        "by": f"stream-rec {__version__}",
        "command": occasion.command,
        "settings": settings,
    }
    return section_html(
        "How it was made",
        facts_html(facts),
        details_html("all parameters of the models", table_html(_parameters_table(models))),
    )


def _parameters_table(models: Mapping[str, Mapping[str, object]]) -> WholeTable:
    """Return all parameters of *models*; those in bold are not the same in all, or not the default's."""
    table = WholeTable("parameters (bold: not those of the preset `default` in all)", ["parameter", *models])
    plain = msgspec.structs.asdict(PRESETS[DEFAULT_PRESET])
    for name in plain:
        values = [parameters.get(name) for parameters in models.values()]
        is_plain = name == "name" or all(value == plain[name] for value in values)
        table.add_row(name, *map(written, values), style="" if is_plain else "bold")
    return table


def written(value: object) -> str:
    """Return a parameter as it is written in settings."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple() | list():
            return ", ".join(map(str, value)) or "none"
    return str(value)
