"""Three brokers that replicate, of which any one may be killed, frozen, or cut off from the network.

Where this process may make network namespaces (root on Linux), each node has a network of its own: cutting it off drops
all packets to and from it, without closing a connection. Elsewhere the nodes share the loopback, and a node that is cut
off is frozen instead, which its peers cannot tell apart.
"""

import base64
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Final

from kafka_broker.base import LOOPBACK, READY_S, Broker, BrokerError, free_ports
from kafka_broker.process import ProcessBroker
from kafka_broker.server import IN_A_CLUSTER, Node, Ports

NODES: Final = 3
_PLAIN, _CONTROLLER = 9092, 9093  # in a network of its own, each node may have the same


class Networks:
    """A network namespace for each node, joined by a bridge. Raises BrokerError where they cannot be made."""

    def __init__(self) -> None:
        number = os.getpid() % 60_000
        self._bridge = f"srb{number}"
        self._names = [f"srn{number}-{node}" for node in range(1, NODES + 1)]
        self._net = f"10.{200 + number % 50}.{number // 256 % 256}"
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def host(self, node: int) -> str:
        """The address of a node, from 1."""
        return f"{self._net}.{node}"

    def inside(self, node: int) -> list[str]:
        """The beginning of a command that runs in the network of *node*."""
        return ["ip", "netns", "exec", self._names[node - 1]]

    def cut(self, node: int) -> None:
        """Drop all packets to and from *node*."""
        _ip("link", "set", self._outer(node), "down")

    def mend(self, node: int) -> None:
        """Let packets through again."""
        _ip("link", "set", self._outer(node), "up")

    def close(self) -> None:
        """Remove them."""
        for node, name in enumerate(self._names, 1):
            _ip("link", "del", self._outer(node), check=False)
            _ip("netns", "del", name, check=False)
        _ip("link", "del", self._bridge, check=False)

    def _outer(self, node: int) -> str:
        return f"{self._names[node - 1]}o"

    def _make(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self._net}.254/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for node, name in enumerate(self._names, 1):
            inner, outer = f"{name}i", self._outer(node)
            _ip("netns", "add", name)
            _ip("link", "add", outer, "type", "veth", "peer", "name", inner)
            _ip("link", "set", inner, "netns", name)
            _ip("link", "set", outer, "master", self._bridge)
            _ip("link", "set", outer, "up")
            within = ("netns", "exec", name, "ip")
            _ip(*within, "addr", "add", f"{self.host(node)}/24", "dev", inner)
            _ip(*within, "link", "set", "lo", "up")
            _ip(*within, "link", "set", inner, "up")


class Cluster(Broker):
    """Three nodes. `start`, `stop` and the like are for all of them; `nodes` for one."""

    replicas = NODES

    def __init__(self, home: Path) -> None:
        self.networks = _networks()
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        hosts = [LOOPBACK if self.networks is None else self.networks.host(number) for number in range(1, NODES + 1)]
        ports = (
            [Ports(*pair) for pair in zip(*[iter(free_ports(2 * NODES))] * 2, strict=True)]
            if self.networks is None
            else [Ports(_PLAIN, _CONTROLLER)] * NODES
        )
        placed = list(enumerate(zip(hosts, ports, strict=True), 1))
        voters = ",".join(f"{number}@{host}:{each.controller}" for number, (host, each) in placed)
        self.nodes = [
            ProcessBroker(
                home / f"node-{number}",
                node=Node(number, host, voters, IN_A_CLUSTER),
                ports=each,
                cluster_id=cluster_id,
                inside=() if self.networks is None else self.networks.inside(number),
            )
            for number, (host, each) in placed
        ]
        self.address = ",".join(node.address for node in self.nodes)
        how = "on one loopback" if self.networks is None else "each in a network namespace"
        self.kind = f"three brokers, {how}, {self.nodes[0].kind}"

    def start(self) -> None:
        """Start all that do not run, and wait until the cluster answers."""
        for node in self.nodes:
            if not node.alive():
                node.launch()
        self.wait_until_ready(2 * READY_S)

    def stop(self) -> None:
        """Stop all, one after the other."""
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """Kill all."""
        for node in self.nodes:
            node.kill()

    def pause(self) -> None:
        """Freeze all."""
        for node in self.nodes:
            node.pause()

    def resume(self) -> None:
        """Let all go on."""
        for node in self.nodes:
            node.resume()

    def cut(self, number: int) -> None:
        """Cut node *number*, from 0, off from the others and from all clients."""
        if self.networks is None:
            self.nodes[number].pause()
        else:
            self.networks.cut(number + 1)

    def mend(self, number: int) -> None:
        """End a cut."""
        if self.networks is None:
            self.nodes[number].resume()
        else:
            self.networks.mend(number + 1)

    def close(self) -> None:
        """End all, and remove data and networks."""
        for node in self.nodes:
            node.close()
        if self.networks is not None:
            self.networks.close()

    def alive(self) -> bool:
        """Whether all of its processes run."""
        return all(node.alive() for node in self.nodes)

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of each node's log."""
        return "\n".join(node.log_tail(lines) for node in self.nodes)

    def _answers(self) -> bool:
        return all(node._answers() for node in self.nodes) and self._n_brokers() == NODES  # its own

    def _n_brokers(self) -> int:
        with self.admin(timeout_ms=5_000) as admin:
            return len(admin.describe_cluster()["brokers"])


def _networks() -> Networks | None:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return None
    try:
        return Networks()
    except BrokerError:
        return None


def _ip(*arguments: str, check: bool = True) -> None:
    path = shutil.which("ip") or "/usr/sbin/ip"
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=20)
    if check and done.returncode:
        raise BrokerError(f"ip {' '.join(arguments)} failed: {done.stderr}")
