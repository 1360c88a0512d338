"""Settings -> outputs: the sinks of answers and of dead letters."""

from stream_rec.service.assembly.brokers import connect_broker
from stream_rec.settings import Settings, is_topic
from stream_rec.transport.files import open_sink
from stream_rec.transport.kafka import KafkaSink, parse_address
from stream_rec.transport.records import Sink

__all__ = [
    "open_dead_letters",
    "open_recommendations",
]


def open_recommendations(settings: Settings) -> Sink | None:
    """Open the sink of answers; None where nothing is answered. Raises SettingsError."""
    address = settings.answers_place
    return None if address is None else _open_sink(settings, address, "recommendations")


def open_dead_letters(settings: Settings) -> Sink | None:
    """Open the sink of dead letters; None where the settings name none. Raises SettingsError."""
    if settings.dead_letters is None:
        return None
    return _open_sink(settings, settings.dead_letters, "dead_letters")


def _open_sink(settings: Settings, address: str, key: str) -> Sink:
    if is_topic(address):
        return KafkaSink(connect_broker(settings, address, key), parse_address(address, key).topic, key)
    return open_sink(address, mode=settings.output_mode, key=key)
