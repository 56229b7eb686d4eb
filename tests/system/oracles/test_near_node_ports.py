"""Oracles of NodePorts, by their numbers: as pods and nodes reach them."""

from __future__ import annotations

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import bare, node_address, node_port, pod_address, pod_gateway

pytestmark = pytest.mark.topologies("three-node", "three-node-routed")

BOTH = pytest.mark.parametrize("protocol", ["TCP", "UDP"])


def at(cluster: Cluster, name: str, family: int, protocol: str) -> str:
    """The NodePort of a service, as probes write it."""
    return f"{node_port(cluster, name, family, protocol)}/{protocol.lower()}"


@BOTH
@pytest.mark.parametrize("pod", ["client", "remote"])
def test_38_local_lets_a_nodes_own_pods_go_anywhere(
    shop: Cluster, family: int, protocol: str, pod: str
) -> None:
    """`solo` lives on worker-1, where `client` lives, too; `remote` lives on worker-2."""
    node = {"client": "worker-1", "remote": "worker-2"}[pod]
    report = shop.probe(f"shop/{pod}", f"node/{node}", at(shop, "local", family, protocol), family=family)
    assert report["outcome"] == "connected"
    assert report["endpoints"] == {"shop/solo": 1}
    assert report["sourceSeen"] == [bare(pod_address(shop, pod, family))]


@BOTH
def test_41_a_pod_comes_to_another_node_as_its_own(shop: Cluster, family: int, protocol: str) -> None:
    """Under Local nothing hides that address from the endpoint."""
    report = shop.probe("shop/remote", "node/worker-1", at(shop, "local", family, protocol), family=family)
    assert report["outcome"] == "connected"
    assert report["endpoints"] == {"shop/solo": 1}
    assert report["sourceSeen"] == [bare(node_address(shop, "worker-2", family))]


@BOTH
def test_42_and_is_external_there(shop: Cluster, family: int, protocol: str) -> None:
    port = at(shop, "local", family, protocol)
    assert shop.probe("shop/client", "node/worker-2", port, family=family)["outcome"] == "dropped"
    control = shop.probe("shop/client", "node/worker-1", port, family=family)
    assert control["outcome"] == "connected"


@BOTH
def test_47_node_ports_answer_at_every_address_of_the_node(shop: Cluster, family: int, protocol: str) -> None:
    port = at(shop, "far", family, protocol)
    for address in (node_address(shop, "worker-1", family), pod_gateway(shop, "worker-1", family)):
        report = shop.probe("shop/client", bare(address), port)
        assert report["outcome"] == "connected", address
        assert {answer["source"] for answer in report["answers"]} == {bare(address)}
