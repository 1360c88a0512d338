"""The recommender over sessions at rest.

Owns an engine, which it feeds and asks; all that is exact there is exact here. Knows nothing of how sources are read
(`datasets`) or saved (`_saved`).
"""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Final, Self

import msgspec

from stream_rec.core.engine import Applied, Engine, NextItemQuery, Stats
from stream_rec.core.events import Event, Recommendation
from stream_rec.core.limits import DAY_MS, Limits
from stream_rec.core.model import DEFAULT_PRESET, Explaining, Model, changed, model
from stream_rec.errors import SettingsError
from stream_rec.library import saved as _saved
from stream_rec.library.progress import watched
from stream_rec.library.threads import n_threads, parts_for, side_by_side
from stream_rec.library.weights import kin_of, weights_as_types
from stream_rec.tables.columns import Columns
from stream_rec.tables.reading import How, read_columns

__all__ = ["Recommender"]

CENTURY_MS: Final = 36_500 * DAY_MS
LONGEST_SESSION: Final = 10_000
AT_REST: Final = Limits(retention_ms=None, allowed_lateness_ms=CENTURY_MS, max_session_events=LONGEST_SESSION)
HALF_LIVES: Final = 7  # popularity forgets after eight: all of a log at rest should count

SessionsAtRest = Mapping[str, Sequence[str] | None] | Iterable[str]


