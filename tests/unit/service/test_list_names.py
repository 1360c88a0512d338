"""Lists of items: their files are read exactly, and names that no item has are reported."""

from pathlib import Path

import pytest

from stream_rec import Catalogue, CatalogueItem, Engine, Event, Rules, SettingsError
from stream_rec.service.assembly.engine import build_engine
from stream_rec.service.assembly.id_lists import id_of_line, read_ids
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.reporting.list_names import unknown_names
from stream_rec.service.reporting.status import StatsTaker
from stream_rec.service.reporting.summary import summary_lines
from stream_rec.service.timeouts import Timeouts
from stream_rec.settings import load


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("chair", "chair"),
        ("red chair", "red chair"),
        ("sku#7", "sku#7"),
        ('"chair"', "chair"),
        ("'chair'", "chair"),
        ('"#7"', "#7"),
        ('"a ""b"" # c"', 'a "b" # c'),
        ("'it''s'", "it's"),
        ('"chair" # sold out', "chair"),
        ("chair # sold out", "chair"),
        ("chair\t#sold out", "chair"),
        ('chair"', 'chair"'),
        ("# a remark", ""),
        ("#", ""),
        ("#\ta remark", ""),
        ("## a head ##", ""),
        ("", ""),
    ],
)
def test_a_line_is_an_id(line: str, expected: str) -> None:
    """Alone or in quotes, with a remark or without."""
    assert expected == id_of_line(line)


@pytest.mark.parametrize("line", ["#7", "#sold out", '"chair', '"chair" x', '"chair"x"', '""', "'chair", '"chair",'])
def test_a_line_that_may_be_something_else_is_refused(tmp_path: Path, line: str) -> None:
    """The error names the setting, the line and what to write."""
    path = tmp_path / "deny.txt"
    path.write_text(f"lamp\n\n {line} \n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"line 3 of .*deny.txt.* is not one item id: .*(quotes|'# ')") as caught:
        read_ids((), str(path), "deny_file")
    assert "deny_file" == caught.value.key


def test_a_list_from_a_spreadsheet_denies(tmp_path: Path) -> None:
    """Quotes and remarks do not let an item in."""
    path = tmp_path / "deny.txt"
    path.write_text('﻿# sold out\n"chair"\nsofa # broken\n', encoding="utf-8")
    engine = build_engine(load(flags={"events": "-", "deny": ["lamp"], "deny_file": str(path)}))
    assert {"lamp", "chair", "sofa"} == engine.denied


def test_names_that_no_item_has() -> None:
    """An item is known by a session or by the catalogue; as long as none is known, no name is a mistake."""
    engine = Engine(deny=["tea", "lamp", "chair", '"sofa"'], rules=Rules(allow=frozenset({"tea", "pot"})))
    assert {} == unknown_names(engine)
    engine.apply([Event("anna", "tea", 1_000)])
    assert {"deny": ('"sofa"', "chair", "lamp"), "allow": ("pot",)} == unknown_names(engine)
    engine.set_catalogue(Catalogue([CatalogueItem("lamp"), CatalogueItem("pot")]))
    assert {"deny": ('"sofa"', "chair")} == unknown_names(engine)
    lines = summary_lines(Counters(), engine.stats(), 1.0, unknown=unknown_names(engine))
    assert "2 of the names to deny are of no item that is known: '\"sofa\"', 'chair'" in lines[-1]


def test_a_service_reports_them(caplog: pytest.LogCaptureFixture) -> None:
    """A minute after its start with a line in the log, and from then on as a figure."""
    now = [0.0]
    taker = StatsTaker(lambda: now[0], timeouts=Timeouts(list_names_every_s=60.0))
    engine = Engine(deny=["tea", "chair"])
    for seconds, expected in ((0, {}), (59, {}), (61, {"deny": ("chair", "tea")}), (100, {"deny": ("chair", "tea")})):
        now[0] = float(seconds)
        engine.apply([Event("anna", "pot", 1_000)])
        taker.idle(engine)
        assert expected == taker.unknown_names
    engine.apply([Event("anna", "tea", 2_000)])
    now[0] = 130.0
    taker.idle(engine)
    assert {"deny": ("chair",)} == taker.unknown_names
    assert ["2 of the names to deny are of no item that is known: 'chair', 'tea'"] == [
        record.getMessage() for record in caplog.records if record.levelname == "WARNING"
    ]
