"""What `/readyz` answers: whether the service is ready, and until then what it is doing and how far that is."""

from collections.abc import Iterator

import msgspec

from stream_rec.service.activity import Doing
from stream_rec.service.reporting.status import Status

__all__ = ["Readiness", "readiness"]


class Readiness(msgspec.Struct, frozen=True):
    """Whether the service is ready, and what it is doing."""

    ready: bool
    state: str
    doing: Doing | None
    """What it is doing in detail, and how far that is."""

    problems: list[str]
    """The kinds of what is wrong and may pass."""

    def lines(self) -> Iterator[str]:
        """Yield the same as lines of text."""
        yield self.state
        if not self.ready and self.doing is not None:
            yield self.doing.message
        for kind in self.problems:
            yield f"problem: {kind}"


def readiness(status: Status) -> Readiness:
    """Return what of *status* needs no key: not the messages of problems, which name topics and files."""
    return Readiness(status.is_ready, status.state, status.doing, [each.kind for each in status.problems])
