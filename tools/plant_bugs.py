"""Plants one bug at a time in a copy of the tree and checks that the tests of the laws see it.

A test that never failed proves nothing. Each entry names the law, what is broken, and how. Run `make plant` (some
minutes: the kernels are compiled again for each); it exits with 1 if the tests miss a bug.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
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
EVALUATION: Final = ("tests/unit/evaluate/test_evaluate.py::TestNothingLeaks",)

LONGEST_S: Final = 480  # the tests take one or two minutes, compiling included


class Bug(NamedTuple):
    """One change of one place."""

    law: int
    what: str
    file: str
    right: str
    wrong: str
    seen_by: tuple[str, ...] = LAWS
    """The tests that must see it: files, or one by its name."""
    also: tuple[tuple[str, str, str], ...] = ()
    """Further changes (file, right, wrong): what one safeguard catches is no bug before that is gone too."""


SERVICE: Final = "stream_rec/service/"
CRASH: Final = "tests/property/test_crash.py::"
REPLICAS: Final = "tests/property/test_replicas.py::"
SNAPSHOTS: Final = "tests/unit/service/committing/test_snapshots.py::"

RULES: Final = ("tests/property/test_rules.py",)
FEED: Final = "tests/unit/service/processing/test_catalogue_feed.py::"
QUALITY: Final = ("tests/unit/core/test_quality.py", "tests/property/test_quality.py", "tests/unit/core/test_split.py")
SCORE: Final = "stream_rec/core/quality/kernel/score.py"

BUGS: Final = [
    Bug(
        1,
        "a model is drawn by the ordinal of a session, not by its id",
        ENGINE + "applying.py",
        'split.served(self._state.index.state.session["hash"][batch.session])',
        "split.served(batch.session.astype(np.uint64))",
        QUALITY,
    ),
    Bug(
        7,
        "an answer to a forgotten session is scored by a later event",
        "stream_rec/core/quality/live.py",
        "        score.forget(",
        "        (lambda *_: None)(",
        QUALITY,
    ),
    Bug(
        4,
        "events that another process answers for are scored here too",
        SCORE,
        "if place >= 0 and counted[i]:",
        "if place >= 0:",
        QUALITY,
    ),
    Bug(
        4,
        "an answer is scored by every event that follows it",
        SCORE,
        "            if place >= 0:\n                _drop(pending, at)\n            continue",
        "            continue",
        QUALITY,
    ),
    Bug(
        4,
        "a window keeps the counts that had the same place an hour ago",
        SCORE,
        "                    tally.ranks[w, at, m, rank] = 0\n",
        "",
        QUALITY,
    ),
    Bug(
        3,
        "the evaluation applies an event before it asks for it",
        KERNEL + "entries.py",
        "    models = stacked.whole.shape[0]\n    for i in range(begin, batch.time.size):\n        if asks[i] > 0",
        "    models = stacked.whole.shape[0]\n    for i in range(begin, batch.time.size):\n"
        "        if asks[i] < _ONLY_ASK:\n            need = ingest.apply_step(state, batch, i)\n"
        "            if need != DONE:\n                return i, need\n"
        "            state.counters[STAGE] = STAGE_APPLY\n        if asks[i] > 0",
        EVALUATION,
    ),
    Bug(
        3,
        "a hold-out applies the test sessions that it asks",
        "stream_rec/evaluate/plan.py",
        'Stretch("learn", 0, len(train)), Stretch("frozen", len(train), len(log))',
        'Stretch("learn", 0, len(log)), Stretch("frozen", len(train), len(log))',
        EVALUATION,
    ),
    Bug(
        2,
        "an explanation ignores the votes of rules beside those of neighbours",
        KERNEL + "ask.py",
        "scratch.trace[TRACE_MIX] = factor",
        "scratch.trace[TRACE_MIX] = 1.0",
        EXPLANATIONS,
    ),
    Bug(
        3,
        "an explanation counts the asking session among those with a rule",
        "stream_rec/core/index/views.py",
        "(sessions != field.DEAD) & (sessions != own)",
        "sessions != field.DEAD",
        EXPLANATIONS,
    ),
    Bug(
        1,
        "answers depend on how the log is cut: the watermark of an answer forgets earlier batches",
        ENGINE + "applying.py",
        "np.maximum(batch.time, before), before)",
        "batch.time, before)",
    ),
    Bug(
        1,
        "ties of time are broken by ordinal, not by hash",
        KERNEL + "postings.py",
        'return state.session[slot]["hash"] < state.session[other]["hash"]',
        "return slot < other",
    ),
    Bug(
        1,
        "a session that comes back after its retention goes on, unless it was evicted first",
        KERNEL + "ingest.py",
        'time - state.session[slot]["last"] > limits[REJOIN]:',
        "time < 0:",
    ),
    Bug(
        2,
        "a growing session keeps its old place in one of its lists",
        KERNEL + "session_events.py",
        "range(at, at + n):\n            if not is_repeated(state, j):\n                insert(",
        "range(at, at + n - (n > 2)):\n            if not is_repeated(state, j):\n                insert(",
    ),
    Bug(
        2,
        "a late event joins at the end of its session",
        KERNEL + "session_events.py",
        "while place > 0 and state.event_time[at + place - 1] > time:",
        "while place > 0 and time < 0:",
    ),
    Bug(
        2,
        "compacting a list brings evicted postings back",
        KERNEL + "postings.py",
        'max(state.item[item]["low"], state.item[item]["start"])',
        'state.item[item]["low"]',
    ),
    Bug(
        2,
        "of equally similar candidates the older is taken",
        KERNEL + "neighbours.py",
        "value = scratch.similarity[c]\n        takes = value > least or (value == least and n_equal > 0)",
        "value = scratch.similarity[c]\n        takes = value > least or (value == least and n_equal <= 1)",
    ),
    Bug(
        2,
        "of sessions with equal sampling keys the older is taken",
        KERNEL + "neighbours.py",
        "        n_equal -= scratch.key[c] > least",
        "        n_equal -= scratch.key[c] >= least",
    ),
    Bug(
        2,
        "the bonus of a purchase is given to every session",
        KERNEL + "neighbours.py",
        "return mean + p.real[BONUS] if (roles & IS_BONUS) != 0 else mean",
        "return mean + p.real[BONUS]",
    ),
    Bug(
        3,
        "a session follows its own rules",
        KERNEL + "rules.py",
        "if (word & SLOT) == SLOT or slot == own:",
        "if (word & SLOT) == SLOT:",
    ),
    Bug(
        2,
        "the share of repeats counts blocked items",
        KERNEL + "repeats.py",
        "        if is_blocked(state, scratch, policy, item):\n            continue\n",
        "",
    ),
    Bug(
        3,
        "of several queries asked at once each includes items of the one before",
        KERNEL + "entries.py",
        "queries.item[max(begin, end - p.whole[LAST]) : end]",
        "queries.item[max(0, end - p.whole[LAST]) : end]",
    ),
    Bug(
        2,
        "the popular items are not updated when a count falls",
        KERNEL + "popular.py",
        'if state.item[item]["dirty"] == 0:',
        'if state.item[item]["dirty"] == 0 and change > 0:',
    ),
    Bug(3, "a session is its own neighbour", KERNEL + "neighbours.py", "if slot != own and", "if slot >= 0 and"),
    Bug(
        3,
        "a query leaves its marks behind",
        KERNEL + "ask.py",
        "        scratch.mark[scratch.marked[j]] = 0",
        "        scratch.mark[scratch.marked[j]] = scratch.mark[scratch.marked[j]]",
    ),
    Bug(
        4,
        "a late event is applied",
        KERNEL + "ingest.py",
        "time < watermark - limits[LATENESS]:",
        "time < watermark - limits[LATENESS] - 1:",
    ),
    Bug(
        4,
        "the same event id is applied twice",
        KERNEL + "ingest.py",
        'state.seen[id_place]["time"] >= watermark - limits[ID_WINDOW]',
        'state.seen[id_place]["time"] > watermark - limits[ID_WINDOW]',
    ),
    Bug(
        6,
        "a session that has grown since it was queued is evicted as the oldest",
        KERNEL + "order.py",
        'if state.session[slot]["last"] == time:\n                return True',
        'if state.session[slot]["last"] >= time:\n                return True',
    ),
    Bug(
        6,
        "evicted events are not counted off",
        KERNEL + "session_events.py",
        "    counters[N_EVENTS] -= n\n",
        "    counters[N_EVENTS] -= n - (n > 3)\n",
    ),
    Bug(
        7,
        "forgetting leaves the event ids",
        "stream_rec/core/index/index.py",
        "self.arrays.rebuild_ids(without=np.array(owners, np.uint64))",
        "pass",
    ),
    Bug(
        7,
        "forgetting a user forgets only one session",
        ENGINE + "state.py",
        "for each in sorted(sessions):\n            self.index.drop(each)",
        "for each in sorted(sessions)[:1]:\n            self.index.drop(each)",
    ),
    Bug(
        5,
        "a loaded engine breaks ties of time by ordinal",
        "stream_rec/core/index/retained.py",
        "np.lexsort((hashes[among], last[among]))",
        "np.lexsort((among, last[among]))",
    ),
    Bug(
        5,
        "a loaded engine does not count the items of its sessions",
        "stream_rec/core/index/retained.py",
        '    counters[field.N_SESSION_ITEMS] = index.state.item["df"].sum()\n',
        "",
    ),
    Bug(
        5,
        "a loaded engine counts an item once for each time that a session holds it",
        KERNEL + "retained.py",
        "if newest_in[item] == slot:",
        "if newest_in[item] == slot + 1:",
    ),
    Bug(
        5,
        "an exported state changes with the engine",
        "stream_rec/core/sessionizer.py",
        "        if user.n_exports != self._n_exports:\n            user = self._owned(user_id, user)\n",
        "",
    ),
    Bug(
        5,
        "a torn snapshot is loaded",
        "stream_rec/snapshot/file.py",
        "if digest.hexdigest() != section.checksum:",
        "if not section.checksum:",
    ),
    Bug(
        5,
        "a snapshot has its name before it is whole",
        "stream_rec/snapshot/file.py",
        "temporary = path.with_suffix(TEMPORARY)",
        "temporary = path",
    ),
    Bug(
        5,
        "a loaded engine applies an event again that was applied before",
        "stream_rec/core/index/retained.py",
        "return seen[is_fresh]",
        "return seen[is_fresh][:0]",
    ),
    Bug(
        5,
        "the next owner of a partition answers from its first record on",
        SERVICE + "running/assignment.py",
        "            offset = committed.get(partition)\n",
        "            offset = 0\n",
        (
            SNAPSHOTS + "TestSnapshots::test_a_restart_reads_on_from_the_last_one",
            CRASH + "test_a_crash_at_any_step_leaves_no_trace",
        ),
    ),
    Bug(
        5,
        "offsets are committed beside the transaction",
        SERVICE + "committing/checkpoint.py",
        '("offsets", lambda: writer.add_offsets(offsets, membership.group_metadata))',
        '("offsets", lambda: member.commit(offsets))',
        (CRASH + "test_a_crash_at_any_step_leaves_no_trace",),
    ),
    Bug(
        5,
        "a commit whose answer was lost is done again",
        SERVICE + "committing/checkpoint.py",
        "in_doubt, is_retry = in_doubt or name == _COMMIT, True",
        "in_doubt, is_retry = False, True",
        (CRASH + "test_a_commit_whose_reply_is_lost_is_not_done_twice",),
    ),
    Bug(
        5,
        "a replica follows others beyond what they have committed, and does not look before it takes over",
        SERVICE + "running/assignment.py",
        "self._batch_reader.follow({p: limit for p, limit in limits.items()",
        "self._batch_reader.follow({p: limit + 3 for p, limit in limits.items()",
        (REPLICAS + "test_each_record_is_answered_once",),
        ((SERVICE + "running/assignment.py", "        self._refuse_if_ahead(answer_from)\n", ""),),
    ),
    Bug(
        5,
        "what was computed for a seat that was lost is committed for the next one",
        SERVICE + "committing/checkpoint.py",
        "if member.generation != membership.generation:",
        "if member.generation < membership.generation:",
        ("tests/unit/service/committing/test_checkpoint.py",),
    ),
    Bug(
        5,
        "a snapshot says that it stands one record further than it does",
        SERVICE + "committing/snapshots.py",
        "by_topic.setdefault(topic, {})[number] = offset",
        "by_topic.setdefault(topic, {})[number] = offset + 1",
        (CRASH + "test_a_crash_leaves_no_trace_where_there_are_snapshots",),
    ),
    Bug(
        7,
        "a record without a value forgets no session",
        "stream_rec/transport/decode.py",
        "        if record.tombstone:\n",
        "        if record.tombstone and record.key is None:\n",
        (SNAPSHOTS + "TestSnapshots::test_a_forgotten_session_leaves_the_snapshots",),
    ),
    Bug(
        2,
        "each source counts a category from zero",
        KERNEL + "policy.py",
        "        for j in range(answers.n[row]):\n            if policy.group",
        "        for j in range(begin, answers.n[row]):\n            if policy.group",
        RULES,
    ),
    Bug(
        2,
        "a better item does not replace one of a full category",
        KERNEL + "scores.py",
        "            if lowest < 0 or _is_below(",
        "            if lowest < n or _is_below(",
        RULES,
    ),
    Bug(
        2,
        "the search for boosted popular items ends by popularity without the boost",
        KERNEL + "fallbacks.py",
        "answers.score[row, wanted - 1] > score * most:",
        "answers.score[row, wanted - 1] > score:",
        RULES,
    ),
    Bug(
        2,
        "an item that becomes unavailable stays among the popular ones until it is clicked",
        "stream_rec/core/index/index.py",
        "        counters[field.N_DIRTY] = begin + fresh.size\n",
        '        item["dirty"][fresh] = 0\n',
        RULES,
    ),
    Bug(
        2,
        "a restored state does not use the catalogue",
        ENGINE + "item_rules.py",
        "            self.rules.forget_ordinals()\n            self.place(self._state.index.view.live_items())\n",
        "            self.rules.forget_ordinals()\n",
        RULES,
    ),
    Bug(
        3,
        "of several requests asked at once all have the rules of the first",
        KERNEL + "entries.py",
        "q = i if policy.terms.size > 1 else 0",
        "q = 0",
        RULES,
    ),
    Bug(
        3,
        "a rule set that a batch still needs is replaced by the next",
        "stream_rec/core/model/rules.py",
        "            if number not in pinned:",
        "            if number not in pinned or pinned:",
        RULES,
    ),
    Bug(
        2,
        "true and 1 are the same value of a column",
        "stream_rec/core/catalogue/columns.py",
        "        key = (type(value), value)  # True",
        "        key = value  # True",
        ("tests/unit/core/test_expressions.py",),
    ),
    Bug(
        4,
        "a broken catalogue takes the place of a good one",
        SERVICE + "processing/catalogue_feed.py",
        "        if bad.n > len(items):",
        "        if bad.n > len(items) + 100:",
        (FEED + "TestFiles",),
    ),
    Bug(
        4,
        "what is answered does not look at the catalogue",
        SERVICE + "processing/processor.py",
        "            if newest is not self.engine.catalogue:",
        "            if self.engine.catalogue is None:",
        (FEED + "TestFiles::test_a_change_holds_within_a_second",),
    ),
]


def is_seen(bug: Bug, tree: Path) -> bool:
    """Return whether a test fails with *bug* in place."""
    changes = [(bug.file, bug.right, bug.wrong), *bug.also]
    sources = {file: (tree / file).read_text() for file, _, _ in changes}
    for file, right, wrong in changes:
        source = (tree / file).read_text()
        if source.count(right) != 1:
            sys.exit(f"{file}: expected once, found {source.count(right)} times: {right!r}")
        (tree / file).write_text(source.replace(right, wrong))
    outcome = _run(bug.seen_by, tree, {**os.environ, "PYTHONPATH": str(tree)})
    for file, source in sources.items():
        (tree / file).write_text(source)
    print(f"law {bug.law}: {bug.what}\n    {outcome or 'NOT SEEN'}", flush=True)
    return outcome is not None


def _run(tests: tuple[str, ...], tree: Path, environment: dict[str, str]) -> str | None:
    """Return how the *tests* fail, None if they pass. A kernel with a bug may never end."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-m",
        "not stress and not chaos",
        "--hypothesis-profile=unshrunk",
        *tests,
    ]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return f"the tests do not end within {LONGEST_S} s"
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    if not failed and done.returncode != 0:
        return f"the tests end with {done.returncode}: {done.stderr[-200:]}"
    return failed[0] if failed else None


def main() -> int:
    """Plant all bugs, or those with the numbers (from 1) in the arguments."""
    chosen = [BUGS[int(number) - 1] for number in sys.argv[1:]] or BUGS
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        skipped = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "dist", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, tree, ignore=skipped)
        seen = [is_seen(bug, tree) for bug in chosen]
    print(f"{sum(seen)} of {len(seen)} planted bugs seen")
    return 0 if all(seen) else 1


if __name__ == "__main__":
    raise SystemExit(main())
