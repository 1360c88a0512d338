"""Equal means equal: similarities that no rounding decides between, and sums that no order changes."""

from collections.abc import Sequence
from itertools import combinations, permutations
from math import isqrt
from typing import Any, Final

import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.limits import Limits
from stream_rec.core.model import Model, model

FOREVER: Final = Limits(retention_ms=None)


def engine_of(sessions: Sequence[tuple[str, Sequence[str]]], limits: Limits = FOREVER) -> Engine:
    """Return an engine that has *sessions*, oldest first, each a name and its items."""
    engine = Engine(limits=limits)
    engine.apply([Event(name, item, time) for time, (name, items) in enumerate(sessions) for item in items])
    return engine


def neighbour_of(engine: Engine, point: Model, query: Sequence[str]) -> str:
    """Return the session whose own item, named after it, is recommended: the only neighbour."""
    (first,) = {each.item_id for each in engine.ask(point, items=query) if each.item_id.startswith("only-")}
    return first.removeprefix("only-")


@pytest.mark.parametrize("weight", ["linear", "distinct", "quadratic", "wsknn-linear"])
@pytest.mark.parametrize("normalise", ["none", "query"])
def test_equal_similarity_the_newer(weight: Any, normalise: Any) -> None:
    """Of two sessions with equal sums of weights the newer is the neighbour: 1/5 + 2/5 is 3/5."""
    numerator = {"quadratic": lambda i: i * i, "wsknn-linear": lambda i: i + 1}.get(weight, lambda i: i)
    n_pairs = 0
    for length in (5, 7, 9):
        query = [f"q{i}" for i in range(1, length + 1)]
        point = model(
            "vmis-knn", k=1, n=50, weight=weight, match="none", normalise=normalise, idf="none", fallbacks=False
        )
        sets = [shared for size in (1, 2, 3) for shared in combinations(range(1, length + 1), size)]
        for one, other in permutations(sets, 2):
            if sum(map(numerator, one)) == sum(map(numerator, other)) and not set(one) & set(other):
                older, newer = ([f"q{i}" for i in shared] for shared in (one, other))
                engine = engine_of([("a", [*older, "only-a"]), ("b", [*newer, "only-b"])])
                assert neighbour_of(engine, point, query) == "b"
                n_pairs += 1
    assert n_pairs >= 4


@pytest.mark.parametrize("length", range(6, 14))
@pytest.mark.parametrize("sizes", list(permutations([(3, 9), (6, 36), (2, 4)])))
def test_equal_cosines_the_newer(length: int, sizes: Sequence[tuple[int, int]]) -> None:
    """3 of 9 items are as similar as 2 of 4, and 6 of 36, to a query of any length."""
    query = [f"q{i}" for i in range(length)]
    sessions = [
        (f"{held}", [*query[:shared], f"only-{held}", *(f"{held}-{i}" for i in range(held - shared - 1))])
        for shared, held in sizes
    ]
    assert neighbour_of(engine_of(sessions), model("sknn", k=1, n=100, last=20, fallbacks=False), query) == str(
        sizes[-1][1]
    )


def squares(total: int) -> list[int]:
    """Return at most eight different numbers below 10 000 whose squares add up to *total*."""
    for start in range(9_999, 5_000, -1):
        roots, left, most = [], total, start
        while left > 0 and most > 0:
            roots.append(min(isqrt(left), most))
            left -= roots[-1] ** 2
            most = roots[-1] - 1
        if left == 0 and len(roots) <= 8:
            return roots
    raise AssertionError(total)


def test_cosines_that_no_float_tells_apart() -> None:
    """Squares of 57 bits that differ by one are told apart: the larger similarity is the neighbour, though older."""
    a, b = 225_058_681, 318_281_039  # b² - 2a² is one or minus one (Pell): the squared cosines are a²/9 and b²/18
    assert abs(b * b - 2 * a * a) == 1
    assert float(b) ** 2 / 18 == float(a) ** 2 / 9
    held = {
        name: [*(f"q{i}" for i in roots), f"only-{name}", *(f"{name}-{j}" for j in range(size - len(roots) - 1))]
        for name, roots, size in (("a", squares(a), 9), ("b", squares(b), 18))
    }
    larger, smaller = ("b", "a") if b * b > 2 * a * a else ("a", "b")
    point = model("sknn", k=1, n=100, last=10_000, weight="quadratic", fallbacks=False)
    query = [f"q{i}" for i in range(1, 10_001)]
    assert neighbour_of(engine_of([(larger, held[larger]), (smaller, held[smaller])]), point, query) == larger


def test_a_score_does_not_depend_on_the_order_of_its_terms() -> None:
    """Two items that sessions of the same sizes hold have the same score, in whatever order these sessions came.

    Sums of floats, newest first, differ by a last bit here, and that across a boundary of the rounding to 32 digits.
    """
    orders = {"x": [15, 25, 16, 2, 11, 19], "y": [25, 19, 16, 15, 11, 2]}
    sums = []
    for sizes in orders.values():
        total = 0.0
        for size in sizes:
            total += 1.0 / size**0.5
        sums.append(total)
    assert sums[0] != sums[1]
    sessions = [
        (f"{item}{size}", ["q", item, *(f"{item}{size}-{j}" for j in range(size - 2))])
        for item, sizes in orders.items()
        for size in reversed(sizes)
    ]
    answer = engine_of(sessions).ask(model("sknn", n=2, fallbacks=False), items=["q"])
    assert {"x", "y"} == {each.item_id for each in answer}
    assert answer[0].score == answer[1].score


@pytest.mark.parametrize("preset", ["vmis-knn", "v-sknn", "wsknn"])
def test_fractions_that_add_up_to_the_same(preset: str) -> None:
    """An item of the neighbours 1/5 and 2/5 has the score of one of the neighbour 3/5: the hash decides, not a bit."""
    point = model(preset, n=50, match="none", weight="distinct", idf="none", fallbacks=False)
    sessions = [("a", ["q1", "x"]), ("b", ["q2", "x"]), ("c", ["q3", "y"])]
    answer = engine_of(sessions).ask(point, items=[f"q{i}" for i in range(1, 6)])
    scores = {each.item_id: each.score for each in answer}
    assert scores["x"] == scores["y"]
