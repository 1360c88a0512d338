"""The recommender over sessions at rest: what it is fitted from, asked, and goes on with."""

import json
import threading
from collections.abc import Iterator
from io import StringIO
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from stream_rec import snapshot
from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Reason
from stream_rec.core.limits import Limits
from stream_rec.core.model import changed, model
from stream_rec.datasets.logs import Log
from stream_rec.errors import DecodeError, SettingsError, SnapshotError
from stream_rec.library import Recommender
from stream_rec.library import recommender as _recommender
from stream_rec.library.progress import fit_progress
from stream_rec.library.threads import in_parallel, n_threads, parts_for
from stream_rec.tables.columns import columns_of_events
from stream_rec.tables.reading import read_log

NOON = 1_714_564_800_000
VISITS = {"ann": "tent stove lamp", "ben": "tent stove rope", "cleo": "lamp mat", "dora": "tent stove"}
EVENTS = [
    Event(visit, item, NOON + (10 * number + place) * 60_000)
    for number, (visit, items) in enumerate(VISITS.items())
    for place, item in enumerate(items.split())
]
ROWS = {
    "session_id": [event.session_id for event in EVENTS],
    "item_id": [event.item_id for event in EVENTS],
    "timestamp": [event.timestamp for event in EVENTS],
}
EVENT_TIMES = [event.timestamp for event in EVENTS]
SESSIONS = {
    visit: (items.split(), [event.timestamp for event in EVENTS if event.session_id == visit])
    for visit, items in VISITS.items()
}


def write_csv(folder: Path) -> Path:
    path = folder / "clicks.csv"
    lines = zip(*ROWS.values(), strict=True)
    path.write_text("\n".join([",".join(ROWS), *(",".join(map(str, line)) for line in lines)]) + "\n")
    return path


@pytest.fixture
def shop() -> Recommender:
    return Recommender().fit(SESSIONS)


def seen(recommender: Recommender) -> object:
    """All that can be seen of it."""
    names = sorted(recommender.session_ids())
    return [(name, recommender.session(name), recommender.recommend(name)) for name in [*names, "nobody"]]


# --- learning


@pytest.mark.parametrize(
    "source",
    [
        EVENTS,
        EVENTS[::-1],
        iter(EVENTS),
        columns_of_events(EVENTS),
        Log("shop", EVENTS),
        pd.DataFrame(ROWS),
        pl.DataFrame(ROWS),
        pa.table(ROWS),
        pa.table(ROWS).to_batches()[0],
        pl.DataFrame(ROWS).sample(fraction=1, shuffle=True, seed=7),
        pd.DataFrame({**ROWS, "timestamp": pd.to_datetime(ROWS["timestamp"], unit="ms", utc=True)}),
        pd.DataFrame(ROWS).astype({"session_id": "category", "item_id": "category"}),
        pl.DataFrame(ROWS).with_columns(pl.col("item_id").cast(pl.Categorical), pl.from_epoch("timestamp", "ms")),
        pd.DataFrame({**ROWS, "timestamp": [str(each) for each in EVENT_TIMES]}),
        pd.DataFrame({**ROWS, "timestamp": [float(each) for each in EVENT_TIMES]}),
    ],
    ids=lambda source: type(source).__name__,
)
def test_it_learns_the_same_from_whatever_holds_a_log(source: object, shop: Recommender) -> None:
    """Sessions, events in any order, columns, data frames and tables, with typed times too."""
    assert seen(shop) == seen(Recommender().fit(source))


def test_it_learns_from_a_file(tmp_path: Path, shop: Recommender) -> None:
    """By its path, as text or not."""
    path = write_csv(tmp_path)
    assert seen(shop) == seen(Recommender().fit(path))
    assert seen(shop) == seen(Recommender().fit(str(path)))


