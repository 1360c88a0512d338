"""What engines, logs and answers show of themselves: short, readable, and as JSON."""

import copy
import inspect
import json
import pickle
import pydoc
from html.parser import HTMLParser
from typing import Any, get_args

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, TypeAdapter, ValidationError

from stream_rec import Answer, AsyncEngine, Engine, Event, Recommendation, Recommender, Request, model, read_log
from stream_rec.core.events import Why

HOUR = 3_600_000
EVENTS = [
    Event("ann", "tent", 0),
    Event("ann", "stove", HOUR),
    Event("ben", "tent", 5 * HOUR),
    Event("ben", "<b>", 6 * HOUR, "buy"),
]


def engine() -> Engine:
    made = Engine(model("vmis-knn", name="a<b"))
    made.apply(EVENTS)
    return made


# --- reprs


def test_an_engine_shows_what_it_holds_in_one_line() -> None:
    """Model, sessions, events, items and horizon, the last rounded down; and a new one shows that it is empty."""
    assert "Engine(a<b: 2 sessions, 4 events, 3 items, horizon 5h)" == repr(engine())
    assert "Engine(default: 0 sessions, 0 events, 0 items)" == repr(Engine())
    assert "AsyncEngine(Engine(default: 0 sessions, 0 events, 0 items))" == repr(AsyncEngine(Engine()))
    start = 1_700_000_000_000
    shop = Recommender("vmis-knn").fit([Event("ann", "tent", start), Event("ben", "tent", start + HOUR * 200)])
    assert "Recommender(vmis-knn: 2 sessions, 2 events, 1 items, horizon 8d)" == repr(shop)


class Cells(HTMLParser):
    """The texts of a table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_notebooks_get_a_table() -> None:
    """Well-formed, with names escaped; the newest event as a time."""
    cells = Cells(engine()._repr_html_())
    assert [] == cells.open
    assert ["Engine", "model", "a<b", "sessions", "2", "events", "4", "items", "3"] == cells.found[:9]
    assert ["newest event", "1970-01-01 06:00:00 UTC", "horizon", "5h", "memory", "8MB"] == cells.found[9:15]
    assert "Recommender" == Cells(Recommender()._repr_html_()).found[0]
    assert "none yet" in Cells(Engine()._repr_html_()).found


def test_a_look_from_inside_a_write_does_not_hang() -> None:
    """A debugger, or the message of an error, may show an engine at any time."""
    made = engine()
    with made._gate.writing(made._settle):
        assert "Engine(a<b: in a write, or torn)" == repr(made)


def test_long_columns_print_short() -> None:
    """A log of many events is one line, and so is each of its columns, and what was applied."""
    log = read_log([Event(f"s{number}", f"i{number}", number) for number in range(100_000)])
    assert "Columns(100,000 events, 100,000 sessions, 100,000 items, types view)" == repr(log)
    assert "Ids(100,000 of 100,000: s0, s1, s2, s3, s4, ...)" == repr(log.sessions)
    assert "Ids(100,000 of 1: view)" == repr(log.types)
    assert "Applied(3 of 4)" == repr(Engine().apply([*EVENTS[:3], Event("ann", "old", -10 * HOUR)]))


def test_no_repr_shows_what_is_unset() -> None:
    """In answers with and without explanations; nor does a signature, or the help of an interpreter."""
    (plain,) = engine().answer([Request(session_id="ben")])
    (explained,) = engine().answer([Request(session_id="ann", explain=True)])
    assert explained.items[0].why is not None
    for each in (plain, explained, *plain.items, *explained.items):
        assert "UNSET" not in repr(each)
    reasons = get_args(Why)
    assert len(reasons) > 4
    for kind in (Answer, Recommendation, *reasons):
        assert "Unset" not in str(inspect.signature(kind))
        assert "UNSET" not in pydoc.render_doc(kind)
    assert "why=" not in repr(plain)


# --- JSON


@pytest.mark.parametrize("explain", [False, True])
def test_answers_are_json_as_they_are(explain: bool) -> None:
    """To `dict`, `json`, FastAPI and pydantic: the JSON of the service; what is unset is left out."""
    (answer,) = engine().answer([Request(session_id="ann", explain=explain)])
    both: list[Any] = [answer, *answer.items]
    for each in both:
        known: dict[str, Any] = json.loads(msgspec.json.encode(each))
        assert known == dict(each)
        assert known == json.loads(json.dumps(each, default=dict)) == json.loads(each.to_json())
        assert known == json.loads(json.dumps(each.to_dict()))
        assert known == jsonable_encoder(each)
        adapter: TypeAdapter[Any] = TypeAdapter(type(each))
        assert each == adapter.validate_python(each) == adapter.validate_python(known)
        assert known == json.loads(adapter.dump_json(each))
        assert each == copy.deepcopy(each) == pickle.loads(pickle.dumps(each))  # noqa: S301  # our own
    assert ("why" in dict(answer.items[0])) is explain
    if not explain:
        with pytest.raises(KeyError):
            answer.items[0]["why"]


def test_pydantic_refuses_what_is_no_recommendation() -> None:
    """With pydantic's own error."""

    class Page(BaseModel):
        items: list[Recommendation]

    page = Page(items=engine().recommend("ben"))
    assert all(isinstance(item, Recommendation) for item in page.items)
    assert page == Page.model_validate_json(page.model_dump_json())
    with pytest.raises(ValidationError):
        Page.model_validate({"items": [{"item_id": 3}]})


def test_fastapi_documents_both() -> None:
    """With their fields, and with no reference that leads nowhere."""
    app = FastAPI()

    @app.get("/one")
    def one() -> list[Recommendation]:
        return []

    @app.get("/all")
    def answers() -> Answer:
        return engine().answer([Request(session_id="ann")])[0]

    document = app.openapi()
    text = json.dumps(document)
    assert '"item_id": {"type": "string"}' in text
    assert '"as_of"' in text
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        found = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
