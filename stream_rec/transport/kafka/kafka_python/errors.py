"""Translate kafka-python's errors: by class, with the operator's next step. Secrets stay out of the texts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import kafka.errors as theirs

from stream_rec.errors import AssignmentLostError, SettingsError, StreamRecError, TransportError
from stream_rec.transport.kafka.config import Config
from stream_rec.transport.kafka.kafka_python.config import connection
from stream_rec.transport.kafka.kafka_python.diagnosis import diagnose
from stream_rec.transport.kafka.reach import why_unreachable
from stream_rec.transport.kafka.refusals import fenced, fenced_member, not_allowed, refused_credentials
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.timeouts import TransportTimeouts

__all__ = ["KafkaPythonErrors"]

_REFUSED: Final = (
    theirs.SaslAuthenticationFailedError,
    theirs.UnsupportedSaslMechanismError,
    theirs.IllegalSaslStateError,
)
_FENCED: Final = (theirs.ProducerFencedError, theirs.InvalidProducerEpochError)
_ASSIGNMENT_LOST: Final = (
    theirs.CommitFailedError,
    theirs.IllegalGenerationError,
    theirs.UnknownMemberIdError,
    theirs.RebalanceInProgressError,
)
# The session, or the whole client, is in a state that only a new one leaves.
_BY_TRYING_AGAIN: Final = (
    theirs.KafkaConnectionError,
    theirs.KafkaTimeoutError,
    theirs.InvalidReceiveError,
    theirs.UnknownBrokerIdError,  # -1: a partition's leader, while its broker starts
    OSError,
)
_OF_ONE_PRODUCER: Final = (
    theirs.TransactionAbortedError,
    theirs.OutOfOrderSequenceNumberError,
    theirs.UnknownProducerIdError,
)


class KafkaPythonErrors:
    """Translates errors of kafka-python; *config* holds the settings to blame, and the secrets to hide."""

    def __init__(self, servers: str, config: Config, timeouts: TransportTimeouts) -> None:
        self._servers = servers
        self._timeouts = timeouts
        self._config = config

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Translate errors of this block, which does *what*."""
        try:
            yield
        except StreamRecError:
            raise
        except (theirs.KafkaError, OSError, ValueError, RuntimeError) as error:
            raise self.translated(error, what) from None

    def translated(self, error: BaseException, what: str) -> StreamRecError:
        """*error*, which came up while doing *what*, as one of ours."""
        if isinstance(error, StreamRecError):
            return error
        text = self._config.hide(f"{what}: {error}")
        for classes, make in self._makers():
            if isinstance(error, classes):
                return make(text)
        again = isinstance(error, (*_BY_TRYING_AGAIN, *_OF_ONE_PRODUCER)) or bool(getattr(error, "retriable", False))
        return TransportError(text, retriable=again)

    def unreachable(self, error: BaseException, settings: Mapping[str, Untyped]) -> StreamRecError:
        """*error* of a first connection, made with *settings*; the client does not report every reason for it."""
        found = self.translated(error, f"{self._servers} cannot be reached")
        if not (isinstance(found, TransportError) and found.retriable):
            return found
        reason = diagnose(self._servers, settings, self._timeouts.diagnosis_s)
        if reason is not None:
            return self.translated(reason, f"{self._servers} cannot be reached")
        why = why_unreachable(self._servers, settings.get("security_protocol"), self._timeouts.diagnosis_s)
        return TransportError(f"{self._servers} cannot be reached: {why}", retriable=True)

    def _makers(self) -> list[tuple[type | tuple[type, ...], Callable[[str], StreamRecError]]]:
        return [
            (_REFUSED, self._refused),
            (theirs.AuthorizationError, self._not_allowed),
            (theirs.KafkaConfigurationError, lambda text: SettingsError("kafka", text)),
            (_FENCED, fenced),
            (theirs.FencedInstanceIdError, fenced_member),
            (_ASSIGNMENT_LOST, AssignmentLostError),
            (theirs.UnsupportedCodecError, self._no_codec),
        ]

    def _refused(self, text: str) -> StreamRecError:
        return refused_credentials(text, connection(self._config)[1])

    def _not_allowed(self, text: str) -> StreamRecError:
        return not_allowed(text, self._config.get("sasl.username") or self._config.get("sasl_plain_username"))

    @staticmethod
    def _no_codec(text: str) -> StreamRecError:
        return TransportError(
            f"{text}: pip install 'stream-rec[codecs]', or take --kafka-client confluent, which has them built in"
        )
