"""Answers: sample, similarity, neighbours, scores and fallbacks of one query, from the lists' newest end.

All posting lists share one order, so a merge of the query's lists from their ends meets each candidate session once,
newest first, in all of its lists at the same time: its similarity is complete when it is met, and the m-th candidate
ends the work. Sums are taken in one fixed order (query items newest first, neighbours newest first), which the
reference follows, so scores agree to the bit.
"""

import numpy as np

from stream_rec.index._kernel import popular
from stream_rec.index._kernel.arithmetic import exp as plain_exp
from stream_rec.index._kernel.arithmetic import ln as plain_ln
from stream_rec.index._kernel.compiled import inner, prefetch
from stream_rec.index._kernel.postings import BITS, SLOT, is_older
from stream_rec.index._kernel.state import (
    AGE,
    BLOCKED,
    DIRECTION,
    FALLBACKS,
    FOLLOWED,
    IDF,
    IDF_ADDED,
    IDF_FACTOR,
    IDF_NONE,
    IN_QUERY,
    ITEM_MASK,
    LAST,
    MIN_TYPE_WEIGHT,
    N_SESSIONS,
    N_TOP,
    NEIGHBOURS,
    NORMALISE,
    NORMALISE_COSINE,
    NORMALISE_QUERY,
    PLACE,
    POPULAR,
    REPEATED,
    REQUIRED_TYPE,
    SEEN,
    SEEN_DROP_CURRENT,
    SEEN_DROP_SESSION,
    TOP_COMPLETE,
    WATERMARK,
    WEIGHT,
    WEIGHT_AFTER,
    WEIGHT_DISTINCT,
    WEIGHT_LINEAR,
    WEIGHT_QUADRATIC,
    WEIGHT_SAME,
    Answers,
    K,
    M,
    N,
    Parameters,
    Scratch,
    State,
)

exp = inner(plain_exp)
ln = inner(plain_ln)
REPEAT_BIT = np.uint32(REPEATED)
ITEM_BITS = np.uint32(ITEM_MASK)
AHEAD = 12  # items whose records are asked for before they are needed


# --- the query


@inner
def _weight(p: Parameters, position: int, length: int, distinct: int) -> float:
    """Return w of the query's item at *position* (1 is the oldest)."""
    kind = p.whole[WEIGHT]
    if kind == WEIGHT_SAME:
        return 1.0
    if kind == WEIGHT_LINEAR:
        return position / length
    if kind == WEIGHT_DISTINCT:
        return position / distinct
    if kind == WEIGHT_QUADRATIC:
        return (position / length) * (position / length)
    if kind == WEIGHT_AFTER:
        return (position + 1) / length
    return p.weight[min(length - position, p.weight.size - 1)]


@inner
def _distinct_items(scratch: Scratch, query: np.ndarray) -> int:
    """Note the query's distinct items, newest first, each at its newest place; return U, how many they are.

    Items that nobody holds come as negative numbers, equal ones alike: they count for U and are looked for nowhere.
    """
    n = 0
    length = query.size
    for j in range(length - 1, -1, -1):
        item = query[j]
        is_repeat = False
        if item >= 0:
            is_repeat = (scratch.mark[item] & IN_QUERY) != 0
            scratch.mark[item] |= IN_QUERY
        else:
            for later in range(j + 1, length):
                is_repeat |= query[later] == item
        if not is_repeat:
            scratch.query[n]["item"] = item
            scratch.query[n]["step"] = length - j
            n += 1
    for j in range(n):
        if scratch.query[j]["item"] >= 0:
            scratch.mark[scratch.query[j]["item"]] ^= IN_QUERY
    return n


