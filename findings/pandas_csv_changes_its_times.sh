#!/usr/bin/env bash
# One column of times in a CSV file that pandas wrote has two forms, which change at row 100,000 divided by the columns.
#
# With:        pandas 3.1.1
# Expected:    a column of datetimes is written in one form: a look at the first thousand rows tells how to read the
#              rest; a column with a fraction somewhere has it everywhere.
# So it is:    to_csv writes in blocks of 100,000 // columns rows, and chooses the shortest form for each block: only
#              dates, as long as a block has only midnights; else seconds; fractions only where a block has some. A
#              strptime format that is right for the beginning fails after some ten thousand rows; where that is
#              depends on how many columns the table has.
# Seen:        2026-11-30, 60,000 rows, 3 columns, midnights but for one time with milliseconds in row 50,000: rows 0 to
#              33,332 are 2024-05-01, rows from 33,333 on are 2024-05-01 00:00:00.000; with 4 columns from row 50,000 on
# The product: reads ISO times row by row, with or without time of day and fraction: stream_rec/core/events/times.py
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pandas==3.1.1

"$work/venv/bin/python" - <<'PY'
import sys
from itertools import groupby

import pandas

times = pandas.Series(pandas.to_datetime(["2024-05-01"] * 60_000))
times.iloc[50_000] = pandas.Timestamp("2024-05-01 10:00:00.123")
seen = {}
for n_columns in (3, 4):
    frame = pandas.DataFrame({f"c{number}": 0 for number in range(n_columns - 1)} | {"time": times})
    cells = [line.rpartition(",")[2] for line in frame.to_csv(index=False).splitlines()[1:]]
    row, seen[n_columns] = 0, []
    for _, run in groupby(cells, len):
        run = list(run)
        seen[n_columns].append((row, run[0]))
        row += len(run)
    print(f"{n_columns} columns:", "; ".join(f"from row {row:,} on {cell}" for row, cell in seen[n_columns]))
dates, times = "2024-05-01", "2024-05-01 00:00:00.000"
if {n: [(row, len(cell)) for row, cell in forms] for n, forms in seen.items()} != {
    3: [(0, len(dates)), (33_333, len(times))],
    4: [(0, len(dates)), (50_000, len(times))],
}:
    sys.exit("changed")
PY
