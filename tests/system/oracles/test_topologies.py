"""Every way through the other shipped topologies: between all pods, through services, out and in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import (
    bare,
    external_address,
    node_address,
    node_port,
    pod_address,
    public_address,
)
from tests.system.oracles.objects import namespace, pod, service

pytestmark = pytest.mark.topologies("single-node", "two-zone-vpc", "leaf-spine")

PORTS = pytest.mark.parametrize("port", ["8080/tcp", "8081/udp", "icmp"])
CONNECTIONS = pytest.mark.parametrize("protocol", ["TCP", "UDP"])
AT_ONCE = 4


@pytest.fixture(scope="module")
def mesh(cluster: Cluster) -> Cluster:
    """A pod on every node and another one on the first, and services over all of them and over that one."""
    nodes = node_names(cluster)
    pods = [pod(f"on-{node}", node, app="all") for node in nodes]
    services = []
    for family in (4, 6):
        for offset, (name, app, policy) in enumerate((("all", "all", "Cluster"), ("one", "one", "Local"))):
            first = 30000 + family * 100 + 2 * offset
            ports = [
                {"name": "tcp", "port": 80, "targetPort": 8080, "nodePort": first},
                {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": 8081, "nodePort": first + 1},
            ]
            services.append(
                service(name, app, family=family, ports=ports, type="NodePort", externalTrafficPolicy=policy)
            )
    applied = cluster.apply([namespace("shop"), *pods, pod("second", nodes[0], app="one"), *services])
    assert applied.ready.ready, applied.ready.missing
    return cluster


def node_names(cluster: Cluster) -> list[str]:
    return [str(name) for name in cluster.status()["nodes"]]


def pods(cluster: Cluster) -> list[str]:
    return [f"shop/on-{node}" for node in node_names(cluster)] + ["shop/second"]


def is_public(cluster: Cluster, node: str) -> bool:
    """Whether the internet reaches the node by its own address."""
    return cluster.status()["topology"] != "two-zone-vpc" or node.startswith("edge-")


def asked(
    cluster: Cluster, questions: Sequence[tuple[str, str]], port: str, family: int
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Several probes, a few of them at a time, each over a connection of its own."""

    def ask(question: tuple[str, str]) -> dict[str, object]:
        return Cluster.connect(cluster.name).probe(*question, port, family=family, timeout=10)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for question, report in zip(questions, pool.map(ask, questions), strict=True):
            yield (*question, report)


@PORTS
def test_all_pods_see_each_other_untranslated(mesh: Cluster, family: int, port: str) -> None:
    addresses = {place: bare(pod_address(mesh, place.removeprefix("shop/"), family)) for place in pods(mesh)}
    for source, target, report in asked(mesh, list(permutations(addresses, 2)), port, family):
        assert report["outcome"] == "connected", (source, target, report)
        assert report["endpoints"] == {target: 1}
        assert report["sourceSeen"] == [addresses[source]], (source, target, report)


@PORTS
def test_nodes_reach_all_pods(mesh: Cluster, family: int, port: str) -> None:
    questions = [(f"node/{node}", place) for node in node_names(mesh) for place in pods(mesh)]
    for source, target, report in asked(mesh, questions, port, family):
        assert report["outcome"] == "connected", (source, target, report)


@CONNECTIONS
def test_services_answer_everywhere(mesh: Cluster, family: int, protocol: str) -> None:
    port = {"TCP": "80/tcp", "UDP": "81/udp"}[protocol]
    sources = [*pods(mesh), *(f"node/{node}" for node in node_names(mesh))]
    questions = [(source, f"svc/shop/{name}-v{family}") for source in sources for name in ("all", "one")]
    for source, target, report in asked(mesh, questions, port, family):
        assert report["outcome"] == "connected", (source, target, report)
        if source.startswith("shop/") and source not in report["endpoints"]:  # type: ignore[operator]
            address = bare(pod_address(mesh, source.removeprefix("shop/"), family))
            assert report["sourceSeen"] == [address], (source, report)


@pytest.mark.parametrize("port", ["80/tcp", "7/udp", "icmp"])
def test_pods_reach_the_internet(mesh: Cluster, family: int, port: str) -> None:
    """By way of the NAT gateway, but from a public subnet as the node itself."""
    is_vpc = mesh.status()["topology"] == "two-zone-vpc"
    questions = [(f"shop/on-{node}", "ext/server") for node in node_names(mesh)]
    for source, _, report in asked(mesh, questions, port, family):
        node = source.removeprefix("shop/on-")
        assert report["outcome"] == "connected", report
        as_itself = is_vpc and is_public(mesh, node)
        address = bare(node_address(mesh, node, family)) if as_itself else public_address(family)
        assert report["sourceSeen"] == [address], source


@pytest.mark.parametrize("port", ["80/tcp", "7/udp", "icmp"])
def test_the_internet_does_not_reach_the_nat_gateway(mesh: Cluster, family: int, port: str) -> None:
    report = mesh.probe("ext/server", public_address(family), port)
    assert report["outcome"] == "dropped"
    control = mesh.probe("shop/second", "ext/client", port, family=family, timeout=10)
    assert control["outcome"] == "connected"


@CONNECTIONS
def test_node_ports_answer_on_every_public_node(mesh: Cluster, family: int, protocol: str) -> None:
    port = f"{node_port(mesh, 'all', family, protocol)}/{protocol.lower()}"
    public = [node for node in node_names(mesh) if is_public(mesh, node)]
    assert public
    for node in public:
        report = mesh.probe("ext/client", f"node/{node}", port, family=family, count=3, timeout=10)
        assert report["outcomes"] == {"connected": 3}
        answers = {
            (answer["source"], f"{answer['sourcePort']}/{protocol.lower()}") for answer in report["answers"]
        }
        assert answers == {(bare(node_address(mesh, node, family)), port)}
        assert external_address("client", family) not in report["sourceSeen"]


@CONNECTIONS
def test_local_node_ports_show_the_client(mesh: Cluster, family: int, protocol: str) -> None:
    port = f"{node_port(mesh, 'one', family, protocol)}/{protocol.lower()}"
    first, *others = node_names(mesh)
    report = mesh.probe("ext/client", f"node/{first}", port, family=family, timeout=10)
    assert report["outcome"] == "connected"
    assert report["endpoints"] == {"shop/second": 1}
    assert report["sourceSeen"] == [external_address("client", family)]
    for node in others[:1]:
        assert mesh.probe("ext/client", f"node/{node}", port, family=family)["outcome"] == "dropped"


def test_private_nodes_cannot_be_reached_from_outside(mesh: Cluster, family: int) -> None:
    """Those of a VPC's private subnets; elsewhere every node has an address that is routed."""
    for node in node_names(mesh):
        report = mesh.probe("ext/client", f"node/{node}", "icmp", family=family, timeout=1)
        assert (report["outcome"] == "connected") == is_public(mesh, node), (node, report)
