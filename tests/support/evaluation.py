"""The plain twin of the evaluation: question by question, the answer and its metrics."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from laws import query_of

from stream_rec.core.events import Event
from stream_rec.core.index.reference import ReferenceStore, hash_of
from stream_rec.core.limits import Limits
from stream_rec.core.model import Model
from stream_rec.evaluate.asking import PassResult
from stream_rec.evaluate.bootstrap import means
from stream_rec.evaluate.metrics import session_sums

KEEP_ALL: Final = Limits(retention_ms=None)


class Question(NamedTuple):
    """A session's items so far, and its next ones."""

    session: str
    before: list[str]
    rest: list[str]
    """The next item first."""


def questions(events: Sequence[Event], which: str = "next") -> Iterator[tuple[int, Question]]:
    """Yield row and question of each event that is asked for."""
    for row, event in enumerate(events):
        before = [each.item_id for each in events[:row] if each.session_id == event.session_id]
        rest = [each.item_id for each in events[row:] if each.session_id == event.session_id]
        if before and (which == "next" or len(rest) == 1):
            yield row, Question(event.session_id, before, rest)


def prequential_answers(
    events: Sequence[Event], point: Model, limits: Limits = KEEP_ALL
) -> list[tuple[Question, list[str]]]:
    """Ask the plain twin before each event, then let it learn the event."""
    store = ReferenceStore(limits)
    asked = dict(questions(events))
    found = []
    for row, event in enumerate(events):
        if row in asked:
            answer = store.answer_session(event.session_id, query_of(point))
            found.append((asked[row], [each.item for each in answer]))
        assert store.apply(event) == "applied"
    return found


def metrics_of(found: Sequence[tuple[Question, list[str]]], cutoffs: Sequence[int]) -> dict[str, float]:
    """Average every metric by its definition; what no question counts for is left out."""
    values: dict[str, list[float]] = {}
    for question, answer in found:
        for name, value in _one(question, answer, cutoffs):
            values.setdefault(name, []).append(value)
    return {name: sum(each) / len(each) for name, each in values.items()}


def _one(question: Question, answer: list[str], cutoffs: Sequence[int]) -> Iterator[tuple[str, float]]:
    wanted = question.rest[0]
    rank = answer.index(wanted) + 1 if wanted in answer else math.inf
    relevant = {"": set(question.rest), "novel ": set(question.rest) - set(question.before)}
    for k in cutoffs:
        for kind, items in relevant.items():
            if not kind or wanted in items:
                yield f"{kind}HR@{k}", float(rank <= k)
                yield f"{kind}MRR@{k}", 1 / rank if rank <= k else 0.0
                yield f"{kind}NDCG@{k}", 1 / math.log2(rank + 1) if rank <= k else 0.0
            if items:
                hits = [item in items for item in answer[:k]]
                yield f"{kind}precision@{k}", sum(hits) / k
                yield f"{kind}recall@{k}", sum(hits) / len(items)
                precisions = [sum(hits[:place]) / place for place, hit in enumerate(hits, 1) if hit]
                yield f"{kind}MAP@{k}", sum(precisions) / min(k, len(items))


def measured(asked: PassResult, model: int) -> dict[str, float]:
    """Return the averages of one candidate, without those that no question counts for."""
    sums = session_sums(asked)
    pairs = zip(sums.names, means(sums)[:, model].tolist(), strict=True)
    return {name: value for name, value in pairs if not math.isnan(value)}


# --- the baselines, by their definitions


def popularity_answers(events: Sequence[Event], n: int) -> list[tuple[Question, list[str]]]:
    """Answer with the most frequent items so far, but for the current one."""
    counts: Counter[str] = Counter()
    asked = dict(questions(events))
    found = []
    for row, event in enumerate(events):
        if row in asked:
            ranked = sorted(counts, key=lambda item: (counts[item], hash_of(item)), reverse=True)
            found.append((asked[row], [item for item in ranked if item != asked[row].before[-1]][:n]))
        counts[event.item_id] += 1
    return found


def rule_answers(events: Sequence[Event], name: str, n: int) -> list[tuple[Question, list[str]]]:
    """Answer by what other sessions held beside the current item (`item-to-item`) or after it.

    Scores are exact here. Raises UndecidedError where two are equal that are not when added up in floats, in some
    order: which comes first is then undefined.
    """
    asked = dict(questions(events))
    found = []
    for row, question in asked.items():
        current = question.before[-1]
        others: dict[str, list[str]] = {}
        for event in events[:row]:
            if event.session_id != question.session:
                others.setdefault(event.session_id, []).append(event.item_id)
        votes: dict[str, list[Fraction]] = {}
        for items in others.values():
            for item, value in _votes(items, current, name):
                if item != current:
                    votes.setdefault(item, []).append(value)
        scores = {item: sum(values, Fraction(0)) for item, values in votes.items()}
        times = Counter(scores.values())
        if any(times[scores[item]] > 1 and not _is_exact(values) for item, values in votes.items()):
            raise UndecidedError
        ranked = sorted(scores, key=lambda item: (scores[item], hash_of(item)), reverse=True)
        found.append((question, ranked[:n]))
    return found


class UndecidedError(Exception):
    """A tie that depends on how sums are rounded."""


def _is_exact(values: Sequence[Fraction]) -> bool:
    """Whether *values* add up to the same float in any order."""
    return len(values) == 1 or all(value.denominator.bit_count() == 1 for value in values)


def _votes(items: list[str], current: str, name: str) -> Iterator[tuple[str, Fraction]]:
    if name == "item-to-item":
        if current in items:
            yield from ((item, Fraction(1)) for item in dict.fromkeys(items))
        return
    steps = 1 if name == "markov" else 10
    for place, item in enumerate(items):
        if item == current:
            yield from ((items[place + d], Fraction(1, d)) for d in range(1, steps + 1) if place + d < len(items))
