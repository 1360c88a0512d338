"""The engine: ids become ordinals here, and ordinals ids; in between, compiled loops work on whole batches.

Knows nothing of files, Kafka, threads, settings or clocks. A batch leaves the same state as its events one by one. In
this package a session or item is an ordinal; its name is a `session_id` or `item_id`.

Its modules, each of which imports only those below it:

    engine     the engine: what callers see of it, and its state
    applying   events in                         answering   queries
    lists      what is listed for no session     newest_in_batches, newest  new items in answers
    learning   fits of learned orders, and which are played    learned_why  what their features add
    encoding   events as ordinals
    models     models as the kernels take them   item_rules  which items are allowed
    stops      batches that stop in between      runs        events that are applied at once
    state      the index and the id tables       rows        answers as the kernels leave them
    columns    the numbers of a batch, each computed once
"""

from stream_rec.core.engine.answering import NextItemQuery
from stream_rec.core.engine.engine import Engine, ListOrder, LogTimes
from stream_rec.core.engine.learning import LearnedOrder, OrderFeature, Pace
from stream_rec.core.engine.lists import within_category
from stream_rec.core.engine.models import MOST_VARIANTS, NOT_OF_A_PRESET
from stream_rec.core.engine.state import COMMON_TYPES, MOST_TYPES, TYPES_STEP_MS
from stream_rec.core.engine_state import EngineSnapshot
from stream_rec.core.outcome import Applied, Stats

__all__ = [
    "COMMON_TYPES",
    "MOST_TYPES",
    "MOST_VARIANTS",
    "NOT_OF_A_PRESET",
    "TYPES_STEP_MS",
    "Applied",
    "Engine",
    "EngineSnapshot",
    "LearnedOrder",
    "ListOrder",
    "LogTimes",
    "NextItemQuery",
    "OrderFeature",
    "Pace",
    "Stats",
    "within_category",
]
