"""Where the catalogue comes from: files that change, topics that go on, and what becomes of what is broken."""

import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from subjects import until

from stream_rec.core.catalogue import Catalogue, CatalogueItem
from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.model import Rules
from stream_rec.errors import MissingTopicError, SettingsError, TransportError
from stream_rec.service.assembly.batch_job import build_batch_job
from stream_rec.service.assembly.engine import build_engine
from stream_rec.service.processing.catalogue_feed import CatalogueFeed, CatalogueFile, CatalogueTopic
from stream_rec.service.processing.processor import Processor
from stream_rec.service.timeouts import Timeouts
from stream_rec.settings import load
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.transport.records import Record

LINES: list[dict[str, object]] = [
    {"id": "a", "title": "A", "category": "x", "price": 2.5, "tags": ["new"]},
    {"id": "b", "available": False},
    {"id": "c"},
]


def jsonl(*lines: dict[str, object]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def started() -> Iterator[Callable[[CatalogueFeed], CatalogueFeed]]:
    """Starts feeds, and ends them."""
    feeds: list[CatalogueFeed] = []

    def start(feed: CatalogueFeed) -> CatalogueFeed:
        feeds.append(feed)
        feed.start()
        return feed

    yield start
    for feed in feeds:
        feed.close()


def replace(path: Path, text: str) -> None:
    """As whoever writes a catalogue should: under another name, then renamed."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


class TestFiles:
    """Read at the start, and again when they change."""

    def test_every_format_says_the_same(self, tmp_path: Path) -> None:
        """CSV, TSV, JSON lines, arrays and Parquet, packed or not."""
        (tmp_path / "c.jsonl").write_text(jsonl(*LINES), encoding="utf-8")
        (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(jsonl(*LINES).encode()))
        (tmp_path / "c.json").write_text(json.dumps(LINES), encoding="utf-8")
        for ending, between in ((".csv", ","), (".tsv", "\t")):
            head = ["item_id", "title", "category", "price", "tags", "available"]
            cells = [["a", "A", "x", "2.5", "new", ""], ["b", "", "", "", "", "false"], ["c", "", "", "", "", "1"]]
            rows = [head, *cells]
            (tmp_path / f"c{ending}").write_text("\n".join(map(between.join, rows)), encoding="utf-8")
        columns = {name: [line.get(name) for line in LINES] for name in ("id", "title", "category", "price", "tags")}
        table = pa.table({**columns, "available": [None, False, True]})
        pq.write_table(table, tmp_path / "c.parquet")
        first = CatalogueItem("a", "A", "x", tags=("new",), price=2.5)
        expected = [first, CatalogueItem("b", available=False), CatalogueItem("c")]
        for path in sorted(tmp_path.iterdir()):
            catalogue = CatalogueFile(str(path)).load()
            assert expected == list(catalogue), path.name

    def test_a_change_holds_within_a_second(
        self, tmp_path: Path, started: Callable[[CatalogueFeed], CatalogueFeed]
    ) -> None:
        """An item that becomes unavailable is in no answer from then on; one that is back is."""
        path = tmp_path / "c.jsonl"
        path.write_text(jsonl(*LINES), encoding="utf-8")
        feed = started(CatalogueFeed(CatalogueFile(str(path))))
        processor = Processor(Engine(), catalogue=feed.current)
        processor.engine.apply([Event("s", item, 1) for item in "abc"])

        def recommended() -> set[str]:
            (answer,) = processor.process_requests([Record(b'{"session_id": "t"}', "r", 0, 0)]).answers
            return {each.item_id for each in answer.items}

        assert {"a", "c"} == recommended()
        for available, expected in ((False, {"a"}), (True, {"a", "c"})):
            replace(path, jsonl(*LINES[:2], {"id": "c", "available": available}))
            begun = time.monotonic()
            while recommended() != expected:
                assert time.monotonic() - begun < 1 + 4  # seconds that a busy machine may add
                time.sleep(0.01)

    def test_a_broken_version_is_refused_and_the_old_one_stays(
        self,
        tmp_path: Path,
        started: Callable[[CatalogueFeed], CatalogueFeed],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """With a line that says why; the next good one is taken."""
        path = tmp_path / "c.jsonl"
        path.write_text(jsonl(*LINES), encoding="utf-8")
        feed = started(CatalogueFeed(CatalogueFile(str(path), timeouts=Timeouts(catalogue_every_s=0.02))))
        before = feed.current()
        for broken, told in (
            ("", "holds no items any more"),
            ("<html>\n<body>\n" + jsonl({"id": "x"}), "is an HTML page"),
            ("oops\noops\n" + jsonl({"id": "x"}), "2 of 3 records"),
            (jsonl({"title": "x"}), "line 1: id (or item_id): expected, found nothing"),
        ):
            replace(path, broken)
            until(lambda told=told: "stays as it was" in caplog.text and told in caplog.text)  # type: ignore[misc]
            assert feed.current() is before
        path.unlink()
        replace(path, jsonl({"id": "new"}))
        until(lambda: [item.id for item in feed.current()] == ["new"])

    def test_a_bad_line_is_told_and_the_rest_goes_on(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The first few by their lines, the others by their number."""
        path = tmp_path / "c.jsonl"
        bad = [json.dumps({"price": "?"}), *(json.dumps({"title": f"x{j}"}) for j in range(6))]
        good = [json.dumps({"id": f"i{j}"}) for j in range(9)]
        path.write_text("\n".join([*bad, *good]), encoding="utf-8")
        source = CatalogueFile(str(path))
        assert 9 == len(source.load())
        assert 7 == source.n_bad
        assert "goes on without" in caplog.text
        assert "line 2: id (or item_id): expected, found nothing" in caplog.text
        assert "has 2 more such records" in caplog.text

    def test_a_line_with_a_mistake_never_lets_an_item_in(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What can be read of it holds, at the start and after a change; and it is counted at each reading."""
        path = tmp_path / "c.csv"
        head = "item_id,available,price\n"
        good = "".join(f"i{n},yes,1\n" for n in range(5))
        path.write_text(f"{head}chair,no,89\n{good}", encoding="utf-8")
        source = CatalogueFile(str(path), timeouts=Timeouts(catalogue_every_s=0.0))
        catalogue = source.load()
        for line, n_bad in (("chair,no,89 EUR", 1), ("chair,no,", 1), ("chair,nope,89", 2), ("chair,no,?", 3)):
            replace(path, f"{head}{line}\n{good}")
            catalogue = source.next(catalogue)
            assert (6, 1, n_bad) == (len(catalogue), catalogue.n_unavailable, source.n_bad), line
            chair = catalogue.get("chair")
            assert chair is not None
            assert not chair.available
        replace(path, f"{head}chair,no,?\n{good}i5,yes,1\n")
        catalogue = source.next(catalogue)
        assert (7, 4) == (len(catalogue), source.n_bad), "a line that stays as it was is counted again"
        assert "the catalogue takes what else it can of 'chair': " in caplog.text

    def test_items_that_a_broken_line_may_be_about_stay_as_they_were(self, tmp_path: Path) -> None:
        """If it is not known which item a line is, the items that are gone keep what was known of them."""
        path = tmp_path / "c.jsonl"
        good: list[dict[str, object]] = [{"id": f"i{n}"} for n in range(5)]
        path.write_text(jsonl({"id": "chair", "available": False}, *good), encoding="utf-8")
        source = CatalogueFile(str(path), timeouts=Timeouts(catalogue_every_s=0.0))
        catalogue = source.load()
        replace(path, '{"id": "chair", "available": fal\n' + jsonl(*good[1:]))
        catalogue = source.next(catalogue)
        assert {"chair", *(f"i{n}" for n in range(5))} == {item.id for item in catalogue}
        assert 1 == catalogue.n_unavailable
        replace(path, jsonl(*good[1:]))
        assert {f"i{n}" for n in range(1, 5)} == {item.id for item in source.next(catalogue)}

    @pytest.mark.parametrize(
        ("name", "content", "told"),
        [
            ("none.jsonl", None, "cannot read"),
            ("c.txt", b"<!DOCTYPE html>", "HTML page"),
            ("c.csv", b"", "does not name its columns"),
            ("c.csv", b"name,price\nA,1\n", "1 of 1 records"),
            ("c.parquet", b"PAR", "is not a Parquet file"),
            ("c.jsonl.gz", gzip.compress(jsonl(*LINES).encode(), mtime=0)[:-9], "cut off"),
        ],
    )
    def test_at_the_start_a_broken_file_is_a_wrong_setting(
        self, tmp_path: Path, name: str, content: bytes | None, told: str
    ) -> None:
        """By the setting's name."""
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(SettingsError, match="catalogue: .*" + told):
            CatalogueFile(str(tmp_path / name)).load()

    def test_a_file_that_changes_while_it_is_read_is_read_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was half new is not taken."""
        path = tmp_path / "c.jsonl"
        path.write_text(jsonl(*LINES), encoding="utf-8")
        source = CatalogueFile(str(path), timeouts=Timeouts(catalogue_every_s=0.0))
        first = source.load()
        path.write_text(jsonl({"id": "half"}), encoding="utf-8")
        items = source._items

        def slow() -> list[CatalogueItem]:
            found = items()
            os.utime(path, ns=(1, 1))
            return found

        monkeypatch.setattr(source, "_items", slow)
        with pytest.raises(TransportError, match="changed while it was read"):
            source.next(first)
        monkeypatch.setattr(source, "_items", items)
        assert ["half"] == [item.id for item in source.next(first)]


class TestTopics:
    """Read to their end, and followed from there."""

    @staticmethod
    def broker() -> MemoryBroker:
        broker = MemoryBroker({"items": 2})
        for line in LINES:
            broker.produce("items", json.dumps(line).encode(), str(line["id"]).encode())
        return broker

    def test_it_holds_what_the_topic_does_and_follows(
        self, started: Callable[[CatalogueFeed], CatalogueFeed], caplog: pytest.LogCaptureFixture
    ) -> None:
        """The last record of a key counts, one without a value takes the item away, a bad one is told by its offset."""
        broker = self.broker()
        broker.produce("items", b'{"title": "B"}', b"b")
        broker.produce("items", None, b"c")
        feed = started(CatalogueFeed(CatalogueTopic(lambda: broker, "items")))
        assert {"a", "b"} == {item.id for item in feed.current()}
        assert CatalogueItem("b", "B") == feed.current().get("b")
        first = feed.current()
        broker.produce("items", b"{", b"b")
        broker.produce("items", b'{"id": "b", "available": false}', b"b")
        broker.produce("items", None, b"a")
        broker.produce("items", b'{"item_id": "d"}', b"another key")
        until(lambda: {"b", "d"} == {item.id for item in feed.current()})
        until(lambda: feed.current().n_unavailable == 1)
        assert 2 == len(first)
        broker.produce("items", None, b"another key")
        until(lambda: feed.current().get("d") is None)
        assert 1 == feed.n_bad
        assert "offset " in caplog.text

    def test_a_record_with_a_mistake_never_lets_an_item_in(self, caplog: pytest.LogCaptureFixture) -> None:
        """What can be read of it holds, and it is told by its offset."""
        broker = MemoryBroker({"items": 1})
        broker.produce("items", b'{"available": false}', b"a")
        broker.produce("items", b'{"available": false, "price": "89 EUR"}', b"a")
        broker.produce("items", b'{"availability": "who knows"}', b"b")
        source = CatalogueTopic(lambda: broker, "items")
        catalogue = source.load()
        assert (2, 2, 2) == (len(catalogue), catalogue.n_unavailable, source.n_bad)
        assert "takes what else it can of 'a': items-0, offset 1: price: expected a number" in caplog.text

    def test_keys_are_read_in_the_form_of_their_serializer(self) -> None:
        """Else an item that is sold out would be known under a name that no click has."""
        broker = MemoryBroker({"items": 1})
        for key in (b'"a"', b'{"item_id": "b"}', b'{"schema": null, "payload": {"id": "c"}}', b"\0\0\0\0\1d"):
            broker.produce("items", b'{"available": "out_of_stock"}', key)
        source = CatalogueTopic(lambda: broker, "items")
        catalogue = source.load()
        assert {"a", "b", "c", "d"} == {item.id for item in catalogue if not item.available}
        broker.produce("items", None, b'"a"')
        broker.produce("items", b'{"schema": {"type": "struct"}, "payload": null}', b'{"item_id": "b"}')
        broker.produce("items", b"null", b"c")
        assert {"d"} == {item.id for item in source.next(catalogue)}

    def test_an_empty_topic_is_an_empty_catalogue(self) -> None:
        """And does not keep the service from starting."""
        assert 0 == len(CatalogueTopic(lambda: MemoryBroker({"items": 2}), "items").load())

    def test_a_topic_that_is_not_there_may_be_made_yet(self) -> None:
        """The error names the setting and the topic, and is one to wait for."""
        with pytest.raises(MissingTopicError, match="catalogue: there is no topic 'items'"):
            CatalogueTopic(lambda: MemoryBroker({}), "items").load()

    def test_after_a_failure_it_is_read_anew(self) -> None:
        """What was taken away meanwhile is away, and rows stay."""
        broker = self.broker()
        source = CatalogueTopic(lambda: broker, "items")
        first = source.load()
        source.close()
        broker.produce("items", None, b"a")
        broker.produce("items", json.dumps({"id": "d"}).encode(), b"d")
        second = source.next(first)
        assert {"b", "c", "d"} == {item.id for item in second}
        assert first.line is second.line


class TestRunning:
    """As `stream-rec run` does."""

    def test_a_run_over_files_keeps_the_rules(self, tmp_path: Path) -> None:
        """Those of the settings for events, and those of requests with them."""
        (tmp_path / "c.jsonl").write_text(
            jsonl(*({"id": f"i{j}", "category": "xy"[j % 2], "price": j, "available": j != 3} for j in range(8))),
            encoding="utf-8",
        )
        events: list[dict[str, object]] = [
            {"session_id": f"s{j // 4}", "item_id": f"i{j % 8}", "timestamp": 1_000 + j} for j in range(40)
        ]
        (tmp_path / "e.jsonl").write_text(jsonl(*events), encoding="utf-8")
        requests: list[dict[str, object]] = [
            {"request_id": "all", "session_id": "s9"},
            {"request_id": "narrow", "session_id": "s9", "filter": "category = 'x'", "max_per_category": 5},
            {"request_id": "wide", "session_id": "s9", "filter": "price < 9"},
            {"request_id": "wrong", "session_id": "s9", "filter": "price <"},
            {"request_id": "only", "items": ["i1"], "allow": ["i3", "i4", "i7"], "boost": {"price > 6": 3}},
        ]
        (tmp_path / "r.jsonl").write_text(jsonl(*requests), encoding="utf-8")
        out, dead = tmp_path / "out.jsonl", tmp_path / "dead.jsonl"
        (tmp_path / "s.toml").write_text(
            f"""
            events = "{tmp_path}/e.jsonl"
            requests = "{tmp_path}/r.jsonl"
            recommendations = "{out}"
            catalogue = "{tmp_path}/c.jsonl"
            filter = "price < 7"
            deny = ["i5"]
            max_per_category = 2
            [boosts]
            'category = "y" and price < 3' = 2
            """,
            encoding="utf-8",
        )
        job = build_batch_job(load(config=tmp_path / "s.toml"))
        job.run()
        job.close()
        answered = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        for answer in answered:
            items = [int(each["item_id"][1:]) for each in answer["items"]]
            assert not {3, 5, 7} & set(items)
            if answer["request_id"] != "narrow":
                assert max((sum(item % 2 == odd for item in items) for odd in (0, 1)), default=0) <= 2
        by_id = {answer["request_id"]: {each["item_id"] for each in answer["items"]} for answer in answered[-4:]}
        assert {"i0", "i2", "i4", "i6"} >= by_id["narrow"]
        assert len(by_id["narrow"]) > 2, "a request's own bound takes the place of the setting's"
        assert by_id["wide"] == by_id["all"]
        assert by_id["only"] == {"i4"}
        assert {"wrong_type": 1} == dict(job.counters.dead_requests)
        assert not dead.exists()

    def test_settings_name_what_is_wrong(self, tmp_path: Path) -> None:
        """A filter that is none, rules without a catalogue, too many boosts."""
        (tmp_path / "c.jsonl").write_text(jsonl(*LINES), encoding="utf-8")
        given = {"events": "-", "catalogue": str(tmp_path / "c.jsonl")}
        with pytest.raises(SettingsError, match="filter: 'price <' is no expression: at character 8: expected a value"):
            build_engine(load(flags={**given, "filter": "price <"}))
        with pytest.raises(SettingsError, match="boosts: 'a b' is no expression: at character 3"):
            build_engine(load(flags={**given, "boosts": ["a b=2"]}))
        with pytest.raises(SettingsError, match="filter: needs item attributes"):
            load(flags={"events": "-", "filter": "price < 3"})
        with pytest.raises(SettingsError, match=r"boosts: .* expected at most 15 pairs"):
            load(flags={**given, "boosts": ["a=0"]})

    def test_boosts_may_hold_equal_signs_and_commas(self) -> None:
        """In flags the last = is the pair's; in the environment ; stands between pairs."""
        flags = {"events": "-", "catalogue": "c.jsonl"}
        expected = {"a = 1": 2.0, "b in (1, 2)": 0.5}
        assert expected == load(flags={**flags, "boosts": ["a = 1=2", "b in (1, 2)=0.5"]}).boosts
        assert expected == load(flags=flags, environ={"STREAM_REC_BOOSTS": "a = 1=2;b in (1, 2)=0.5"}).boosts

    def test_an_allow_list_of_the_settings_is_all_that_comes(self, tmp_path: Path) -> None:
        """With its file; without a catalogue too."""
        (tmp_path / "allow.txt").write_text("b\n", encoding="utf-8")
        flags = {"events": "-", "allow": ["a"], "allow_file": str(tmp_path / "allow.txt")}
        engine = build_engine(load(flags=flags))
        engine.apply([Event("s", item, 1) for item in "abc"])
        assert {"a", "b"} == {each.item_id for each in engine.recommend("t")}

    def test_an_empty_allow_file_lets_nothing_through(self, tmp_path: Path) -> None:
        """It was named, so it is meant."""
        (tmp_path / "allow.txt").write_text("\n", encoding="utf-8")
        engine = build_engine(load(flags={"events": "-", "allow_file": str(tmp_path / "allow.txt")}))
        engine.apply([Event("s", "a", 1)])
        assert [] == engine.recommend("t")


def test_a_filter_without_a_catalogue_yet_lets_nothing_through() -> None:
    """An engine by hand: what is not known compares false."""
    engine = Engine(rules=Rules(filter="price < 3"))
    engine.apply([Event("s", "a", 1)])
    assert [] == engine.recommend("t")
    engine.set_catalogue(Catalogue([CatalogueItem("a", price=1.0)]))
    assert ["a"] == [each.item_id for each in engine.recommend("t")]
