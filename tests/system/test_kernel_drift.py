"""The kernel's part of drift: each sort of thing is changed behind the cluster's back, told, and healed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from emulator import Cluster
from tests.system.hygiene import inside
from tests.system.oracles.addresses import node_address, pod_address
from tests.system.reachability import FAMILIES, assert_everything_passes, shop

pytestmark = pytest.mark.cluster(topology="three-node")

WRONG_MAC = "02:00:00:00:00:99"


@dataclass(frozen=True)
class Tampering:
    """Commands, `{...}` filled in, and the one difference that they make."""

    commands: tuple[str, ...]
    told: tuple[str, str, str, str]
    """Node, kind, fault and owner."""
    thing: str
    """What of that kind, as it is told."""
    place: str = "node-worker-1"
    """The netns in which the commands run; empty for the switch's."""


CASES = {
    "a node's route to pods": Tampering(
        ("ip route del 10.244.0.0/16",), ("worker-1", "route", "missing", "Node/worker-1"), "10.244.0.0/16"
    ),
    "a default route elsewhere": Tampering(
        ("ip -6 route replace default via {node6} dev eth0",),
        ("worker-1", "route", "altered", "Node/worker-1"),
        "default (IPv6)",
    ),
    "a foreign route": Tampering(
        ("ip route add 192.0.2.0/24 via {gateway4} dev eth0 onlink",),
        ("worker-1", "route", "extra", "Pod/shop/client"),
        "192.0.2.0/24",
        "pod-shop.client",
    ),
    "a neighbour with another MAC": Tampering(
        (f"ip neigh replace {{gateway4}} lladdr {WRONG_MAC} dev eth0 nud permanent",),
        ("worker-1", "neighbour", "altered", "Pod/shop/client"),
        "eth0 {gateway4}",
        "pod-shop.client",
    ),
    "a VTEP at the wrong node": Tampering(
        ("bridge fdb replace {vtep3} dev n1-tun dst {node4} self permanent",),
        ("worker-1", "tunnel", "altered", "Node/worker-1"),
        "n1-tun {vtep3}",
        "",
    ),
    "a forgotten VTEP": Tampering(
        ("bridge fdb del {vtep3} dev n1-tun",),
        ("worker-1", "tunnel", "missing", "Node/worker-1"),
        "n1-tun {vtep3}",
        "",
    ),
    "a small MTU": Tampering(
        ("ip link set eth0 mtu 1280",),
        ("worker-1", "mtu", "altered", "Pod/shop/client"),
        "eth0",
        "pod-shop.client",
    ),
    "a small MTU between bridges": Tampering(
        ("ip link set n1-up mtu 1300",), ("worker-1", "mtu", "altered", "Node/worker-1"), "n1-up", ""
    ),
    "another address": Tampering(
        ("ip addr add 10.244.1.77/32 dev eth0",),
        ("worker-1", "address", "extra", "Pod/shop/client"),
        "eth0 10.244.1.77/32",
        "pod-shop.client",
    ),
    "an address less": Tampering(
        ("ip addr del {pod6}/128 dev eth0",),
        ("worker-1", "address", "missing", "Pod/shop/client"),
        "eth0 {pod6}/128",
        "pod-shop.client",
    ),
    "reverse path filtering": Tampering(
        ("sysctl -q -w net.ipv4.conf.all.rp_filter=1",),
        ("worker-1", "sysctl", "altered", "Node/worker-1"),
        "net/ipv4/conf/all/rp_filter",
    ),
    "forwarding": Tampering(
        ("sysctl -q -w net.ipv4.ip_forward=1",),
        ("worker-1", "sysctl", "altered", "Node/worker-1"),
        "net/ipv4/ip_forward",
    ),
    "a routing rule": Tampering(
        ("ip rule del pref 100",),
        ("worker-1", "rule", "missing", "Node/worker-1"),
        "IPv4 priority 100 table 255",
    ),
    "a pod's link that is down": Tampering(
        ("ip link set eth0 down",),
        ("worker-1", "link", "altered", "Pod/shop/client"),
        "eth0",
        "pod-shop.client",
    ),
    "a node's link that is down": Tampering(
        ("ip link set n1-up down",), ("worker-1", "link", "altered", "Node/worker-1"), "n1-up", ""
    ),
    "a pod's cable that is gone": Tampering(
        ("ip link del eth0",), ("worker-1", "link", "missing", "Pod/shop/client"), "eth0", "pod-shop.client"
    ),
    "a port that Open vSwitch lost": Tampering(
        ("ovs-vsctl del-port n1 n1-host",),
        ("worker-1", "port", "missing", "Node/worker-1"),
        "n1-host",
        "",
    ),
}


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Cluster:
    """A shop in which every way is open, and nothing differs."""
    applied = cluster.apply(shop())
    assert applied.ready.ready, applied.ready.missing
    assert cluster.drift()["items"] == []
    return cluster


@pytest.fixture(scope="module")
def words(running: Cluster) -> dict[str, str]:
    """What stands in braces above."""
    fdb = inside(running, "bridge", "fdb", "show", "dev", "n1-tun").splitlines()
    third = node_address(running, "worker-3", 4)
    return {
        "vtep3": next(line.split()[0] for line in fdb if third in line.split()),
        "node4": node_address(running, "worker-2", 4),
        "node6": node_address(running, "worker-2", 6),
        "gateway4": "10.244.1.1",
        "pod6": pod_address(running, "client", 6),
    }


def told(cluster: Cluster, node: str | None = None) -> Iterator[tuple[str, str, str, str, str]]:
    for item in cluster.drift(node)["items"]:
        yield item["node"], item["kind"], item["fault"], item["owner"], item["object"]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_differs_is_told_and_healed(running: Cluster, words: dict[str, str], case: Tampering) -> None:
    enter = ("nsenter", f"--net=/run/netns/{case.place}") if case.place else ()
    for command in case.commands:
        inside(running, *enter, *command.format(**words).split())
    expected = (*case.told, case.thing.format(**words))
    found = list(told(running))
    # The other end of a cable that is gone, and the ports of both, go with it.
    gone = "link" in case.told and "missing" in case.told
    assert expected in found if gone else found == [expected], found
    done = running.drift(heal=True)
    assert done["items"] == []
    assert expected[1:4] in [(one["kind"], one["fault"], one["owner"]) for one in done["healed"]]


def test_everything_passes_afterwards(running: Cluster) -> None:
    assert_everything_passes(running)


def test_one_node_is_asked_about(running: Cluster) -> None:
    inside(running, "ip", "-n", "pod-shop.client", "addr", "add", "10.244.1.77/32", "dev", "eth0")
    assert len(list(told(running, "worker-1"))) == 1
    assert list(told(running, "worker-2")) == []
    assert running.drift("worker-1", heal=True)["items"] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vtep_at_the_wrong_node_loses_packets_until_it_is_healed(
    running: Cluster, words: dict[str, str], family: int
) -> None:
    asked = ("shop/client", pod_address(running, "web-3", family), "8080/tcp")
    assert running.probe(*asked)["outcome"] == "connected"
    tamper = CASES["a VTEP at the wrong node"].commands[0].format(**words)
    inside(running, *tamper.split())
    assert running.probe(*asked, timeout=0.5)["outcome"] == "dropped"
    assert running.drift(heal=True)["items"] == []
    assert running.probe(*asked)["outcome"] == "connected"
