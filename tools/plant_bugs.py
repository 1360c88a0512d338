"""Plant one bug at a time in a copy of the tree, and check that the tests of the laws catch it.

A test that never failed proves nothing. Each entry names the law, the bug, its marker in the source and the wrong
code. A marker is a comment behind a line or above it: `# planted bug: NAME`, or for more lines `# planted bug: NAME
(3 lines)`. Moving or rewording the code around a marker changes nothing here. Keep the marker on the code that the
bug is about, and check that the wrong code still fits.

Run `make plant` (a bug in a kernel takes a minute or two, since the kernels are compiled with it; for all others those
of the tree serve, if it is warm), or name bugs: `tools/plant_bugs.py torn-snapshot own-neighbour`. Exits with 1 if the
tests miss a bug.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
KERNEL: Final = "stream_rec/core/index/kernel/"
ENGINE: Final = "stream_rec/core/engine/"
LAWS: Final = (
    "tests/property/test_laws.py",
    "tests/property/test_core.py",
    "tests/unit/core/test_engine.py",
    "tests/property/test_snapshots.py",
    "tests/unit/snapshot/test_snapshot.py",
)

EXPLANATIONS: Final = ("tests/property/test_explanations.py",)
SLABS: Final = ("tests/property/test_slabs.py",)
EVALUATION: Final = ("tests/unit/evaluate/test_evaluate.py::TestNothingLeaks",)

LONGEST_S: Final = 1200  # the tests take one or two minutes alone on a machine, compiling included
PYTEST_FAILED: Final = 1  # pytest's exit code where tests ran and some failed


class Bug(NamedTuple):
    """Wrong code in place of the lines that a marker names."""

    law: int
    what: str
    file: str
    marker: str
    wrong: str
    """In place of the marked lines, without their indentation; empty: nothing."""
    seen_by: tuple[str, ...] = LAWS
    """The tests that must catch it: files, or one by its name."""
    also: tuple[tuple[str, str, str], ...] = ()
    """Further changes (file, marker, wrong): where a second safeguard would catch the bug, it is removed too."""
    never_ends: bool = False
    """Whether a kernel with the bug may run for ever, so that tests which do not end have seen it."""

    @property
    def changes(self) -> tuple[tuple[str, str, str], ...]:
        """File, marker and wrong code of each change."""
        return ((self.file, self.marker, self.wrong), *self.also)


SERVICE: Final = "stream_rec/service/"
CRASH: Final = "tests/property/test_crash.py::"
REPLICAS: Final = "tests/property/test_replicas.py::"
LOG_TIME: Final = "tests/unit/service/running/test_log_time.py::"
SNAPSHOTS: Final = "tests/unit/service/committing/test_snapshots.py::"

TIES: Final = ("tests/unit/core/test_ties.py",)
FORMULAS: Final = ("tests/unit/core/test_formulas.py",)
RULES: Final = ("tests/property/test_rules.py", "tests/unit/core/test_item_rules.py")
FEED: Final = "tests/unit/service/processing/test_catalogue_feed.py::"
QUALITY: Final = ("tests/unit/core/test_quality.py", "tests/property/test_quality.py", "tests/unit/core/test_split.py")
SHOWN: Final = ("tests/property/test_shown.py",)
RERANK: Final = ("tests/property/test_rerank.py", "tests/unit/core/test_rerank.py")
THREADS: Final = ("tests/unit/guard/test_threads.py",)
SCORE: Final = "stream_rec/core/quality/kernel/score.py"

BUGS: Final = [
    Bug(
        1,
        "a model is drawn by a session's ordinal and not by its id",
        ENGINE + "applying.py",
        "split-by-ordinal",
        "served = split.served(batch.session.astype(np.uint64))",
        QUALITY,
    ),
    Bug(
        7,
        "an answer to a forgotten session still waits to be evaluated",
        "stream_rec/core/quality/live.py",
        "forgotten-answer-pending",
        "(lambda *_: None)(self._pending, np.array(sessions, np.uint64))",
        QUALITY,
    ),
    Bug(
        4,
        "answers of other owners are scored here too",
        SCORE,
        "others-scored",
        "if place >= 0:",
        QUALITY,
    ),
    Bug(
        4,
        "an answer is scored by every event that follows it",
        SCORE,
        "scored-by-every-event",
        "continue",
        QUALITY,
    ),
    Bug(
        4,
        "a window keeps what was counted an hour earlier in the same place",
        SCORE,
        "window-keeps-old",
        "",
        QUALITY,
    ),
    Bug(
        3,
        "the evaluation learns an event before it asks for it",
        KERNEL + "entries.py",
        "learns-before-asking",
        (
            "models = stacked.whole.shape[0]\n"
            "for i in range(begin, batch.time.size):\n"
            "    if asks[i] < _ONLY_ASK:\n"
            "        need = ingest.apply_step(state, batch, i)\n"
            "        if need != DONE:\n"
            "            return i, need\n"
            "        state.counters[STAGE] = STAGE_APPLY\n"
            "    if asks[i] > 0 and state.counters[STAGE] == STAGE_APPLY:"
        ),
        EVALUATION,
    ),
    Bug(
        3,
        "a hold-out learns the test sessions that it asks",
        "stream_rec/evaluate/plan.py",
        "hold-out-learns-test",
        'stretches = [Stretch("learn", 0, len(log)), Stretch("frozen", len(train), len(log))]',
        EVALUATION,
    ),
    Bug(
        2,
        "an explanation leaves out the votes of rules",
        KERNEL + "ask.py",
        "explain-without-rules",
        "scratch.trace[TRACE_MIX] = 1.0",
        EXPLANATIONS,
    ),
    Bug(
        3,
        "an explanation counts the asking session among the holders of a rule",
        "stream_rec/core/index/views.py",
        "explain-counts-itself",
        "sessions = sessions[sessions != field.DEAD]",
        EXPLANATIONS,
    ),
    Bug(
        1,
        "answers depend on how the log is cut: the watermark forgets earlier batches",
        ENGINE + "applying.py",
        "watermark-by-batch",
        "times: npt.NDArray[np.int64] = np.where(applied, batch.reach, before)",
    ),
    Bug(
        1,
        "a clock that is ahead moves the watermark ahead of the log",
        ENGINE + "columns.py",
        "watermark-by-event-time",
        "reach: I64 = times",
    ),
    Bug(
        1,
        "an event of the future is judged by the clock at reading: a restart has it in the state",
        SERVICE + "consuming/record_decoder.py",
        "judged-at-reading",
        "log_times = Records.of(records).log_times * 0 + int(__import__('time').time() * 1000)",
        (LOG_TIME + "test_the_future_is_judged_by_the_log",),
    ),
    Bug(
        1,
        "partitions wait for a clock that is ahead: the merge takes event times alone",
        SERVICE + "consuming/partition_merge.py",
        "merged-by-event-time",
        "pass",
        ("tests/property/test_arrivals.py::test_a_clock_that_is_ahead_is_not_waited_for",),
    ),
    Bug(
        1,
        "ties of time are broken by the session's ordinal and not by its hash",
        KERNEL + "postings.py",
        "ties-by-ordinal",
        "return slot < other",
    ),
    Bug(
        1,
        "a session that returns after its retention goes on unless it was evicted first",
        KERNEL + "ingest.py",
        "returns-after-retention",
        'if state.session[slot]["events"] > 0 and time < 0:',
    ),
    Bug(
        2,
        "a growing session keeps its old place in one of its lists",
        KERNEL + "session_events.py",
        "growing-keeps-place",
        (
            "for j in range(at, at + n - (n > 2)):\n"
            "    if not is_repeated(state, j):\n"
            "        insert(state, item_of(state, j), slot)"
        ),
    ),
    Bug(
        2,
        "a late event joins at the end of its session",
        KERNEL + "session_events.py",
        "late-joins-last",
        "while place > 0 and time < 0:",
    ),
    Bug(
        2,
        "compacting a list brings evicted postings back",
        KERNEL + "postings.py",
        "compaction-revives",
        'low = state.item[item]["low"]  # what is before the start has been evicted',
    ),
    Bug(
        2,
        "of equally similar candidates the older is taken",
        KERNEL + "choosing.py",
        "equal-takes-older",
        ("value = key[c]\ntakes = value > least or (value == least and n_equal <= 1)"),
        SLABS,
    ),
    Bug(
        2,
        "of a slab, more candidates of the least similarity are taken than there is room for",
        KERNEL + "slabs.py",
        "slab-takes-all-equal",
        "kept += 1",
        SLABS,
    ),
    Bug(
        2,
        "of the last slab, candidates stay that others are newer than",
        KERNEL + "neighbours.py",
        "slab-cut-anywhere",
        "n = m",
        SLABS,
    ),
    Bug(
        2,
        "of sessions with equal sampling keys the older is taken",
        KERNEL + "sampling.py",
        "equal-key-takes-older",
        "n_equal -= scratch.key[c] >= least",
    ),
    Bug(
        2,
        "every session gets the bonus of a purchase",
        KERNEL + "sampling.py",
        "bonus-for-all",
        "return rounded(mean + p.real[BONUS])",
    ),
    Bug(
        3,
        "a session follows its own rules",
        KERNEL + "rules.py",
        "follows-own-rules",
        "if (word & SLOT) == SLOT:",
    ),
    Bug(
        2,
        "the share of repeats counts items that may not come",
        KERNEL + "repeats.py",
        "repeats-count-blocked",
        "",
    ),
    Bug(
        2,
        "cosines are compared as floats, and roundings decide between equal ones",
        KERNEL + "choosing.py",
        "similarity-as-floats",
        (
            "for c in range(n):\n"
            '    items = float(state.session[scratch.candidate[c]]["items"])\n'
            "    scratch.key[c] = scratch.similarity[c] / (divisor * np.sqrt(items))"
        ),
        TIES,
    ),
    Bug(
        2,
        "cosines of very long queries are compared as floats",
        KERNEL + "choosing.py",
        "cosine-too-narrow",
        "if total < 0.0:",
        TIES,
    ),
    Bug(
        1,
        "a score depends on the order of the neighbours",
        KERNEL + "scores.py",
        "sum-in-order",
        "scratch.score[at] = before + (high + low)\nscratch.score[at + 1] = low_before",
        TIES,
    ),
    Bug(
        2,
        "popularity jumps at the end of each half-life",
        KERNEL + "popular.py",
        "popularity-jumps",
        "return math.ldexp(float(POPULAR_WEIGHT[0]), back)",
        FORMULAS,
    ),
    Bug(
        2,
        "repeats get their share of the scores before rarity",
        KERNEL + "repeats.py",
        "repeats-before-idf",
        "scratch.score[place_of(p, item)] = weighed(state, p, item, score)",
        FORMULAS,
    ),
    Bug(
        2,
        "a log without repeats recommends items of the session",
        KERNEL + "repeats.py",
        "repeats-without-repeats",
        "if repeats < 0.0:",
        FORMULAS,
    ),
    Bug(
        3,
        "each of several queries asked at once sees the items of the one before",
        KERNEL + "entries.py",
        "queries-leak",
        "query = queries.item[max(0, end - p.whole[LAST]) : end]",
    ),
    Bug(
        2,
        "popularity is not repaired when a count falls",
        KERNEL + "popular.py",
        "popularity-not-repaired",
        'if state.item[item]["dirty"] == 0 and change > 0:',
    ),
    Bug(
        3,
        "a session is its own neighbour",
        KERNEL + "sampling.py",
        "own-neighbour",
        "return slot >= 0 and (not is_filtered or _passes(state, p, slot))",
    ),
    Bug(
        3,
        "a query leaves its marks behind",
        KERNEL + "ask.py",
        "marks-left",
        "scratch.mark[scratch.marked[j]] = scratch.mark[scratch.marked[j]]",
    ),
    Bug(
        4,
        "an event that is too late is applied",
        KERNEL + "ingest.py",
        "late-applied",
        "if watermark != NEVER and time < watermark - limits[LATENESS] - 1:",
    ),
    Bug(
        4,
        "the same event id is applied twice",
        KERNEL + "ingest.py",
        "id-applied-twice",
        'if not is_vacant(state.seen, id_place) and state.seen[id_place]["time"] > watermark - limits[ID_WINDOW]:',
    ),
    Bug(
        6,
        "the newest session is evicted in place of the oldest after a queued session has grown",
        KERNEL + "order.py",
        "evicts-newest",
        ('if state.session[slot]["last"] >= time:\n    return True'),
    ),
    Bug(
        6,
        "evicted events stay in the count",
        KERNEL + "session_events.py",
        "evicted-still-counted",
        "counters[N_EVENTS] -= n - (n > 3)",
    ),
    Bug(
        7,
        "forgetting leaves the event ids",
        "stream_rec/core/index/index.py",
        "forget-leaves-ids",
        "pass",
    ),
    Bug(
        7,
        "forgetting a user forgets only one session",
        ENGINE + "state.py",
        "forget-one-session",
        ("for each in sorted(sessions)[:1]:\n    self.index.drop(each)"),
    ),
    Bug(
        5,
        "a loaded engine orders ties of time by ordinals",
        "stream_rec/core/index/retained.py",
        "load-ties-by-ordinal",
        "order[tied] = among[np.lexsort((among, last[among]))]",
    ),
    Bug(
        5,
        "a loaded engine does not know how many items its sessions hold",
        "stream_rec/core/index/retained.py",
        "load-without-count",
        "",
    ),
    Bug(
        5,
        "a loaded engine counts an item once for each time that a session holds it",
        KERNEL + "retained.py",
        "load-counts-repeats",
        "if newest_in[item] == slot + 1:",
    ),
    Bug(
        5,
        "an exported state changes together with the engine",
        "stream_rec/core/sessionizer.py",
        "export-changes",
        "",
        ("tests/property/test_sessionize.py::test_an_exported_state_does_not_change",),
    ),
    Bug(
        5,
        "a torn snapshot is loaded",
        "stream_rec/snapshot/file.py",
        "torn-snapshot",
        "if not section.checksum:",
    ),
    Bug(
        5,
        "a snapshot has its name before it is complete",
        "stream_rec/snapshot/file.py",
        "named-before-whole",
        "temporary = path",
    ),
    Bug(
        5,
        "a loaded engine accepts an event id a second time",
        "stream_rec/core/index/retained.py",
        "load-forgets-ids",
        "return seen[is_fresh][:0]  # type: ignore[no-any-return]",
    ),
    Bug(
        5,
        "a new owner answers from the first record on",
        SERVICE + "running/assignment.py",
        "takeover-from-start",
        "offset = 0",
        (
            SNAPSHOTS + "TestSnapshots::test_a_restart_reads_on_from_the_last_one",
            CRASH + "test_a_crash_at_any_step_leaves_no_trace",
        ),
    ),
    Bug(
        5,
        "offsets are committed outside the transaction",
        SERVICE + "committing/checkpoint.py",
        "offsets-outside",
        '("offsets", lambda: member.commit(offsets)),',
        (CRASH + "test_a_crash_at_any_step_leaves_no_trace",),
    ),
    Bug(
        5,
        "a commit with an unknown outcome is done again",
        SERVICE + "committing/checkpoint.py",
        "unknown-commit-repeated",
        "in_doubt, is_retry = False, True",
        (CRASH + "test_a_commit_whose_reply_is_lost_is_not_done_twice",),
    ),
    Bug(
        5,
        "a replica follows others beyond their commits and does not check before it takes over",
        SERVICE + "running/assignment.py",
        "follows-too-far",
        "self._batch_reader.follow({p: limit + 3 for p, limit in limits.items() if p not in self.owned})",
        (REPLICAS + "test_each_record_is_answered_once",),
        also=((SERVICE + "running/assignment.py", "follows-too-far-2", ""),),
    ),
    Bug(
        5,
        "answers computed before an assignment was lost are committed for the next owner",
        SERVICE + "committing/checkpoint.py",
        "committed-for-next-owner",
        "if member.generation < membership.generation:",
        ("tests/unit/service/committing/test_checkpoint.py",),
    ),
    Bug(
        5,
        "a snapshot claims one record more than it has seen",
        SERVICE + "committing/snapshots.py",
        "snapshot-one-ahead",
        "by_topic.setdefault(topic, {})[number] = offset + 1",
        (CRASH + "test_a_crash_leaves_no_trace_where_there_are_snapshots",),
    ),
    Bug(
        4,
        "events over HTTP are applied, though the journal has refused them",
        SERVICE + "requests/request_queue.py",
        "applied-before-journal",
        "pass",
        ("tests/unit/service/running/test_standalone.py::test_a_full_journal_refuses_events_and_answers_on",),
    ),
    Bug(
        4,
        "records of an added partition from before it was noticed are not answered",
        SERVICE + "consuming/recovery.py",
        "added-from-the-end",
        "return begin",
        ("tests/unit/service/running/test_kafka_service.py::TestRunning::test_an_added_partition_is_answered_wholly",),
    ),
    Bug(
        5,
        "a batch ends inside of a record of several events: the rest is not read again",
        SERVICE + "batches.py",
        "split-record",
        "return place",
        ("tests/property/test_arrivals.py::test_no_record_is_split",),
    ),
    Bug(
        7,
        "a record without a value forgets nothing",
        "stream_rec/transport/decode.py",
        "tombstone-ignored",
        "if record.tombstone and record.key is None:",
        (SNAPSHOTS + "TestSnapshots::test_a_forgotten_session_leaves_the_snapshots",),
    ),
    Bug(
        2,
        "each source counts a category from zero",
        KERNEL + "policy.py",
        "category-per-source",
        (
            "for j in range(begin, answers.n[row]):\n"
            '    if policy.group[state.item[answers.item[row, j]]["row"]] == group:'
        ),
        RULES,
    ),
    Bug(
        2,
        "a better item of a full category does not come in",
        KERNEL + "scores.py",
        "category-full",
        "if lowest < n or _is_below(state, item, score, items[row, lowest], scores[row, lowest]):",
        RULES,
    ),
    Bug(
        2,
        "the search for boosted popular items stops too early",
        KERNEL + "fallbacks.py",
        "boosted-too-early",
        "if answers.n[row] == wanted and answers.score[row, wanted - 1] > score:",
        RULES,
    ),
    Bug(
        2,
        "an item that becomes unavailable stays among the popular ones until its next click",
        "stream_rec/core/index/index.py",
        "unavailable-stays-popular",
        'item["dirty"][fresh] = 0',
        RULES,
    ),
    Bug(
        1,
        "an event of the newest counts for trends by whole half-lives",
        KERNEL + "trending.py",
        "trend-jumps",
        "weight = _DECAYED[0] >> min(age // PARTS, _BITS + 1)",
        RULES,
    ),
    Bug(
        1,
        "an item is listed among the newest before the log has come to its time",
        ENGINE + "lists.py",
        "newest-ahead",
        "pass",
        RULES,
    ),
    Bug(
        1,
        "an item is in an answer as new before the log has come to its time",
        ENGINE + "newest.py",
        "newest-early",
        "begin = 0",
        RULES,
    ),
    Bug(
        1,
        "the order of new items stays as it was when the catalogue changes",
        "stream_rec/core/catalogue/versions.py",
        "newest-of-before",
        "self._newest = before._newest",
        RULES,
    ),
    Bug(
        7,
        "what trended is told after it was forgotten",
        ENGINE + "state.py",
        "trends-of-the-forgotten",
        "pass",
        ("tests/unit/core/test_item_rules.py",),
    ),
    Bug(
        1,
        "what a session was shown counts for ever, unless it has been cleared away",
        "stream_rec/core/shown.py",
        "shown-never-over",
        "if visit is not None and time < 0:",
        SHOWN,
    ),
    Bug(
        7,
        "what was shown to a forgotten session or user is kept",
        "stream_rec/core/shown.py",
        "shown-not-forgotten",
        "pass",
        SHOWN,
    ),
    Bug(
        1,
        "a click counts for the place that came last, and not for the one that was shown last",
        "stream_rec/core/shown.py",
        "shown-place-by-arrival",
        "if item.count:",
        SHOWN,
    ),
    Bug(
        1,
        "an answer in a batch leaves out only what its session had ignored before the batch",
        ENGINE + "apart.py",
        "shown-answered-together",
        "alone = set()",
        SHOWN,
    ),
    Bug(
        1,
        "what was shown is late by the watermark before its batch, whatever came before it in the batch",
        ENGINE + "apart.py",
        "shown-late-by-batch",
        "pass",
        SHOWN,
    ),
    Bug(
        2,
        "a restored state knows nothing of the catalogue",
        ENGINE + "item_rules.py",
        "load-without-catalogue",
        "self.rules.forget_ordinals()",
        RULES,
    ),
    Bug(
        3,
        "several requests asked at once all have the rules of the first",
        KERNEL + "entries.py",
        "requests-share-rules",
        "q = 0",
        RULES,
    ),
    Bug(
        3,
        "a rule set that a batch still needs makes room for the next one",
        "stream_rec/core/model/rules.py",
        "rule-set-evicted",
        "if number not in pinned or pinned:",
        RULES,
    ),
    Bug(
        2,
        "true and 1 are the same value of a column",
        "stream_rec/core/catalogue/columns.py",
        "true-is-one",
        "key = value  # True and 1.0 are equal but not the same value",
        ("tests/unit/core/test_expressions.py",),
    ),
    Bug(
        4,
        "a broken catalogue replaces a good one",
        SERVICE + "processing/catalogue_feed.py",
        "broken-catalogue",
        "if bad.n > n_records - bad.n + 100:",
        (FEED + "TestFiles",),
    ),
    Bug(
        4,
        "an item whose availability cannot be read is available",
        "stream_rec/core/catalogue/items.py",
        "unreadable-available",
        "is_available = True",
        ("tests/unit/core/test_catalogue.py::TestReading",),
    ),
    Bug(
        4,
        "event ids are one namespace for all sessions",
        ENGINE + "columns.py",
        "ids-of-all-sessions",
        'xxh3_128_digest(f"{each}".encode()) if each and (owner or True) else _NO_ID',
    ),
    Bug(
        2,
        "types are given back without regard to the batches",
        ENGINE + "applying.py",
        "types-by-batch",
        "end = n",
        ("tests/property/test_types.py",),
    ),
    Bug(
        1,
        "an order is learned without regard to the batches",
        ENGINE + "applying.py",
        "learns-by-batch",
        "end = n",
        ("tests/unit/core/test_learning.py::test_batches_change_nothing",),
    ),
    Bug(
        7,
        "weights that may hold a forgotten session are played on",
        ENGINE + "applying.py",
        "weights-remember",
        "pass",
        ("tests/unit/core/test_learning.py::test_forgetting_leaves_no_weights",),
    ),
    Bug(
        4,
        "answers do not use the newest catalogue",
        SERVICE + "processing/processor.py",
        "stale-catalogue",
        "if self.engine.catalogue is None:",
        (FEED + "TestFiles::test_a_change_holds_within_a_second",),
    ),
    Bug(
        3,
        "a writer goes in while others ask",
        "stream_rec/guard/gate.py",
        "writer-does-not-wait",
        "return True",
        THREADS,
    ),
    Bug(
        3,
        "threads that ask share their scratch memory",
        "stream_rec/guard/engine.py",
        "askers-share-scratch",
        "return self._answerer.ask(self._models.variant(request), request, how)",
        THREADS,
    ),
    Bug(
        1,
        "what other candidates an example has depends on the ordinals of items",
        "stream_rec/core/rerank/kernel/examples.py",
        "drawn-by-ordinal",
        "room.key[c] = float(mix(seed ^ np.uint64(room.item[c])) >> _HASH_BITS)",
        RERANK,
    ),
    Bug(
        2,
        "a past question is learned from sessions that had not ended",
        "stream_rec/core/rerank/kernel/gathering.py",
        "learns-from-later-sessions",
        "here = end_of(state, item, 0) - 1",
        RERANK,
    ),
    Bug(
        2,
        "a question that is put back leaves the next one in the past",
        "stream_rec/core/rerank/kernel/entries.py",
        "stays-put-back",
        "",
        RERANK,
    ),
    Bug(
        1,
        "events after the boundary teach",
        "stream_rec/core/rerank/past.py",
        "learns-after-boundary",
        "known = time >= 0",
        RERANK,
    ),
    Bug(
        3,
        "askers order the popular items beside each other",
        "stream_rec/guard/gate.py",
        "never-settled",
        "pass",
        THREADS,
    ),
]


MARKER: Final = re.compile(r"# planted bug: (?P<names>.+)$")
NAME: Final = re.compile(r"(?P<name>[a-z0-9-]+)(?: \((?P<lines>\d+) lines\))?(?:, |$)")


class Place(NamedTuple):
    """The lines that a marker names: places in the list of the file's lines, from 0."""

    start: int
    stop: int


