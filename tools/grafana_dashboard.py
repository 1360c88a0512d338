"""Writes deploy/grafana/dashboards/stream-rec.json from the panels below.

With --check it only compares. A test checks that the service exposes every metric that a panel queries.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

PAGE = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards" / "stream-rec.json"

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH: Final = 24
_HERE: Final = 'job=~"$job", instance=~"$instance"'
_QUALITY: Final = f'{_HERE}, window=~"$window"'


class Query(NamedTuple):
    """An expression of Prometheus, and the legend of its lines."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """A panel: its title, its queries, and its unit by Grafana's name."""

    title: str
    queries: list[Query]
    unit: str = "short"
    help: str = ""
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False
    thresholds: tuple[tuple[str, float | None], ...] = ()


def _rate(metric: str, by: str, legend: str, more: str = "") -> Query:
    return Query(f"sum by ({by}) (rate({metric}{{{_HERE}{more}}}[$__rate_interval]))", legend)


def _quantiles(metric: str, more: str = "") -> list[Query]:
    return [
        Query(
            f"histogram_quantile({quantile}, sum by (le) (rate({metric}_bucket{{{_HERE}{more}}}[$__rate_interval])))",
            f"p{100 * quantile:g}",
        )
        for quantile in (0.5, 0.9, 0.99)
    ]


def _of(metric: str, legend: str = "{{instance}}") -> Query:
    return Query(f"{metric}{{{_HERE}}}", legend)


def _quality(metric: str) -> list[Query]:
    return [Query(f"{metric}{{{_QUALITY}}}", "{{model}} {{window}} (shadow {{shadow}})")]


