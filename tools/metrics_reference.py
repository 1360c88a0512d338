"""Writes docs/reference/metrics-prometheus.md from the families of the exposition. With --check it only compares."""

import sys
from pathlib import Path

from stream_rec.service.state import ServiceState
from stream_rec.web.prometheus import FAMILIES, Family

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "metrics-prometheus.md"

HEAD = """\
# Metrics for Prometheus

<!-- Written by `make docs` from stream_rec/web/prometheus.py: edit the texts there, not this page. -->

What `/metrics` returns for a service with `--http`: OpenMetrics if the client accepts it, else the text format that
every version of Prometheus reads. Figures are computed only when they are scraped. How to scrape them, a dashboard and
alerts: [monitoring](../how-to/monitoring.md).

A metric without a value is absent: `stream_rec_max_bytes` without a limit, those of snapshots without a folder of
snapshots, `stream_rec_catalogue_items` without a catalogue, those of a learned order without `rerank`. Counters start
at 0 with each process, as `rate()` expects. There are also the usual metrics of the process:
`process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_open_fds`, `process_start_time_seconds`.

| metric | type | labels | what it is |
|---|---|---|---|
"""

TAIL = """
## Labels

| label | values |
|---|---|
| `state` | {states} |
| `outcome` of events | `applied`, `forget`, `shown`, `duplicate`, `dead_letter` |
| `outcome` of requests | `answered`, `expired`, `dead_letter` |
| `source` of answers | `neighbours`, `followed`, `popular`, `session`, `trending`, `newest`, `nothing` |
| `source` of dead letters | `events`, `requests` |
| `source` of requests | `records`, `http` |
| `reason` | [the reasons of dead letters](records.md#reasons) |
| `stage` | `mailbox`, `apply`, `answer`, `commit` |
| `endpoint` | the path with placeholders, `/v1/sessions/{{id}}`: never an id |
| `status` | the HTTP status: `200`, `404` |
| `topic`, `partition` | of Kafka |
| `model`, `shadow` | the name in `[models]`, and whether it is a shadow (computed, not served): `true`, `false` |
| `form` | of a learned order: `plain`, `linear`, `hidden` |
| `by`, `value` | a part of the shown items: `model`, `all`; `place`, `1` to `21+` or `unknown`; `source`, its name |
| `window`, `n` | the length of the sliding window in seconds, `300s`; how many items of an answer are scored |

## Buckets

Upper bounds of the histograms. Each is exact: a bucket counts the values of at most its bound.

| metric | bounds |
|---|---|
"""


def page() -> str:
    """The whole page."""
    states = ", ".join(f"`{state}`" for state in ServiceState)
    return "".join(
        [
            HEAD,
            *map(_row, FAMILIES),
            TAIL.format(states=states),
            *(
                f"| `{family.full_name}` | {', '.join(f'{bound:g}' for bound in family.bounds)} |\n"
                for family in FAMILIES
                if family.bounds
            ),
        ]
    )


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels) or "-"
    return f"| `{family.full_name}` | {family.kind} | {labels} | {family.help.replace('|', '/')} |\n"


def main() -> int:
    """Write the page, or exit with 1 if it is out of date."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
