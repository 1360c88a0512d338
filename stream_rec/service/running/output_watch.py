"""Whether another group writes answers for the same events into the same topic.

Every answer in a topic names its group in a header. Now and then the newest records of the topic are read, as any
reader of it would. What was there before the service started is not looked at: the group may have been renamed. On a
thread of its own, since reading may wait.
"""

import logging
from threading import Event, Thread
from time import monotonic
from typing import Final

import msgspec

from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.service.committing.destinations import GROUP_HEADER
from stream_rec.service.problems import ProblemKind, Problems
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Broker, Partition, Reader
from stream_rec.transport.records import Record

__all__ = ["OutputWatch"]

log = logging.getLogger(__name__)

_MOST: Final = 100  # offsets of a partition that are looked at
_QUIET: Final = 6  # looks without another group's answers, after which it is taken to have ended


class _Seen(msgspec.Struct):
    """What an answer says of its origin."""

    offsets: dict[str, int] = {}


_DECODE: Final = msgspec.json.Decoder(_Seen).decode


class OutputWatch:
    """Looks at the topic of answers *output* for groups other than *group* that answer the topic *events*.

    `start` it, or call `look`, from one thread; then `close` it.
    """

    def __init__(
        self, broker: Broker, output: str, group: str, events: str, problems: Problems, timeouts: Timeouts = TIMEOUTS
    ) -> None:
        self._broker = broker
        self._output = output
        self._group = group.encode()
        self._events = events
        self._problems = problems
        self._timeouts = timeouts
        self._ends: dict[Partition, int] | None = None
        self._reader: Reader | None = None
        self._n_quiet = 0
        self._over = Event()

    def start(self) -> None:
        """Look every few seconds, on a thread of its own."""
        Thread(target=self._run, name="output watch", daemon=True).start()

    def close(self) -> None:
        """End the thread soon."""
        self._over.set()

    def look(self) -> None:
        """Look at what was written since the last look. Raises StreamRecError."""
        bounds = self._broker.bounds(self._broker.partitions(self._output))
        before, self._ends = self._ends, {partition: end for partition, (_, end) in bounds.items()}
        if before is None:
            return
        grown = {
            partition: max(first, end - _MOST, before.get(partition, first))
            for partition, (first, end) in bounds.items()
            if end > before.get(partition, first)
        }
        others = self._other_groups(grown) if grown else set()
        if others:
            self._n_quiet = 0
            names = ", ".join(sorted(repr(each.decode(errors="replace")) for each in others))
            self._problems.begin(
                ProblemKind.OUTPUT,
                f"the group {names} writes answers for {self._events} into {self._output} too, so each event is "
                "answered twice: stop one of the two, or give it a topic of its own (--recommendations)",
            )
        else:
            self._n_quiet += 1
            if self._n_quiet >= _QUIET:
                self._problems.end(ProblemKind.OUTPUT)

    def _other_groups(self, grown: dict[Partition, int]) -> set[bytes]:
        reader = self._reader = self._reader or self._broker.reader()
        reader.assign(grown)
        ends = self._ends or {}
        until = monotonic() + self._timeouts.output_watch_read_s
        others: set[bytes] = set()
        try:
            while monotonic() < until and any(reader.positions[each] < ends[each] for each in grown):
                for records in reader.poll(_MOST, self._timeouts.replay_poll_s).values():
                    others.update(group for record in records if (group := self._other_group(record)) is not None)
        finally:
            reader.assign({})
        return others

    def _other_group(self, record: Record) -> bytes | None:
        group = dict(record.headers).get(GROUP_HEADER)
        if group is None or group == self._group:
            return None
        try:
            offsets = _DECODE(record.value).offsets
        except msgspec.MsgspecError:
            return None
        return group if any(label.rpartition("-")[0] == self._events for label in offsets) else None

    def _run(self) -> None:
        try:
            while not self._over.wait(self._timeouts.output_watch_s):
                try:
                    self.look()
                except SettingsError as error:
                    # Who writes answers need not be allowed to read them.
                    log.info("other groups that write to %s would not be noticed: %s", self._output, error)
                    return
                except StreamRecError as error:
                    log.debug("who writes to %s is not known: %s", self._output, error)
                except Exception:  # the end of the thread would be the end of the watch
                    log.exception("looking at %s failed, and is tried again", self._output)
        finally:
            if self._reader is not None:
                self._reader.close()
