"""Keyword arguments are typed, by dictionaries that name the same fields as what they stand for."""

import inspect
from typing import get_args, get_type_hints

import msgspec

from stream_rec import Engine
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
