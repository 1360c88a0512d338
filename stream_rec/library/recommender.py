"""The recommender over sessions at rest.

Owns an engine, feeds it and asks it. Knows nothing of how sources are read (`tables`) or saved (`saved`).
"""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from threading import Lock
from typing import Any, Final, NamedTuple, Self, Unpack

import msgspec

from stream_rec.core import engine as core
from stream_rec.core.engine import Applied, NextItemQuery, Stats
from stream_rec.core.events import Event, Forget, Recommendation
from stream_rec.core.limits import DAY_MS, Limits
from stream_rec.core.model import DEFAULT_PRESET, Explaining, Model, ModelChanges, changed, model
from stream_rec.errors import SettingsError
from stream_rec.guard import Engine
from stream_rec.guard.arguments import argument_elsewhere
from stream_rec.guard.lists import ListRules
from stream_rec.guard.showing import as_html
from stream_rec.guard.values import Id, checked_events, checked_ids, checked_weights
from stream_rec.library import saved
from stream_rec.library.progress import fit_progress
from stream_rec.library.threads import in_parallel, n_threads, parts_for
from stream_rec.library.weights import derived_types, weights_as_types
from stream_rec.nearest import names_its_arguments
from stream_rec.tables.columns import Columns
from stream_rec.tables.reading import How, HowToRead, read_columns

__all__ = ["Recommender"]

CENTURY_MS: Final = 36_500 * DAY_MS
LONGEST_SESSION: Final = 10_000
AT_REST: Final = Limits(retention_ms=None, allowed_lateness_ms=CENTURY_MS, max_session_events=LONGEST_SESSION)
HALF_LIVES: Final = 7  # popularity ignores events older than eight: all of a log at rest should count

_OTHER_NAMES: Final = {"model": "preset", "weight": "types", "weights": "types", "type_weights": "types"}

SessionsAtRest = Mapping[Id, Sequence[Id] | None] | Mapping[str, Sequence[str] | None] | Iterable[Id]


class _Learned(NamedTuple):
    """What a fit replaces, as a whole: other threads see the one before or the one after."""

    engine: Engine
    weights: Mapping[str, float]
    """Weights of types, including those from the log."""
    left_out: Mapping[str, int]


