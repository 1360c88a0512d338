"""Event ids belong to their session: no sender can have the events of others taken for repeated ones."""

from stream_rec import Engine, Event
from stream_rec.core.events import Reason


def test_another_session_may_use_the_same_id() -> None:
    """A repeated event is one of the same session with the same id."""
    engine = Engine()
    log = [
        Event("evil", "x", 1_000, event_id="1"),
        Event("anna", "tea", 1_001, event_id="1"),
        Event("anna", "tea", 1_001, event_id="1"),
        Event("anna\0", "tea", 1_002, event_id="1"),
    ]
    assert [None, None, Reason.DUPLICATE, None] == engine.apply(log).reasons


def test_where_sessions_are_cut_from_users_ids_belong_to_the_user() -> None:
    """Whatever the session: a user's visits share them."""
    engine = Engine(session_gap_ms=1_000)
    log = [
        Event("", "x", 1_000, event_id="1", user_id="evil"),
        Event("", "tea", 1_001, event_id="1", user_id="anna"),
        Event("", "tea", 9_001, event_id="1", user_id="anna"),
    ]
    assert [None, None, Reason.DUPLICATE] == engine.apply(log).reasons
