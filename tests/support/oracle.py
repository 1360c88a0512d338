"""A third opinion: store and model once more, as an outsider would write them from the documents alone.

Written from docs/reference/model.md, docs/explanation/algorithm.md and the pages of the settings. Shares no
code with the kernels and their plain twin, and none of their arithmetic: whole numbers and fractions where the formulas
have them, 60 decimal digits where they have roots, logarithms or powers of e. It knows `Model` and `Limits` only as
lists of settings. Slow: each answer looks at every event.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, getcontext
from fractions import Fraction
from typing import Final, NamedTuple

import xxhash

from stream_rec.core.events import Event, Forget
from stream_rec.core.limits import Limits
from stream_rec.core.model import Model

getcontext().prec = 60
ZERO: Final = Decimal(0)
DAY_MS: Final = 24 * 60 * 60 * 1000
# The prices of docs/how-to/memory.md.
STORE_BYTES, SESSION_BYTES, EVENT_BYTES, ITEM_BYTES = 8_388_608, 340, 58, 480


class Ranked(NamedTuple):
    """An item of an answer."""

    item: str
    score: float
    source: str


class Seen(NamedTuple):
    """An event that a session has."""

    time: int
    item: str
    type: str


def decimal(number: Fraction | float | Decimal) -> Decimal:
    """Return *number*, a float meaning exactly what it is."""
    if isinstance(number, Fraction):
        return Decimal(number.numerator) / Decimal(number.denominator)
    return Decimal(number)


def at_digits(number: Decimal, digits: int) -> Decimal:
    """Return *number* >= 0 rounded to so many binary digits."""
    if number == 0:
        return ZERO
    exponent = int((number.ln() / Decimal(2).ln()).to_integral_value("ROUND_FLOOR"))
    unit = Decimal(2) ** (exponent + 1 - digits)
    return (number / unit).to_integral_value() * unit


def power(exponent: Decimal) -> Decimal:
    """Return e**exponent, and 0 below e**-700."""
    return exponent.exp() if exponent >= -700 else ZERO


def log10(number: str) -> Decimal:
    return Decimal(number).log10()


def tie_hash(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode())


def scrambled(word: int) -> int:
    """The finaliser of SplitMix64."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = ((word ^ (word >> shift)) * factor) & (2**64 - 1)
    return word ^ (word >> 31)


