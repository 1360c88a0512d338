"""A gate that lets any number of askers in side by side, or one writer alone.

An asker takes one workspace and puts it back. A writer holds all of them, so it waits until every asker is out; those
that come meanwhile wait at the gate. So the count of askers is the stock of workspaces, and going in and out costs two
operations on a deque, which are atomic with and without the interpreter's lock.

After a write the gate stays shut, with no thread inside. The next asker has the index settled and opens it: a stream of
writes pays nothing for askers that do not come. Threads take turns: all askers that wait, then one writer.

Knows nothing of engines.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, get_ident
from types import TracebackType
from typing import Final
from weakref import ref

from stream_rec.core.index import Workspace
from stream_rec.errors import TornStateError
from stream_rec.guard.forks import watch

__all__ = ["Gate"]

_NONE: Final[deque[Workspace]] = deque()
"""What askers find at a shut gate: always empty."""
_LOOK_AGAIN_S: Final = 0.5
"""A writer waits so long for a workspace that was lost: an exception in another thread may come between two steps."""

_FORKED: Final = (
    "this process was forked while another thread wrote to the engine, and has half of that write: load a snapshot, "
    "or make the engine after the fork"
)
_INTERRUPTED: Final = "a write was interrupted half-way ({}): load a snapshot, fit again, or replay the log"


class _Visit:
    """One thread that wants in, and may have to wait."""

    __slots__ = ("_lock", "thread", "workspace")

    def __init__(self) -> None:
        self.thread = get_ident()
        self.workspace: Workspace | None = None
        self._lock: Lock | None = None
        """Made only by those that wait."""

    def prepare(self) -> None:
        """Make ready to wait; under the guard, before another thread can call `wake`."""
        self._lock = Lock()
        self._lock.acquire()

    def wait(self, seconds: float = -1.0) -> bool:
        """Wait until `wake`, at most *seconds*; return whether it came."""
        return self._lock is None or self._lock.acquire(timeout=seconds)

    def wake(self) -> None:
        """End the wait, if there is one."""
        if self._lock is not None:
            self._lock.release()


class _Writing(_Visit):
    """The visit of a writer, as a context."""

    __slots__ = ("_gate", "_settle")

    def __init__(self, gate: "Gate", settle: Callable[[], None]) -> None:
        super().__init__()
        self._gate = gate
        self._settle = settle

    def __enter__(self) -> None:
        try:
            self._gate.enter(self)
        except BaseException:
            self._gate.leave(self, self._settle, None)
            raise

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._gate.leave(self, self._settle, error)


class Gate:
    """Counts askers by their workspaces, and holds all of these for a writer.

    An asker must do this, and nothing else in between that may raise:

        try:
            workspace = gate.open.pop()
        except IndexError:
            workspace = gate.wait(settle)
        try: ...
        finally:
            gate.home.append(workspace)
            if gate.is_shut:
                gate.on_return()

    *settle* is called with no other thread inside, after a write and before the first asker. A thread that is inside
    must not ask to write, and the writer must not ask: the latter raises RuntimeError.
    """

    __slots__ = (
        "__weakref__",
        "_guard",
        "_held",
        "_is_inside",
        "_known",
        "_readers",
        "_torn",
        "_writer",
        "_writers",
        "home",
        "is_shut",
        "open",
    )

    def __init__(self) -> None:
        self.home: deque[Workspace] = deque()
        """The workspaces of askers that are out, if the gate is open."""
        self.open = _NONE
        """`home`, or an empty deque if the gate is shut."""
        self.is_shut = True
        self._reset()
        self._torn: str | None = None
        """Why the state is lost."""
        watch(self)

    def _reset(self) -> None:
        self._guard = Lock()
        """Held for some steps at a time; everything below changes under it only."""
        self._known: set[ref[Workspace]] = set()
        """All workspaces, in use or not."""
        self._held: list[Workspace] = []
        """The workspaces in the hands of the gate while it is shut."""
        self._writer: _Visit | None = None
        """Who writes, or will as soon as all askers are out."""
        self._is_inside = False
        """Whether the writer is inside, or `settle` runs."""
        self._readers: deque[_Visit] = deque()
        self._writers: deque[_Visit] = deque()
        """Behind the present writer."""

    # --- askers

    def wait(self, settle: Callable[[], None]) -> Workspace:
        """Return a workspace as soon as no writer is inside. Raises TornStateError."""
        with self._guard:
            self._refuse_torn()
            if self._writer is None:
                if self.is_shut:
                    self._settle(settle)  # planted bug: never-settled
                    self._reopen()
                try:
                    return self.home.pop()
                except IndexError:
                    return self._new()
            self._refuse_nesting()
            visit = _Visit()
            visit.prepare()
            self._readers.append(visit)
        try:
            visit.wait()
        except BaseException:
            with self._guard:
                if visit in self._readers:
                    self._readers.remove(visit)
            raise  # a workspace that it got meanwhile is lost with it
        if visit.workspace is None:
            raise TornStateError(str(self._torn))
        return visit.workspace

    def on_return(self) -> None:
        """Let the writer in if this was the last workspace that it waits for."""
        with self._guard:
            self._collect()
            self._let_writer_in()

    @contextmanager
    def asking(self, settle: Callable[[], None]) -> Iterator[Workspace]:
        """Give a workspace, as the protocol of this class does; for what is not asked a million times."""
        try:
            workspace = self.open.pop()
        except IndexError:
            workspace = self.wait(settle)
        try:
            yield workspace
        finally:
            self.home.append(workspace)
            if self.is_shut:
                self.on_return()

    # --- writers

    def writing(self, settle: Callable[[], None]) -> "_Writing":
        """Return a context in which its thread is inside alone.

        An exception that may come at any place (Ctrl-C, no memory) leaves the state torn.
        """
        return _Writing(self, settle)

    def enter(self, visit: _Visit) -> None:
        """Return as soon as all askers are out, and the writers that came before. Raises TornStateError."""
        with self._guard:
            self._refuse_torn()
            if self._writer is None:
                self._writer = visit
                self.is_shut, self.open = True, _NONE
                self._collect()
                if self._has_all():
                    self._is_inside = True
                    return
            else:
                self._refuse_nesting()
                self._writers.append(visit)
            visit.prepare()
        while not visit.wait(_LOOK_AGAIN_S):
            self.on_return()
        self._refuse_torn()

    def leave(self, visit: _Visit, settle: Callable[[], None], error: BaseException | None) -> None:
        """Let in the askers that wait, and then the next writer; with neither the gate stays shut.

        *error* ended the write.
        """
        if error is not None and (not isinstance(error, Exception) or isinstance(error, MemoryError)):
            self._torn = _INTERRUPTED.format(type(error).__name__)
        with self._guard:
            if visit in self._writers:
                self._writers.remove(visit)
            if self._writer is not visit:  # it never was the writer
                return
            self._is_inside = False
            self._writer = None
            if self._readers:
                self._let_askers_in(settle)
            if self._writers:
                self._writer = self._writers.popleft()
                self._let_writer_in()
            elif not self._has_all():
                self._reopen()

    def _let_askers_in(self, settle: Callable[[], None]) -> None:
        if self._torn is None and self._has_all():  # else askers are inside: then it is settled
            self._settle(settle)
        while self._readers:
            visit = self._readers.popleft()
            if self._torn is None:
                visit.workspace = self._held.pop() if self._held else self._new()
            visit.wake()

    def _let_writer_in(self) -> None:
        """Let the writer in if it waits, and all askers are out."""
        if self._writer is not None and not self._is_inside and self._has_all():
            self._is_inside = True
            self._writer.wake()

    # --- steps, under the guard

    def _settle(self, settle: Callable[[], None]) -> None:
        self._is_inside = True
        settle()
        self._is_inside = False

    def _collect(self) -> None:
        """Take the workspaces that have come home; askers may still be bringing others."""
        if not self.is_shut:
            return
        try:
            while True:
                self._held.append(self.home.pop())
        except IndexError:
            pass

    def _has_all(self) -> bool:
        return len(self._held) >= len(self._known)  # planted bug: writer-does-not-wait

    def _reopen(self) -> None:
        self.home.extend(self._held)
        self._held.clear()
        self.is_shut = False
        self.open = self.home

    def _new(self) -> Workspace:
        workspace = Workspace()
        self._known.add(ref(workspace, self._known.discard))
        return workspace

    def _refuse_torn(self) -> None:
        if self._torn is not None:
            raise TornStateError(self._torn)

    def _refuse_nesting(self) -> None:
        if self._writer is not None and self._writer.thread == get_ident():
            raise RuntimeError(
                "the engine was used from inside one of its own writes (by a callback or a signal handler): "
                "do it after the write"
            )

    # --- forks

    def after_fork(self) -> None:
        """Go on in the child: only the thread that forked is there, so all others are out, and none waits."""
        mine = self._writer if self._writer is not None and self._writer.thread == get_ident() else None
        if self._is_inside and mine is None:
            self._torn = _FORKED
        self.home.clear()
        self.is_shut, self.open = True, _NONE
        self._reset()
        if mine is not None:
            self._writer, self._is_inside = mine, True
