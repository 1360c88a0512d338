"""What is wrong with a running service and may pass: logged when it begins and when it ends, and shown in between.

The status file, `/readyz` and the metrics show it. Knows nothing of what causes a problem, or of what would end it.
"""

import logging
from collections.abc import Callable
from enum import StrEnum
from time import time

import msgspec

from stream_rec.service.metrics.log_setup import fields

__all__ = ["OpenProblem", "ProblemKind", "Problems"]

log = logging.getLogger(__name__)


class ProblemKind(StrEnum):
    """What a problem is about. The values are texts that users see."""

    TOPIC = "topic"
    """A topic of the service is missing."""
    PARTITIONS = "partitions"
    """Partitions were added, and the group has not assigned them yet."""
    SETTINGS = "settings"
    """Another process of the group runs with other settings."""
    OUTPUT = "output"
    """Another group writes answers for the same events into the same topic."""
    JOURNAL = "journal"
    """The journal of HTTP events cannot be written."""
    SNAPSHOTS = "snapshots"
    """The folder of snapshots cannot be read or written."""
    COMMITS = "commits"
    """Answers and offsets cannot be committed: the broker, or a topic that is written to."""
    REGISTRY = "registry"
    """The schema registry does not answer, and records wait for it."""
    FILES = "files"
    """A file of answers or dead letters cannot be written."""


class OpenProblem(msgspec.Struct, frozen=True):
    """A problem that lasts."""

    kind: ProblemKind
    message: str
    since_ms: int
    """When it began, by the time of day."""
    blocks: bool = False
    """Whether the service is not ready while it lasts."""


class Problems:
    """The problems of one service, at most one of each kind. Any thread may call."""

    def __init__(self, now_ms: Callable[[], int] = lambda: int(time() * 1000)) -> None:
        self._now_ms = now_ms
        self._open: dict[ProblemKind, OpenProblem] = {}

    def begin(self, kind: ProblemKind, message: str, *, blocks: bool = False) -> None:
        """Note that there is a problem; it is logged where there was none of its kind, or another one."""
        before = self._open.get(kind)
        if before is not None and (before.message, before.blocks) == (message, blocks):
            return
        since_ms = self._now_ms() if before is None else before.since_ms
        self._open = {**self._open, kind: OpenProblem(kind, message, since_ms, blocks)}
        if before is None or before.message != message:
            log.warning("%s: %s", kind, message, extra=fields(problem=kind))

    def end(self, kind: ProblemKind) -> None:
        """Note that there is no problem of this kind any more."""
        before = self._open.get(kind)
        if before is not None:
            self._open = {other: each for other, each in self._open.items() if other is not kind}
            seconds = (self._now_ms() - before.since_ms) / 1000
            log.info("%s: resolved after %.0f s", kind, seconds, extra=fields(problem=kind, seconds=round(seconds, 3)))

    @property
    def now(self) -> list[OpenProblem]:
        """The problems that last, the oldest first."""
        return sorted(self._open.values(), key=lambda each: (each.since_ms, each.kind))

    @property
    def blocks(self) -> bool:
        """Whether the service is not ready because of one of them."""
        return any(each.blocks for each in self._open.values())