def test_it_equals_an_engine(shop: Recommender) -> None:
    """The same sessions, scores and sources, without limits of time."""
    engine = Engine(limits=Limits(retention_ms=None))
    engine.apply(EVENTS)
    for name in VISITS:
        assert engine.recommend(name) == shop.recommend(name)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 8), st.integers(0, 30), st.sampled_from(["view", "cart"])),
        max_size=60,
    ),
    st.integers(1, 9),
)
def test_session_order_gives_the_state_of_time_order(drawn: list[tuple[int, int, int, str]], batch: int) -> None:
    """The same sessions, event for event, and the same answers: with repeats and with equal times."""
    users = [None, "u0", "u1", "u2", "u3", "u4", "u5"]
    log = columns_of_events([Event(f"s{s}", f"i{i}", t, kind, None, users[s * i % 7]) for s, i, t, kind in drawn])
    fitted = Recommender(limits=_recommender._at_rest(log)).fit(log)
    at_once = Recommender().fit(log)
    again = Engine(limits=fitted.engine.limits)
    for events in log.session_by_session(batch):
        assert len(events) == again.apply(events).n_applied
    for name in fitted.session_ids():
        assert fitted.engine.session(name) == at_once.engine.session(name) == again.session(name)
    assert seen(fitted) == seen(at_once)
    assert [fitted.engine.forget(user_id="u1")] == [at_once.engine.forget(user_id="u1")]
    assert seen(fitted) == seen(at_once)
    at_once.engine._check()
    again._check()


def test_fitting_again_forgets_the_previous_log(shop: Recommender) -> None:
    """As if it had never been; the model and the deny list stay."""
    shop = Recommender(model("sknn", n=7), deny=["tent"]).fit(SESSIONS)
    again = shop.fit({"eve": (["tent", "pan"], [1, 2])})
    assert ["eve"] == again.session_ids()
    assert ("sknn", 7) == (again.model.name, again.model.n)
    assert "tent" not in {each.item_id for each in again.recommend("nobody")}


def test_columns_can_be_mapped(shop: Recommender) -> None:
    """By name, or by place where no column has the name."""
    names = {"session_id": "who", "item_id": "what", "timestamp": "when"}
    frame = pd.DataFrame(ROWS).rename(columns={"session_id": "who", "item_id": "what", "timestamp": "when"})
    assert seen(shop) == seen(Recommender().fit(frame, fields=names))
    places = {"session_id": 0, "item_id": 1, "timestamp": 2}
    assert seen(shop) == seen(Recommender().fit(frame, fields=places))


def test_numbers_are_ids_by_their_decimal_text() -> None:
    """As in every record of a live log."""
    fitted = Recommender().fit({1: ([7, 8], [1, 2]), 2: ([7, 9], [3, 4])})
    assert {"1", "2"} == set(fitted.session_ids())
    assert ["7", "8"] == fitted.session("1")
    assert "9" in {each.item_id for each in fitted.recommend("1")}


def test_times_are_in_the_unit_that_is_said() -> None:
    """Times are milliseconds by default."""
    fitted = Recommender().fit({"s": (["a", "b"], [1.5, "2"])}, timestamp_unit="s")
    assert 2_000 == fitted.engine.watermark
    iso = Recommender().fit({"s": (["a"], ["2024-05-01T12:00:00Z"])}, timestamp_unit="iso")
    assert NOON == iso.engine.watermark
    numpy = Recommender().fit({"s": (np.array(["a"]), np.array(["2024-05-01T12:00"], "datetime64[ns]"))})
    assert NOON == numpy.engine.watermark
    custom = Recommender().fit({"s": (["a"], ["01.05.2024 12:00"])}, timestamp_format="%d.%m.%Y %H:%M")
    assert NOON == custom.engine.watermark


def test_only_types_that_are_let_in_are_learned() -> None:
    """And what each weighs counts for sampling; the others are left out, live too."""
    log = {"s": (["a", "b", "c"], [1, 2, 3], ["view", "bot", "cart"])}
    fitted = Recommender(types={"view": 1, "cart": 3}).fit(log)
    assert ["a", "c"] == fitted.session("s")
    assert {Reason.UNKNOWN_TYPE: 1} == fitted.left_out
    assert 0 == len(fitted.add(Event("s", "d", 4, "bot")).outcomes)
    assert ["a", "c"] == fitted.session("s")


