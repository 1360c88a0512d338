#!/usr/bin/env bash
# WSKNN's sample of the "common items" is made of the sessions that have the fewest in common.
#
# With:        wsknn 1.2.3
# Expected:    sampling_strategy="common_items", the default, keeps the sessions most similar to the one that is asked
#              for, as its documentation says; a smaller sample is quicker and a little worse.
# So it is:    where more sessions share an item than sample_size takes (1000 by default), it sorts by the number of
#              common items upwards, and takes the front.
# Seen:        2026-11-30, five sessions share three items with the question, five share one: with sample_size=5 all
#              recommendations come from those that share one; with 10 all come from those that share three
# The product: keeps those with the most; docs/explanation/wsknn.md compares the two, and stream_rec/core/model/wsknn.py
#              reads that package's parameters
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check wsknn==1.2.3

"$work/venv/bin/python" - <<'PY'
import sys

import wsknn

sessions = {}
for number in range(5):
    sessions[f"close-{number}"] = [["a", "b", "c", f"from-close-{number}"], [1, 2, 3, 4]]
    sessions[f"far-{number}"] = [["a", f"from-far-{number}"], [1, 2]]


def sources(sample_size):
    model = wsknn.fit(
        sessions, number_of_recommendations=5, number_of_neighbors=5, sampling_strategy="common_items",
        sample_size=sample_size, return_events_from_session=False,
    )  # fmt: skip
    return {item.rpartition("-")[0] for item, _ in model.recommend([["a", "b", "c"], [1, 2, 3]])}


small, whole = sources(5), sources(10)
print(f"sample_size=5: all items are {', '.join(small)}; sample_size=10: all items are {', '.join(whole)}")
if (small, whole) != ({"from-far"}, {"from-close"}):
    sys.exit("changed")
PY
