"""The pure core: events in, answers out, the same for the same log on any machine.

Knows nothing of files, Kafka, threads, settings or clocks. Ids become numbers here, and numbers ids; between the two,
compiled loops work on whole batches. A batch leaves the state that its events one by one would.

Its rooms, each of which imports only those below it:

    _engine     the engine: what callers see of it, and its state
    _applying   events in                      _answering  questions
    _numbering  events as numbers
    _models     models as the kernels take them            _ruling  which items may come
    _held       the index and the tables of names          _rows    answers as the kernels leave them
"""

from stream_rec.core.engine.answering import NextItemQuery
from stream_rec.core.engine.engine import Engine
from stream_rec.core.engine.models import MOST_VARIANTS, NOT_OF_A_PRESET
from stream_rec.core.engine.state import MOST_TYPES
from stream_rec.core.engine_state import EngineSnapshot
from stream_rec.core.outcome import Applied, Stats

__all__ = [
    "MOST_TYPES",
    "MOST_VARIANTS",
    "NOT_OF_A_PRESET",
    "Applied",
    "Engine",
    "EngineSnapshot",
    "NextItemQuery",
    "Stats",
]
