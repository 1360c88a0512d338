"""The demo without its display: three acts over one log, and the score of the answers.

Act one learns the past at full speed. Act two follows a few visitors, one event at a time. Act three answers after
every later event. The score covers acts two and three: before an event that is not the first of its session, was its
item in the last answer?
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stream_rec.core.events import Answer, Event

__all__ = ["CUT", "DemoEngine", "Outcome", "Replay", "ReplayPace", "ReplayStep", "Score"]

CUT = 20
"""The first items of an answer that count for the score."""

_LEARN_AT_ONCE = 4096
_ANSWER_AT_ONCE = 256
_WARM_UP_EVENTS = 64


class DemoEngine(Protocol):
    """What the demo needs of an engine; `stream_rec.core.engine.Engine` has it."""

    def apply(self, events: Sequence[Event], /) -> object:
        """Learn from *events*."""

    def apply_and_answer(self, events: Sequence[Event], /) -> tuple[object, Sequence[Answer | None]]:
        """Learn from each event, and answer for its session right after it.

        Returns an answer for each event, None for one that was not applied.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPace:
    """How much of the log each act takes, and how fast."""

    live_seconds: float = 15.0
    """Duration of act two; 0 skips it."""
    visitors: int = 5
    """Sessions that act two shows."""
    shortest: int = 6
    """Only sessions with at least this many events are shown."""
    longest: int = 9
    """Only sessions with at most this many events are shown."""
    past: float = 0.8
    """Share of the log that act one learns from."""
    timed_singly: int = 2000
    """Events of act three that are answered one by one, to time a single answer."""


@dataclass(slots=True)
class Score:
    """How often the next item was among the answer's first 20, and at which rank."""

    asked: int = 0
    hits: int = 0
    reciprocal_ranks: float = 0.0
    best_seller_hits: int = 0
    """Hits if the 20 best sellers of act one were every answer."""
    best_sellers: frozenset[str] = frozenset()
    _answers: dict[str, Answer] = field(default_factory=dict)

    def rank(self, event: Event) -> int | None:
        """Score the session's last answer; return the rank of the event's item in it, from 1, if any.

        A session without an answer is not scored.
        """
        answer = self._answers.get(event.session_id)
        if answer is None:
            return None
        self.asked += 1
        self.best_seller_hits += event.item_id in self.best_sellers
        for place, recommended in enumerate(answer.items[:CUT], start=1):
            if recommended.item_id == event.item_id:
                self.hits += 1
                self.reciprocal_ranks += 1 / place
                return place
        return None

    def remember(self, event: Event, answer: Answer | None) -> None:
        """Keep *answer*, to be scored at the next event of the session. Without one, the previous answer stays."""
        if answer is not None:
            self._answers[event.session_id] = answer

    @property
    def hit_rate(self) -> float:
        """HR@20."""
        return self.hits / max(1, self.asked)

    @property
    def mean_reciprocal_rank(self) -> float:
        """MRR@20."""
        return self.reciprocal_ranks / max(1, self.asked)

    @property
    def best_seller_hit_rate(self) -> float:
        """HR@20 of always recommending the best sellers."""
        return self.best_seller_hits / max(1, self.asked)


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """One event of act two."""

    event: Event
    visitor: int
    """The number of the session among those shown, from 1."""
    is_first: bool
    is_last: bool
    rank: int | None
    """The rank of the item in the previous answer."""
    answer: Answer | None
    micros: float
    """Time of applying and answering."""