ROWS: Final[list[tuple[str, list[Panel]]]] = [
    (
        "State",
        [
            Panel("Ready", [Query(f"sum(stream_rec_ready{{{_HERE}}})")], kind="stat", width=3,
                  help="Replicas that answer.", thresholds=(("red", None), ("green", 1))),
            Panel("Events", [_rate("stream_rec_events_total", "", "")], "eps", kind="stat", width=3),
            Panel("Answers", [_rate("stream_rec_answers_total", "", "")], "eps", kind="stat", width=3),
            Panel("Lag", [Query(f"sum(stream_rec_lag_records{{{_HERE}}})")], kind="stat", width=3,
                  help="Records not read yet.", thresholds=(("green", None), ("orange", 1000), ("red", 10000))),
            Panel("Click to answer, p99", _quantiles("stream_rec_end_to_end_seconds")[2:], "s", kind="stat", width=3,
                  thresholds=(("green", None), ("orange", 1), ("red", 5))),
            Panel("Rejected", [Query(
                f"sum(rate(stream_rec_dead_letters_total{{{_HERE}}}[$__rate_interval]))"
                f" / sum(rate(stream_rec_events_total{{{_HERE}}}[$__rate_interval]))")],
                "percentunit", kind="stat", width=3, thresholds=(("green", None), ("orange", 0.01), ("red", 0.05))),
            Panel("Memory", [Query(
                f"max(stream_rec_retained_bytes{{{_HERE}}} / stream_rec_max_bytes{{{_HERE}}})")],
                "percentunit", kind="stat", width=3, help="Share of max_bytes, if set. Full is normal."),
            Panel("Hits", [Query(f'avg(stream_rec_quality_hit_ratio{{{_QUALITY}, shadow="false"}})')],
                  "percentunit", kind="stat", width=3,
                  help="Share of the answers followed by another event that contained its item."),
        ],
    ),
    (
        "Events and answers",
        [
            Panel("Events by outcome", [_rate("stream_rec_events_total", "outcome", "{{outcome}}"),
                                        _rate("stream_rec_followed_events_total", "", "followed")], "eps"),
            Panel("Answers by source", [_rate("stream_rec_answers_total", "source", "{{source}}")], "eps",
                  help="By their first item. Many `popular` or `nothing` mean new visitors, or a short history.",
                  stacked=True),
            Panel("Dead letters by reason", [_rate("stream_rec_dead_letters_total", "source, reason",
                                                   "{{source}} {{reason}}")], "eps"),
            Panel("Lag by partition", [Query(
                f"sum by (topic, partition) (stream_rec_lag_records{{{_HERE}}})", "{{topic}}-{{partition}}")]),
            Panel("Assigned partitions", [_of("stream_rec_owned_partitions")], stacked=True),
            Panel("Rebalances, repeated commits", [
                Query(f"sum(increase(stream_rec_rebalances_total{{{_HERE}}}[$__rate_interval]))", "rebalances"),
                Query(f"sum(increase(stream_rec_commit_retries_total{{{_HERE}}}[$__rate_interval]))", "retries"),
            ]),
        ],
    ),
    (
        "Latency",
        [
            Panel("From click to committed answer", _quantiles("stream_rec_end_to_end_seconds"), "s"),
            Panel("p99 by stage", [Query(
                "histogram_quantile(0.99, sum by (le, stage) "
                f"(rate(stream_rec_stage_duration_seconds_bucket{{{_HERE}}}[$__rate_interval])))", "{{stage}}")], "s"),
            Panel("Batches and commits", [
                Query(f"sum(rate(stream_rec_batch_records_sum{{{_HERE}}}[$__rate_interval]))"
                      f" / sum(rate(stream_rec_batch_records_count{{{_HERE}}}[$__rate_interval]))", "records a batch"),
                Query(f"sum(rate(stream_rec_commit_answers_sum{{{_HERE}}}[$__rate_interval]))"
                      f" / sum(rate(stream_rec_commit_answers_count{{{_HERE}}}[$__rate_interval]))",
                      "answers a commit"),
            ], help="They grow with the load."),
        ],
    ),
    (
        "Memory and snapshots",
        [
            Panel("Sessions, events, items", [
                _of("stream_rec_retained_sessions", "sessions {{instance}}"),
                _of("stream_rec_retained_events", "events {{instance}}"),
                _of("stream_rec_retained_items", "items {{instance}}"),
            ]),
            Panel("Memory", [
                _of("stream_rec_retained_bytes", "retained {{instance}}"),
                _of("stream_rec_max_bytes", "budget {{instance}}"),
                _of("process_resident_memory_bytes", "process {{instance}}"),
            ], "bytes"),
            Panel("Horizon", [
                _of("stream_rec_horizon_seconds", "horizon {{instance}}"),
                _of("stream_rec_retention_seconds", "retention {{instance}}"),
            ], "s", help="How far back the index reaches: less than the retention if a limit evicts earlier."),
            Panel("Evicted sessions", [_rate("stream_rec_evicted_sessions_total", "instance", "{{instance}}")], "eps"),
            Panel("Age of the last snapshot", [Query(
                f"time() - stream_rec_snapshot_last_written_timestamp_seconds{{{_HERE}}}", "{{instance}}")], "s"),
            Panel("Snapshots: writing, copying", [
                Query(f"rate(stream_rec_snapshot_{part}_duration_seconds_sum{{{_HERE}}}[30m])"
                      f" / rate(stream_rec_snapshot_{part}_duration_seconds_count{{{_HERE}}}[30m])",
                      f"{part} {{{{instance}}}}")
                for part in ("write", "copy")
            ], "s", help="Answers go on during writing, and wait during copying."),
        ],
    ),
    (
        "HTTP",
        [
            Panel("Requests by endpoint", [_rate("stream_rec_http_requests_total", "endpoint", "{{endpoint}}")],
                  "reqps"),
            Panel("Requests by status", [_rate("stream_rec_http_requests_total", "status", "{{status}}")], "reqps",
                  stacked=True),
            Panel("p99 by endpoint", [Query(
                "histogram_quantile(0.99, sum by (le, endpoint) "
                f"(rate(stream_rec_http_request_duration_seconds_bucket{{{_HERE}}}[$__rate_interval])))",
                "{{endpoint}}")], "s"),
        ],
    ),
    (
        "Live quality",
        [
            Panel("Hits", _quality("stream_rec_quality_hit_ratio"), "percentunit",
                  "HR@n: share of answers that contained the visitor's next item.", width=6),
            Panel("MRR", _quality("stream_rec_quality_mrr_ratio"), "percentunit", width=6),
            Panel("Hits on items new to the session", _quality("stream_rec_quality_novel_hit_ratio"), "percentunit",
                  width=6),
            Panel("Coverage", _quality("stream_rec_quality_coverage_ratio"), "percentunit",
                  "Share of items that appeared in an answer.", width=6),
        ],
    ),
    (
        "Learned order",
        [
            Panel("Order in force", [Query(f"stream_rec_learned_order_playing{{{_HERE}}} == 1", "{{model}} {{form}}")],
                  help="`plain` is the model's own order: nothing is learned yet, or nothing learned is ahead.",
                  width=6),
            Panel("MRR of each order", [Query(f"stream_rec_learned_order_mrr_ratio{{{_HERE}}}", "{{model}} {{form}}")],
                  "percentunit", "MRR@20 on the newest fifth of past questions, which no weights had seen.", width=6),
            Panel("Age of the weights", [Query(
                f"stream_rec_watermark_timestamp_seconds{{{_HERE}}} - on (job, instance) group_right "
                f"stream_rec_learned_order_boundary_timestamp_seconds{{{_HERE}}}", "{{model}} {{instance}}")], "s",
                  "By the time of events: from their boundary to the newest event.", width=6),
            Panel("Questions put by the fit under way", [_of("stream_rec_learned_order_progress_ratio",
                                                             "{{model}} {{instance}}")], "percentunit", width=6),
        ],
    ),
]  # fmt: skip


