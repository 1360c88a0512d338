"""A broker that runs elsewhere: tests may use it, and neither start nor stop it."""

from kafka_broker.base import Broker, BrokerError


class ExternalBroker(Broker):
    """The broker at an address that the environment names."""

    kind = "The broker of the environment"

    def __init__(self, address: str) -> None:
        self.address = address

    def start(self) -> None:
        """Check that it answers: it runs already."""
        self.wait_until_ready(20)

    def stop(self) -> None:
        """Refuse: the broker is not ours."""
        raise BrokerError(f"the broker at {self.address} is not the tests' own, so they do not stop, kill or pause it")

    kill = pause = resume = stop

    def close(self) -> None:
        """Leave it as it is."""

    def alive(self) -> bool:
        """Return True: this process cannot see the process of that broker."""
        return True

    def log_tail(self, lines: int = 30) -> str:
        """Return a note: the log is where the broker runs."""
        return f"(its log's last {lines} lines are where it runs)"
