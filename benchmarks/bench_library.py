"""Sessions at rest: how long a recommendation takes beside WSKNN, what threads gain, and how fast files are read.

Reads MovieLens 100k from the folder that STREAM_REC_DATA names, and says so where it is not set. The parameters are
those of the tutorial, and one user in ten is asked about.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from common import Report, in_turn, latencies, percentiles, report, scratch_folder, seconds
from wsknn import fit

from stream_rec.core.model import wsknn_model
from stream_rec.library import Recommender
from stream_rec.library.threads import n_threads
from stream_rec.tables import reading
from stream_rec.tables.columns import Columns
from stream_rec.tables.reading import How, read_columns, read_log
from stream_rec.transport.files import FoundFile

QUESTION: Final = "what do sessions at rest cost: a recommendation, a thousand, a file?"
TUTORIAL: Final[dict[str, Any]] = {
    "number_of_recommendations": 5,
    "number_of_neighbors": 10,
    "sampling_strategy": "recent",
    "sample_size": 50,
    "weighting_func": "log",
    "ranking_strategy": "log",
    "return_events_from_session": False,
}


def against_wsknn(bench: Report, log: Columns, n_rounds: int, n: int) -> None:
    """The same questions, the same parameters, the same log, in turn."""
    known, asked = log.split(0.1, seed=42)
    sessions = {name: [items, times] for name, (items, times, _) in known.by_session().items()}
    theirs = fit(sessions, **TUTORIAL)
    ours = Recommender(wsknn_model(**TUTORIAL)).fit(known)
    users = list(asked.by_session().values())[:n]
    queries: dict[str, list[Any]] = {
        "wsknn 1.2.3": [[items, times] for items, times, _ in users],
        "ours": [items for items, _, _ in users],
    }
    calls: dict[str, Any] = {
        "wsknn 1.2.3": lambda: latencies(theirs.recommend, queries["wsknn 1.2.3"]),
        "ours": lambda: latencies(_recommend(ours), queries["ours"]),
    }
    in_turn(1, calls)
    taken = in_turn(n_rounds, calls)
    bench.part(f"One recommendation, MovieLens 100k, {len(users)} users that were held out, one after the other")
    for name, rounds in taken.items():
        for percent in (50, 90):
            bench.figure(f"{name} p{percent}", percentiles(rounds, percent), "us")
    ratio = np.median(percentiles(taken["wsknn 1.2.3"], 50)) / np.median(percentiles(taken["ours"], 50))
    bench.figure("wsknn 1.2.3 takes, as a multiple of ours, MovieLens 100k (p50)", float(ratio), "x", ">= 100")


def _recommend(recommender: Recommender) -> Any:  # noqa: ANN401  # a closure
    return lambda items: recommender.recommend(items=items)


def threads(bench: Report, log: Columns, n_rounds: int) -> None:
    """All users at once: each its own query, of all its films, over all the others."""
    recommender = Recommender(wsknn_model(**{**TUTORIAL, "sample_size": 1000, "number_of_neighbors": 100})).fit(log)
    users = {f"like {name}": items for name, (items, _, _) in log.by_session().items()}
    counts = sorted({1, 2, n_threads()})

    def one_by_one() -> float:
        return len(users) / seconds(lambda: [recommender.recommend(items=items) for items in users.values()])

    calls: dict[str, Any] = {"recommend, one by one": one_by_one}
    for count in counts:
        many = partial(recommender.recommend_many, users, threads=count)
        calls[f"recommend_many, {count} threads"] = partial(_rate, len(users), many)
    in_turn(1, calls)
    bench.part(f"{len(users)} users at once, whole sessions, a sample of 1000 and 100 neighbours")
    for name, rounds in in_turn(n_rounds, calls).items():
        bench.figure(name, rounds, "answers/s")


def _rate(n: int, call: Any) -> float:  # noqa: ANN401  # a closure
    return n / seconds(call)


def files(bench: Report, n_rows: int, n_rounds: int) -> None:
    """The same CSV, written as MovieLens 25M is, both ways."""
    rng = np.random.default_rng(6)
    users, films = rng.integers(0, n_rows // 150, n_rows), rng.zipf(1.3, n_rows) % 50_000
    times = 789_652_009 + rng.integers(0, 600_000_000, n_rows)
    how = How(format="movielens-25m")
    with scratch_folder() as folder:
        path = folder / "ratings.csv"
        with path.open("w") as file:
            file.write("userId,movieId,rating,timestamp\n")
            rows = zip(users.tolist(), films.tolist(), times.tolist(), strict=True)
            file.writelines(f"{user},{film},3.5,{time}\n" for user, film, time in rows)
        # Where PyArrow is installed nothing else takes this way.
        plan = reading._file_to_read(FoundFile(str(path), "log", {}), how)  # noqa: SLF001
        calls: dict[str, Any] = {
            "whole columns, PyArrow": partial(_rate, n_rows, partial(read_columns, path, how)),
            "line by line": partial(_rate, n_rows, partial(reading._careful, plan, lambda *_: None)),  # noqa: SLF001
            "read and learned, Recommender.fit": partial(
                _rate, n_rows, partial(Recommender("wsknn").fit, path, format="movielens-25m")
            ),
        }
        in_turn(1, calls)
        bench.part(f"A CSV of {n_rows:,} ratings")
        for name, rounds in in_turn(n_rounds, calls).items():
            bench.figure(name, rounds, "rows/s")


def main() -> None:
    """Run the benchmark."""
    with report("library", QUESTION) as bench:
        data = os.environ.get("STREAM_REC_DATA")
        if data:
            log = read_log(Path(data) / "ml-100k", format="movielens")
            against_wsknn(bench, log, *((1, 10) if bench.small else (5, 94)))
            threads(bench, log, 1 if bench.small else 5)
        else:
            bench.note("STREAM_REC_DATA is not set: MovieLens 100k is not part of the project")
        files(bench, *((20_000, 1) if bench.small else (1_000_000, 3)))


if __name__ == "__main__":
    main()
