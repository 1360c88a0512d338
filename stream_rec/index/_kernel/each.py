"""Events applied and answered in turn: the loop of a run that gives one answer for each event."""

import numpy as np

from stream_rec.index._kernel.ask import ask_session
from stream_rec.index._kernel.compiled import entry
from stream_rec.index._kernel.ingest import apply_step
from stream_rec.index._kernel.state import (
    APPLIED,
    DONE,
    I32,
    STAGE,
    STAGE_APPLY,
    Answers,
    Batch,
    Parameters,
    Scratch,
    State,
)

@entry
def apply_and_ask(
    state: State, scratch: Scratch, p: Parameters, batch: Batch, begin: int, exclude: I32, answers: Answers
) -> tuple[int, int]:
    """Apply the events from *begin* on, and answer each applied one's session right after it, row for row.

    Return (the event reached, DONE or what is needed to go on), like `ingest.apply`.
    """
    for i in range(begin, batch.time.size):
        need = apply_step(state, batch, i)
        if need != DONE:
            return i, need
        answers.n[i] = 0
        if batch.outcome[i] == APPLIED:
            ask_session(state, scratch, p, np.int64(batch.slot[i]), exclude, answers, i)
        state.counters[STAGE] = STAGE_APPLY
    return batch.time.size, DONE