def test_a_file_of_a_kind_of_producer(tmp_path: Path) -> None:
    """Its format has the name that `run` knows it by; what is no click is counted, and what has no id an error."""
    calls: list[dict[str, Any]] = [
        {
            "type": "track",
            "event": "Product Viewed",
            "messageId": f"m{number}",
            "anonymousId": event.session_id,
            "timestamp": f"2024-05-01T12:{number:02}:00Z",
            "properties": {"product_id": event.item_id},
        }
        for number, event in enumerate(EVENTS)
    ]
    path = tmp_path / "tracked.jsonl"
    path.write_text("".join(json.dumps(call) + "\n" for call in [*calls, {**calls[0], "type": "identify"}]))
    fitted = Recommender(session_gap_ms=1_800_000).fit(path, format="segment")
    assert len(EVENTS) == fitted.engine.stats().n_events
    log = read_log(path, format="segment")
    assert {"not_an_event": 1} == dict(log.left_out)
    assert [event.item_id for event in EVENTS] == [event.item_id for events in log.events() for event in events]
    path.write_text(json.dumps({**calls[0], "anonymousId": None}) + "\n")
    with pytest.raises(DecodeError, match=r"tracked.jsonl:1: .*anonymousId"):
        read_log(path, format="segment")


def test_sessions_are_cut_from_users_by_an_idle_gap() -> None:
    """Where the log knows users only."""
    frame = pd.DataFrame({"user_id": ["u", "u", "u"], "item_id": ["a", "b", "c"], "timestamp": [0, 10, 5_000]})
    fitted = Recommender(session_gap_ms=1_000).fit(frame)
    assert [["a", "b"], ["c"]] == sorted(map(fitted.session, fitted.session_ids()))
    with pytest.raises(SettingsError, match="has none"):
        Recommender(session_gap_ms=1_000).fit(SESSIONS)


def test_events_of_one_type_may_weigh_differently() -> None:
    """The sample goes by their mean, and what is required of a type holds for all of its weights."""
    log = {
        "light": (["a", "light"], [1, 2], ["view", "view"], [1.0, 1.0]),
        "heavy": (["a", "heavy"], [3, 4], ["view", "view"], [1.0, 6.0]),
        "bought": (["a", "bought"], [5, 6], ["buy", "buy"], [2.0, 2.5]),
    }
    fitted = Recommender(model("wsknn", m=1, sampling="weighted-events", seen="drop-session", fallbacks=False)).fit(log)
    assert ["heavy"] == [each.item_id for each in fitted.recommend(items=["a"])]
    assert ["bought"] == [each.item_id for each in fitted.recommend(items=["a"], require_type="buy")]
    assert ["heavy"] == [each.item_id for each in fitted.recommend(items=["a"], require_type="view")]
    bought = fitted.recommend(items=["a"], bonus_type="buy", bonus=5.0)
    assert ["bought"] == [each.item_id for each in bought]


def test_weights_may_stand_in_a_column() -> None:
    """Of a data frame."""
    frame = pd.DataFrame({**ROWS, "weight": [0.5] * 8 + [4.0, 4.0]})
    fitted = Recommender(model("wsknn", m=1, sampling="weighted-events", fallbacks=False)).fit(frame, weight="weight")
    assert {"tent", "stove"} == {each.item_id for each in fitted.recommend(items=["tent"], seen="keep")}


def test_weights_in_endless_variety_are_refused() -> None:
    """An index keeps 250 kinds of events."""
    log = {"s": (["a"] * 300, range(300), ["view"] * 300, [float(i) for i in range(300)])}
    with pytest.raises(SettingsError, match="300 different weights"):
        Recommender().fit(log)


