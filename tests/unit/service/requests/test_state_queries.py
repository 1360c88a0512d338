"""Named queries over the state: what each returns, and for what is not there."""

from stream_rec.core.catalogue import Catalogue, CatalogueItem
from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Forget
from stream_rec.service.batches import Batch
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.state_queries import (
    CountSessions,
    FindItems,
    GetItem,
    GetItems,
    GetSession,
    ListPopularItems,
    ListSessions,
)
from stream_rec.transport.records import Record

LOG = [
    Event("s1", "mug", 10, user_id="u"),
    Event("s1", "pot", 20, user_id="u"),
    Event("s2", "mug", 30, user_id="u"),
    Event("s3", "mugs", 40),
]


def processor() -> Processor:
    made = Processor(Engine())
    made.process_events(Batch([Record(b"", "clicks", 0, n) for n in range(len(LOG))], LOG))
    return made


def test_a_session_is_returned_with_its_events() -> None:
    """Oldest first, by the name of its model; None for a session that is not retained."""
    found = GetSession("s1").read(processor())
    assert found is not None
    assert [("mug", 10), ("pot", 20)] == [(each.item_id, each.timestamp) for each in found.events]
    assert GetSession("s9").read(processor()) is None


def test_sessions_are_listed_newest_first() -> None:
    """At most as many as the limit allows."""
    assert [("s3", 40), ("s2", 30)] == [(each.session_id, each.last_ms) for each in ListSessions(2).read(processor())]


def test_a_session_that_an_order_names_twice_is_counted_once() -> None:
    """By its id, by its user, or by both."""
    owner = processor()
    assert 1 == CountSessions(Forget(session_id="s1")).read(owner)
    assert 2 == CountSessions(Forget(user_id="u")).read(owner)
    assert 2 == CountSessions(Forget(session_id="s1", user_id="u")).read(owner)
    assert 3 == CountSessions(Forget(session_id="s3", user_id="u")).read(owner)
    assert 0 == CountSessions(Forget(session_id="s9")).read(owner)


def test_an_item_is_known_by_a_session_or_by_the_catalogue() -> None:
    """None if neither knows it; several keep their order."""
    owner = processor()
    owner.engine.set_catalogue(Catalogue([CatalogueItem("lamp", title="Lamp")]))
    mug, lamp, nothing = GetItems(["mug", "lamp", "nothing"]).read(owner)
    assert mug is not None
    assert 2 == mug.sessions
    assert lamp is not None
    assert ("Lamp", 0) == (lamp.title, lamp.sessions)
    assert nothing is None
    assert lamp == GetItem("lamp").read(owner)


def test_items_found_by_title_come_before_those_found_by_id() -> None:
    """None comes twice, and no more come than the limit allows."""
    owner = processor()
    assert ["mug", "mugs"] == [each.item_id for each in FindItems("MUG", 5).read(owner)]
    assert ["mugs", "mug"] == [each.item_id for each in FindItems("mug", 5, ["mugs"]).read(owner)]
    assert ["mugs"] == [each.item_id for each in FindItems("mug", 1, ["mugs"]).read(owner)]


def test_popular_items_are_limited() -> None:
    """Most popular first."""
    assert ["mug"] == [each.item_id for each in ListPopularItems(1).read(processor())]