@inner
def _open_heads(state: State, scratch: Scratch, distinct: int) -> int:
    """Point at the newest live posting of each of the query's lists; return how many lists have one."""
    n = 0
    for j in range(distinct):
        item = scratch.query[j]["item"]
        if item >= 0:
            prefetch(state.postings, state.item[item]["at"] + state.item[item]["end"] - 1)
    for j in range(distinct):
        item = scratch.query[j]["item"]
        if item < 0:
            continue
        at = state.item[item]["at"]
        stop = at + state.item[item]["start"]
        here = at + state.item[item]["end"] - 1
        while here >= stop and (state.postings[here] & SLOT) == SLOT:
            here -= 1
        if here >= stop:
            scratch.head[n] = state.postings[here]
            scratch.lists[n]["at"] = here
            scratch.lists[n]["stop"] = stop
            scratch.lists[n]["query"] = j
            n += 1
    return n


# --- candidates


@inner
def _passes(state: State, p: Parameters, slot: int) -> bool:
    """Tell whether the sampling filters let session *slot* in."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    required = p.whole[REQUIRED_TYPE]
    has_type = required < 0
    total = 0.0
    for j in range(at, at + n):
        has_type |= state.event_type[j] == required
        total += p.type_weight[state.event_type[j]]
    return has_type and total >= p.real[MIN_TYPE_WEIGHT] * n


@inner
def _gather(state: State, scratch: Scratch, p: Parameters, distinct: int, own: int) -> int:
    """Merge the query's lists from the newest end into at most m candidates with their similarity and step."""
    m = p.whole[M]
    is_filtered = p.whole[REQUIRED_TYPE] >= 0 or p.real[MIN_TYPE_WEIGHT] > 0.0
    postings = state.postings
    head = scratch.head
    n_heads = _open_heads(state, scratch, distinct)
    n = 0
    while n < m and n_heads > 0:
        newest = head[0] >> BITS
        for j in range(1, n_heads):
            newest = max(newest, head[j] >> BITS)
        best = np.uint64(0)
        n_match = 0
        for j in range(n_heads):
            word = head[j]
            if (word >> BITS) == newest:
                if word == best:
                    scratch.match[n_match] = j
                    n_match += 1
                elif n_match == 0 or is_older(state, np.int64(best & SLOT), np.int64(word & SLOT)):
                    best = word
                    scratch.match[0] = j
                    n_match = 1
        slot = np.int64(best & SLOT)
        similarity = 0.0
        n_ended = 0
        for i in range(n_match):
            j = scratch.match[i]
            similarity += scratch.query[scratch.lists[j]["query"]]["weight"]
            here = scratch.lists[j]["at"] - 1
            stop = scratch.lists[j]["stop"]
            while here >= stop and (postings[here] & SLOT) == SLOT:
                here -= 1
            scratch.lists[j]["at"] = here
            if here >= stop:
                head[j] = postings[here]
            else:
                n_ended += 1
        if slot != own and (not is_filtered or _passes(state, p, slot)):
            scratch.candidate[n] = slot
            scratch.similarity[n] = similarity
            scratch.step[n] = scratch.query[scratch.lists[scratch.match[0]]["query"]]["step"]
            n += 1
        if n_ended > 0:
            n_heads = _close_heads(scratch, n_heads)
    return n


@inner
def _close_heads(scratch: Scratch, n_heads: int) -> int:
    """Take out the lists that are read to their start, keeping the order of the others."""
    kept = 0
    for j in range(n_heads):
        if scratch.lists[j]["at"] >= scratch.lists[j]["stop"]:
            scratch.head[kept] = scratch.head[j]
            scratch.lists[kept]["at"] = scratch.lists[j]["at"]
            scratch.lists[kept]["stop"] = scratch.lists[j]["stop"]
            scratch.lists[kept]["query"] = scratch.lists[j]["query"]
            kept += 1
    return kept


@inner
def _adjust(state: State, scratch: Scratch, p: Parameters, n: int, distinct: int) -> None:
    """Apply the optional factors of similarity: normalisation and the neighbour's age."""
    normalise = p.whole[NORMALISE]
    age = p.real[AGE]
    if normalise == NORMALISE_QUERY:
        for c in range(n):
            scratch.similarity[c] /= distinct
    elif normalise == NORMALISE_COSINE:
        squares = 0.0
        for j in range(distinct):
            squares += scratch.query[j]["weight"] * scratch.query[j]["weight"]
        length = np.sqrt(squares)
        for c in range(n):
            scratch.similarity[c] /= length * np.sqrt(float(state.session[scratch.candidate[c]]["items"]))
    if age > 0.0:
        now = state.counters[WATERMARK]
        for c in range(n):
            scratch.similarity[c] *= exp(-float(now - state.session[scratch.candidate[c]]["last"]) / age)