class Recommender:
    """A session-kNN model that is fitted once, asked often, and can continue to learn.

    *preset* is a model or the name of one. *types* are the event types to accept and their weights; None accepts all.
    *deny* lists items that are never recommended. With *session_gap_ms*, sessions are cut from `user_id`. Without
    *limits* nothing is evicted, no event is late, a session keeps 10 000 events, and popularity decays over the length
    of the log. Any thread may use it: while one fits, the others are answered from what was learned before.

    Raises SettingsError for parameters out of range.

    >>> from stream_rec import Recommender
    >>> shop = Recommender().fit({"ann": (["tent", "stove"], [10, 20]), "ben": (["tent"], [30])})
    >>> [item.item_id for item in shop.recommend("ben")]
    ['stove']
    """

    @names_its_arguments(_OTHER_NAMES, argument_elsewhere)
    def __init__(
        self,
        preset: str | Model = DEFAULT_PRESET,
        *,
        types: Mapping[str, float] | None = None,
        deny: Iterable[Id] = (),
        limits: Limits | None = None,
        session_gap_ms: int | None = None,
    ) -> None:
        self._types = None if types is None else checked_weights("types", types)
        self._deny = frozenset(checked_ids("deny", deny))
        self._limits = limits
        self._gap_ms = session_gap_ms
        self._learning = Lock()
        """Held while events are learned, so that none gets lost in an engine that a fit replaces."""
        point = model(preset) if isinstance(preset, str) else preset
        self._learned = self._start(point, AT_REST if limits is None else limits, {}, {})

    def _start(
        self, point: Model, limits: Limits, weights: Mapping[str, float], left_out: Mapping[str, int]
    ) -> _Learned:
        every = {**(self._types or {}), **weights}  # weights from the log take precedence
        engine = Engine(point, limits=limits, type_weights=every, deny=self._deny, session_gap_ms=self._gap_ms)
        return _Learned(engine, every, left_out)

    # --- learning

    def fit(self, source: object, *, progress: bool = False, **how: Unpack[HowToRead]) -> Self:
        """Learn all of *source*, and forget what was learned before. Return itself.

        *source* is a dictionary as WSKNN takes it (session -> items, times, and optionally types and weights), a pandas
        or Polars data frame, a PyArrow table, events, `Columns`, or the path of a file. *how* describes its format: the
        fields of `stream_rec.tables.reading.How`. With *progress*, a bar shows the progress.

        Raises SettingsError for a source that cannot be read this way, DecodeError for the first wrong value, naming
        its place, and TransportError for a truncated file.
        """
        with fit_progress(progress) as on_progress:
            columns = read_columns(
                source, How.of(how, types=self._types, session_gap_ms=self._gap_ms), on_progress.reading
            )
            columns, weights = weights_as_types(columns)
            learned = self._start(self.model, self._limits or _at_rest(columns), weights, columns.left_out)
            # With limits, the order of the log decides what is kept. Without, any order gives the same state.
            is_free = self._limits is None and self._gap_ms is None
            batches = columns.session_by_session() if is_free else columns.events()
            with self._learning:
                for events in on_progress.learning(batches, len(columns)):
                    core.Engine.apply(learned.engine, events)  # no other thread has it yet, and columns are checked
                self._learned = learned
        return self

    def add(self, events: Event | Iterable[Event]) -> Applied:
        """Learn one event, or several in order, and return the outcome of each. The next question sees them.

        Events of a type that is not accepted are left out, also from the outcomes.
        """
        given = checked_events([events] if isinstance(events, Event) else events, has_sessions=self._gap_ms is None)
        if self._types is not None:
            given = [event for event in given if isinstance(event, Forget) or event.type in self._types]
        with self._learning:
            return self.engine.apply(given)

    # --- asking

    @property
    def engine(self) -> Engine:
        """The engine of the present fit; the next fit makes another."""
        return self._learned.engine

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many records of the fitted source were left out, by reason."""
        return self._learned.left_out

    @property
    def model(self) -> Model:
        """The model that questions are asked with, unless they change parameters."""
        return self._learned.engine.model

    def recommend(
        self,
        session_id: Id | None = None,
        *,
        items: Sequence[Id] | None = None,
        exclude: Iterable[Id] = (),
        explain: bool | Explaining = False,
        **changes: Unpack[ModelChanges],
    ) -> list[Recommendation]:
        """Return recommendations for a learned session, or for *items*, oldest first.

        With both, the session is excluded from the neighbours. With *explain* each item has an explanation (`why`); an
        `Explaining` sets how detailed, which takes some ms more. *changes* are model parameters for this question only.
        Raises SettingsError, naming the parameter.
        """
        how = explain if isinstance(explain, Explaining) else Explaining() if explain else None
        engine = self._learned.engine
        point = _model_with(engine, changes)
        return engine.ask(point, session_id=session_id, items=items, exclude=exclude, how=how)

    def recommend_many(
        self,
        sessions: SessionsAtRest,
        *,
        exclude: Iterable[Id] = (),
        threads: int | None = None,
        **changes: Unpack[ModelChanges],
    ) -> dict[str, list[Recommendation]]:
        """Return the recommendations of `recommend` for each of *sessions*, in several threads.

        *sessions* are ids of learned sessions, or a dictionary: session -> its items, oldest first, or None for a
        learned session. *threads* defaults to the number of processors that the process may use.
        """
        if threads is not None and threads < 1:
            raise SettingsError("threads", f"expected a whole number from 1 on, found {threads}")
        if isinstance(sessions, Mapping):
            asked = dict(zip(checked_ids("sessions", sessions), sessions.values(), strict=True))
        else:
            asked = dict.fromkeys(checked_ids("sessions", sessions))
        engine = self._learned.engine
        questions = [NextItemQuery(name, items) for name, items in asked.items()]
        threads = threads or n_threads()
        parts = parts_for(len(questions), threads)
        parallel_map = map if parts == 1 else in_parallel(threads)
        answers = engine.ask_many(
            _model_with(engine, changes), questions, exclude=exclude, parallel_map=parallel_map, parts=parts
        )
        return dict(zip(asked, answers, strict=True))

    def popular(self, **rules: Unpack[ListRules]) -> list[Recommendation]:
        """Return the most popular items; see `Engine.popular`."""
        return self.engine.popular(**rules)

    def trending(self, **rules: Unpack[ListRules]) -> list[Recommendation]:
        """Return the items whose share of the newest events has grown most; see `Engine.trending`."""
        return self.engine.trending(**rules)

    def newest(self, **rules: Unpack[ListRules]) -> list[Recommendation]:
        """Return the newest items of the catalogue that was set for `engine`; see `Engine.newest`."""
        return self.engine.newest(**rules)

    # --- contents

    def session(self, session_id: Id) -> list[str]:
        """Return the items of a session, oldest first, repeats included; empty if the session is unknown."""
        return [event.item_id for event in self.engine.session(session_id)]

    def session_ids(self) -> list[str]:
        """Return the ids of all sessions, in no particular order."""
        return self.engine.session_ids()

    def stats(self) -> Stats:
        """Return how many sessions, items and events it has."""
        return self.engine.stats()

    def __repr__(self) -> str:
        return f"Recommender{repr(self.engine).removeprefix('Engine')}"

    def _repr_html_(self) -> str:
        """Return a table, which notebooks show."""
        return as_html("Recommender", self.model.name, self.stats())

    # --- saving

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to *path*. See `load`."""
        learned = self._learned
        args = saved.RecommenderArgs(
            model=learned.engine.model,
            types=self._types,
            weights=learned.weights,
            deny=tuple(sorted(self._deny)),
            limits=self._limits,
            session_gap_ms=self._gap_ms,
            left_out=learned.left_out,
        )
        saved.write(path, learned.engine, args)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Return the recommender saved at *path*: it answers and learns exactly as the saved one.

        Raises SnapshotError for a file that is torn, foreign or of another version.
        """
        engine, args = saved.read(path)
        loaded = cls(
            args.model, types=args.types, deny=args.deny, limits=args.limits, session_gap_ms=args.session_gap_ms
        )
        loaded._learned = _Learned(engine, args.weights, args.left_out)
        return loaded

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle holds: everything but the lock."""
        return {name: part for name, part in self.__dict__.items() if name != "_learning"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what `__getstate__` returned; `copy.copy` shares the engine with the original."""
        self.__dict__.update(state)
        self._learning = Lock()


def _model_with(engine: Engine, changes: Mapping[str, object]) -> Model:
    point = changed(engine.model, **changes) if changes else engine.model
    if point.require_type is None and point.bonus_type is None:
        return point
    types = engine.types.live()
    return msgspec.structs.replace(
        point,
        require_type=derived_types(point.require_type, types),
        bonus_type=derived_types(point.bonus_type, types),
    )


def _at_rest(columns: Columns) -> Limits:
    """Return limits under which all of *columns* is kept, and counts for popularity."""
    span = int(columns.times.max() - columns.times.min()) if len(columns) else 0
    return msgspec.structs.replace(AT_REST, popular_half_life_ms=max(DAY_MS, span // HALF_LIVES + 1))
