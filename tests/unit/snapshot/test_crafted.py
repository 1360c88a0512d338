"""Files with right checksums and wrong content: each is refused as a SnapshotError, or loads and works."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from xxhash import xxh3_128

from stream_rec import Engine, Event, SnapshotError, snapshot
from stream_rec.core.limits import Limits
from stream_rec.snapshot.columns import DTYPES
from stream_rec.snapshot.file import CHECKSUM, PREFIX

INTEGERS = (-(2**70), -(2**63) - 1, -(2**63), -1, 0, 1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64, 2**70)
GAP_MS = 1_800_000
LOG = [Event(f"s{n % 4}", f"i{n % 5}", 1_000 + n, ("view", "cart")[n % 2], f"e{n}", f"u{n % 3}") for n in range(20)]

Header = dict[str, Any]
Columns = dict[str, bytes]


class Crafted:
    """The parts of a snapshot; `write` puts them together again, with the checksums that they need."""

    def __init__(self, path: Path) -> None:
        whole = path.read_bytes()
        _, self.version, length, _ = PREFIX.unpack(whole[: PREFIX.size])
        self.magic = whole[:8]
        self._header = whole[PREFIX.size : PREFIX.size + length]
        self.columns: Columns = {}
        at = PREFIX.size + length
        for section in self.header()["sections"]:
            self.columns[section["name"]] = whole[at : at + section["n_bytes"]]
            at += section["n_bytes"]
        assert len(whole) == at + CHECKSUM

    def header(self) -> Header:
        """Return the header, a new object each time."""
        header: Header = msgspec.json.decode(self._header)
        return header

    def write(self, path: Path, header: Header, columns: Columns) -> Path:
        """Write a file of these parts, whose checksums are right."""
        for section in header["sections"]:
            content = columns[section["name"]]
            section["checksum"] = xxh3_128(content).hexdigest()
            section["n_bytes"] = len(content)
        text = json.dumps(header).encode()  # msgspec writes no numbers beyond 64 bits
        body = PREFIX.pack(self.magic, self.version, len(text), xxh3_128(text).digest()) + text
        body += b"".join(columns[section["name"]] for section in header["sections"])
        path.write_bytes(body + xxh3_128(body).digest())
        return path


@pytest.fixture(scope="module", params=[None, GAP_MS])
def crafted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Crafted:
    """A snapshot of a state that has some of everything."""
    engine = Engine(limits=Limits(retention_ms=1_000_000, max_sessions=50), session_gap_ms=request.param)
    engine.apply(LOG)
    path = tmp_path_factory.mktemp("crafted") / "engine.srs"
    snapshot.save(engine, path)
    return Crafted(path)


def outcome(path: Path) -> str:
    """Load the file and use the engine; return what it is refused with, or "loaded". All other errors are raised."""
    try:
        found = snapshot.read(path)
        snapshot.newest_valid(path.parent, found.header.fingerprint)
        engine = snapshot.load(path)
    except SnapshotError as error:
        return str(error)
    engine.recommend("s1")
    engine.apply([Event("new", "i1", 2_000, user_id="u1"), Event("s1", "i9", 3_000, "cart", "e3", "u2")])
    engine.recommend("new")
    engine.forget(user_id="u1")
    engine.stats()
    return "loaded"


def numbers_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of all numbers and nulls in *value*."""
    match value:
        case dict():
            for key, each in value.items():
                yield from numbers_in(each, (*path, key))
        case list():
            for place, each in enumerate(value):
                yield from numbers_in(each, (*path, place))
        case int() | None:
            yield path


def put(header: Header, path: tuple[Any, ...], value: object) -> None:
    place: Any = header
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value


def test_a_header_with_any_number_in_any_place(crafted: Crafted, tmp_path: Path) -> None:
    """Beyond 64 bits, negative, or not there at all: never another error than SnapshotError."""
    header = crafted.header()
    header["offsets"] = {"clicks": {"0": 5}}
    for path in list(numbers_in(header)):
        for value in (*INTEGERS, None):
            header = crafted.header()
            header["offsets"] = {"clicks": {"0": 5}}
            put(header, path, value)
            found = outcome(crafted.write(tmp_path / "snapshot-000000000001.srs", header, crafted.columns))
            assert found, (path, value)
    for partition in INTEGERS:
        header = crafted.header()
        header["offsets"] = {"clicks": {str(partition): 5}}
        assert outcome(crafted.write(tmp_path / "snapshot-000000000001.srs", header, crafted.columns))


