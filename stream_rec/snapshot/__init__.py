"""An engine's state in a file, and back: versioned, checksummed, replaced as a whole.

A snapshot saves time and holds nothing that the log does not: one that is torn, or was left under other rules, is
never loaded, and whoever lacks one reads the log again. Knows nothing of logs, threads or clocks: what time it is and
which log positions the state has seen is told by the caller.
"""

from stream_rec.snapshot.file import Header, OffsetsByTopic, Snapshot, read, read_header, verify
from stream_rec.snapshot.fingerprint import fingerprint
from stream_rec.snapshot.folder import STEPS, Claim, claim, newest_valid, purge_before, snapshots_in, write
from stream_rec.snapshot.library import load, save

__all__ = [
    "STEPS",
    "Claim",
    "Header",
    "OffsetsByTopic",
    "Snapshot",
    "claim",
    "fingerprint",
    "load",
    "newest_valid",
    "purge_before",
    "read",
    "read_header",
    "save",
    "snapshots_in",
    "verify",
    "write",
]