@dataclass(slots=True)
class Outcome:
    """The figures so far."""

    score: Score = field(default_factory=Score)
    events: int = 0
    sessions: int = 0
    items: int = 0
    learned: int = 0
    learning_seconds: float = 0.0
    answered: int = 0
    answering_seconds: float = 0.0
    micros: list[float] = field(default_factory=list)
    """Time of each event that was answered alone."""
    interrupted: bool = False

    def micros_at(self, percent: int) -> float:
        """Return a percentile of the single answers' times; 0 without any."""
        ascending = sorted(self.micros)
        return ascending[(len(ascending) - 1) * percent // 100] if ascending else 0.0


class Replay:
    """One run over *events*, which are in time order. Each act is an iterator that the display drives."""

    def __init__(
        self,
        engine: DemoEngine,
        events: Sequence[Event],
        pace: ReplayPace,
        clock: Callable[[], float],
    ) -> None:
        self.outcome = Outcome()
        self.pace = pace
        self._engine = engine
        self._events = events
        self._clock = clock
        self._at = 0
        self._sessions: set[str] = set()
        self._items: set[str] = set()
        self._past_end = _session_start(events, int(len(events) * pace.past))
        self._shown = self._choose() if pace.live_seconds > 0 else {}

    @property
    def n_past(self) -> int:
        """Events that act one has."""
        return self._past_end

    @property
    def n_left(self) -> int:
        """Events not replayed yet."""
        return len(self._events) - self._at

    @property
    def n_visitors(self) -> int:
        """Sessions that act two shows."""
        return len(self._shown)

    @property
    def n_steps(self) -> int:
        """Events that act two shows."""
        return sum(self._shown.values())

    def warm_up(self) -> None:
        """Replay the first few events of the past, untimed: the first call may compile."""
        self._engine.apply_and_answer(self._next(min(_WARM_UP_EVENTS, self._past_end)))

    def learn(self) -> Iterator[int]:
        """Act one; yields how many events went by."""
        out = self.outcome
        while self._at < self._past_end:
            batch = self._next(min(_LEARN_AT_ONCE, self._past_end - self._at))
            start = self._clock()
            self._engine.apply(batch)
            out.learning_seconds += self._clock() - start
            out.learned += len(batch)
            yield len(batch)
        sold = Counter(event.item_id for event in self._events[: self._past_end])
        out.score.best_sellers = frozenset(item for item, _ in sold.most_common(CUT))

    def follow(self) -> Iterator[ReplayStep]:
        """Act two: yield the steps of the visitors shown. Other events in between are replayed silently."""
        seen: Counter[str] = Counter()
        visitors: dict[str, int] = {}
        while len(visitors) < len(self._shown) or any(seen[session] < self._shown[session] for session in visitors):
            event = self._next(1)[0]
            rank, answer, micros = self._ask(event)
            session = event.session_id
            if session not in self._shown:
                continue
            visitor = visitors.setdefault(session, len(visitors) + 1)
            seen[session] += 1
            is_last = seen[session] == self._shown[session]
            yield ReplayStep(event, visitor, seen[session] == 1, is_last, rank, answer, micros)

    def answer_all(self) -> Iterator[int]:
        """Act three: yield how many events were replayed."""
        for _ in range(min(self.pace.timed_singly, self.n_left)):
            self._ask(self._next(1)[0])
            yield 1
        score, out = self.outcome.score, self.outcome
        while self.n_left:
            batch = self._next(min(_ANSWER_AT_ONCE, self.n_left))
            start = self._clock()
            _, answers = self._engine.apply_and_answer(batch)
            out.answering_seconds += self._clock() - start
            out.answered += len(batch)
            for event, answer in zip(batch, answers, strict=True):
                score.rank(event)
                score.remember(event, answer)
            yield len(batch)

    def _ask(self, event: Event) -> tuple[int | None, Answer | None, float]:
        rank = self.outcome.score.rank(event)
        start = self._clock()
        _, (answer,) = self._engine.apply_and_answer([event])
        seconds = self._clock() - start
        self.outcome.score.remember(event, answer)
        self.outcome.answered += 1
        self.outcome.answering_seconds += seconds
        self.outcome.micros.append(seconds * 1e6)
        return rank, answer, seconds * 1e6

    def _next(self, count: int) -> Sequence[Event]:
        batch = self._events[self._at : self._at + count]
        self._at += len(batch)
        self._sessions.update(event.session_id for event in batch)
        self._items.update(event.item_id for event in batch)
        self.outcome.events = self._at
        self.outcome.sessions = len(self._sessions)
        self.outcome.items = len(self._items)
        return batch

    def _choose(self) -> dict[str, int]:
        """Return the first sessions after the past with a length that can be shown, and their lengths.

        Only the length decides, so that the demo shows misses as often as they occur.
        """
        lengths: defaultdict[str, int] = defaultdict(int)
        for event in self._events[self._past_end :]:
            lengths[event.session_id] += 1
        fitting = [
            (session, length)
            for session, length in lengths.items()
            if self.pace.shortest <= length <= self.pace.longest
        ]
        return dict(fitting[: self.pace.visitors])


def _session_start(events: Sequence[Event], at: int) -> int:
    """Return the first place from *at* on where the event and the one before it are of different sessions."""
    while 0 < at < len(events) and events[at].session_id == events[at - 1].session_id:
        at += 1
    return at
