"""Frames as people have them: lazy ones, columns of mixed types, objects and structs, and times in seconds."""

import uuid
import warnings
from typing import Any

import pandas as pd
import polars as pl
import pytest

from stream_rec.errors import DecodeError, SettingsError, StreamRecError
from stream_rec.library.recommender import Recommender
from stream_rec.tables.columns import Columns
from stream_rec.tables.reading import read_log

ROWS: dict[str, list[Any]] = {
    "session_id": ["a", "a", "b"],
    "item_id": ["tent", "stove", "tent"],
    "timestamp": [1_714_564_800_000, 1_714_564_860_000, 1_714_564_920_000],
}
PLAIN = read_log(pd.DataFrame(ROWS))
A, B = uuid.UUID(int=1), uuid.UUID(int=2)


def events(columns: Columns) -> list[Any]:
    return [event for batch in columns.events() for event in batch]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({**ROWS, "seen_by": [1, "x", None]}),
        pd.DataFrame({**ROWS, "thing": [object(), object(), object()]}),
        pd.DataFrame({**ROWS, "month": pd.period_range("2024-01", periods=3, freq="M"), "tags": [[1], [], [2]]}),
        pl.DataFrame({**ROWS, "thing": pl.Series([object()] * 3, dtype=pl.Object)}),
        pl.DataFrame(ROWS).lazy().filter(pl.col("timestamp") > 0),
    ],
    ids=["mixed", "objects", "periods and lists", "polars objects", "lazy"],
)
def test_what_is_not_read_does_not_matter(frame: object) -> None:
    """A column that no field names may hold anything; the query of a lazy frame is run."""
    assert events(PLAIN) == events(read_log(frame))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({**ROWS, "session_id": [7, "7", "b"]}),
        pd.DataFrame(
            {"0": ROWS["session_id"], "item_id": ROWS["item_id"], "timestamp": ROWS["timestamp"], "7": [1, "", 2]}
        ),
        pl.DataFrame({**ROWS, "session_id": pl.Series([A, A, B], dtype=pl.Object)}),
        pd.DataFrame({**ROWS, "session_id": [A, A, "b"]}),
    ],
    ids=["numbers and text", "by index", "polars objects", "objects and text"],
)
def test_mixed_ids_are_their_text(frame: Any) -> None:
    """Whole numbers and UUIDs among texts are ids, as their text, and so are objects of Polars."""
    names = {"session_id": "0"} if "0" in frame.columns else {}
    read = events(read_log(frame, fields=names))
    expected = [str(value) for value in frame["0" if names else "session_id"].to_list()]
    assert expected == [event.session_id for event in read]
    assert ROWS["item_id"] == [event.item_id for event in read]


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"item_id": ["a", 1, 2.5]}, DecodeError, "row 2, column 'item_id': .* found the number 2.5"),
        ({"item_id": ["a", 1, None]}, DecodeError, "row 2, column 'item_id': expected an id, found nothing"),
        ({"item_id": [{"id": "a"}] * 3}, SettingsError, r"column 'item_id' .* is a struct: .*\('item_id.id'\)"),
        ({"session_id": [["a"]] * 3}, SettingsError, "column 'session_id' .* holds list<.*>, not single values"),
        ({"timestamp": [1, "2024-05-01", 3]}, SettingsError, r"column 'timestamp' .* several types \(int, str\)"),
    ],
)
def test_what_is_no_id_is_named(columns: dict[str, Any], error: type[StreamRecError], message: str) -> None:
    """With its row and column, also in a column of which Arrow would refuse all."""
    with pytest.raises(error, match=message):
        read_log(pd.DataFrame({**ROWS, **columns}))


def test_names_of_columns_are_asked_for_with_an_example() -> None:
    """Also where a field is passed as a setting of its own, and without the index of a frame that lost rows."""
    frame = pd.DataFrame({**ROWS, "item_id": ROWS["item_id"]}).rename(columns={"item_id": "sku"}).iloc[[0, 2]]
    with pytest.raises(SettingsError, match=r'has no column .item_id.*as in fields=\{"item_id": "..."\}') as caught:
        read_log(frame)
    assert "__index_level_0__" not in str(caught.value)
    with pytest.raises(SettingsError, match=r"""name a column by fields=\{"item_id": 'sku'\}"""):
        Recommender().fit(frame, item_id="sku")  # type: ignore[call-arg]  # what many try first
    with pytest.raises(SettingsError, match="expected a data frame, found a Series"):
        Recommender().fit(frame["sku"])


def test_a_field_inside_a_struct_is_read_as_the_error_says() -> None:
    """The hint is right."""
    frame = pd.DataFrame({**ROWS, "item_id": [{"id": each} for each in ROWS["item_id"]]})
    assert events(PLAIN) == events(read_log(frame, fields={"item_id": "item_id.id"}))


def test_seconds_are_noticed() -> None:
    """A log that ends in 1970 warns the caller, with what to say; small numbers of an example do not."""
    seconds = {
        name: [time // 1000 for time in values] if name == "timestamp" else values for name, values in ROWS.items()
    }
    with pytest.warns(UserWarning, match="is of 1970: .* timestamp_unit='s'") as caught:
        read_log(pd.DataFrame(seconds))
    assert __file__ == caught[0].filename
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_log(pd.DataFrame(seconds), timestamp_unit="s")
        read_log({"a": (["tent", "stove"], [1, 2])})


def test_rows_as_dictionaries_are_refused_with_a_way() -> None:
    """A frame of them is one call away."""
    with pytest.raises(SettingsError, match=r"found a dict at 0: .*pandas.DataFrame\(rows\)"):
        read_log([{"session_id": "a", "item_id": "tent", "timestamp": 1}])