@pytest.mark.parametrize(
    ("source", "how", "message"),
    [
        ({"s": (["a"], [1, 2])}, {}, "session 's': it has 1 items and 2 times"),
        ({"s": (["a"],)}, {}, r"session 's': expected \(items, times\)"),
        ({"s": "ab"}, {}, r"session 's': expected \(items, times\)"),
        ({"s": (["a", ""], [1, 2])}, {}, "session 's', item 1: expected an id, found an empty text"),
        ({"s": (["a"], ["soon"])}, {}, "session 's', time 0: expected milliseconds since 1970, found 'soon'"),
        ({"s": (["a"], [-1])}, {}, "session 's', time 0: expected a time from 1970 on"),
        ({"s": (["a"], [1], ["view"], [-1.0])}, {}, "session 's', weight 0: expected a weight"),
        ({"s": (["a"], [1], ["v"], [1.0]), "t": (["a"], [1])}, {}, "some sessions have weights"),
        ({1.5: (["a"], [1])}, {}, "session: expected text or a whole number, found the number 1.5"),
        (pd.DataFrame({**ROWS, "item_id": ["a"] * 9 + [None]}), {}, "row 9, column 'item_id': expected an id"),
        (pd.DataFrame({**ROWS, "item_id": ["a"] * 8 + ["", "b"]}), {}, "row 8, column 'item_id': .*empty text"),
        (pd.DataFrame({**ROWS, "item_id": [0.5] * 10}), {}, "row 0, column 'item_id': expected text or a whole"),
        (pd.DataFrame({**ROWS, "timestamp": [1] * 9 + [-5]}), {}, "row 9, column 'timestamp': expected a time from"),
        (pd.DataFrame({**ROWS, "timestamp": ["1"] * 9 + ["x"]}), {}, "row 9, column 'timestamp': .*found 'x'"),
        (pd.DataFrame({**ROWS, "timestamp": [None] + [1.0] * 9}), {}, "row 0, column 'timestamp': expected a time"),
        (pd.DataFrame({**ROWS, "w": [1.0] * 9 + [-1.0]}), {"weight": "w"}, "row 9, column 'w': expected a weight"),
    ],
)
def test_the_error_names_the_first_wrong_value(source: object, how: dict[str, Any], message: str) -> None:
    """Session and place, or row and column; and what was expected. Nothing is learned then."""
    recommender = Recommender().fit(SESSIONS)
    before = seen(recommender)
    with pytest.raises(DecodeError, match=message):
        recommender.fit(source, **how)
    assert before == seen(recommender)


@pytest.mark.parametrize(
    ("source", "how", "key"),
    [
        (pd.DataFrame(ROWS), {"fields": {"session_id": "who"}}, "fields"),
        (pd.DataFrame(ROWS), {"fields": {"who": "session_id"}}, "fields"),
        (pd.DataFrame(ROWS), {"weight": "mass"}, "fields"),
        (pd.DataFrame({**ROWS, "w": ["x"] * 10}), {"weight": "w"}, "weight"),
        (pd.DataFrame(ROWS), {"unit": "s"}, "unit"),
        (pd.DataFrame(ROWS), {"timestamp_unit": "weeks"}, "timestamp_unit"),
        (SESSIONS, {"types_row": "two"}, "types_row"),
        (pa.table([[1]] * 4, names=["session_id", "item_id", "timestamp", "item_id"]), {}, "fields"),
        (7, {}, "source"),
        (["a", "b"], {}, "source"),
        ("no/such/file.csv", {}, "events"),
    ],
)
def test_an_unreadable_source_is_named(source: object, how: dict[str, Any], key: str) -> None:
    """Which of what was said is wrong."""
    with pytest.raises(SettingsError) as caught:
        Recommender().fit(source, **how)
    assert key == caught.value.key


# --- going on


def test_it_goes_on_with_live_events(shop: Recommender) -> None:
    """One or several, in whatever order: nothing is late, and each counts from the next question on."""
    one_by_one = Recommender().fit([])
    for event in EVENTS[::-1]:
        assert 1 == one_by_one.add(event).n_applied
    assert seen(shop) == seen(one_by_one)
    together = Recommender().fit(EVENTS[:4])
    assert 6 == together.add(EVENTS[4:]).n_applied
    assert [(name, shop.session(name)) for name in VISITS] == [(name, together.session(name)) for name in VISITS]
    before = shop.recommend("dora")
    shop.add(Event("cleo", "stove", NOON + 3_600_000))
    assert before != shop.recommend("dora")


