"""The service on a broker: recover, join the group, answer for what it gives us, and leave in good order.

The thread that calls `run` is the consumer: it keeps the seat, reads, decodes and hands batches to the pipeline.
Another one looks at what others have committed. All else about a batch, a commit or a snapshot is in the rooms beside
this one.
"""

import logging
import math
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from stream_rec.core.catalogue import Catalogue
from stream_rec.errors import AssignmentLostError, SettingsError, StreamRecError, TransportError
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.service.running.gc_tuning import calm_collector, set_aside

if TYPE_CHECKING:
    from stream_rec.service.metrics.tracing import Tracing

__all__ = ["WAITING", "KafkaService"]

log = logging.getLogger(__name__)

_FOLLOW_EVERY_S: Final = 0.1
_FIRST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 10.0
_LONG_LIFE_S: Final = 60.0  # a failure after this is a new one
_BOUNDS_EVERY_S: Final = 2.0
WAITING: Final = "waiting for the broker"
_OF_CONNECTING: Final = ("kafka.security.", "kafka.ssl.", "kafka.sasl.")
_OF_RIGHTS: Final = "kafka.sasl.username"
_HINT_AFTER_S: Final = 30.0
_HINT: Final = (
    "no broker has answered yet: is the address right, can this machine reach it, and is kafka.security.protocol what "
    "that listener speaks? One with TLS (SSL, SASL_SSL) may leave a client without it waiting, and the other way round"
)


class KafkaService:
    """The service. `run` it; `life` is what it is doing now, `state` says it in words.

    *connect* makes the parts, and leaves with the stack that it is given what must be closed after them.
    """

    def __init__(self, connect: Callable[[ExitStack], ServiceComponents], tracing: "Tracing | None" = None) -> None:
        self.life: ConsumerLoop | None = None
        self.state = WAITING
        self.counts = Counters()
        self.metrics = ServiceMetrics()
        """How long things took, over all lives."""
        self.tracing = tracing
        """What sends spans, for who has more to send."""
        self.catalogue: Callable[[], Catalogue | None] = lambda: None
        """What is known of items, for who has more to tell of them."""
        self.serves_others = False
        """Whether a server runs beside it. It leaves cycles with each request, which are to be collected while they
        are few: a request took 160 us in place of 100 where they were left until there were fifty thousand."""
        self.was_in_order = False
        """Whether all that was read was committed when it ended."""
        self._connect = connect

    def run(self, stop: Callable[[], bool], watch: Callable[["KafkaService"], None] = lambda _: None) -> None:
        """Serve until told to *stop*; *watch* is called several times a second.

        Waits for a broker that is away, and recovers when the group goes on without us. Raises FencedError,
        TransportError for what waiting does not help, and SettingsError: for what has to do with connecting, only
        before it was connected for the first time.
        """
        with nullcontext() if self.serves_others else calm_collector():
            self._run(stop, watch)

    def _run(self, stop: Callable[[], bool], watch: Callable[["KafkaService"], None]) -> None:
        wait_s = _FIRST_WAIT_S
        hint_at = monotonic() + _HINT_AFTER_S
        while not stop():
            watch(self)
            begun = monotonic()
            try:
                with ExitStack() as opened:
                    self._live(self._connect(opened), stop, watch)
            except AssignmentLostError as error:
                log.warning("%s; recovering", error)
            except (TransportError, SettingsError) as error:
                if not self._may_pass(error):
                    raise
                if monotonic() - begun > _LONG_LIFE_S:
                    wait_s = _FIRST_WAIT_S
                log.warning("%s; trying again in %.1f s", error, wait_s)
                if self.life is None and monotonic() > hint_at:
                    hint_at = math.inf
                    log.warning(_HINT)
                self.state = WAITING
                self._pause(wait_s, stop, watch)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _may_pass(self, error: TransportError | SettingsError) -> bool:
        """Whether waiting may help.

        Settings that have connected us once are not wrong. A proxy without its broker hangs up amid a handshake, a
        certificate has ended, a password is replaced: what a start would have to give up for is somebody's to mend on
        the other side, or mends itself. What we are not allowed to do stays a matter of the operator's.
        """
        if isinstance(error, TransportError):
            return error.retriable
        return self.life is not None and error.key.startswith(_OF_CONNECTING) and error.key != _OF_RIGHTS

    def _live(
        self, parts: ServiceComponents, stop: Callable[[], bool], watch: Callable[["KafkaService"], None]
    ) -> None:
        self.state = "recovering"
        begun = monotonic()
        life = ConsumerLoop(parts, stop, lambda: watch(self), self.counts, self.metrics)
        self.metrics.recoveries.record(monotonic() - begun)
        self.life = life
        set_aside()
        over = Event()
        Thread(target=self._look_around, args=(life, over), name="follower", daemon=True).start()
        in_order = False
        try:
            while not stop():
                life.step(give_up=stop)
                self.state = "ready" if life.assignment.generation else "recovering"
                watch(self)
            in_order = True
        finally:
            self.state = "stopping" if in_order else "recovering"
            try:
                watch(self)
            finally:
                over.set()
                self.was_in_order = life.close(in_order=in_order)

    @staticmethod
    def _look_around(life: ConsumerLoop, over: Event) -> None:
        """See to what others have committed, many times a second, and to how far the log goes, now and then."""
        next_bounds = 0.0
        while not over.wait(_FOLLOW_EVERY_S):
            try:
                life.assignment.look_at_others()
                if monotonic() >= next_bounds:
                    next_bounds = monotonic() + _BOUNDS_EVERY_S
                    life.look_around()
            except StreamRecError as error:
                log.debug("what others do is not known: %s", error)

    def _pause(self, seconds: float, stop: Callable[[], bool], watch: Callable[["KafkaService"], None]) -> None:
        until = monotonic() + seconds
        waiting = Event()
        while monotonic() < until and not stop():
            watch(self)
            waiting.wait(0.1)
