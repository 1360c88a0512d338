"""Keyword arguments are typed, by dictionaries that name the same fields as what they stand for."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from stream_rec import (
    AsyncEngine,
    Catalogue,
    CatalogueItem,
    Engine,
    Limits,
    Recommender,
    Rules,
    SettingsError,
    ShownRules,
)
from stream_rec.core.model import Model, ModelChanges
from stream_rec.snapshot.library import EngineArguments
from stream_rec.tables.reading import How, HowToRead


def test_every_parameter_of_the_model_may_be_changed() -> None:
    """In the model's order, with its choices."""
    of_model, of_changes = get_type_hints(Model), get_type_hints(ModelChanges)
    assert list(of_model) == list(of_changes) == [each.name for each in msgspec.structs.fields(Model)]
    for name, kind in of_model.items():
        choices = [each for each in get_args(kind) if isinstance(each, str)]
        given = [each for part in get_args(of_changes[name]) for each in get_args(part) if isinstance(each, str)]
        assert choices == given, name


def test_every_way_to_read_is_named() -> None:
    """Those that the recommender and `read_log` set themselves apart."""
    own = {"types", "session_from_user"}
    assert {each.name for each in msgspec.structs.fields(How)} - own == set(get_type_hints(HowToRead))


def test_every_argument_of_an_engine_is_one_of_load() -> None:
    """But the first, which both take by place."""
    parameters = inspect.signature(Engine).parameters
    assert list(parameters)[1:] == list(get_type_hints(EngineArguments))


FRAME = {"sess": ["a", "a"], "item": ["1", "2"], "ts": [1_700_000_000_000, 1_700_000_001_000]}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda _: Recommender("vmisknn"), "preset: 'vmisknn' is none of default, .*; did you mean 'vmis-knn'"),
        (lambda _: Recommender(presset="sknn"), r"presset: is no argument of Recommender \(preset, .*mean 'preset'"),  # type: ignore[call-arg]
        (lambda _: Engine(weigth={}), "weigth: .* did you mean 'type_weights'"),  # type: ignore[call-arg]
        (lambda _: Engine(retention="1d"), r"retention: .* it is a limit: limits=Limits\(retention_ms=...\)"),  # type: ignore[call-arg]
        (lambda _: Recommender(k=5), r"k: .* it is a parameter of the model: preset=model\('default', k=...\)"),  # type: ignore[call-arg]
        (lambda shop: shop.recommend("a", top_n=3), "top_n: is no parameter of the model .* did you mean 'n'"),
        (lambda shop: shop.recommend("a", seen="drop_sesion"), "seen: .* is none of .*; did you mean 'drop-session'"),
        (
            lambda shop: shop.engine.recommend("a", top_n=3),
            r"top_n: is no argument of recommend \(.*\); did you mean 'n'",
        ),
        (lambda shop: shop.engine.recommend("a", number_of_recommendations=3), "number_.*; did you mean 'n'"),
        (lambda shop: shop.engine.recommend(item_id="a"), "item_id: .*; did you mean 'items'"),
        (lambda shop: shop.engine.recommend("a", k=5), r"k: .* answer\(\[Request\(session_id=..., k=...\)\]\)"),
        (
            lambda shop: shop.engine.recommend("a", idf="vmis"),
            r"idf: .* ask\(model\('default', idf=...\), session_id=...\)",
        ),
        (
            lambda shop: shop.engine.ask(shop.model, session_id="a", n=5),
            r"n: .* ask\(model\('default', n=...\), session_",
        ),
        (lambda shop: shop.engine.ask(shop.model, session="a"), "session: .*; did you mean 'session_id'"),
        (lambda shop: shop.engine.forget(user="a"), r"user: is no argument of forget \(.*\); did you mean 'user_id'"),
        (lambda shop: asyncio.run(AsyncEngine(shop.engine).recommend("a", top_n=3)), "top_n: .*; did you mean 'n'"),  # type: ignore[arg-type]
        (
            lambda shop: asyncio.run(AsyncEngine(shop.engine).recommend("a", k=5)),  # type: ignore[arg-type]
            r"answer\(Request\(session_id=..., k=...\)\)",
        ),
        (lambda shop: asyncio.run(AsyncEngine(shop.engine).forget(session="a")), "session: .* mean 'session_id'"),  # type: ignore[arg-type]
        (lambda _: Limits(retention="7d"), r"retention: is no field of Limits \(.*\); did you mean 'retention_ms'"),  # type: ignore[call-arg]
        (lambda _: Rules(fliter="a"), "fliter: is no field of Rules .*; did you mean 'filter'"),  # type: ignore[call-arg]
        (lambda _: ShownRules(at_least=1), "at_least: is no field of ShownRules .*; did you mean 'at_most'"),  # type: ignore[call-arg]
        (lambda _: Limits(retention_ms="7d"), "retention_ms: expected a whole number of milliseconds, found '7d'"),  # type: ignore[arg-type]
        (lambda _: Limits(max_sessions=1e6), r"max_sessions: expected a whole number, found 1000000.0: pass int"),  # type: ignore[arg-type]
        (lambda _: Catalogue([CatalogueItem("a"), {"id": "b"}]), r"found a dict at 1: pass CatalogueItem\(id,"),  # type: ignore[list-item]
        (lambda shop: shop.fit(["a.csv", "b.csv"]), "found a str at 0: several files are one source as a folder"),
        (lambda shop: shop.popular(nn=3), "nn: is no rule of a list .*; did you mean 'n'"),
        (lambda shop: shop.fit(FRAME, colums={}), "colums: .* did you mean 'fields'"),
        (lambda shop: shop.fit(FRAME, fields={"session": "sess"}), "'session' is no field; did you mean 'session_id'"),
        (lambda shop: shop.fit(FRAME, fields={"sess": "session_id"}), 'did you mean fields={"session_id": "sess"}'),
        (lambda shop: shop.fit(FRAME, fields=["sess"]), r"expected a dictionary .*; found \['sess'\]"),
        (lambda shop: shop.fit(FRAME, fields={"type": None}), "found None for 'type'"),
    ],
)
def test_a_name_that_there_is_not_leads_to_the_one_that_was_meant(call: Callable[[Any], object], said: str) -> None:
    """Of presets, arguments, parameters, words, rules and fields; by letters, or by a name that others have for it."""
    with pytest.raises(SettingsError, match=said):
        call(Recommender())


def test_columns_of_a_file_are_named_in_the_words_of_a_program(tmp_path: Path) -> None:
    """The command line would say `--field`; a number stands for a column without a name."""
    (tmp_path / "c.csv").write_text("sess,item,ts\na,1,1700000000000\n")
    with pytest.raises(SettingsError, match="no column 'session_id', but") as caught:
        Recommender().fit(tmp_path / "c.csv")
    assert 'as in fields={"session_id": "..."}' in caught.value.message
    assert "--" not in caught.value.message
    (tmp_path / "bare.csv").write_text("a,1,1700000000000\n")
    shop = Recommender().fit(tmp_path / "bare.csv", fields={"session_id": 0, "item_id": 1, "timestamp": 2})
    assert ["1"] == shop.session("a")
