"""A broker that somebody else runs: it can be used, and nothing more."""

from kafka_broker.base import Broker, BrokerError


class ExternalBroker(Broker):
    """The broker at an address that the environment names."""

    kind = "The broker of the environment"

    def __init__(self, address: str) -> None:
        self.address = address

    def start(self) -> None:
        """It runs already: see that it answers."""
        self.wait_until_ready(20)

    def stop(self) -> None:
        """Never: it is not ours."""
        raise BrokerError(f"the broker at {self.address} is not the tests' own, so they do not stop, kill or pause it")

    kill = pause = resume = stop

    def close(self) -> None:
        """Leave it as it is."""

    def alive(self) -> bool:
        """As far as can be told from here."""
        return True

    def log_tail(self, lines: int = 30) -> str:
        """Its log is elsewhere."""
        return f"(its log's last {lines} lines are where it runs)"
