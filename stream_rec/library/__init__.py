"""Recommendations from sessions at rest: fit, ask one or many, then continue with live events.

A thin shell over the engine, for notebooks, batch jobs and tests of parameters. Knows nothing of Kafka or HTTP.
"""

from stream_rec.library.asynchronous import AsyncEngine
from stream_rec.library.recommender import Recommender

__all__ = ["AsyncEngine", "Recommender"]
