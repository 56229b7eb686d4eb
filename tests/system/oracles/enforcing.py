"""Policies in force, and who gets through then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from emulator import Cluster
from tests.system.hygiene import inside
from tests.system.oracles.objects import HTTP, UDP, Object, service

A_WHILE = 0.1
"""Seconds that a drop is waited for; what passes is given the usual time."""
WEB = {"matchLabels": {"app": "web"}}
NODE_PORT = {4: 30470, 6: 30670}


class Enforce:
    """Puts policies into force, and ends them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._made: dict[str, Object] = {}

    def __call__(self, name: str = "policy", **spec: Any) -> None:
        """Create it, or change it."""
        self._made[name] = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"podSelector": WEB, **spec},
        }
        self._cluster.apply([self._made[name]])

    def lift(self, *names: str) -> None:
        """End these, without names all of them."""
        ended = [self._made.pop(name) for name in names or tuple(self._made)]
        if ended:
            self._cluster.delete(ended)


@contextmanager
def enforcing(cluster: Cluster) -> Iterator[Enforce]:
    """Policies end with the block."""
    enforce = Enforce(cluster)
    try:
        yield enforce
    finally:
        enforce.lift()


def passes(cluster: Cluster, source: str, target: str, port: str, family: int | None = None) -> bool:
    """Whether an answer comes; a packet that is denied is met with silence (oracle 86)."""
    report = cluster.probe(source, target, port, family=family, timeout=5.0)
    assert report["outcome"] == "connected", report
    return True


def is_dropped(cluster: Cluster, source: str, target: str, port: str, family: int | None = None) -> bool:
    report = cluster.probe(source, target, port, family=family, timeout=A_WHILE)
    assert report["outcome"] == "dropped", report
    assert report["seen"] == []
    return True


def datagrams(cluster: Cluster, place: str) -> tuple[int, int]:
    """How many a pod's stack has been given, by family, since there is a pod: heard by anybody or not."""
    told = cluster.exec(place, ["cat", "/proc/net/snmp", "/proc/net/snmp6"]).stdout.splitlines()
    names, values = (line.split()[1:] for line in told if line.startswith("Udp:"))
    four = dict(zip(names, values, strict=True))
    six = dict(line.split() for line in told if line.startswith("Udp6"))
    return (
        int(four["InDatagrams"]) + int(four["NoPorts"]),
        int(six["Udp6InDatagrams"]) + int(six["Udp6NoPorts"]),
    )


def denied(cluster: Cluster) -> int:
    """Packets that the drop flows of IngressDefaultRule on the pod's node have counted."""
    for _ in range(2):  # Counters follow the datapath's at the end of a round.
        inside(cluster, "ovs-appctl", "revalidator/wait")
    dump = inside(cluster, "ovs-ofctl", "-OOpenFlow13", "dump-flows", "n1", "table=51")
    counts = [line.split("n_packets=")[1].split(",")[0] for line in dump.splitlines() if "drop" in line]
    return sum(map(int, counts))


def web_service(family: int) -> Object:
    first = NODE_PORT[family]
    ports = [
        {"name": "http", "port": 80, "targetPort": HTTP, "nodePort": first},
        {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": UDP, "nodePort": first + 1},
    ]
    return service("web", "web", family=family, ports=ports, type="NodePort")
