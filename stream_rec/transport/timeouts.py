"""Every time that the transport waits by: timeouts, polling intervals, backoffs.

One frozen object, passed in by constructor, so that a test gives short times and patches nothing. An operator's own
`[kafka]` settings come before the times that are settings of a client (marked *client setting*).
"""

from dataclasses import dataclass

__all__ = ["TransportTimeouts", "milliseconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportTimeouts:
    """In seconds. The defaults are those of a service; tests make them shorter."""

    # --- how long an answer may take

    answer_s: float = 10.0
    """Of one request to a broker: about topics, offsets, a commit, the end of a transaction."""

    first_answer_s: float = 5.0
    """Of the first request: a broker that is away is reported soon, and the caller decides whether to try again."""

    request_s: float = 8.0
    """One try of a producer's request, with kafka-python; less than `answer_s`, so that there is a second one."""

    bounds_s: float = 2.0
    """The bounds of its partitions, when an idle reader asks for them."""

    grace_s: float = 1.0
    """Waited beyond a time that the client was given: it keeps to the time only while it is connected."""

    close_s: float = 1.0
    """For a producer or a reader to close; what has not arrived by then is dropped."""

    diagnosis_s: float = 3.0
    """For one connection by hand, which finds out why kafka-python could not connect."""

    token_s: float = 10.0
    """For the token endpoint of OAuth."""

    # --- how long something stays valid

    transaction_s: float = 10.0
    """*Client setting.* An open transaction; then the broker aborts it."""

    session_s: float = 10.0
    """*Client setting.* A membership without heartbeats; then the group gives its partitions to others."""

    poll_gap_s: float = 10.0
    """Between two calls of `Member.poll`, with kafka-python; then the member takes no part in rebalances."""

    metadata_age_s: float = 60.0
    """*Client setting.* What a kafka-python reader knows about topics, before it asks again."""

    partitions_age_s: float = 5.0
    """*Client setting.* The same of members and writers: so soon the members of a group share out partitions that were
    added, and writers write to them. The clients' own defaults are minutes.
    """

    new_topic_s: float = 3.0
    """*Client setting.* How long librdkafka takes an unknown topic for one that is still being created."""

    token_lifetime_s: float = 300.0
    """A token whose endpoint does not say how long it is valid."""

    # --- how often

    heartbeat_s: float = 1.0
    """*Client setting.* Heartbeats to the group's coordinator."""

    reconnect_s: float = 1.0
    """*Client setting.* At most, between two tries to connect."""

    transaction_retry_s: float = 0.005
    """*Client setting.* A transaction that follows another one at once is refused until the broker has written the last
    one's markers, which takes a few milliseconds. Where no broker answers, the client waits longer each time.
    """

    fetch_retry_s: float = 0.01
    """*Client setting.* A consumer's pause before it fetches again; answers may be late by it."""

    metadata_try_s: float = 0.5
    """Each try of librdkafka's admin client to reach a broker, or to renew what it knows about leaders."""

    topic_poll_s: float = 0.05
    """Between two questions whether a new topic, or a leader, is known by now."""

    coordinator_poll_s: float = 0.1
    """Between two questions for the coordinator of a group, on a broker that had no group before."""

    start_try_s: float = 0.25
    """Each try of a new producer for its transactional id; after each it looks whether it was closed."""

    committed_try_s: float = 0.25
    """Each request for committed offsets while transactions are open, so that the member can be polled meanwhile."""

    queue_poll_s: float = 0.05
    """Between two tries to send into librdkafka's full queue."""

    split_poll_s: float = 0.002
    """Between two flushes of kafka-python while it splits a batch that was too large."""

    callback_poll_s: float = 0.002
    """Between two looks for calls that wait for a consumer, with librdkafka."""

    loop_poll_s: float = 0.005
    """Between two looks, on kafka-python's loop, whether revoked partitions were given up."""

    member_poll_s: float = 0.1
    """Each poll of the thread that keeps a kafka-python member in its group."""

    member_retry_s: float = 0.5
    """That thread's pause after an error."""

    idle_check_s: float = 1.0
    """Between two requests of an idle reader whether its topics are still there."""

    stalled_check_s: float = 0.1
    """The same where a partition is not at its end and yet returns nothing."""

    source_poll_s: float = 0.1
    """Each wait of `KafkaSource` for records."""


def milliseconds(seconds: float) -> int:
    """As the clients' settings take it."""
    return round(seconds * 1000)
