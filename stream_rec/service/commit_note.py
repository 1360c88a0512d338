"""What a process says of itself with each commit: a note beside the group's offsets, which its replicas read.

A note has the version, a hash of the settings that all processes of a group must share, and six bits of a hash for each
of them, in the order of their names: so a replica can say which of them differ. It has about 80 bytes. Knows nothing of
which settings these are, nor of brokers.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest

__all__ = ["CommitNote"]

_KIND: Final = "stream-rec/1"
_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class CommitNote(NamedTuple):
    """The note of one process."""

    version: str
    names: tuple[str, ...]
    """Of the settings, in order."""
    digits: str
    """One for each of them."""
    digest: str
    """Of all of them together."""

    @classmethod
    def of(cls, version: str, settings: Mapping[str, object]) -> "CommitNote":
        """Return the note of a process of *version* with these *settings*."""
        values = {name: msgspec.json.encode(settings[name], order="deterministic") for name in sorted(settings)}
        digits = "".join(_DIGITS[xxh3_64_intdigest(value) % len(_DIGITS)] for value in values.values())
        digest = xxh3_64_hexdigest(b"\n".join(name.encode() + b"=" + value for name, value in values.items()))
        return cls(version, tuple(values), digits, digest)

    @property
    def text(self) -> str:
        """As it is committed. Its line end is where it ends: what a client returns behind that is not of the note."""
        return f"{_KIND} {self.version} {self.digest} {self.digits}\n"

    def difference(self, other: str) -> str | None:
        """Return how the process that committed the text *other* differs; None: not, or it left no note.

        A reset of offsets by a tool leaves none, and neither do versions before these notes.
        """
        kind, *parts = other.rstrip("\n").split(" ")
        if kind != _KIND or len(parts) != 3 or other == self.text:  # noqa: PLR2004  # version, digest, digits
            return None
        version, digest, digits = parts
        if version != self.version:
            return f"version {version}, here {self.version}"
        if digest == self.digest:
            return None
        names = [name for name, mine, theirs in zip(self.names, self.digits, digits, strict=False) if mine != theirs]
        return f"other settings: {', '.join(names) or 'one of ' + ', '.join(self.names)}"