@inner
def _nth_largest(values: np.ndarray, n: int, k: int) -> float:
    """Return the k-th largest (from 1) of the first n values, which are reordered (quickselect)."""
    low, high = 0, n - 1
    target = k - 1
    while low < high:
        a, b, c = values[low], values[(low + high) >> 1], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            break
    return values[target]


@inner
def _choose(scratch: Scratch, p: Parameters, n: int) -> int:
    """List the k most similar candidates, newest first; of equal similarity the newer are taken."""
    k = p.whole[K]
    if n <= k:
        for c in range(n):
            scratch.chosen[c] = c
        return n
    for c in range(n):
        scratch.ordered[c] = scratch.similarity[c]
    least = _nth_largest(scratch.ordered, n, k)
    n_above = 0
    for c in range(n):
        n_above += scratch.similarity[c] > least
    n_equal = k - n_above
    n_chosen = 0
    for c in range(n):
        value = scratch.similarity[c]
        takes = value > least or (value == least and n_equal > 0)
        n_equal -= value == least
        scratch.chosen[n_chosen] = c
        n_chosen += takes
        if n_chosen == k:
            break
    return k


# --- scores


@inner
def _add(scratch: Scratch, n_touched: int, item: int, score: float) -> int:
    before = scratch.score[item]
    scratch.touched[n_touched] = item
    scratch.score[item] = before + score
    return n_touched + (before == 0.0)


@inner
def _score_alike(state: State, scratch: Scratch, slot: int, score: float, n_touched: int) -> int:
    """Give every item of the neighbour the same score."""
    at = state.session[slot]["at"]
    for j in range(at, at + state.session[slot]["events"]):
        word = state.event_item[j]
        if (word & REPEAT_BIT) == 0:
            n_touched = _add(scratch, n_touched, np.int64(word), score)
    return n_touched


@inner
def _score_by_place(
    state: State, scratch: Scratch, p: Parameters, slot: int, score: float, shared: int, n_touched: int
) -> int:
    """Give each item of the neighbour a score by its place relative to the shared item's newest one."""
    at = state.session[slot]["at"]
    end = at + state.session[slot]["events"]
    anchor = at
    while state.event_item[anchor] != np.uint32(shared):
        anchor += 1
    for j in range(at, end):
        word = state.event_item[j]
        if (word & REPEAT_BIT) == 0:
            value = score * p.place[min(abs(j - anchor), p.place.size - 1)]
            if j < anchor:
                value *= p.real[DIRECTION]
            if value > 0.0:
                n_touched = _add(scratch, n_touched, np.int64(word), value)
    return n_touched


@inner
def _score_items(state: State, scratch: Scratch, p: Parameters, query: np.ndarray, n_chosen: int) -> int:
    """Add up the scores of the neighbours' items, neighbours newest first; return how many items have one."""
    n_touched = 0
    last_match = p.match.size - 1
    for i in range(n_chosen):
        prefetch(state.session, scratch.candidate[scratch.chosen[i]])
    for i in range(n_chosen):
        prefetch(state.event_item, state.session[scratch.candidate[scratch.chosen[i]]]["at"])
    for i in range(n_chosen):
        c = scratch.chosen[i]
        step = scratch.step[c]
        score = scratch.similarity[c] * p.match[min(step, last_match)]
        if score <= 0.0:
            continue
        slot = scratch.candidate[c]
        if p.whole[PLACE] == 0:
            n_touched = _score_alike(state, scratch, slot, score, n_touched)
        else:
            shared = query[query.size - step]
            n_touched = _score_by_place(state, scratch, p, slot, score, shared, n_touched)
    return n_touched