def markers(source: str) -> dict[str, Place]:
    """Find all markers in the text of a file. Raises ValueError for one that is malformed or stands twice."""
    found: dict[str, Place] = {}
    for number, line in enumerate(source.splitlines()):
        marker = MARKER.search(line)
        if marker is None:
            continue
        start = number + line.strip().startswith("# planted bug:")
        names = list(NAME.finditer(marker["names"]))
        if "".join(each[0] for each in names) != marker["names"]:
            raise ValueError(f"line {number + 1}: malformed marker: {line.strip()}")
        for each in names:
            if each["name"] in found:
                raise ValueError(f"line {number + 1}: the marker {each['name']} stands here a second time")
            found[each["name"]] = Place(start, start + int(each["lines"] or 1))
    return found


def plant(source: str, marker: str, wrong: str) -> str:
    """Return *source* with *wrong* in place of the lines that *marker* names. Raises KeyError if there is no marker."""
    place = markers(source)[marker]
    lines = source.splitlines(keepends=True)
    indent = lines[place.start][: len(lines[place.start]) - len(lines[place.start].lstrip())]
    planted = textwrap.indent(wrong, indent) + "\n" if wrong else ""
    return "".join([*lines[: place.start], planted, *lines[place.stop :]])


class Verdict(NamedTuple):
    """What the tests said of a bug."""

    seen: bool
    how: str


