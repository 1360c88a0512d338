"""Run once more, alone, the few tests that failed beside others on a broker or in a browser; else fail.

    python .ci/again.py  # after a run of pytest that has failed

Such a test waits for processes that share the machine with all others, so one may come too late there. It must pass
alone, and is named, so that it is looked into. Any other failure, or more than two, stays one.
"""

import json
import subprocess
import sys
from pathlib import Path

AT_MOST = 2
SHARED = ("tests/integration/", "tests/contract/", "tests/browser/")


def main() -> int:
    """Return the exit code."""
    failed = sorted(json.loads(Path(".pytest_cache/v/cache/lastfailed").read_text(encoding="utf-8")))
    if not failed or len(failed) > AT_MOST or not all(each.startswith(SHARED) for each in failed):
        print(f"== not run again: {len(failed)} tests failed", flush=True)
        return 1
    for each in failed:
        print(f"== FAILED BESIDE OTHERS, now alone: {each}", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", "-m", "", *failed], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
