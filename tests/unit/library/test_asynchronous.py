"""The engine in an event loop: in order, in batches, and never in the loop's way."""

import asyncio
import os
from typing import Any

import pytest

from stream_rec import AsyncEngine, Engine, Event, Recommender, Request, SettingsError

VISITS = {"ann": "tent stove lamp", "ben": "tent stove rope", "cleo": "lamp mat", "dora": "tent stove"}


def engine() -> Engine:
    made = Engine("vmis-knn")
    made.apply(
        [Event(visit, item, 1_000 * at) for visit, items in VISITS.items() for at, item in enumerate(items.split())]
    )
    return made


def test_it_answers_as_the_engine_does() -> None:
    """Sessions, queries, exclusions, explanations, requests; and it learns and forgets."""

    async def main() -> None:
        async with AsyncEngine(engine()) as shop:
            plain = shop.engine
            assert plain.recommend("dora") == await shop.recommend("dora")
            assert plain.recommend(items=["lamp"], n=1) == await shop.recommend(items=["lamp"], n=1)
            assert plain.recommend("dora", explain=True) == await shop.recommend("dora", explain=True)
            assert "rope" not in {each.item_id for each in await shop.recommend("dora", exclude=["rope"])}
            request = Request(session_id="ann", k=1)
            assert plain.answer([request])[0] == await shop.answer(request)
            assert 1 == (await shop.apply([Event("dora", "mat", 9_000)])).n_applied
            assert 1 == await shop.forget(session_id="ben")
            assert plain.stats() == await shop.stats()

    asyncio.run(main())


def test_what_waits_is_answered_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """All questions up to the next write in one call; and each call sees the writes before it and none after it."""
    made = engine()
    calls: list[int] = []
    real = made.answer

    def noted(requests: Any) -> Any:
        calls.append(len(requests))
        return real(requests)

    monkeypatch.setattr(made, "answer", noted)

    async def main() -> list[Any]:
        async with AsyncEngine(made) as shop:
            before = [shop.answer(Request(session_id="dora")) for _ in range(20)]
            write = shop.apply([Event("dora", "mat", 9_000)])
            after = [shop.answer(Request(session_id="dora")) for _ in range(20)]
            return list(await asyncio.gather(*before, write, *after))

    answers = asyncio.run(main())
    assert [2_000] * 20 + [9_000] * 20 == [each.as_of for each in (*answers[:20], *answers[21:])]
    assert [1, 19, 20] == calls


def test_a_wrong_request_fails_alone() -> None:
    """Others that wait with it get their answers."""

    async def main() -> list[Any]:
        async with AsyncEngine(engine()) as shop:
            asked = [shop.recommend("dora", n=n) for n in (1, 2, 0, 3)]
            return list(await asyncio.gather(*asked, return_exceptions=True))

    one, two, wrong, three = asyncio.run(main())
    assert [1, 2, 3] == [len(each) for each in (one, two, three)]
    assert isinstance(wrong, SettingsError)
    assert "n" == wrong.key


def test_a_call_that_is_cancelled_in_line_is_left_out() -> None:
    """A write whose caller went away before its turn changes nothing."""

    async def main() -> int:
        async with AsyncEngine(engine()) as shop:
            first = asyncio.ensure_future(shop.recommend("dora"))
            write = asyncio.ensure_future(shop.apply([Event("dora", "mat", 9_000)]))
            await asyncio.sleep(0)
            write.cancel()
            await first
            return (await shop.stats()).n_events

    assert 10 == asyncio.run(main())


def test_it_belongs_to_one_loop_at_a_time() -> None:
    """The next loop may have it once the first is closed; two at a time are an error that tells what to do."""
    shop = AsyncEngine(engine())
    first = asyncio.run(shop.recommend("dora"))
    assert first == asyncio.run(shop.recommend("dora"))
    loop, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        assert first == loop.run_until_complete(shop.recommend("dora"))
        with pytest.raises(RuntimeError, match="make another over the same engine"):
            other.run_until_complete(shop.recommend("dora"))
        loop.run_until_complete(shop.aclose())
    finally:
        loop.close()
        other.close()


def test_a_fork_has_a_thread_of_its_own() -> None:
    """A server that loads an engine and then forks its workers, as Gunicorn does with `--preload`."""
    shop = AsyncEngine(engine())
    expected = asyncio.run(shop.recommend("dora"))
    child = os.fork()
    if child == 0:
        code = 2
        try:
            answer = asyncio.run(asyncio.wait_for(shop.recommend("dora"), 20))
            code = 0 if answer == expected else 1
        finally:
            os._exit(code)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_recommender_is_no_engine() -> None:
    """The error names the attribute that is one."""
    with pytest.raises(TypeError, match=r"found a Recommender: pass its \.engine"):
        AsyncEngine(Recommender())  # type: ignore[arg-type]  # the mistake
