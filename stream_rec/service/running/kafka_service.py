"""The service on a broker: recover, join the group, answer for the assigned partitions, and leave in good order.

The thread that calls `run` is the consumer thread: it takes part in the group, reads, decodes and hands batches to the
pipeline. The follower thread asks what others have committed. All else about a batch, a commit or a snapshot is in the
rooms beside this one.
"""

import logging
import math
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from threading import Event, Thread
from time import monotonic
from typing import Final

from stream_rec.errors import (
    AssignmentLostError,
    MissingTopicError,
    RegistryUnavailableError,
    SettingsError,
    StreamRecError,
    TransportError,
)
from stream_rec.service.activity import Activity, Doing, Phase
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.problems import ProblemKind, Problems
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.service.running.gc_tuning import calm_collector, set_aside
from stream_rec.service.state import Lifecycle, ServiceState
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Partition

__all__ = ["KafkaService"]

log = logging.getLogger(__name__)

_OF_CONNECTING: Final = ("kafka.security.", "kafka.ssl.", "kafka.sasl.")
_OF_RIGHTS: Final = "kafka.sasl.username"
_HINT: Final = (
    "no broker has answered yet: is the address right, can this machine reach it, and is kafka.security.protocol what "
    "that listener speaks? One with TLS (SSL, SASL_SSL) may leave a client without it waiting, and the other way round"
)

Stop = Callable[[], bool]
OnTick = Callable[["KafkaService"], None]


