"""The newest items of the catalogue in the answers that are given right after the events of a batch.

The kernel stops after each event that is answered, so that the answer sees the session and the watermark of that
moment. An item of an answer needs an ordinal; one that no session holds has it until the end of the batch.
"""

from collections.abc import Callable, Sequence

import numpy as np

from stream_rec.core.dtypes import I32
from stream_rec.core.engine.encoding import IdEncoder
from stream_rec.core.engine.models import Models
from stream_rec.core.engine.newest import NewestItems
from stream_rec.core.engine.rows import named, put_row
from stream_rec.core.engine.state import BatchEffects, EngineState
from stream_rec.core.events import Request
from stream_rec.core.index import AnswerArrays, EventArrays, field
from stream_rec.core.model import mixes_newest

__all__ = ["NewestInBatches"]


class NewestInBatches:
    """Runs batches of *state* with the *newest* items in the answers of those *models* that want them."""

    def __init__(self, state: EngineState, models: Models, newest: NewestItems, encoder: IdEncoder) -> None:
        self._state = state
        self._newest = newest
        self._encoder = encoder
        self._mixing = [(place, model) for place, model in enumerate(models.split.models) if mixes_newest(model)]

    @property
    def is_wanted(self) -> bool:
        """Whether any model wants such items."""
        return bool(self._mixing)

    def run(
        self,
        batch: EventArrays,
        rows: I32,
        answers: AnswerArrays,
        ignored: tuple[str, ...],
        ask: Callable[[EventArrays, int], tuple[int, int]],
    ) -> tuple[BatchEffects, list[int]]:
        """Apply *batch* and answer by *rows*, [n, models], without what is *ignored*; return also the new ordinals.

        *ask* applies and answers the events of a part of the batch from one on; see `Index.apply_and_ask`.

        Some ten microseconds for each answered event, besides those of the kernel.
        """
        marked = np.flatnonzero((rows >= 0).any(axis=1)).tolist()
        request = Request(session_id="", exclude=ignored)
        new: list[int] = []
        n_done = 0

        def go_on(reached: int) -> tuple[int, int]:
            nonlocal n_done
            while n_done < len(marked):
                place = marked[n_done]
                if reached <= place:
                    part = EventArrays._make(each[: place + 1] for each in batch)
                    reached, need = ask(part, reached)
                    if need != field.DONE:
                        return reached, need
                if batch.outcome[place] == field.APPLIED:
                    new.extend(self._mix(int(batch.session[place]), rows[place].tolist(), request, answers))
                n_done += 1
            return ask(batch, reached)

        return self._state.run(batch, go_on), new

    def _mix(self, session: int, rows: Sequence[int], request: Request, answers: AnswerArrays) -> list[int]:
        """Put the newest items into the answers of *session*, and return the ordinals that are new with them."""
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