def is_seen(bug: Bug, tree: Path) -> bool:
    """Return whether a test fails once *bug* is in."""
    with _planted(bug, tree), tempfile.TemporaryDirectory() as kernels:
        # Without bytecode: it is known by its source's size and second, which a bug may leave as they were.
        environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        if any(_is_kernel(file) for file, _, _ in bug.changes):
            # A compiled kernel holds what it calls, and is known by its own file alone: so all are compiled with it.
            environment["NUMBA_CACHE_DIR"] = kernels
        started = time.monotonic()
        verdict = _run(bug, tree, environment)
    seconds = round(time.monotonic() - started)
    how = verdict.how if verdict.seen else f"NOT SEEN: {verdict.how}"
    print(f"law {bug.law}: {bug.marker}: {bug.what}\n    {how} ({seconds} s)", flush=True)
    return verdict.seen


@contextmanager
def _planted(bug: Bug, tree: Path) -> Iterator[None]:
    """Within, *tree* has the bug; then its files, and their times, are as they were."""
    before = {tree / file: ((tree / file).read_text(), (tree / file).stat()) for file, _, _ in bug.changes}
    for file, marker, wrong in bug.changes:
        (tree / file).write_text(plant((tree / file).read_text(), marker, wrong))
    try:
        yield
    finally:
        for path, (source, status) in before.items():
            path.write_text(source)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _is_kernel(file: str) -> bool:
    return Path(file).parent.name == "kernel"


