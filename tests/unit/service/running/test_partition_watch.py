"""What the follower thread finds out about partitions without an owner."""

from dataclasses import replace

import pytest
from clicks import broker_with
from crash import AT_ONCE, parts

from stream_rec.errors import TransportError
from stream_rec.service.running.partition_watch import share_out
from stream_rec.transport.broker import Partition


def test_a_guest_makes_the_group_share_out_its_partitions() -> None:
    """It gets a part for a moment, and leaves; the group then has all its members as before."""
    broker = broker_with([], partitions=2)
    components = parts(broker, timeouts=AT_ONCE)
    group = broker.groups["stream-rec"]
    share_out(components, lambda: False)
    assert group.generation >= 2, "it has joined, and left"
    assert [] == group.members


def test_a_group_that_takes_in_no_guest_in_time_is_an_error() -> None:
    """As where a member does not answer: the follower thread tries again later, and the guest is gone."""
    broker = broker_with([], partitions=2)
    components = parts(broker, timeouts=replace(AT_ONCE, share_out_s=0.05))
    stuck = broker.member("stream-rec", ["clicks"], lambda *_: None)
    stuck.join()
    stuck.poll()
    assert stuck.owned == {Partition("clicks", 0), Partition("clicks", 1)}
    with pytest.raises(TransportError, match="took in no member within") as caught:
        share_out(components, lambda: False)
    assert caught.value.retriable
    assert [stuck] == broker.groups["stream-rec"].members
