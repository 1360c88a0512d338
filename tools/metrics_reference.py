"""Writes docs/reference/metrics-prometheus.md from the families of the exposition. With --check it only compares."""

import sys
from pathlib import Path

from stream_rec.web.prometheus import FAMILIES, STATES, Family

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "metrics-prometheus.md"

HEAD = """\
# Metrics for Prometheus

<!-- Written by `make docs` from stream_rec/web/prometheus.py: edit the texts there, not this page. -->

What `/metrics` tells where a service is started with `--http`. In OpenMetrics for who accepts it, else in the text
format that every version of Prometheus reads. Nothing is computed before somebody asks. How to scrape it, a dashboard
and alerts: [monitoring](../how-to/monitoring.md).

A metric is absent where there is nothing to tell: `stream_rec_max_bytes` without a limit, the snapshots' without a
folder of snapshots, `stream_rec_catalogue_items` without a catalogue. Counters begin anew with the process, as `rate()`
expects. Beside these stand the usual ones of the process: `process_resident_memory_bytes`,
`process_cpu_seconds_total`, `process_open_fds`, `process_start_time_seconds`.

| metric | type | labels | what it is |
|---|---|---|---|
"""

TAIL = """
## Labels

| label | values |
|---|---|
| `state` | {states} |
| `outcome` of events | `applied`, `forget`, `duplicate`, `dead_letter` |
| `outcome` of requests | `answered`, `expired`, `dead_letter` |
| `source` of answers | `neighbours`, `followed`, `popular`, `nothing` |
| `source` of dead letters | `events`, `requests` |
| `source` of requests | `records`, `http` |
| `reason` | [the reasons of dead letters](records.md#reasons) |
| `stage` | `mailbox`, `apply`, `answer`, `commit` |
| `endpoint` | the path with placeholders, `/v1/sessions/{{id}}`: never an id |
| `status` | of HTTP: `200`, `404` |
| `topic`, `partition` | of Kafka |
| `model`, `shadow` | the name in `[models]`, and whether it is asked but not served: `true`, `false` |
| `window`, `n` | the length of the sliding window in seconds, `300s`; of how many items an answer is scored |

## Buckets

Upper bounds of the histograms, each exact: what is counted beneath one was at most that.

| metric | bounds |
|---|---|
"""


def page() -> str:
    """The whole page."""
    states = ", ".join(f"`{state}`" for state in STATES)
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
    """Write the page, or say that it is out of date."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