def dashboard() -> str:
    """Return the whole file."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], **_grid(0, y, _WIDTH, 1)})
        x, y, height = 0, y + 1, 4 if row[0].kind == "stat" else 8
        for panel in row:
            if x + panel.width > _WIDTH:
                x, y = 0, y + height
            panels.append(_panel(panel) | _grid(x, y, panel.width, height))
            x += panel.width
        y += height
    content = {
        "uid": "stream-rec",
        "title": "stream-rec",
        "description": "Written by tools/grafana_dashboard.py: change it there.",
        "tags": ["stream-rec"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }
    return json.dumps(content, indent=1) + "\n"


def expressions() -> list[str]:
    """Return all expressions."""
    return [query.expr for _, row in ROWS for panel in row for query in panel.queries]


def _panel(panel: Panel) -> dict[str, Any]:
    custom = {"stacking": {"mode": "normal"}, "fillOpacity": 30} if panel.stacked else {"fillOpacity": 5}
    steps = [{"color": color, "value": value} for color, value in panel.thresholds] or [
        {"color": "blue", "value": None}
    ]
    is_stat = panel.kind == "stat"
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": each.expr, "legendFormat": each.legend}
            for place, each in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                **({} if is_stat else {"custom": custom}),
            },
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}}
        if is_stat
        else {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
    }


def _grid(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return {"gridPos": {"x": x, "y": y, "w": width, "h": height}}


def _variables() -> list[dict[str, Any]]:
    def chosen(name: str, query: str, label: str) -> dict[str, Any]:
        return {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }

    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}},
        chosen("job", "label_values(stream_rec_ready, job)", "Job"),
        chosen("instance", 'label_values(stream_rec_ready{job=~"$job"}, instance)', "Replica"),
        chosen("window", "label_values(stream_rec_quality_scored, window)", "Window of quality"),
    ]


def main() -> int:
    """Write the file, or exit with 1 if it is out of date."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != dashboard())
    PAGE.write_text(dashboard(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
