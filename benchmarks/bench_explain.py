"""The cost of an explanation beside that of the answer that it explains, and the bytes it adds.

No rival: none of the peers explains.
"""

from functools import partial

import feed
import numpy as np
from common import EVENTS_A_SESSION, in_turn, latencies, percentiles, report

from stream_rec.core.engine import Engine
from stream_rec.core.events import Request, encode_answer
from stream_rec.core.model import PRESETS, Explaining

QUESTION = "what does an explained answer cost (m 500, k 100, n 20, ten neighbours listed with each item)?"


def main() -> None:
    """Ask the same live sessions with and without."""
    with report("explain", QUESTION) as bench:
        n_sessions, n_rounds, n = (10_000, 2, 50) if bench.small else (500_000, 5, 500)
        clicks = feed.log(n_sessions * EVENTS_A_SESSION)
        engine = Engine(limits=feed.KEEP_ALL)
        feed.fill(engine, clicks)
        rng = np.random.default_rng(6)
        chosen = clicks.session[rng.integers(0, len(clicks), n)]
        asked = [f"session-{session:09d}" for session in chosen.tolist()]
        for name in ("default", "vmis-knn", "stan"):
            points = {"without": None, "explained": Explaining()}
            asking = {way: partial(_ask, engine, name, how) for way, how in points.items()}
            ways = {way: partial(latencies, ask, asked) for way, ask in asking.items()}
            in_turn(1, ways)
            taken = in_turn(n_rounds, ways)
            bench.part(f"{name}, {n_sessions:,} sessions, {len(clicks):,} events")
            for way, rounds in taken.items():
                for percent in (50, 99):
                    bench.figure(f"{way}, p{percent}", percentiles(rounds, percent), "us")
            answers = engine.answer([Request(session_id=each, preset=name, explain=True) for each in asked])
            sizes = [len(encode_answer(answer)) for answer in answers]
            bench.figure("bytes of an explained answer, p50", float(np.median(sizes)), "B")
            bench.figure("the largest", float(max(sizes)), "B")


def _ask(engine: Engine, preset: str, how: Explaining | None, session: str) -> None:
    engine.ask(PRESETS[preset], session_id=session, how=how)


if __name__ == "__main__":
    main()
