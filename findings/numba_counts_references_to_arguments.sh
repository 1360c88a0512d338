#!/usr/bin/env bash
# A compiled function that allocates nothing may spend most of its time on counting references to its arrays.
#
# With:        Numba 0.68.1, NumPy 2.4.6
# Expected:    a function compiled by Numba in nopython mode costs a fraction of a microsecond to call, and what it does
#              with arrays costs what the machine code costs: passing forty arrays passes forty pointers.
# So it is:    each array that comes in from Python is given a new counted owner on the way in, and dropped on the way
#              out, and a call finds out the type of each argument again. A function that reads two numbers out of forty
#              arrays takes several times as long for that as for all else. Undocumented, _nrt=False leaves the counting
#              out (then nothing may be allocated inside), and calling the compiled entry point leaves the types out.
# Seen:        2026-11-30, forty arrays, microseconds a call: 4.6; by the entry point 3.7; with _nrt=False 1.8; both 0.6
# The product: does both, for kernels that allocate nothing and always get the same types:
#              stream_rec/core/compiled.py
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numba==0.68.1 numpy==2.4.6

"$work/venv/bin/python" - <<'PY'
import sys
import time

import numba
import numpy as np

N_ARRAYS, N_CALLS = 40, 20_000
names = [f"a{number}" for number in range(N_ARRAYS)]
space = {}
exec(f"def reads_two({', '.join(names)}):\n    return {names[0]}[0] + {names[-1]}[0]\n", space)
arrays = [np.zeros(4) for _ in names]


def microseconds(function):
    best = float("inf")
    for _ in range(7):
        begun = time.perf_counter()
        for _ in range(N_CALLS):
            function(*arrays)
        best = min(best, (time.perf_counter() - begun) / N_CALLS * 1e6)
    return best


def calls(**options):
    dispatcher = numba.njit(**options)(space["reads_two"])
    assert dispatcher(*arrays) == 0.0
    (compiled,) = dispatcher.overloads.values()
    return microseconds(dispatcher), microseconds(compiled.entry_point)


counted, uncounted = calls(), calls(_nrt=False)
print("forty arrays, microseconds a call: {:.1f}, by the entry point {:.1f};".format(*counted),
      "with _nrt=False {:.1f}, by the entry point {:.1f}".format(*uncounted))  # fmt: skip
if counted[1] < 3 * uncounted[1] or counted[0] < 4 * uncounted[1]:
    sys.exit("changed")
PY