def _run(bug: Bug, tree: Path, environment: dict[str, str]) -> Verdict:
    """Run the tests that must catch *bug*: seen if one fails, or if the bug ends the process by a signal.

    Tests that can't be collected, or that are not there, have seen nothing; nor have tests that ran out of time, unless
    the bug is known for it.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-m",
        "not stress and not chaos",
        "--hypothesis-profile=unshrunk",
        *bug.seen_by,
    ]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return Verdict(seen=bug.never_ends, how=f"the tests do not end within {LONGEST_S} s")
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    if done.returncode == PYTEST_FAILED and failed:
        return Verdict(seen=True, how=failed[0])
    if done.returncode < 0:
        return Verdict(seen=True, how=f"the process ends by signal {-done.returncode}")
    if done.returncode == 0:
        return Verdict(seen=False, how="all tests pass")
    return Verdict(seen=False, how=f"pytest ends with {done.returncode}: {done.stdout[-500:]} {done.stderr[-200:]}")


def main() -> int:
    """Plant all bugs, or those that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="markers of the bugs to plant; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="bugs planted side by side")
    given = parser.parse_args()
    known = {bug.marker: bug for bug in BUGS}
    unknown = set(given.names) - known.keys()
    if unknown:
        parser.error(f"no such bug: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = [known[name] for name in given.names] or BUGS
    with tempfile.TemporaryDirectory() as folder:
        trees = [Path(folder) / f"tree-{n}" for n in range(min(given.jobs, len(chosen)))]
        skipped = shutil.ignore_patterns(".git", ".venv*", ".kafka", "*.pyc", "dist", ".*_cache", ".hypothesis")
        for tree in trees:
            shutil.copytree(ROOT, tree, ignore=skipped)
        waiting: Queue[Path] = Queue()
        for tree in trees:
            waiting.put(tree)

        def try_one(bug: Bug) -> bool:
            tree = waiting.get()
            try:
                return is_seen(bug, tree)
            finally:
                waiting.put(tree)

        with ThreadPoolExecutor(len(trees)) as pool:
            seen = list(pool.map(try_one, chosen))
    print(f"{sum(seen)} of {len(seen)} planted bugs seen")
    return 0 if all(seen) else 1


if __name__ == "__main__":
    raise SystemExit(main())
