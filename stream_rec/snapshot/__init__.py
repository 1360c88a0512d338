"""An engine's state in a file, and back: versioned, checksummed, replaced as a whole.

A snapshot saves time, and holds nothing that the log does not. A torn snapshot, or one written under other rules, is
never loaded; without one, the log is replayed. Knows nothing of logs, threads or clocks: the caller passes the time and
the offsets that the state has seen.
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
