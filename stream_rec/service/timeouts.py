"""The times of the service: how long it waits for what, and how often it does what.

`assembly` passes one `Timeouts` to all that it makes; a test passes one of its own. Those of the Kafka clients are
the transport's (`TransportTimeouts`).
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["TIMEOUTS", "Timeouts"]


@dataclass(frozen=True)
class Timeouts:
    """Seconds, but where the name says milliseconds."""

    # The consumer thread

    poll_s: float = 0.05
    """How long one turn of the consumer thread waits for records."""

    member_poll_every_s: float = 0.1
    """How often the consumer thread takes part in the consumer group."""

    drain_s: float = 5.0
    """How long a rebalance may wait for the commit of revoked partitions: half of what the group grants by default."""

    patience_s: float = 60.0
    """How long the others wait for a partition whose leader does not answer. Going on without it makes events late."""

    positions_every_s: float = 0.2
    """How often the reader is asked how far it has come, behind records that are never returned."""

    replay_poll_s: float = 0.05
    """How long a recovery, or a run over a topic that ends, waits for records at a time."""

    # The recommender thread and the publisher thread

    queue_tick_s: float = 0.2
    """How long a thread waits at a queue before it looks whether it must end."""

    outbox_tick_s: float = 0.01
    """The same for the recommender thread while the outbox is full: between two ticks it answers requests."""

    silent_commit_s: float = 0.1
    """How long a commit without records to send waits for more: a transaction costs as much as some hundred records."""

    commit_first_wait_s: float = 0.05
    """The wait before a failed commit is tried again; each further wait is twice as long, ..."""

    commit_longest_wait_s: float = 2.0
    """... up to this."""

    # Snapshots

    snapshot_poll_s: float = 0.02
    """How often a snapshot looks whether its offsets are committed."""

    snapshot_longest_wait_s: float = 60.0
    """After this time without that commit the snapshot is dropped."""

    forget_within_s: float = 5.0
    """How soon after an order to forget a snapshot is written, and the older ones are removed."""

    # Starts, failures and stops of the service on a broker

    retry_first_wait_s: float = 0.25
    """The wait after the first failure to connect or to recover; each further wait is twice as long, ..."""

    retry_longest_wait_s: float = 10.0
    """... up to this."""

    retry_tick_s: float = 0.1
    """How often the service looks, while it waits, whether it must stop."""

    stable_after_s: float = 60.0
    """A failure after this time is a new one: the waits begin again with the first."""

    hint_after_s: float = 30.0
    """When the log says what may be wrong with the address of a broker that has never answered."""

    output_watch_s: float = 10.0
    """How often the topic of answers is looked at for another group's."""

    output_watch_read_s: float = 2.0
    """How long such a look may take."""

    follow_every_s: float = 0.1
    """How often the follower thread asks for what other replicas have committed."""

    bounds_every_s: float = 2.0
    """How often the follower thread asks how far the log goes, and whether it has got more partitions."""

    added_partitions_s: float = 30.0
    """How long the group may take to assign partitions that were added; after that, the service is not ready."""

    share_out_s: float = 30.0
    """How long the group may take to take in the member that makes it share out its partitions again."""

    close_s: float = 6.0
    """How long a stop may wait for commits and for a last snapshot: of the ten seconds that a stop may take."""

    snapshot_close_s: float = 1.0
    """How long a failed recovery or consumer loop waits for a snapshot: its commits will not come any more."""

    overtime_s: float = 9.5
    """When a stop that takes too long ends the process: of the ten seconds before container engines kill it."""

    overtime_tick_s: float = 0.1
    """How often it is looked whether a stop was requested."""

    named_transaction_ms: int = 60_000
    """How long the broker keeps an open transaction of a writer with a lasting name: its next start ends it."""

    # The standalone service

    flush_every_s: float = 0.2
    """How often its sinks are flushed, and tried again where that fails."""

    journal_retry_s: float = 1.0
    """How often a journal that cannot be written is tried again, while no event comes."""

    # Reports

    status_every_s: float = 1.0
    """How often the status file is written, and the engine's figures are taken."""

    list_names_every_s: float = 60.0
    """How often the names of the deny and allow lists are looked up among the items."""

    status_stale_after_s: float = 10.0
    """A status file that is older than this is of a service that hangs."""

    log_every_s: float = 30.0
    """How often the log says how the service is doing, where its state has not changed."""

    activity_log_every_s: float = 10.0
    """The same, while the service is not ready."""

    tracing_close_s: float = 1.0
    """How long a stop waits for the last spans to be sent."""

    # Events over HTTP, into a topic

    ingest_tick_s: float = 0.2
    """How long the ingest thread waits for events before it looks whether it must end."""

    ingest_retry_s: float = 1.0
    """How long after a failure the next one tries to connect."""

    ingest_close_s: float = 3.0
    """How long a stop waits for events that are not written yet."""

    # The catalogue

    catalogue_every_s: float = 0.25
    """How often a catalogue's file is looked at."""

    catalogue_poll_s: float = 0.2
    """How long a catalogue's topic is waited for at a time."""

    catalogue_retry_s: float = 2.0
    """The wait after a failure to read the catalogue, and how long a stop waits for its thread."""

    catalogue_load_s: float = 120.0
    """A topic that brings nothing for so long before its end is given up."""


TIMEOUTS: Final = Timeouts()
"""The values of a service in use."""
