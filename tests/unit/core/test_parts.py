"""The small parts under the engine: arithmetic, ordinals, the eviction queue, and how kernels are compiled."""

import math
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_hexdigest

from stream_rec.core.compiled import drop_stale_code, entry
from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.ids import IdTable
from stream_rec.core.index import exp, ln
from stream_rec.core.index.kernel import entries
from stream_rec.core.session_store import OPEN_AT_ONCE, EvictionQueue, SessionStore


@given(st.floats(1e-300, 1e300))
def test_ln_is_right_to_the_last_bits(x: float) -> None:
    """Within four units in the last place of the C library's."""
    assert ln(x) == pytest.approx(math.log(x), rel=1e-15, abs=1e-16)


@given(st.floats(-690, 0))
def test_exp_is_right_to_the_last_bits(x: float) -> None:
    """Within a few units in the last place of the C library's."""
    assert exp(x) == pytest.approx(math.exp(x), rel=1e-15)


def test_exact_values_of_the_arithmetic() -> None:
    """Ties depend on them: ln(1) = 0, exp(0) = 1, and exp of a long time ago is 0."""
    assert ln(1.0) == 0.0
    assert exp(0.0) == 1.0
    assert exp(-1e9) == 0.0


def test_names_keep_their_ordinals_and_released_ones_are_used_again() -> None:
    """Arrays stay as short as the number of live names allows."""
    table = IdTable()
    assert table.intern(["a", "b", "a"]) == ([0, 1, 0], [0, 1])
    table.release([0])
    table.release([0])
    assert "a" not in table
    assert table.intern(["b", "c"]) == ([1, 0], [0])
    assert len(table) == 2
    table._check()


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 3)), min_size=1, max_size=60),
    st.integers(1, 3),
    st.integers(1, 40),
)
def test_the_eviction_queue_yields_the_oldest_first(drawn: list[tuple[int, int]], parts: int, at_least: int) -> None:
    """Sessions come by (time, hash), each once, and all that were queued before the limit."""
    queue = EvictionQueue(retention_ms=20_000, open_at_least=at_least)
    hashes = np.array([tie for _, tie in drawn], np.uint64)
    times = np.array([time for time, _ in drawn], np.int64)
    for part in np.array_split(np.arange(len(drawn), dtype=np.int32), parts):
        queue.add(part, times[part])
    queue._check()
    assert len(queue) == len(drawn)
    taken: list[int] = []
    while len(queue):
        assert queue.next_time <= times[[session for session in range(len(drawn)) if session not in taken]].min()
        sessions, queued, limit = queue.take_oldest(hashes)
        assert queued.tolist() == times[sessions].tolist()
        taken += sessions.tolist()
        assert all(times[session] >= limit for session in range(len(drawn)) if session not in taken)
    assert sorted(taken) == list(range(len(drawn)))
    assert [(times[s], hashes[s]) for s in taken] == sorted(zip(times, hashes, strict=True))


def test_a_crowded_bucket_is_opened_in_parts() -> None:
    """A million sessions within an hour must not be sorted for each eviction."""
    queue = EvictionQueue(retention_ms=None)
    n = 3 * OPEN_AT_ONCE
    queue.add(np.arange(n, dtype=np.int32), np.arange(n, dtype=np.int64) // 2)
    sessions, times, limit = queue.take_oldest(np.zeros(n, np.uint64))
    assert sessions.size == OPEN_AT_ONCE
    assert times.max() < limit
    assert len(queue) == n - OPEN_AT_ONCE


def test_users_and_sessions_refer_to_each_other() -> None:
    """A session may have several users, a user several sessions; a session that leaves takes its links along."""
    store = SessionStore(retention_ms=None)
    store.ids.intern(["s", "t"])
    store.link(0, "u")
    store.link(1, "u")
    store.link(1, "v")
    assert store.of_user("u") == [0, 1]
    store.release([1])
    store._check()
    assert store.of_user("u") == [0]
    assert store.of_user("v") == []


def test_the_kernels_are_compiled() -> None:
    """There is no silent fall-back to interpreted loops, which would make the comparison with the twins void."""
    engine = Engine()
    engine.apply([Event("s", "i", 1)])
    engine.ask(engine.model, session_id="s")
    for kernel in (entries.apply, entries.ask_session):
        (signature,) = kernel.dispatcher.signatures
        assert kernel.dispatcher.overloads[signature].fndesc.native


def test_without_a_folder_for_compiled_code_the_kernels_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a warning, and compiled at every start: as in a container whose files are all read-only."""
    real = numba.njit

    def njit(**options: Any) -> object:
        if options["cache"]:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    with pytest.warns(RuntimeWarning, match="NUMBA_CACHE_DIR"):
        double = entry(lambda x: x + x)
    assert double(4) == 8
    assert double(5) == 10


def test_compiled_code_of_other_sources_is_dropped(tmp_path: Path) -> None:
    """Numba would go on running a kernel whose inner functions have changed."""
    for name in ("entries.apply.nbi", "entries.apply.1.nbc", "score.show.nbi", "entries.0123.made-from", "other.pyc"):
        (tmp_path / name).touch()
    drop_stale_code(tmp_path)
    (mark,) = tmp_path.glob("*.made-from")
    assert {path.name for path in tmp_path.iterdir()} == {"other.pyc", mark.name}
    (tmp_path / "entries.apply.nbi").touch()
    drop_stale_code.cache_clear()
    drop_stale_code(tmp_path)
    assert (tmp_path / "entries.apply.nbi").exists(), "code compiled from these very sources stays"


def test_every_kernel_of_the_core_makes_compiled_code_stale(tmp_path: Path, tree: Path) -> None:
    """The mark is the hash of the compiler's options and of every module in a folder `kernel` of the core."""
    core = tree / "stream_rec/core"
    sources = [core / "compiled.py", *sorted(core.glob("*/kernel/*.py"))]
    assert {"index", "quality", "rerank"} == {path.parts[-3] for path in sources[1:]}
    assert set(sources[1:]) == {path for path in core.rglob("*.py") if path.parent.name == "kernel"}
    drop_stale_code(tmp_path)
    expected = xxh3_64_hexdigest(b"".join(path.read_bytes() for path in sources))
    assert [f"kernels.{expected}.made-from"] == [path.name for path in tmp_path.iterdir()]
