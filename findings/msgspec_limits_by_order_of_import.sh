#!/usr/bin/env bash
# What a schema says of a float depends on which of two modules was imported first.
#
# With:        msgspec 0.22.0, Python 3.11 (typing)
# Expected:    Annotated[float, Meta(ge=1)] and Annotated[float, Meta(ge=1.0)] are two types that mean the same; each is
#              shown as it was written.
# So it is:    msgspec's Meta(ge=1) equals Meta(ge=1.0), with the same hash, and typing keeps what it has made by
#              equality: the second one written anywhere in a program *is* the first. So a generated schema (OpenAPI, a
#              reference page) has "minimum": 1 or 1.0 by the order of imports, and a test that compares it with a file
#              fails when somebody sorts them.
# Seen:        2026-11-30: one object for both; {'type': 'number', 'minimum': 1} where the whole number came first, else
#              {'type': 'number', 'minimum': 1.0}
# The product: writes the limits of a kind of number in one form everywhere: stream_rec/settings/types.py
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check msgspec==0.22.0

cat >"$work/show.py" <<'PY'
import sys
from typing import Annotated

import msgspec

made = {}
for written in sys.argv[1:]:
    made[written] = Annotated[float, msgspec.Meta(ge=float(written) if "." in written else int(written))]
whole, real = made["1"], made["1.0"]
print("one object" if whole is real else "two objects", msgspec.json.schema(whole), msgspec.json.schema(real))
PY
first="$("$work/venv/bin/python" "$work/show.py" 1 1.0)"
second="$("$work/venv/bin/python" "$work/show.py" 1.0 1)"
printf 'the whole number first: %s\nthe float first:        %s\n' "$first" "$second"
whole="{'type': 'number', 'minimum': 1}" real="{'type': 'number', 'minimum': 1.0}"
[[ "$first" == "one object $whole $whole" && "$second" == "one object $real $real" ]] || { echo changed >&2; exit 1; }
