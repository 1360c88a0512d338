#!/usr/bin/env bash
# A whole number that DuckDB has summed is a float in Parquet: so are session numbers made in the usual way.
#
# With:        DuckDB 2.0.1, pyarrow 26.0.1
# Expected:    sessions numbered by SQL's standard recipe (a running sum over "the pause was longer than 30 minutes")
#              are whole numbers in an exported file, as they are in the query's result, in CSV and in JSON.
# So it is:    sum() of integers is HUGEINT (128 bits), which Parquet does not have: COPY writes DOUBLE, without a word.
#              Session 1 is 1.0, an id that is compared as text matches nothing that other tools wrote, and from 2**53
#              on different ids become the same one.
# Seen:        2026-11-30: in DuckDB HUGEINT, CSV 0 0 1, Parquet double [0.0, 0.0, 1.0]; the sum 9007199254740993 is
#              9007199254740992.0 in Parquet
# The product: refuses an id that is a float, and says which field and what was found:
#              stream_rec/core/events/values.py (identifier)
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1

"$work/venv/bin/python" - "$work" <<'PY'
import sys
from pathlib import Path

import duckdb
from pyarrow import parquet

WORK = Path(sys.argv[1])
SESSIONS = """
    SELECT sum(CASE WHEN time - before > INTERVAL 30 MINUTES THEN 1 ELSE 0 END) OVER (ORDER BY time) AS session_id
    FROM (SELECT time, lag(time) OVER (ORDER BY time) AS before FROM (VALUES
        (TIMESTAMP '2024-05-01 10:00:00'), (TIMESTAMP '2024-05-01 10:05:00'), (TIMESTAMP '2024-05-01 12:00:00')
    ) AS clicks (time)) ORDER BY time"""
LARGE = "SELECT sum(number) AS total FROM (VALUES (9007199254740993)) AS numbers (number)"

duckdb.sql(f"COPY ({SESSIONS}) TO '{WORK}/sessions.parquet'")
duckdb.sql(f"COPY ({SESSIONS}) TO '{WORK}/sessions.csv'")
duckdb.sql(f"COPY ({LARGE}) TO '{WORK}/large.parquet'")
in_duckdb = str(duckdb.sql(SESSIONS).types[0])
in_csv = (WORK / "sessions.csv").read_text().split()[1:]
table = parquet.read_table(WORK / "sessions.parquet")
in_parquet, numbers = str(table.schema.field("session_id").type), table["session_id"].to_pylist()
(large,) = parquet.read_table(WORK / "large.parquet")["total"].to_pylist()
print(f"in DuckDB {in_duckdb}; CSV {' '.join(in_csv)}; Parquet {in_parquet} {numbers}; 9007199254740993 is {large!r}")
if (in_duckdb, in_csv, in_parquet, large) != ("HUGEINT", ["0", "0", "1"], "double", 9007199254740992.0):
    sys.exit("changed")
PY
