"""The reference page names every field and every reason, and its examples are true."""

import re
from pathlib import Path

import msgspec
import pytest

from stream_rec.core.events import (
    Answer,
    ByListing,
    ByNeighbours,
    ByPopularity,
    ByTheLast,
    ByWeights,
    DeadLetter,
    DecodeRules,
    Elsewhere,
    Event,
    EventDecoder,
    FieldMap,
    Forget,
    Neighbour,
    Others,
    Reason,
    Recommendation,
    Request,
    Ruled,
    Shared,
    SharedOthers,
    Why,
)
from stream_rec.core.events.times import UNITS
from stream_rec.transport.files import FORMATS


@pytest.fixture(scope="module")
def page(tree: Path) -> str:
    path = tree / "docs" / "reference" / "records.md"
    if not path.exists():
        pytest.skip("the docs are not part of what is tested here")
    return path.read_text(encoding="utf-8")


def rows(page: str, heading: str) -> list[str]:
    """The first cells of the tables under *heading*, down to the next heading."""
    section = re.split(rf"^#+ {heading}$", page, flags=re.MULTILINE)[1]
    section = re.split(r"^#+ ", section, flags=re.MULTILINE)[0]
    return re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Events", Event.__struct_fields__),
        ("Events", FieldMap.__struct_fields__),
        ("Requests", Request.__struct_fields__),
        ("Answers", Answer.__struct_fields__),
        ("By neighbours", ("kind", *ByNeighbours.__struct_fields__)),
        ("A neighbour", Neighbour.__struct_fields__),
        ("By what followed", ("kind", *ByTheLast.__struct_fields__)),
        ("By popularity", ("kind", *ByPopularity.__struct_fields__)),
        ("By learned weights", ("kind", *ByWeights.__struct_fields__)),
        ("By listing", ("kind", *ByListing.__struct_fields__)),
        ("Dead letters", DeadLetter.__struct_fields__),
        ("Reasons", tuple(Reason)),
        ("Times", UNITS),
    ],
)
def test_every_name_has_its_row(page: str, heading: str, names: tuple[str, ...]) -> None:
    """A row for each, none for what is not there, in the order of the code."""
    assert list(names) == rows(page, heading)


def test_every_format_and_part_of_an_answer_is_named(page: str) -> None:
    """Those that have no row of their own."""
    for part in (Recommendation, Forget, Others, Ruled, Shared, SharedOthers, Elsewhere):
        for name in part.__struct_fields__:
            assert f"`{name}`" in page
    for name in FORMATS:
        assert f"`{name}`" in page


def test_the_examples_are_true(page: str) -> None:
    """Each JSON line of the page is one of our records."""
    lines = re.findall(r"^\{.*\}$", page, flags=re.MULTILINE)
    event, forget_session, forget_user, answer, *reasons, letter = lines
    decode = EventDecoder(DecodeRules()).decode
    assert Event("s1", "i7", 1_733_000_000_000) == decode(event.encode())
    assert Forget(session_id="s1") == decode(forget_session.encode())
    assert Forget(user_id="u1") == decode(forget_user.encode())
    assert answer.encode() == msgspec.json.encode(msgspec.json.decode(answer, type=Answer))
    kinds = [msgspec.json.decode(reason, type=Why) for reason in reasons]
    assert [ByNeighbours, ByTheLast, ByPopularity, ByWeights, ByListing] == list(map(type, kinds))
    assert [reason.encode() for reason in reasons] == list(map(msgspec.json.encode, kinds))
    assert letter.encode() == msgspec.json.encode(msgspec.json.decode(letter, type=DeadLetter))
