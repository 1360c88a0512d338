"""The newest items of the catalogue in the answers that are given right after the events of a batch.

An item of such an answer needs an ordinal; one that no session holds has it until the end of the batch.
"""

from collections.abc import Callable, Sequence
from functools import partial

from stream_rec.core.engine.encoding import IdEncoder
from stream_rec.core.engine.models import Models
from stream_rec.core.engine.newest import NewestItems
from stream_rec.core.engine.rows import named, put_row
from stream_rec.core.engine.state import EngineState
from stream_rec.core.events import Request
from stream_rec.core.index import AnswerArrays
from stream_rec.core.model import mixes_newest

__all__ = ["NewestInBatches"]


class NewestInBatches:
    """Puts the *newest* items into answers from *state*, of those *models* that want them."""

    def __init__(self, state: EngineState, models: Models, newest: NewestItems, encoder: IdEncoder) -> None:
        self._state = state
        self._models = models
        self._newest = newest
        self._encoder = encoder
        self._mixing = [(place, model) for place, model in enumerate(models.split.models) if mixes_newest(model)]

    @property
    def is_wanted(self) -> bool:
        """Whether any model wants such items."""
        return bool(self._mixing)

    def mixer(self, request: Request, answers: AnswerArrays) -> Callable[[int, Sequence[int]], list[int]] | None:
        """Return what puts the newest items into the *answers* of a session; None if no model wants them."""
        return partial(self._mix, request, answers) if self._mixing else None

    def _mix(self, request: Request, answers: AnswerArrays, session: int, rows: Sequence[int]) -> list[int]:
        """Put the newest items into the answers of *session*, which has just got an event.

        *rows* are the rows of each model's answer, -1 for none. Returns the ordinals that are new with them. Some ten
        microseconds for each answer.
        """
        new: list[int] = []
        for place, model in self._mixing:
            row = rows[place]
            if row < 0:
                continue
            touched = self._newest.touched_by(session, request, model.seen)
            answer = named(self._state.items.names, answers, row)
            mixed = self._newest.mixed(model, answer, request, touched, explains=False)
            if mixed is not answer:
                items, added = self._encoder.items([each.item_id for each in mixed])
                put_row(answers, row, items, mixed)
                new += added
        return new
