"""The states of a service: which one may follow which, and what users read of them."""

import pytest

from stream_rec.service.state import Lifecycle, ServiceState

WAITING, RECOVERING, READY, STOPPING = ServiceState
ALLOWED = {
    (WAITING, RECOVERING),
    (RECOVERING, WAITING),
    (RECOVERING, READY),
    (RECOVERING, STOPPING),
    (READY, RECOVERING),
    (READY, STOPPING),
}


@pytest.mark.parametrize("now", ServiceState)
@pytest.mark.parametrize("after", ServiceState)
def test_only_the_transitions_of_the_picture_are_allowed(now: ServiceState, after: ServiceState) -> None:
    """Each other one is a defect, and changes nothing; entering the present state is no transition."""
    lifecycle = Lifecycle(now)
    if now is after or (now, after) in ALLOWED:
        lifecycle.enter(after)
        assert after is lifecycle.state
    else:
        with pytest.raises(AssertionError, match=f"from {now.name} to {after.name}"):
            lifecycle.enter(after)
        assert now is lifecycle.state
    assert (lifecycle.state is READY) == lifecycle.is_ready


def test_users_read_the_same_texts_as_before() -> None:
    """The status file, `/readyz` and the metrics show them: they are a contract."""
    assert ["waiting for the broker", "recovering", "ready", "stopping"] == [str(state) for state in ServiceState]