@inner
def _weighed(state: State, p: Parameters, item: int, score: float) -> float:
    """Return *score* times the factor of the item's rarity."""
    kind = p.whole[IDF]
    if kind == IDF_NONE:
        return score
    idf = ln(float(state.counters[N_SESSIONS]) / float(state.item[item]["df"]))
    if kind == IDF_ADDED:
        return score * (1.0 + p.real[IDF_FACTOR] * idf)
    return score * idf if idf > 0.0 else score


@inner
def _rank(
    state: State, answers: Answers, row: int, begin: int, wanted: int, item: int, score: float, source: int
) -> int:
    """Put *item* at its place among the entries of one source, which start at *begin*; return how many there are.

    The list is never longer than *wanted*; equal scores: the larger hash first.
    """
    n = answers.n[row]
    items, scores = answers.item, answers.score
    if n == wanted:
        last = scores[row, n - 1]
        if score < last or (score == last and state.item[item]["hash"] < state.item[items[row, n - 1]]["hash"]):
            return n
        n -= 1
    place = n
    while place > begin and (
        scores[row, place - 1] < score
        or (scores[row, place - 1] == score and state.item[items[row, place - 1]]["hash"] < state.item[item]["hash"])
    ):
        items[row, place] = items[row, place - 1]
        scores[row, place] = scores[row, place - 1]
        answers.source[row, place] = source
        place -= 1
    items[row, place] = item
    scores[row, place] = score
    answers.source[row, place] = source
    answers.n[row] = n + 1
    return n + 1


@inner
def _is_blocked(state: State, scratch: Scratch, item: int) -> bool:
    return (scratch.mark[item] & BLOCKED) != 0 or state.item[item]["denied"] != 0


@inner
def _take_best(
    state: State, scratch: Scratch, p: Parameters, answers: Answers, row: int, n_touched: int, source: int
) -> None:
    """Rank the touched items behind what the answer already has, and wipe their scores."""
    begin = answers.n[row]
    wanted = p.whole[N]
    for j in range(n_touched):
        if j + AHEAD < n_touched:
            prefetch(state.item, scratch.touched[j + AHEAD])
        item = scratch.touched[j]
        score = scratch.score[item]
        scratch.score[item] = 0.0
        if begin < wanted and not _is_blocked(state, scratch, item):
            if source == NEIGHBOURS:
                score = _weighed(state, p, item, score)
            if score > 0.0:
                _rank(state, answers, row, begin, wanted, item, score, source)


# --- fallbacks


@inner
def _score_followers(state: State, scratch: Scratch, p: Parameters, item: int, own: int) -> int:
    """Count what came right after *item* in the m newest sessions that hold it; a repeat is no follower."""
    at = state.item[item]["at"]
    stop = at + state.item[item]["start"]
    here = at + state.item[item]["end"] - 1
    left = p.whole[M]
    n_touched = 0
    while here >= stop and left > 0:
        word = state.postings[here]
        here -= 1
        slot = np.int64(word & SLOT)
        if (word & SLOT) == SLOT or slot == own:
            continue
        left -= 1
        first = state.session[slot]["at"]
        for j in range(first, first + state.session[slot]["events"] - 1):
            if np.int64(state.event_item[j] & ITEM_BITS) == item:
                follower = np.int64(state.event_item[j + 1] & ITEM_BITS)
                if follower != item:
                    n_touched = _add(scratch, n_touched, follower, 1.0)
    return n_touched


@inner
def _fill_popular(state: State, scratch: Scratch, p: Parameters, answers: Answers, row: int, n_marked: int) -> None:
    """Fill the answer with the most popular items that are not blocked and not in it yet."""
    wanted = p.whole[N]
    popular.order(state, wanted + n_marked)
    n_top = state.counters[N_TOP]
    for j in range(n_top):
        n = answers.n[row]
        if n == wanted:
            return
        item = state.top[j]["item"]
        if not _is_blocked(state, scratch, item):
            answers.item[row, n] = item
            answers.score[row, n] = state.top[j]["score"]
            answers.source[row, n] = POPULAR
            answers.n[row] = n + 1
    if answers.n[row] < wanted and state.counters[TOP_COMPLETE] == 0:
        _scan_popular(state, scratch, answers, row, wanted)


