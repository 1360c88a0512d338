"""What the members of both Kafka clients share: the assignment as of the last `poll`. Knows no client."""

from collections.abc import Sequence

from stream_rec.transport.broker import OnRevoked, Partition
from stream_rec.transport.timeouts import TransportTimeouts

__all__ = ["KafkaMember"]


class KafkaMember:
    """The part of `Member` that reads; a subclass joins, polls and changes it."""

    def __init__(self, topics: Sequence[str], on_revoked: OnRevoked, timeouts: TransportTimeouts) -> None:
        self._topics = list(topics)
        self._on_revoked = on_revoked
        self._timeouts = timeouts
        self._owned: frozenset[Partition] = frozenset()
        self._generation = 0
        self._group_metadata: object = None

    @property
    def owned(self) -> frozenset[Partition]:
        """As of the last `poll`."""
        return self._owned

    @property
    def generation(self) -> int:
        """Counted here: the client's own is not public."""
        return self._generation

    @property
    def group_metadata(self) -> object:
        """As of the assignment: where the group goes on without this member, the broker refuses it."""
        return self._group_metadata
