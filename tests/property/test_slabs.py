"""Law 2 where the sample is gathered in slabs of time: at the sizes of a slab, at equal times, and with many lists."""

import numpy as np
import pytest
from laws import Twins, small

from stream_rec.core.events import Event
from stream_rec.core.limits import Limits

N_ITEMS = 12


def filled(n_sessions: int, at_one_time: int, share: float) -> Twins:
    """Return twins with sessions that hold each item with that probability; a tenth of them come back at the end."""
    chance = np.random.default_rng(n_sessions + at_one_time)
    twins = Twins(
        Limits(retention_ms=None, max_session_events=20, allowed_lateness_ms=10**9, max_sessions=560),
        type_weights={"cart": 2.0},
    )
    log = []
    for number in range(n_sessions):
        held = np.flatnonzero(chance.random(N_ITEMS) < share).tolist() or [int(chance.integers(N_ITEMS))]
        time = 1_000_000 + number // at_one_time
        log += [Event(f"s{number}", f"i{item}", time, "cart" if number % 3 == 0 else "view") for item in held]
    end = 1_000_000 + n_sessions // at_one_time
    log += [Event(f"s{number}", f"i{number % N_ITEMS}", end) for number in range(0, n_sessions, 10)]
    twins.apply(log)
    return twins


@pytest.mark.parametrize("at_one_time", [1, 60, 700])
def test_slabs_bring_the_sample_of_the_plain_twin(at_one_time: int) -> None:
    """For one list to many, samples from one session to all, and times that hold fewer or more than a slab."""
    twins = filled(600, at_one_time, 0.2)
    items = [f"i{number}" for number in range(N_ITEMS)]
    for m, k in ((1, 1), (5, 2), (49, 7), (130, 20), (600, 40), (600, 600)):
        for n_lists in (1, 3, N_ITEMS):
            point = small("vmis-knn", m=m, k=k, n=N_ITEMS, last=N_ITEMS, fallbacks=False, seen="keep")
            twins.compare_query(point, items[-n_lists:])
    for kept in ({"require_type": "cart"}, {"min_type_weight": 1.2}, {"normalise": "cosine"}):
        twins.compare_query(small("vmis-knn", m=100, k=15, n=N_ITEMS, last=9, **kept), items[:5], own="s599")
    for preset in ("sknn", "default"):
        twins.compare_answers(small(preset, m=100, k=15, n=N_ITEMS, last=9), ["s590", "s599", "s55"])


@pytest.mark.parametrize("length", [1, 4, 5, 48, 49, 50, 97])
def test_a_list_about_as_long_as_a_slab_is_read_to_its_start(length: int) -> None:
    """Its oldest session belongs to the sample, its length that of a slab or one off, times equal or not."""
    for at_one_time in (1, 2, length):
        twins = Twins(Limits(retention_ms=None))
        twins.apply(
            [
                Event(f"s{j}", item, 1_000 + j // at_one_time)
                for j in range(length)
                for item in ("a", f"b{j % 2}", f"c{j}")
            ]
        )
        for m in (length - 1, length, length + 1, 500):
            for k in (1, max(1, m)):
                twins.compare_query(small("vmis-knn", m=max(1, m), k=k, n=99, last=9, seen="keep"), ["b1", "a"])


@pytest.mark.parametrize("n_lists", [10, 128, 129])
def test_many_lists_fill_a_slab_and_its_table(n_lists: int) -> None:
    """Lists without a common session bring as many candidates as a slab can have; more lists than fit are merged."""
    twins = Twins(Limits(retention_ms=None, max_session_events=n_lists))
    twins.apply(
        [
            Event(f"s{j}", item, 1_000 + j)
            for j in range(max(700, 5 * n_lists))
            for item in (f"i{j % n_lists}", f"x{j % 150}")  # which of equal sessions are taken shows in scores
        ]
    )
    for preset in ("vmis-knn", "sknn"):  # with sknn all candidates are equally similar
        for m in (9, 511, 700):
            point = small(preset, m=m, k=m // 2, n=300, last=n_lists, seen="keep")
            twins.compare_query(point, [f"i{j}" for j in range(n_lists)])