class KafkaService:
    """The service. `run` it; `loop` is the consumer loop of now, or the last one.

    *connect* makes the components, and leaves with the stack that it is given what must be closed after them. With
    *serves_http* Python's collector stays as it is: a server leaves cycles with each request, which are to be collected
    while they are few (a request took 160 us in place of 100 where they were left until there were fifty thousand).
    """

    def __init__(
        self,
        connect: Callable[[ExitStack], ServiceComponents],
        *,
        serves_http: bool = False,
        timeouts: Timeouts = TIMEOUTS,
        problems: Problems | None = None,
    ) -> None:
        self.loop: ConsumerLoop | None = None
        self.problems = problems or Problems()
        self.activity = Activity()
        self.counters = Counters()
        self.metrics = ServiceMetrics()
        """How long things took, over all recoveries."""
        self.was_in_order = False
        """Whether all that was read was committed when it ended."""
        self._connect = connect
        self._serves_http = serves_http
        self._timeouts = timeouts
        self._seen: dict[Partition, int] = {}
        """The partitions that this process has found before, and where they began: a new one is one that was added."""
        self._lifecycle = Lifecycle(ServiceState.WAITING)

    @property
    def state(self) -> ServiceState:
        """What the service is doing now."""
        return self._lifecycle.state

    @property
    def is_ready(self) -> bool:
        """Whether the service answers."""
        return self._lifecycle.is_ready

    @property
    def doing(self) -> Doing:
        """The same in detail: how far it is, while it is not ready."""
        return self.activity.now([each.kind for each in self.problems.now if each.blocks])

    def run(self, stop: Stop, on_tick: OnTick = lambda _: None) -> None:
        """Serve until *stop* says so; *on_tick* is called several times a second.

        Waits for a broker that is away, and recovers when the group goes on without this process. Raises FencedError,
        TransportError where waiting does not help, and SettingsError: for one about connecting, only before the first
        connection.
        """
        with nullcontext() if self._serves_http else calm_collector():
            self._run(stop, on_tick)

    def _run(self, stop: Stop, on_tick: OnTick) -> None:
        first_wait_s = wait_s = self._timeouts.retry_first_wait_s
        hint_at = monotonic() + self._timeouts.hint_after_s
        self.activity.begin(Phase.BROKER)
        while not stop():
            on_tick(self)
            begun = monotonic()
            is_connected = False
            try:
                with ExitStack() as opened:
                    components = self._connect(opened)
                    is_connected = True
                    self._run_loop(components, stop, on_tick)
            except AssignmentLostError as error:
                log.warning("%s; recovering", error)
            except (TransportError, SettingsError) as error:
                if not self._may_pass(error):
                    raise
                if monotonic() - begun > self._timeouts.stable_after_s:
                    wait_s = first_wait_s
                if isinstance(error, MissingTopicError):
                    self.problems.begin(ProblemKind.TOPIC, f"{error}; waiting for it")
                    hint_at = math.inf  # a broker has answered
                else:
                    log.warning("%s; trying again in %.1f s", error, wait_s)
                if self.loop is None and monotonic() > hint_at:
                    hint_at = math.inf
                    log.warning(_HINT)
                self._wait(wait_s, _waits_for(error, is_connected=is_connected), stop, on_tick)
                wait_s = min(2 * wait_s, self._timeouts.retry_longest_wait_s)

    def _may_pass(self, error: TransportError | SettingsError) -> bool:
        """Whether waiting may help.

        Settings that have connected once are not wrong. A proxy without its broker hangs up amid a handshake, a
        certificate has expired, a password is replaced: what would end a start is then fixed at the broker, or passes.
        Missing rights stay for the operator to grant.
        """
        if isinstance(error, TransportError):
            return error.retriable
        return self.loop is not None and error.key.startswith(_OF_CONNECTING) and error.key != _OF_RIGHTS

    def _run_loop(self, components: ServiceComponents, stop: Stop, on_tick: OnTick) -> None:
        self._lifecycle.enter(ServiceState.RECOVERING)
        self.activity.begin(Phase.CLUSTER)
        begun = monotonic()
        loop = ConsumerLoop(
            components,
            stop,
            lambda: on_tick(self),
            self.counters,
            self.metrics,
            problems=self.problems,
            seen=self._seen,
            activity=self.activity,
        )
        for kind in (ProblemKind.TOPIC, ProblemKind.COMMITS):
            self.problems.end(kind)
        self.metrics.recoveries.record(monotonic() - begun)
        self.loop = loop
        set_aside()
        over = Event()
        Thread(target=self._follow, args=(loop, over), name="follower", daemon=True).start()
        in_order = False
        try:
            while not stop():
                loop.step(give_up=stop)
                if loop.assignment.generation:
                    self._lifecycle.enter(ServiceState.READY)
                    self.activity.begin(Phase.READY)
                on_tick(self)
            in_order = True
        finally:
            self._lifecycle.enter(ServiceState.STOPPING if in_order else ServiceState.RECOVERING)
            self.activity.begin(Phase.STOPPING if in_order else Phase.CLUSTER)
            try:
                on_tick(self)
            finally:
                over.set()
                self.was_in_order = loop.close(in_order=in_order)

    def _follow(self, loop: ConsumerLoop, over: Event) -> None:
        """Ask what others have committed, many times a second, and how far the log goes, now and then."""
        next_bounds = 0.0
        while not over.wait(self._timeouts.follow_every_s):
            try:
                loop.assignment.follow_others()
                if monotonic() >= next_bounds:
                    next_bounds = monotonic() + self._timeouts.bounds_every_s
                    loop.measure_lag()
            except StreamRecError as error:
                log.debug("the offsets of others are not known: %s", error)
            except Exception:
                # A bug, here or in a client: without this thread a replica would follow no other one any more.
                log.exception("following others failed, and is tried again")

    def _wait(self, seconds: float, phase: Phase, stop: Stop, on_tick: OnTick) -> None:
        if self.state is ServiceState.STOPPING:  # the last commits of a stop have failed
            return
        self._lifecycle.enter(ServiceState.WAITING)
        self.activity.begin(phase)
        until = monotonic() + seconds
        waiting = Event()
        while monotonic() < until and not stop():
            on_tick(self)
            waiting.wait(self._timeouts.retry_tick_s)


def _waits_for(error: TransportError | SettingsError, *, is_connected: bool) -> Phase:
    """Return what is waited for after *error*; with *is_connected* a broker had answered before it."""
    if isinstance(error, MissingTopicError):
        return Phase.TOPIC
    if isinstance(error, RegistryUnavailableError):
        return Phase.REGISTRY
    return Phase.CLUSTER if is_connected else Phase.BROKER