# --- asking


def test_parameters_change_for_one_question(shop: Recommender) -> None:
    """Any of the model's, and nothing else changes."""
    before = seen(shop)
    assert 1 == len(shop.recommend("dora", n=1))
    assert ["neighbours"] == [each.source for each in shop.recommend("dora", k=1, n=1, fallbacks=False)]
    assert shop.recommend("dora", sampling="common-items", weight="log", match="div", idf="none")
    assert "lamp" not in {each.item_id for each in shop.recommend("dora", exclude=["lamp"])}
    assert before == seen(shop)
    with pytest.raises(SettingsError) as caught:
        shop.recommend("dora", k=0)
    assert "k" == caught.value.key


def test_many_are_asked_at_once(shop: Recommender) -> None:
    """By the ids of what was learned, or with items of their own; in any number of threads the same."""
    expected = {name: shop.recommend(name) for name in VISITS}
    assert expected == shop.recommend_many(VISITS.keys())
    assert expected == shop.recommend_many(dict.fromkeys(VISITS))
    own = {"dora": ["lamp"], "a stranger": ["tent", "lamp"], "nobody": None}
    assert {name: shop.recommend(name, items=items, n=3) for name, items in own.items()} == shop.recommend_many(
        own, n=3
    )
    assert {} == shop.recommend_many([])
    with pytest.raises(SettingsError, match="threads"):
        shop.recommend_many(VISITS, threads=0)


@settings(max_examples=20)
@given(st.integers(1, 6), st.booleans(), st.sampled_from(["recent", "random"]))
def test_threads_answer_as_one_would(threads: int, fallbacks: bool, sampling: str) -> None:
    """Each has scratch memory of its own, and none writes to the index: not to the popular items' order either."""
    fitted = Recommender().fit([Event(f"s{i % 97}", f"i{i * i % 211}", i * 1_000) for i in range(2_000)])
    names = sorted(fitted.session_ids())
    changes: dict[str, Any] = {"fallbacks": fallbacks, "sampling": sampling, "m": 7, "k": 3, "n": 30}
    alone = {name: fitted.recommend(name, **changes) for name in names}
    fitted.add(Event("new", "i1", 1_999_000))  # no later than the log: what is newer makes all else older
    fitted.engine.forget(session_id="new")
    assert alone == fitted.recommend_many(names, threads=threads, **changes)
    fitted.engine._check()


def test_shares_run_side_by_side() -> None:
    """In as many threads as were asked for."""
    barrier = threading.Barrier(3, timeout=30)

    def meet(_: int) -> None:
        barrier.wait()

    assert [None, None, None] == list(in_parallel(3)(meet, range(3)))


def test_few_sessions_are_not_worth_a_thread() -> None:
    """A share is of sixteen at least, and each thread has four of them where there are enough."""
    assert (1, 1, 2, 8, 1) == tuple(parts_for(*each) for each in [(0, 2), (31, 2), (32, 2), (9_000, 2), (9_000, 1)])
    assert n_threads() >= 1


