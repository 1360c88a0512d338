"""Translate librdkafka's errors: by code, with the operator's next step. Secrets stay out of the texts.

It connects on threads of its own, and a call that waits for a connection only times out: a callback got the reason
before. So each part remembers the reason (`Trouble`), and a timeout is explained by it.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from stream_rec.errors import AssignmentLostError, SettingsError, StreamRecError, TransportError
from stream_rec.transport.kafka.config import Config
from stream_rec.transport.kafka.refusals import fenced, fenced_member, not_allowed, refused_credentials
from stream_rec.transport.kafka.untyped import Untyped

__all__ = ["CLIENT_ERRORS", "LibrdkafkaErrors", "Trouble"]

# SystemError is what a call raises for a fatal error if the client called back during it.
CLIENT_ERRORS: Final = (KafkaException, RuntimeError, ValueError, BufferError, SystemError)
log: Final = logging.getLogger("stream_rec.transport.kafka.librdkafka")
# Without a log, as in `stream-rec check`, Python would print each failed connection; the error says it once.
log.addHandler(logging.NullHandler())

_REFUSED: Final = frozenset({
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
    KafkaError._AUTHENTICATION,  # noqa: SLF001 (their name for what librdkafka finds itself)
})  # fmt: skip
_NOT_ALLOWED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_FENCED: Final = frozenset({
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError._FENCED,  # noqa: SLF001
})  # fmt: skip
_ASSIGNMENT_LOST: Final = frozenset({
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001
    KafkaError._NO_OFFSET,  # noqa: SLF001
})  # fmt: skip
_SSL: Final = frozenset({KafkaError._SSL})  # noqa: SLF001
_TLS_FAILED: Final = "SSL handshake failed"
_AWAY: Final = frozenset({
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
})  # fmt: skip
_BY_TRYING_AGAIN: Final = _AWAY | frozenset({
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
    KafkaError._WAIT_COORD,  # noqa: SLF001
    KafkaError._IN_PROGRESS,  # noqa: SLF001
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
    KafkaError._STATE,  # noqa: SLF001
    # A broker of the cluster goes or comes, and what waited for it is given up.
    KafkaError._DESTROY_BROKER,  # noqa: SLF001
    KafkaError._NODE_UPDATE,  # noqa: SLF001
    KafkaError._PREV_IN_PROGRESS,  # noqa: SLF001
    KafkaError._RETRY,  # noqa: SLF001
    KafkaError._UNKNOWN_BROKER,  # noqa: SLF001
    KafkaError._WAIT_CACHE,  # noqa: SLF001
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.UNKNOWN_PRODUCER_ID,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError.CONCURRENT_TRANSACTIONS,
})  # fmt: skip


_LEARNED: Final = re.compile(r"(?:\w+://)?(?P<host>[^\s/]+):(?P<port>\d+)/\d+: ")
"""How an error begins that is about an address which a broker named, with its number: bootstrap servers have none."""


class Trouble:
    """The errors of one part's connections. librdkafka calls it on the thread that waits for the part."""

    def __init__(self) -> None:
        self.connection: Untyped = None
        """The last error that prevents a connection; None again once the broker has answered (`clear`)."""
        self.fatal: Untyped = None
        """The error that has ended the part: its calls only say that there is one."""
        self.advertised: set[tuple[str, int]] = set()
        """Addresses, learned from a broker, at which there was no connection."""
        self._is_away = False

    def __call__(self, error: Untyped) -> None:
        """Remember *error*, which librdkafka reports."""
        log.debug("%s", error.str())
        # Where the other side does not speak TLS at all, only the text says what was tried.
        if error.code() in _REFUSED | _SSL or _TLS_FAILED in error.str():
            self.connection = error
        found = _LEARNED.match(error.str())
        if found is not None:
            self.advertised.add((found["host"].strip("[]"), int(found["port"])))
        if error.code() in _AWAY:
            self._is_away = True
        if error.fatal():
            self.fatal = error

    def clear(self) -> None:
        """A call has had its answer: the error before it explains no later timeout."""
        self.connection = None

    def pop_away(self) -> bool:
        """Whether all brokers went away since the last call."""
        was_away, self._is_away = self._is_away, False
        return was_away


class LibrdkafkaErrors:
    """Translates errors of librdkafka; *config* holds the settings to blame, and the secrets to hide."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @contextmanager
    def during(self, what: str, trouble: Trouble | None = None) -> Iterator[None]:
        """Translate errors of this block, which does *what*."""
        try:
            yield
        except StreamRecError:
            raise
        except CLIENT_ERRORS as error:
            raise self.translated(error, what, trouble) from None

    def translated(self, error: Untyped, what: str, trouble: Trouble | None = None) -> StreamRecError:
        """*error*, which came up while doing *what*, as one of ours."""
        if isinstance(error, SystemError):
            error = error.__cause__ or error
        if isinstance(error, KafkaException):
            error = error.args[0]
        if not isinstance(error, KafkaError):
            return TransportError(self._config.hide(f"{what}: {error}"))
        if error.code() in _BY_TRYING_AGAIN and trouble is not None and trouble.connection is not None:
            error = trouble.connection
        if error.code() == KafkaError._FATAL and trouble is not None and trouble.fatal is not None:  # noqa: SLF001
            error = trouble.fatal
        text = self._config.hide(f"{what}: {error.str() or error.name()}")
        for codes, make in self._makers():
            if error.code() in codes:
                return make(text)
        if _TLS_FAILED in text:
            return self._no_tls(text)
        # The code of a fatal error says that it is one, and only the text which.
        if error.code() == KafkaError._FATAL and "fenced" in text:  # noqa: SLF001
            return fenced(text)
        return TransportError(text, retriable=error.code() in _BY_TRYING_AGAIN or error.retriable())

    def _makers(self) -> list[tuple[frozenset[int], Callable[[str], StreamRecError]]]:
        return [
            (_REFUSED, self._refused),
            (_NOT_ALLOWED, self._not_allowed),
            (_FENCED, fenced),
            (frozenset({KafkaError.FENCED_INSTANCE_ID}), fenced_member),
            (_ASSIGNMENT_LOST, AssignmentLostError),
            (_SSL, self._no_tls),
        ]

    def _refused(self, text: str) -> StreamRecError:
        mechanism = self._config.get("sasl.mechanism") or self._config.get("sasl.mechanisms")
        return refused_credentials(text, mechanism)

    def _not_allowed(self, text: str) -> StreamRecError:
        return not_allowed(text, self._config.get("sasl.username"))

    @staticmethod
    def _no_tls(text: str) -> StreamRecError:
        if "certificate" in text:
            return SettingsError("kafka.ssl.ca.location", f"{text}; name the file of certificates to trust")
        return SettingsError("kafka.security.protocol", f"{text}; is it a listener without TLS?")