def names(one_or_many: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if one_or_many is None:
        return ()
    return (one_or_many,) if isinstance(one_or_many, str) else one_or_many


# --- the formulas of "Parameters"


def weight(model: Model, i: int, length: int, distinct: int) -> Fraction | Decimal:
    """Return w of the item at position i."""
    back = length - i
    formulas: dict[str, Callable[[], Fraction | Decimal]] = {
        "same": lambda: Fraction(1),
        "linear": lambda: Fraction(i, length),
        "distinct": lambda: Fraction(i, distinct),
        "quadratic": lambda: Fraction(i * i, length * length),
        "log": lambda: 1 / (back + Decimal("1.7")).log10(),
        "exp": lambda: power(-back / decimal(model.weight_decay)),
        "wsknn-linear": lambda: Fraction(i + 1, length),
        "wsknn-log": lambda: log10("2.7") / (back + Decimal("1.7")).log10(),
    }
    return formulas[model.weight]()


def match(model: Model, step: int) -> Fraction | Decimal:
    """Return the factor by step."""
    formulas: dict[str, Callable[[], Fraction | Decimal]] = {
        "none": lambda: Fraction(1),
        "vmis": lambda: Fraction(10 - step, 10) if step < 10 else Fraction(0),
        "div": lambda: Fraction(1, step),
        "linear": lambda: Fraction(11 - step, 10) if step < 11 else Fraction(0),
        "log": lambda: 1 / (step + Decimal("1.7")).log10(),
        "quadratic": lambda: Fraction(1, step**2),
        "exp": lambda: power((1 - step) / decimal(model.match_decay)),
        "wsknn-linear": lambda: Fraction(10 - step, 9) if step < 10 else Fraction(0),
        "wsknn-log": lambda: log10("2.7") / (step + Decimal("1.7")).log10(),
    }
    return formulas[model.match]()


def place(model: Model, distance: int) -> Decimal:
    """Return the factor by distance in the neighbour."""
    if model.places is not None and distance > model.places:
        return ZERO
    if model.place_decay is None:
        return Decimal(1)
    return power(-min(distance, 1023) / decimal(model.place_decay))


def rule_weight(model: Model, distance: int) -> Decimal:
    """Return the weight of a rule."""
    if distance > model.rules_steps:
        return ZERO
    by_name: dict[str, Callable[[], Decimal]] = {
        "same": lambda: Decimal(1),
        "div": lambda: 1 / Decimal(distance),
        "exp": lambda: power((1 - distance) / decimal(model.rules_decay)),
    }
    value = by_name[model.rules_weight]()
    return value if value >= Decimal(2) ** -50 else ZERO


class Oracle:
    """The sessions that are retained, and what they recommend."""

    def __init__(
        self, limits: Limits, deny: Iterable[str] = (), type_weights: Mapping[str, float] | None = None
    ) -> None:
        self.limits = limits
        self.denied = set(deny)
        self.type_weights = type_weights or {}
        self.sessions: dict[str, list[Seen]] = {}
        self.session_users: dict[str, set[str]] = {}
        self.event_ids: dict[tuple[str, str], int] = {}
        self.watermark: int | None = None

    # --- the log

    def take(self, record: Event | Forget, log_time: int | None = None) -> str:
        """Take one record, which the log took at *log_time*; return what became of it."""
        if isinstance(record, Forget):
            self._forget(record)
            return "applied"
        now = self.watermark
        known = self.event_ids.get((record.session_id, record.event_id or ""))
        if known is not None and now is not None:
            age = now - known
            if age <= self.limits.window_ms:
                return "duplicate"
        if now is not None and now - record.timestamp > self.limits.lateness_ms:
            return "late"
        moved_to = record.timestamp if log_time is None else min(record.timestamp, log_time)
        ahead = min(self.limits.lateness_ms, max(1, self.limits.popular_half_life_ms // 2))
        moved_to = max(moved_to, record.timestamp - ahead)
        self.watermark = moved_to if now is None else max(moved_to, now)
        if record.event_id is not None:
            self.event_ids[record.session_id, record.event_id] = record.timestamp
        self._join(record)
        self._evict()
        return "applied"

    def _join(self, event: Event) -> None:
        name, retention = event.session_id, self.limits.retention_ms
        if name in self.sessions and retention is not None:
            pause = event.timestamp - self.sessions[name][-1].time
            if pause > retention - self.limits.lateness_ms:
                self._remove(name)
        seen = self.sessions.get(name, [])
        before = [each for each in seen if each.time <= event.timestamp]
        after = [each for each in seen if each.time > event.timestamp]
        whole = [*before, Seen(event.timestamp, event.item_id, event.type), *after]
        self.sessions[name] = whole[max(0, len(whole) - self.limits.max_session_events) :]
        if event.user_id is not None:
            self.session_users.setdefault(name, set()).add(event.user_id)

    def _evict(self) -> None:
        limits, now = self.limits, self.watermark
        assert now is not None
        while self.sessions:
            oldest = min(self.sessions, key=self.recency)
            expired = limits.retention_ms is not None and now - self.sessions[oldest][-1].time > limits.retention_ms
            n_events = sum(len(seen) for seen in self.sessions.values())
            full = (
                len(self.sessions) > (limits.max_sessions or len(self.sessions))
                or n_events > (limits.max_events or n_events)
                or self._bytes() > (limits.max_bytes or self._bytes())
            )
            if not expired and not full:
                return
            self._remove(oldest)

    def _bytes(self) -> int:
        items = {each.item for seen in self.sessions.values() for each in seen}
        return (
            STORE_BYTES
            + sum(SESSION_BYTES + len(name.encode()) + EVENT_BYTES * len(seen) for name, seen in self.sessions.items())
            + sum(ITEM_BYTES + len(item.encode()) for item in items)
        )

    def _forget(self, order: Forget) -> None:
        gone = {name for name, users in self.session_users.items() if order.user_id in users}
        gone |= {order.session_id} if order.session_id is not None else set()
        for name in gone:
            self._remove(name)
        self.event_ids = {key: value for key, value in self.event_ids.items() if key[0] not in gone}

    def _remove(self, name: str) -> None:
        self.sessions.pop(name, None)
        self.session_users.pop(name, None)

    # --- what is counted

    def recency(self, name: str) -> tuple[int, int]:
        """Return the key of "newest first"."""
        return self.sessions[name][-1].time, tie_hash(name)

    def newest_first(self, holding: set[str], without: str | None) -> list[str]:
        """Return the sessions that hold one of the items *holding*."""
        found = [name for name in self.sessions if name != without and self.items_of(name) & holding]
        return sorted(found, key=self.recency, reverse=True)

    def items_of(self, name: str) -> set[str]:
        return {each.item for each in self.sessions[name]}

    def rarity(self, model: Model, item: str) -> Decimal:
        df = sum(item in self.items_of(name) for name in self.sessions)
        log = (Decimal(len(self.sessions)) / df).ln()
        if model.idf == "none":
            return Decimal(1)
        if model.idf == "added":
            return 1 + decimal(model.idf_factor) * log
        return log if log > 0 else Decimal(1)

    def mean_weight(self, name: str) -> Fraction:
        weights = [Fraction(self.type_weights.get(each.type, 1.0)) for each in self.sessions[name]]
        return sum(weights, Fraction(0)) / len(weights)

    # --- an answer

    def answer(
        self, model: Model, session: str | None = None, items: Sequence[str] | None = None, exclude: Iterable[str] = ()
    ) -> list[Ranked]:
        """Answer for a session, or for *items* if there are any, as *session* would ask."""
        own = session if session in self.sessions else None
        seen = list(items) if items is not None else [each.item for each in self.sessions.get(session or "", [])]
        blocked = self.denied | set(exclude)
        blocked |= {"keep": set(), "drop-current": set(seen[-1:]), "drop-session": set(seen)}[model.seen]
        query = seen[-model.last :]
        answer: list[Ranked] = []
        self._append(answer, model.n, blocked, "neighbours", self._model_scores(model, query, set(seen), blocked, own))
        if model.fallbacks:
            if query:
                self._append(answer, model.n, blocked, "followed", self._followers(model, query[-1], own))
            self._append(answer, model.n, blocked, "popular", self._popularity())
        return answer

    @staticmethod
    def _append(answer: list[Ranked], n: int, blocked: set[str], source: str, scores: Mapping[str, Decimal]) -> None:
        there = {each.item for each in answer} | blocked
        rounded = {item: at_digits(score, 32) for item, score in scores.items() if item not in there and score > 0}
        best = sorted(rounded, key=lambda item: (rounded[item], tie_hash(item)), reverse=True)
        answer += [Ranked(item, float(rounded[item]), source) for item in best][: n - len(answer)]

    def _model_scores(
        self, model: Model, query: list[str], seen: set[str], blocked: set[str], own: str | None
    ) -> dict[str, Decimal]:
        votes = {} if model.rules == 1.0 else self._votes(model, query, own)
        rules, n_holders = self._rules(model, query, own)
        scores: dict[str, Decimal] = {}
        share = decimal(model.rules)
        cast = sum((vote for vote, _ in votes.values()), ZERO)
        largest = max((vote for vote, _ in votes.values()), default=ZERO)
        mix = (1 - share) / share * n_holders / (cast or 1) if n_holders else Decimal(1)
        for name, (vote, anchor) in votes.items():
            for item, factor in self._places(model, name, anchor):
                if 0 < vote * factor >= largest * Decimal(2) ** -50:
                    scores[item] = scores.get(item, ZERO) + vote * factor * mix
        for item, score in rules.items():
            scores[item] = scores.get(item, ZERO) + score
        scores = {item: score * self.rarity(model, item) for item, score in scores.items()}
        return self._share_repeats(scores, seen, blocked) if model.repeats == "counted" else scores

    def _votes(self, model: Model, query: list[str], own: str | None) -> dict[str, tuple[Decimal, str]]:
        """Return the vote of each neighbour, and the newest item of the query that it shares."""
        newest = {item: i for i, item in enumerate(query, 1)}
        weights = {item: weight(model, i, len(query), len(newest)) for item, i in newest.items()}
        sample = self._sample(model, self.newest_first(set(newest), own), set(newest))
        compared: dict[str, Fraction | Decimal] = {}
        similar: dict[str, Decimal] = {}
        for name in sample:
            compared[name], similar[name] = self._similarity(model, name, weights)
        best = sorted(sample, key=lambda name: (compared[name], self.recency(name)), reverse=True)[: model.k]
        votes = {}
        for name in best:
            anchor = max(newest.keys() & self.items_of(name), key=lambda item: newest[item])
            votes[name] = (similar[name] * decimal(match(model, len(query) - newest[anchor] + 1)), anchor)
        return votes

    def _similarity(
        self, model: Model, name: str, weights: Mapping[str, Fraction | Decimal]
    ) -> tuple[Fraction | Decimal, Decimal]:
        """Return what the similarity is compared by, and the similarity."""
        items = self.items_of(name)
        shared = [value for item, value in weights.items() if item in items]
        total = sum((decimal(value) for value in shared), ZERO)
        if model.normalise == "query":
            total /= len(weights)
        elif model.normalise == "cosine":
            total /= (sum((decimal(value) ** 2 for value in weights.values()), ZERO) * len(items)).sqrt()
        if model.age_days is not None and self.watermark is not None:
            age = max(0, self.watermark - self.sessions[name][-1].time)
            total *= power(-age / (decimal(model.age_days) * DAY_MS))
        fractions = [value for value in shared if isinstance(value, Fraction)]
        if model.age_days is not None or not fractions:
            return at_digits(total, 32), total
        exact = sum(fractions, Fraction(0))
        return (exact**2 / len(items) if model.normalise == "cosine" else exact), total

    def _sample(self, model: Model, newest_first: list[str], query: set[str]) -> list[str]:
        required = names(model.require_type)
        passing = [
            name
            for name in newest_first
            if not required or any(each.type in required for each in self.sessions[name])
            if at_digits(decimal(self.mean_weight(name)), 32) >= at_digits(decimal(model.min_type_weight), 32)
        ]

        def drawn(name: str) -> int:
            return scrambled(tie_hash(name) ^ scrambled(model.sampling_seed)) >> 11

        def worth(name: str) -> Decimal:
            earns = any(each.type in names(model.bonus_type) for each in self.sessions[name])
            return at_digits(decimal(self.mean_weight(name) + (Fraction(model.bonus) if earns else 0)), 32)

        keys: dict[str, Callable[[str], int | Decimal]] = {
            "recent": lambda _: 0,
            "common-items": lambda name: len(self.items_of(name) & query),
            "random": drawn,
            "weighted-events": worth,
        }
        key = keys[model.sampling]
        return sorted(passing, key=lambda name: (key(name), self.recency(name)), reverse=True)[: model.m]

    def _places(self, model: Model, name: str, anchor: str) -> list[tuple[str, Decimal]]:
        """Return each time that an item of the neighbour counts, and its factor."""
        held = [each.item for each in self.sessions[name]]
        newest = {item: j for j, item in enumerate(held)}
        counted = []
        for j, item in enumerate(held):
            if model.every_time or newest[item] == j:
                factor = place(model, abs(j - newest[anchor]))
                counted.append((item, factor * decimal(model.direction) if j < newest[anchor] else factor))
        return counted

    def _rules(self, model: Model, query: list[str], own: str | None) -> tuple[dict[str, Decimal], int]:
        """Return the scores by sequential rules, and in how many sessions there was one."""
        scores: dict[str, Decimal] = {}
        n_holders = 0
        if model.rules == 0.0 or not query:
            return scores, 0
        for name in self.newest_first({query[-1]}, own)[: model.rules_m]:
            held = [each.item for each in self.sessions[name]]
            found = False
            for j, item in enumerate(held):
                for distance, follower in enumerate(held[j + 1 :], 1):
                    value = rule_weight(model, distance)
                    if item == query[-1] and follower != item and value > 0:
                        scores[follower] = scores.get(follower, ZERO) + value
                        found = True
            n_holders += found
        return scores, n_holders

    def _share_repeats(self, scores: dict[str, Decimal], seen: set[str], blocked: set[str]) -> dict[str, Decimal]:
        events = sum(len(held) for held in self.sessions.values())
        first = sum(len(self.items_of(name)) for name in self.sessions)
        if events == first:
            return {item: score for item, score in scores.items() if item not in seen}
        old = sum((score for item, score in scores.items() if item in seen - blocked), ZERO)
        new = sum((score for item, score in scores.items() if item not in seen | blocked), ZERO)
        if old == 0 or new == 0:
            return scores
        share = Decimal(events - first) / (events - len(self.sessions))
        factor = share / (1 - share) * new / old
        return {item: score * factor if item in seen else score for item, score in scores.items()}

    def _followers(self, model: Model, current: str, own: str | None) -> dict[str, Decimal]:
        counts: dict[str, Decimal] = {}
        for name in self.newest_first({current}, own)[: model.m]:
            held = [each.item for each in self.sessions[name]]
            for j in range(1, len(held)):
                if held[j - 1] == current != held[j]:
                    counts[held[j]] = counts.get(held[j], ZERO) + 1
        return counts

    def _popularity(self) -> dict[str, Decimal]:
        half_life, now = self.limits.popular_half_life_ms, self.watermark
        if now is None:
            return {}
        totals: dict[str, Fraction] = {}
        present = now * 1024 // half_life
        for held in self.sessions.values():
            for each in held:
                part = each.time * 1024 // half_life
                if present // 4096 - part // 4096 < 8:
                    totals[each.item] = totals.get(each.item, Fraction(0)) + two_to(part, present)
        return {
            item: at_digits(decimal(total), 30) / decimal(two_to(present, present)) for item, total in totals.items()
        }


def two_to(part: int, present: int) -> Fraction:
    """Return 2**(part / 1024), rounded to 20 binary places behind the point within its half-life."""
    mantissa = ((Decimal(part % 1024) / 1024 * Decimal(2).ln()).exp() * 2**20).to_integral_value()
    return Fraction(int(mantissa), 2**20) * Fraction(2) ** (part // 1024 - present // 1024)


def cut_sessions(events: Iterable[Event | Forget], gap_ms: int, lateness_ms: int) -> list[Event | Forget]:
    """Return the events with the visits that `session_gap` cuts: user@time of the event that opened the visit.

    An event joins a visit of its user if it is within the gap of the visit's first or last event, or between them: of
    several the newest. A late event takes part in none.
    """
    visits: dict[str, list[list[int]]] = {}  # first, last, opened
    watermark: int | None = None
    cut: list[Event | Forget] = []
    for each in events:
        if isinstance(each, Forget):
            visits.pop(each.user_id or "", None)
            for user, spans in visits.items():
                visits[user] = [span for span in spans if f"{user}@{span[2]}" != each.session_id]
            cut.append(each)
            continue
        user, time = each.user_id or "", each.timestamp
        opened = time
        if watermark is None or watermark - time <= lateness_ms:
            watermark = max(time, time if watermark is None else watermark)
            spans = visits.setdefault(user, [])
            near = [span for span in spans if span[0] - gap_ms <= time <= span[1] + gap_ms]
            if near:
                span = max(near, key=lambda each: (each[1], each[2]))
                span[0], span[1], opened = min(span[0], time), max(span[1], time), span[2]
            else:
                spans.append([time, time, time])
        cut.append(Event(f"{user}@{opened}", each.item_id, time, each.type, each.event_id, user))
    return cut
