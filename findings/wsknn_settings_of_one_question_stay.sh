#!/usr/bin/env bash
# A setting that is given to WSKNN with one question holds for all later ones, and switches another one off.
#
# With:        wsknn 1.2.3
# Expected:    recommend(session, settings={...}) answers this question under these settings; the fitted model stays as
#              it was, so two threads, or the next line of a notebook, get what it was fitted for.
# So it is:    the settings are written into the model, and recommend_any falls back to False when it is not among them.
# Seen:        2026-11-30: fitted for 5 items and recommend_any: 5 items; with settings for 1 item: 1; asked again
#              without: 1; and an unknown item, which had got 5, gets None
# The product: takes parameters for one question and changes nothing; docs/explanation/wsknn.md compares the two, and
#              stream_rec/library/recommender.py has the call
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check wsknn==1.2.3

"$work/venv/bin/python" - <<'PY'
import sys

import wsknn

sessions = {number: [["a", "b", f"item-{number}"], [1, 2, 3]] for number in range(10)}
model = wsknn.fit(
    sessions, number_of_recommendations=5, number_of_neighbors=10, recommend_any=True, return_events_from_session=False
)


def n_items(item, **more):
    answer = model.recommend([[item], [1]], **more)
    return None if answer is None else len(answer)


before = n_items("a"), n_items("unknown")
during = n_items("a", settings={"number_of_recommendations": 1})
after = n_items("a"), n_items("unknown")
print(f"items for a known and for an unknown item: {before}; for a known one with a setting of 1: {during}; "
      f"then without it: {after}")  # fmt: skip
if (before, during, after) != ((5, 5), 1, (1, None)):
    sys.exit("changed")
PY
