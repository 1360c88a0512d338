"""kafka-python's clients in a `with` block, closed at its end, and also where they could not be opened."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def opened(client: Callable[..., Any], **settings: Any) -> Iterator[Any]:
    """*client* is KafkaConsumer, KafkaProducer or KafkaAdminClient; *settings* are its own.

    Their constructors wait for the broker. When that fails they leave a thread and sockets running (3.0.12), which
    no caller could close. So the owner of both is made here, and kept.
    """
    # Imported late: only tests that ask for a broker should wait for this package.
    from kafka.net.compat import KafkaNetClient  # noqa: PLC0415

    kept: list[Any] = []

    def keep(**inner: Any) -> Any:
        kept.append(KafkaNetClient(**inner))
        return kept[-1]

    try:
        made = client(kafka_client=keep, **settings)
    except BaseException:
        for network in kept:
            network.close()
        raise
    with contextlib.closing(made):
        yield made
