"""New items in the answers of a service: a catalogue that changes, and one that cannot say what is new."""

import logging

import pytest

from stream_rec.cli.remote.answers import answer_lines
from stream_rec.core.catalogue import Catalogue, CatalogueItem
from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Request
from stream_rec.core.model import model
from stream_rec.service.processing.processor import Processor

DAY = 86_400_000


def test_a_change_of_the_catalogue_holds_from_the_next_batch(caplog: pytest.LogCaptureFixture) -> None:
    """Items that do not say when they were listed are warned of once, until they do."""
    versions = [Catalogue([CatalogueItem("tent"), CatalogueItem("lamp")])]
    processor = Processor(Engine(model(n=4, newest_share=0.5)), catalogue=lambda: versions[-1])
    processor.engine.apply(
        [Event("ann", "tent", 9 * DAY), Event("ann", "pan", 9 * DAY + 1), Event("b", "tent", 10 * DAY)]
    )

    def items() -> list[str]:
        (answer,) = processor.answer([Request(session_id="b")])
        return [each.item_id for each in answer.items]

    with caplog.at_level(logging.WARNING):
        assert ["pan"] == items()
        versions.append(versions[-1].changed({"tent": CatalogueItem("tent", price=9.0)}))
        assert ["pan"] == items()
        assert ["no item of the catalogue has `listed_at`" in text for text in caplog.messages] == [True]
        versions.append(versions[-1].changed({"lamp": CatalogueItem("lamp", listed_at=8 * DAY)}))
        assert ["lamp", "pan"] == items()
        versions.append(versions[-1].changed({"lamp": CatalogueItem("lamp", available=False, listed_at=8 * DAY)}))
        assert ["pan"] == items()
    assert 1 == len(caplog.messages)


def test_the_command_line_says_why() -> None:
    """In words: whose place it is, and when the item was listed."""
    why = {"kind": "newest", "listed_at": 9 * DAY, "reserved": True, "category": "tents"}
    item = {"item_id": "lamp", "score": 9.0 * DAY, "source": "newest", "why": why}
    _, row, told, _ = answer_lines({"items": [item], "as_of": 10 * DAY, "model": "default"})
    assert row.split()[2:] == ["1970-01-10T00:00:00.000Z", "newest"]
    assert (
        told.strip()
        == "a place for new items: one of the newest in tents, as the last item, listed 1970-01-10T00:00:00.000Z"
    )
