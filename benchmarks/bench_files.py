"""Files of each format: reading, paths into nested objects, sorting by time; and whole runs beside another build.

Each figure of a format is measured in a process of its own, in turn with the others. `STREAM_REC_BENCH_AGAINST` names
the `stream-rec` program of another build; the same files, in order of time, are then run by both, in turn.
"""

import json
import os
import subprocess
import sys
from contextlib import closing
from functools import partial
from itertools import chain, islice
from pathlib import Path
from time import perf_counter

import feed
import pyarrow as pa
import pyarrow.parquet as pq
from common import BATCH, COMMAND, Report, alone, in_turn, report, rss, scratch_folder

from stream_rec.core.events import Event
from stream_rec.service.assembly.inputs import build_record_decoder, open_events
from stream_rec.service.consuming.time_order import TimeOrder
from stream_rec.settings import Settings, load

QUESTION = "what does it cost to read a file, to find nested fields, and to put a file in order of time?"
PLAIN = ("csv", "jsonl", "parquet")
NESTED = ("session_id=context.session.id", "item_id=properties.product_id", "timestamp=sent.at")
MAPPED = ("session_id=visit", "item_id=sku", "timestamp=at")
ROUNDS = 3


def write(folder: Path, events: list[Event], name: str) -> None:
    """Write *events* in each format."""
    with (folder / f"{name}.csv").open("w") as csv:
        csv.write("session_id,item_id,timestamp\n")
        csv.writelines(f"{each.session_id},{each.item_id},{each.timestamp}\n" for each in events)
    with (folder / f"{name}.jsonl").open("w") as lines:
        lines.writelines(
            f'{{"session_id":"{each.session_id}","item_id":"{each.item_id}","timestamp":{each.timestamp}}}\n'
            for each in events
        )
    with (folder / f"{name}.mapped").open("w") as mapped:
        mapped.writelines(
            f'{{"visit":"{each.session_id}","sku":"{each.item_id}","at":{each.timestamp}}}\n' for each in events
        )
    with (folder / f"{name}.nested").open("w") as nested:
        nested.writelines(
            f'{{"context":{{"session":{{"id":"{each.session_id}"}}}},"properties":{{"product_id":"{each.item_id}"}},'
            f'"sent":{{"at":{each.timestamp}}}}}\n'
            for each in events
        )
    columns = {
        "session_id": [each.session_id for each in events],
        "item_id": [each.item_id for each in events],
        "timestamp": [each.timestamp for each in events],
    }
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def shuffled(events: list[Event]) -> list[Event]:
    """The order of many exports: session by session."""
    return sorted(events, key=lambda event: event.session_id)


def settings_of(path: str) -> Settings:
    """Return the settings that read one of the files."""
    fields = {".nested": NESTED, ".mapped": MAPPED}.get(Path(path).suffix, ())
    file_format = "jsonl" if fields else "auto"
    return load(flags={"events": path, "fields": fields, "format": file_format})


def warm(path: str) -> Settings:
    """Return the settings, after a first batch: what reads a format is imported with it."""
    settings = settings_of(path)
    with closing(open_events(settings)) as source:
        build_record_decoder(settings)(next(iter(source.batches(BATCH))))
    return settings


def read(path: str) -> None:
    """Print microseconds for each event: read, and decoded."""
    settings = warm(path)
    decode, n = build_record_decoder(settings), 0
    started = perf_counter()
    with closing(open_events(settings)) as source:
        for records in source.batches(BATCH):
            n += len(decode(records).decoded)
    print(json.dumps({"us": 1e6 * (perf_counter() - started) / n}))


def in_order(path: str) -> None:
    """Print microseconds for each event: read, decoded, sorted and returned; and the memory that it took."""
    settings = warm(path)
    decode, n = build_record_decoder(settings), 0
    before = peak = rss()
    started = perf_counter()
    with closing(TimeOrder(open_events(settings), decode)) as source:
        for number, records in enumerate(source.batches(BATCH)):
            n += len(decode(records).decoded)
            if number % 8 == 0:
                peak = max(peak, rss())
    taken = perf_counter() - started
    print(json.dumps({"us": 1e6 * taken / n, "mib": (peak - before) / 2**20}))


def whole_run(program: tuple[str, ...], path: Path) -> float:
    """Return the seconds of a run that learns the file."""
    requests = path.with_name("none.jsonl")
    requests.touch()
    environment = dict(os.environ)
    if program != COMMAND:
        environment.pop("PYTHONPATH", None)  # that of this build
    started = perf_counter()
    command = [*program, "run", "--events", str(path), "--answer", "requests", "--requests", str(requests)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return perf_counter() - started


def main() -> None:
    """Measure."""
    with report("files", QUESTION) as bench, scratch_folder() as folder:
        n = 50_000 if bench.small else int(os.environ.get("STREAM_REC_BENCH_EVENTS", "2000000"))
        log = feed.log(n)
        events = list(islice(chain.from_iterable(feed.batches(log)), n))
        write(folder, events, "ordered")
        write(folder, shuffled(events), "shuffled")
        del events, log
        measure(bench, folder, n)


def measure(bench: Report, folder: Path, n: int) -> None:
    """State the figures of the files in *folder*, of *n* events."""
    script, rounds = Path(__file__), 1 if bench.small else ROUNDS
    formats = (*PLAIN, "mapped", "nested")
    rivals = {
        f"{what} {form}": partial(alone, script, what, str(folder / f"shuffled.{form}"))
        for form in formats
        for what in ("read", "in_order")
    }
    found = in_turn(rounds, rivals)
    bench.part(f"{n:,} events, session by session: read and decoded, in microseconds for each event")
    for form in formats:
        bench.figure(form, [each["us"] for each in found[f"read {form}"]], "us")
    for other, what in (("mapped", "fields of other names"), ("jsonl", "fields of our names, which are faster")):
        ratios = [a["us"] / b["us"] for a, b in zip(found["read nested"], found[f"read {other}"], strict=True)]
        bench.figure(f"nested, as a multiple of {what}", ratios, "x", "<= 1.3" if other == "mapped" else None)
    bench.part("The same, put in order of time")
    for form in formats:
        pairs = zip(found[f"in_order {form}"], found[f"read {form}"], strict=True)
        bench.figure(
            f"{form}, as a multiple of reading it", [a["us"] / b["us"] for a, b in pairs], "x", "10 M events: <= 1.5"
        )
        bench.figure(f"{form}, memory", [each["mib"] for each in found[f"in_order {form}"]], "MiB", "<= 512")
    against = os.environ.get("STREAM_REC_BENCH_AGAINST")
    if against is not None:
        compare(bench, folder, against, rounds)


def compare(bench: Report, folder: Path, against: str, rounds: int) -> None:
    """Run the files in order of time by this build and by the program *against*."""
    bench.part("A whole run that learns the file, start included, beside another build: seconds of both")
    for form in PLAIN:
        path = folder / f"ordered.{form}"
        found = in_turn(
            rounds, {"this": partial(whole_run, COMMAND, path), "other": partial(whole_run, (against,), path)}
        )
        bench.figure(f"{form}, this build", found["this"], "s")
        bench.figure(f"{form}, the other", found["other"], "s")
        ratios = [a / b for a, b in zip(found["this"], found["other"], strict=True)]
        bench.figure(f"{form}, this as a multiple of the other", ratios, "x")


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in {"read", "in_order"}:
        {"read": read, "in_order": in_order}[sys.argv[1]](sys.argv[2])
    else:
        main()