def test_an_error_in_a_thread_is_raised() -> None:
    """It does not vanish with the thread."""

    def fail(number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        list(in_parallel(2)(fail, range(1, 2)))


# --- the rest


def test_a_bar_shows_how_far_a_fit_is() -> None:
    """Bytes first, then events; only on a terminal, and only if asked for."""
    terminal = Console(force_terminal=True, width=80, record=True, file=StringIO())
    with fit_progress(progress=True, console=terminal) as watch:
        watch.reading(50, 100)
        assert [[EVENTS[0]]] == list(watch.learning(iter([[EVENTS[0]]]), 1))
    assert "learning" in terminal.export_text()
    silent = Console(force_terminal=False, record=True, file=StringIO())
    with fit_progress(progress=True, console=silent) as watch:
        watch.reading(50, 100)
    assert "" == silent.export_text()


def empty() -> Iterator[Event]:
    yield from ()


@pytest.mark.parametrize("source", [{}, [], empty(), pd.DataFrame(ROWS).head(0), {"s": ([], [])}])
def test_nothing_is_learned_from_nothing(source: object) -> None:
    """And nothing is recommended from it."""
    fitted = Recommender().fit(source)
    assert [] == fitted.session_ids()
    assert [] == fitted.recommend("s")
    assert {"s": []} == fitted.recommend_many({"s": ["a"]})


# --- a log in columns


def test_a_part_of_the_sessions_is_split_off_by_a_seed() -> None:
    """Whole sessions, as many as the share says, the same for the same seed in whatever order the log came."""
    log = columns_of_events([Event(f"s{i % 50}", f"i{i}", i) for i in range(500)])
    back = columns_of_events([Event(f"s{i % 50}", f"i{i}", i) for i in reversed(range(500))])
    kept, off = log.split(0.1, seed=7)
    assert (45, 5) == (len(kept.by_session()), len(off.by_session()))
    assert log.by_session() == {**kept.by_session(), **off.by_session()}
    assert off.by_session() == back.split(0.1, seed=7)[1].by_session()
    assert off.by_session().keys() != log.split(0.1, seed=8)[1].by_session().keys()
    assert sorted(off.by_session()) == sorted(off.sessions.names)
    assert (0, 50) == tuple(len(each.by_session()) for each in log.split(1))
    with pytest.raises(SettingsError, match="share"):
        log.split(1.1)


def test_a_log_is_summarised_without_learning_it() -> None:
    """By what a fit would take; types that are not let in are left out of the names too."""
    log = read_log(SESSIONS)
    assert (10, 4, 5, 3) == (len(log), log.summary().sessions, log.summary().items, log.summary().session_length_max)
    assert {name: (*rows, ["view"] * len(rows[0])) for name, rows in SESSIONS.items()} == log.by_session()
    types = read_log([*EVENTS, Event("eve", "bot", NOON, "bot", None, "u")]).of_types(frozenset({"view"}))
    assert (sorted(VISITS), ["view"], []) == (sorted(types.sessions.names), types.types.names, types.users.names)  # type: ignore[union-attr]  # it has users
    assert [None] * 10 == [event.user_id for events in types.events() for event in events]


# --- keeping

LOG: dict[str, Any] = {
    "light": (["a", "light"], [1, 2], ["view", "view"], [1.0, 1.0]),
    "heavy": (["a", "heavy"], [3, 4], ["view", "view"], [1.0, 6.0]),
    "bot": (["a", "b"], [5, 6], ["bot", "view"], [1.0, 1.0]),
}


def test_a_recommender_comes_back_as_it_was(tmp_path: Path) -> None:
    """All that it was made with goes along, infinity included, and all that it learned: it goes on the same."""
    point = model("wsknn", m=1, sampling="weighted-events", require_type="view", bonus_type=("buy", "cart"), bonus=2.0)
    point = changed(point, weight="exp", weight_decay=inf)
    original = Recommender(point, types={"view": 2.0, "buy": 3.0}, deny=["light"]).fit(LOG)
    original.save(tmp_path / "shop.srs")
    loaded = Recommender.load(tmp_path / "shop.srs")
    for _ in range(2):
        assert seen(original) == seen(loaded)
        assert (original.model, original.left_out) == (loaded.model, loaded.left_out)
        for each in (original, loaded):
            assert 1 == each.add([Event("late", "heavy", 3, "buy"), Event("late", "b", 9, "bot")]).n_applied
    assert seen(original.fit(SESSIONS)) == seen(loaded.fit(SESSIONS))


def test_other_files_are_not_loaded(tmp_path: Path) -> None:
    """An error, never an empty recommender."""
    with pytest.raises(SnapshotError):
        Recommender.load(tmp_path / "nothing")
    snapshot.save(Engine(), tmp_path / "engine.srs")
    with pytest.raises(SnapshotError, match="not a recommender"):
        Recommender.load(tmp_path / "engine.srs")