@inner
def _scan_popular(state: State, scratch: Scratch, answers: Answers, row: int, wanted: int) -> None:
    """Find the popular items that the ordered top was too short for. O(items)."""
    begin = answers.n[row]
    for j in range(begin):
        scratch.mark[answers.item[row, j]] |= IN_QUERY
    for item in range(state.item.size):
        is_in_answer = (scratch.mark[item] & IN_QUERY) != 0
        if state.item[item]["df"] > 0 and not is_in_answer and not _is_blocked(state, scratch, item):
            score = popular.popularity(state, item)
            if score > 0.0:
                _rank(state, answers, row, begin, wanted, item, score, POPULAR)
    for j in range(begin):
        scratch.mark[answers.item[row, j]] &= ~np.uint8(IN_QUERY)


# --- one answer


@inner
def _block(scratch: Scratch, n_marked: int, item: int) -> int:
    if item >= 0 and (scratch.mark[item] & BLOCKED) == 0:
        scratch.mark[item] |= BLOCKED
        scratch.marked[n_marked] = item
        return n_marked + 1
    return n_marked


@inner
def ask(
    state: State,
    scratch: Scratch,
    p: Parameters,
    query: np.ndarray,
    seen: np.ndarray,
    exclude: np.ndarray,
    own: int,
    answers: Answers,
    row: int,
) -> None:
    """Answer one query into *row*.

    `query` is its last events, oldest first; `seen` the items the seen-policy is about (the last is the current one);
    `exclude` more items that must not come; `own` the slot that is nobody's neighbour, -1 for none.
    """
    answers.n[row] = 0
    n_marked = 0
    for item in exclude:
        n_marked = _block(scratch, n_marked, item)
    if p.whole[SEEN] == SEEN_DROP_SESSION:
        for item in seen:
            n_marked = _block(scratch, n_marked, item)
    elif p.whole[SEEN] == SEEN_DROP_CURRENT and seen.size > 0:
        n_marked = _block(scratch, n_marked, seen[-1])

    distinct = _distinct_items(scratch, query)
    for j in range(distinct):
        position = query.size - scratch.query[j]["step"] + 1
        scratch.query[j]["weight"] = _weight(p, position, query.size, distinct)
    n = _gather(state, scratch, p, distinct, own)
    _adjust(state, scratch, p, n, distinct)
    n_chosen = _choose(scratch, p, n)
    n_touched = _score_items(state, scratch, p, query, n_chosen)
    _take_best(state, scratch, p, answers, row, n_touched, NEIGHBOURS)

    if p.whole[FALLBACKS] != 0 and answers.n[row] < p.whole[N]:
        for j in range(answers.n[row]):
            n_marked = _block(scratch, n_marked, answers.item[row, j])
        if query.size > 0 and query[-1] >= 0:
            begin = answers.n[row]
            n_touched = _score_followers(state, scratch, p, query[-1], own)
            _take_best(state, scratch, p, answers, row, n_touched, FOLLOWED)
            for j in range(begin, answers.n[row]):
                n_marked = _block(scratch, n_marked, answers.item[row, j])
        if answers.n[row] < p.whole[N]:
            _fill_popular(state, scratch, p, answers, row, n_marked)
    for j in range(n_marked):
        scratch.mark[scratch.marked[j]] = 0


@inner
def ask_session(
    state: State, scratch: Scratch, p: Parameters, slot: int, exclude: np.ndarray, answers: Answers, row: int
) -> None:
    """Answer for a session as it stands, from its own last events; an empty slot has none."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    seen = scratch.session
    for j in range(n):
        seen[j] = np.int32(state.event_item[at + j] & ITEM_BITS)
    ask(state, scratch, p, seen[max(0, n - p.whole[LAST]) : n], seen[:n], exclude, slot, answers, row)
