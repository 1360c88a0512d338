"""Sessions at rest: fit from what one has, ask one or many, go on with live events.

A thin shell over the engine, for notebooks, batch jobs and tests of parameters. Knows nothing of Kafka or HTTP.
"""

from stream_rec.library.recommender import Recommender

__all__ = ["Recommender"]
