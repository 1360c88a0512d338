"""`make kafka`: the tests' broker, in the foreground until Ctrl-C; its data stay for the next start."""

import argparse
import signal
import sys
import time
from types import FrameType
from typing import Final

from kafka_broker import jars
from kafka_broker.base import Broker, BrokerError, BrokerMissing, port_is_free
from kafka_broker.process import ProcessBroker

TOPICS: Final = ("clicks", "recommendations")
PARTITIONS: Final = 4

NEXT: Final = """\
A Kafka broker answers at {address}, with the topics {topics} ({partitions} partitions each).

In another terminal (the package is called kcat):
  echo '{{"session_id": "s1", "item_id": "i7", "timestamp": 1733000000000}}' | kcat -b {address} -t clicks -k s1 -P
  kcat -b {address} -t clicks -C -e
  kcat -b {address} -L
Tests use it with STREAM_REC_TEST_KAFKA={address}. Its log is {log}.
Ctrl-C stops it; `make clean` forgets its data."""


def main() -> int:
    """Start, say what to type next, wait, stop."""
    parser = argparse.ArgumentParser(prog="make kafka", description=__doc__)
    parser.add_argument("--port", type=int, default=9092, help="of the loopback (default: %(default)s)")
    parser.add_argument("--fetch", action="store_true", help="fetch what a broker needs, and end")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if arguments.fetch:
            print(f"Kafka's jars are in {jars.fetched()}")
        else:
            _run(arguments.port)
    except (BrokerError, BrokerMissing) as error:
        print(f"make kafka: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
    return 0


def _run(port: int) -> None:
    if not port_is_free(port):
        raise BrokerError(f"port {port} is taken; choose another one: make kafka PORT={port + 100}")
    # One folder a port, so that two brokers side by side do not share their data.
    home = jars.cache() / f"broker-{port}"
    print("Starting Kafka (the first time it is fetched, which takes a minute or so) ...", flush=True)
    broker = ProcessBroker(home, port=port, measured=True)
    broker.start()
    try:
        _make_topics(broker)
        names = " and ".join(TOPICS)
        log = home / "broker.log"
        print(NEXT.format(address=broker.address, topics=names, partitions=PARTITIONS, log=log), flush=True)
        while broker.alive():
            time.sleep(0.5)
        raise BrokerError(f"the broker ended by itself. {broker.log_tail()}")
    finally:
        if broker.alive():
            broker.stop()


def _make_topics(broker: Broker) -> None:
    with broker.admin() as admin:
        there = set(admin.list_topics())
    for topic in TOPICS:
        if topic not in there:
            # Kept for ever: Kafka's week is less than `--retention`, and each start of a service would warn of that.
            broker.topic(topic, partitions=PARTITIONS, retention_ms=-1, exact=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