def test_a_column_of_any_shape(crafted: Crafted, tmp_path: Path) -> None:
    """Also with as many numbers as its bytes hold, in other dimensions."""
    for place, section in enumerate(crafted.header()["sections"]):
        n = int(np.prod(section["shape"]))
        shapes: list[list[int]] = [
            [],
            [n, 1],
            [1, n],
            [n, 1, 1],
            [n + 1],
            [n, 2**40],
            [2**32, 2**32],
            [2**63],
            [2**70],
            [0, 2**70],
            [0, -1],
            [1] * 100,
        ]
        for shape in shapes:
            header = crafted.header()
            header["sections"][place]["shape"] = shape
            found = outcome(crafted.write(tmp_path / "one.srs", header, crafted.columns))
            assert found != "loaded" or shape == section["shape"], (section["name"], shape)


def changes(column: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Yield what a column of numbers might be instead."""
    if not column.size:
        return
    info = np.iinfo(column.dtype)
    for value in (info.min, info.max, info.max // 2, 0, 1):
        yield np.full_like(column, value)
        for place in (0, -1):
            changed = column.copy()
            changed.reshape(-1)[place] = value
            yield changed
    yield column[::-1]


def test_a_column_with_any_numbers(crafted: Crafted, tmp_path: Path) -> None:
    """Extreme ones, in one place or in all."""
    for section in crafted.header()["sections"]:
        name = section["name"]
        if DTYPES[name] == "bytes":
            continue
        column = np.frombuffer(crafted.columns[name], DTYPES[name]).reshape(section["shape"])
        for changed in changes(column):
            columns = {**crafted.columns, name: np.ascontiguousarray(changed).tobytes()}
            assert outcome(crafted.write(tmp_path / "one.srs", crafted.header(), columns)), name


def test_names_of_any_bytes(crafted: Crafted, tmp_path: Path) -> None:
    """Not UTF-8, or all alike."""
    for section in crafted.header()["sections"]:
        name = section["name"]
        if DTYPES[name] == "bytes" and crafted.columns[name]:
            for value in (b"\xff", b"\x00", b"\xed", b"a"):
                columns = {**crafted.columns, name: value * len(crafted.columns[name])}
                assert outcome(crafted.write(tmp_path / "one.srs", crafted.header(), columns)), name


@pytest.mark.parametrize("value", [-1, 2**31 - 1, 3])
def test_a_link_to_a_user_who_is_not_there(crafted: Crafted, tmp_path: Path, value: int) -> None:
    """A negative number must not count from the end: forgetting would erase another user's sessions."""
    columns = dict(crafted.columns)
    links = np.frombuffer(columns["link_users"], np.int32).copy()
    links[0] = value
    columns["link_users"] = links.tobytes()
    assert "contradict" in outcome(crafted.write(tmp_path / "one.srs", crafted.header(), columns))


CHANGES: dict[str, Callable[[Header], None]] = {
    "a watermark beyond 64 bits": lambda header: header.update(watermark=2**64),
    "a watermark of another age": lambda header: header.update(watermark=2**63 - 1),
    "evictions beyond 64 bits": lambda header: header.update(n_evicted=2**63),
    "a limit beyond 64 bits": lambda header: header["limits"].update(max_sessions=2**70),
    "a retention beyond 64 bits": lambda header: header["limits"].update(retention_ms=2**70),
    "an offset beyond 64 bits": lambda header: header.update(offsets={"clicks": {"0": 2**63}}),
    "a negative offset": lambda header: header.update(offsets={"clicks": {"0": -1}}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_numbers_out_of_range_are_refused(crafted: Crafted, tmp_path: Path, what: str) -> None:
    """The error names the file."""
    header = crafted.header()
    CHANGES[what](header)
    path = crafted.write(tmp_path / "one.srs", header, crafted.columns)
    assert outcome(path).startswith(str(path))