class Recommender:
    """A session-kNN model that is fitted once, asked often, and may go on learning.

    *preset* names a model or is one. *types* are the event types to let in and what each weighs; None lets in all.
    *deny* lists items that are never recommended; with *session_gap_ms* sessions are cut from `user_id`. Without
    *limits* nothing is evicted, no event is late, a session holds 10 000 events, and popularity fades over the length
    of the log. One thread owns it; `recommend_many` uses more by itself.

    Raises SettingsError for parameters out of range.
    """

    def __init__(
        self,
        preset: str | Model = DEFAULT_PRESET,
        *,
        types: Mapping[str, float] | None = None,
        deny: Iterable[str] = (),
        limits: Limits | None = None,
        session_gap_ms: int | None = None,
    ) -> None:
        self._types = None if types is None else dict(types)
        self._deny = frozenset(deny)
        self._limits = limits
        self._gap_ms = session_gap_ms
        self.left_out: Mapping[str, int] = {}
        """How much of what it was fitted from is no event to learn, by reason."""
        self._start(model(preset) if isinstance(preset, str) else preset, AT_REST if limits is None else limits, {})

    def _start(self, point: Model, limits: Limits, weights: Mapping[str, float]) -> None:
        self._weights: Mapping[str, float] = {**(self._types or {}), **weights}  # those of the log go before
        self.engine = Engine(
            point,
            limits=limits,
            type_weights=self._weights,
            deny=self._deny,
            session_gap_ms=self._gap_ms,
        )

    # --- learning

    def fit(self, source: object, *, progress: bool = False, **how: Any) -> Self:  # noqa: ANN401  # see How
        """Learn all of *source*, and nothing else: what was learned before is forgotten. Returns itself.

        *source* is a dictionary as WSKNN takes it (session -> items, times, and perhaps types and weights), a pandas
        or Polars data frame, a PyArrow table, events, `Columns`, or the path of a file. *how* tells how it is written:
        the fields of `stream_rec.tables.reading.How`. With *progress* a bar shows how far it is.

        Raises SettingsError for what cannot be read this way, DecodeError for the first value that is wrong, naming
        its place, and TransportError for a file that breaks off.
        """
        with watched(progress) as watch:
            columns = read_columns(source, How.of(how, types=self._types, session_gap_ms=self._gap_ms), watch.reading)
            columns, weights = weights_as_types(columns)
            self._start(self.model, self._limits or _at_rest(columns), weights)
            self.left_out = columns.left_out
            # Under limits what is kept depends on the order of the log; without, any order ends up the same.
            is_free = self._limits is None and self._gap_ms is None
            batches = columns.session_by_session() if is_free else columns.events()
            for events in watch.learning(batches, len(columns)):
                self.engine.apply(events)
        return self

    def add(self, events: Event | Iterable[Event]) -> Applied:
        """Learn one event, or several, in order, and say what became of each. It counts from the next question on.

        Events of a type that is not let in are left out, and are not in what is returned.
        """
        given = [events] if isinstance(events, Event) else list(events)
        if self._types is not None:
            given = [event for event in given if event.type in self._types]
        return self.engine.apply(given)

    # --- asking

    @property
    def model(self) -> Model:
        """What questions are asked with, unless they bring changes."""
        return self.engine.model

    def recommend(
        self,
        session_id: str | None = None,
        *,
        items: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        explain: bool | Explaining = False,
        **changes: object,
    ) -> list[Recommendation]:
        """Return what is recommended next for a session that was learned, or after *items*, oldest first.

        With both, the session is nobody's neighbour. With *explain* the items say why (`why`), an `Explaining` saying
        how much of it; some ms more. *changes* are parameters of the model for this question alone.
        Raises SettingsError, naming the parameter.
        """
        how = explain if isinstance(explain, Explaining) else Explaining() if explain else None
        return self.engine.ask(self._point(changes), session_id=session_id, items=items, exclude=exclude, how=how)

    def recommend_many(
        self, sessions: SessionsAtRest, *, exclude: Sequence[str] = (), threads: int | None = None, **changes: object
    ) -> dict[str, list[Recommendation]]:
        """Return what `recommend` would for each of *sessions*, in several threads.

        *sessions* are the ids of sessions that were learned, or a dictionary: session -> its items, oldest first, or
        None for those that were learned. Without *threads* there are as many as the process may use.
        """
        if threads is not None and threads < 1:
            raise SettingsError("threads", f"expected a whole number from 1 on, found {threads}")
        asked = sessions if isinstance(sessions, Mapping) else dict.fromkeys(sessions)
        questions = [NextItemQuery(name, items) for name, items in asked.items()]
        threads = threads or n_threads()
        parts = parts_for(len(questions), threads)
        run = map if parts == 1 else side_by_side(threads)
        answers = self.engine.ask_many(self._point(changes), questions, exclude=exclude, parallel_map=run, parts=parts)
        return dict(zip(asked, answers, strict=True))

    def _point(self, changes: Mapping[str, object]) -> Model:
        point = changed(self.model, **changes) if changes else self.model
        if point.require_type is None and point.bonus_type is None:
            return point
        types = self.engine.types.live()
        return msgspec.structs.replace(
            point, require_type=kin_of(point.require_type, types), bonus_type=kin_of(point.bonus_type, types)
        )

    # --- what it holds

    def session(self, session_id: str) -> list[str]:
        """Return the items of a session, oldest first, repeats included; empty if it was not learned."""
        return [event.item_id for event in self.engine.session(session_id)]

    def session_ids(self) -> list[str]:
        """Return the ids of all sessions that were learned, in no order."""
        return self.engine.session_ids()

    def stats(self) -> Stats:
        """Return how much it holds."""
        return self.engine.stats()

    # --- keeping

    def save(self, path: str | PathLike[str]) -> None:
        """Write all of it to *path*. See `load`."""
        made = _saved.Made(
            model=self.model,
            types=self._types,
            weights=self._weights,
            deny=tuple(sorted(self._deny)),
            limits=self._limits,
            session_gap_ms=self._gap_ms,
            left_out=self.left_out,
        )
        _saved.write(path, self.engine, made)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Return what was saved at *path*: it answers, and learns, as if it had never been away.

        Raises SnapshotError for a file that is torn, foreign or of another version.
        """
        engine, made = _saved.read(path)
        loaded = cls(
            made.model, types=made.types, deny=made.deny, limits=made.limits, session_gap_ms=made.session_gap_ms
        )
        loaded.engine, loaded.left_out, loaded._weights = engine, made.left_out, made.weights
        return loaded


def _at_rest(columns: Columns) -> Limits:
    """Return limits under which all of *columns* is kept, and counts for what is popular."""
    span = int(columns.times.max() - columns.times.min()) if len(columns) else 0
    return msgspec.structs.replace(AT_REST, popular_half_life_ms=max(DAY_MS, span // HALF_LIVES + 1))
