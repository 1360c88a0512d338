"""Which items may answer a query, by lists and by the catalogue: verdicts are looked up, categories counted.

Filters and boosts were compiled before into a number for each row of the catalogue. Without a policy, an item costs one
read.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.state import (
    BLOCKED,
    LISTED,
    TERM_ANY,
    TERM_BEGIN,
    TERM_CAP,
    TERM_END,
    TERM_GROUP,
    TERM_LISTED,
    TERM_RULESET,
    AnswerArrays,
    Policy,
    Scratch,
    State,
)

__all__ = ["block", "boosted", "count_category", "is_blocked", "largest_factor", "load_terms"]


@inner
def block(scratch: Scratch, n_marked: int, item: int) -> int:
    """Mark *item* as blocked in this query; return how many items are marked."""
    if item >= 0 and (scratch.mark[item] & BLOCKED) == 0:
        scratch.mark[item] |= BLOCKED
        scratch.marked[n_marked] = item
        return n_marked + 1
    return n_marked


@inner
def load_terms(state: State, scratch: Scratch, policy: Policy, q: int, seen: np.ndarray) -> int:
    """Load the terms of query *q*, whose session holds the items *seen*; return how many items are marked."""
    terms, term = policy.terms, scratch.term
    n_marked = 0
    for j in range(terms[q]["exclude_begin"], terms[q]["exclude_end"]):
        n_marked = block(scratch, n_marked, policy.listed[j])
    term[TERM_LISTED] = terms[q]["only_listed"]
    term[TERM_BEGIN] = terms[q]["allow_begin"]
    term[TERM_END] = terms[q]["allow_end"]
    if term[TERM_LISTED] != 0:
        for j in range(term[TERM_BEGIN], term[TERM_END]):
            item = policy.listed[j]
            scratch.mark[item] |= np.uint8(LISTED)
            scratch.marked[n_marked] = item
            n_marked += 1
    term[TERM_RULESET] = terms[q]["ruleset"]
    term[TERM_CAP] = terms[q]["cap"]
    term[TERM_GROUP] = 0
    if terms[q]["same_category"] != 0:
        row = np.int64(terms[q]["row"])
        if row < 0:
            row = np.int64(state.item[seen[-1]]["row"]) if seen.size > 0 and seen[-1] >= 0 else np.int64(0)
        term[TERM_GROUP] = policy.group[row]
    term[TERM_ANY] = term[TERM_RULESET] >= 0 or term[TERM_CAP] > 0 or term[TERM_GROUP] > 0 or term[TERM_LISTED] != 0
    return n_marked


@inner
def is_blocked(state: State, scratch: Scratch, policy: Policy, item: int) -> bool:
    """Return whether the terms that `load_terms` loaded, or the deny list, exclude *item*."""
    if (scratch.mark[item] & BLOCKED) != 0 or state.item[item]["denied"] != 0:
        return True
    term = scratch.term
    if term[TERM_ANY] == 0:
        return False
    if term[TERM_LISTED] != 0 and (scratch.mark[item] & np.uint8(LISTED)) == 0:
        return True
    row = state.item[item]["row"]
    if term[TERM_RULESET] >= 0 and policy.verdict[term[TERM_RULESET], row] == 0:
        return True
    return term[TERM_GROUP] > 0 and policy.group[row] != term[TERM_GROUP]


@inner
def boosted(state: State, scratch: Scratch, policy: Policy, item: int, score: float) -> float:
    """Return *score* times the item's factor."""
    ruleset = scratch.term[TERM_RULESET]
    if ruleset < 0 or policy.most[ruleset] == 0.0:
        return score
    return score * policy.factor[ruleset, policy.verdict[ruleset, state.item[item]["row"]]]


@inner
def largest_factor(scratch: Scratch, policy: Policy) -> float:
    """Return the largest factor of any item; 0 if no item has one."""
    ruleset = scratch.term[TERM_RULESET]
    return policy.most[ruleset] if ruleset >= 0 else 0.0


@inner
def count_category(
    state: State, scratch: Scratch, policy: Policy, answers: AnswerArrays, row: int, begin: int, item: int
) -> tuple[int, int]:
    """Return how many items the answer has of the category of *item*, and the place of the last from *begin* on.

    (0, -1) if there is no cap, or no category.
    """
    if scratch.term[TERM_CAP] == 0:
        return 0, -1
    group = policy.group[state.item[item]["row"]]
    n, last = 0, -1
    if group > 0:
        for j in range(answers.n[row]):  # planted bug: category-per-source (2 lines)
            if policy.group[state.item[answers.item[row, j]]["row"]] == group:
                n += 1
                last = j
    return n, last if last >= begin else -1
