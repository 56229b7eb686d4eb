"""[sig-network] Services: the e2e tests of upstream's service.go, by their names.

Where upstream asks in one family over HTTP, these ask in both, over HTTP and UDP.
"""

from __future__ import annotations

from itertools import product

from emulator import Cluster
from tests.system.e2e.framework import (
    A_WHILE,
    OFTEN,
    PORTS,
    STICKY,
    WAYS,
    WEB,
    Way,
    address,
    answering,
    ask,
    dual,
    in_force,
    knock,
    node_port,
    patch,
    there,
)
from tests.system.oracles.addresses import bare, pod_address
from tests.system.oracles.objects import pod
from tests.system.oracles.slices import forget_connections

CLIENT_IP = {"sessionAffinity": "ClientIP"}

# -- session affinity (its timeout is oracle 63) -----------------------------------------------------


def test_should_have_session_affinity_work_for_service_with_type_cluster_ip(world: Cluster) -> None:
    """should have session affinity work for service with type clusterIP [LinuxOnly] [Conformance]"""
    with there(world, dual("sticky", "web", **CLIENT_IP)):
        for way, client in product(WAYS, ("client-1", "client-2")):
            assert len(answering(ask(world, client, "sticky", way, count=STICKY))) == 1


def test_should_have_session_affinity_work_for_node_port_service(world: Cluster) -> None:
    """should have session affinity work for NodePort service [LinuxOnly] [Conformance]"""
    with there(world, dual("sticky", "web", type="NodePort", **CLIENT_IP)):
        for way, node in product(WAYS, (1, 2)):
            assert len(answering(knock(world, "client-1", node, "sticky", way, count=STICKY))) == 1


def test_should_be_able_to_switch_session_affinity_for_service_with_type_cluster_ip(world: Cluster) -> None:
    """should be able to switch session affinity for service with type clusterIP [LinuxOnly] [Conformance]"""

    def endpoints(way: Way) -> int:
        return len(answering(ask(world, "client-1", "switched", way, count=STICKY)))

    with there(world, dual("switched", "web", **CLIENT_IP)):
        assert [endpoints(way) for way in WAYS] == [1, 1, 1, 1]
        _switch(world, "None")
        assert all(endpoints(way) > 1 for way in WAYS)
        _switch(world, "ClientIP")
        assert [endpoints(way) for way in WAYS] == [1, 1, 1, 1]


def test_should_be_able_to_switch_session_affinity_for_node_port_service(world: Cluster) -> None:
    """should be able to switch session affinity for NodePort service [LinuxOnly] [Conformance]"""

    def endpoints(way: Way) -> int:
        return len(answering(knock(world, "client-1", 2, "switched", way, count=STICKY)))

    with there(world, dual("switched", "web", type="NodePort", **CLIENT_IP)):
        assert [endpoints(way) for way in WAYS] == [1, 1, 1, 1]
        _switch(world, "None")
        assert all(endpoints(way) > 1 for way in WAYS)
        _switch(world, "ClientIP")
        assert [endpoints(way) for way in WAYS] == [1, 1, 1, 1]


def _switch(cluster: Cluster, affinity: str) -> None:
    patch(cluster, "switched", {"sessionAffinity": affinity})
    forget_connections(cluster)


# -- who is seen, who is reached -------------------------------------------------------------------


def test_should_preserve_source_pod_ip_for_traffic_thru_service_cluster_ip(world: Cluster) -> None:
    """should preserve source pod IP for traffic thru service cluster IP [LinuxOnly]"""
    with there(world, pod("solo", "worker-1"), dual("solo", "solo")):
        for way, client in product(WAYS, ("client-1", "client-2")):
            report = ask(world, client, "solo", way)
            assert answering(report) == {"solo"}
            assert report["sourceSeen"] == [bare(pod_address(world, client, way[0]))]


def test_should_allow_pods_to_hairpin_back_to_themselves_through_services(world: Cluster) -> None:
    """should allow pods to hairpin back to themselves through services"""
    with there(world, pod("solo", "worker-1"), dual("solo", "solo")):
        for way in WAYS:
            assert answering(ask(world, "solo", "solo", way)) == {"solo"}


def test_should_be_possible_to_connect_to_a_service_via_external_ip(world: Cluster) -> None:
    """should be possible to connect to a service via ExternalIP when the external IP is not assigned to a
    node"""
    with there(world, dual("external", "web", externalIPs=["203.0.113.250"])):
        for source in ("shop/client-1", "shop/on-node-1", "node/worker-2"):
            report = world.probe(source, "203.0.113.250", "80/tcp", count=OFTEN)
            assert answering(report) == WEB, source


# -- coming and going ------------------------------------------------------------------------------


def test_should_be_able_to_up_and_down_services(world: Cluster) -> None:
    """should be able to up and down services"""

    def serves(client: str, name: str) -> bool:
        return all(answering(ask(world, client, name, way, count=OFTEN)) == WEB for way in WAYS)

    with there(world, dual("up-1", "web")):
        with there(world, dual("up-2", "web")):
            assert serves("client-1", "up-1")
            assert serves("client-1", "up-2")
            gone = address(world, "up-2", 4)
        silent = world.probe("shop/client-1", gone, "80/tcp", timeout=A_WHILE)
        assert silent["outcome"] == "dropped"
        with there(world, dual("up-3", "web")):
            assert address(world, "up-3", 4) not in (gone, address(world, "up-1", 4))
            assert serves("client-2", "up-3")
            assert serves("client-2", "up-1")


def test_should_work_after_the_service_has_been_recreated(world: Cluster) -> None:
    """should work after the service has been recreated"""
    addresses = []
    for _ in range(2):
        with there(world, dual("again", "web", type="NodePort")):
            addresses.append(address(world, "again", 4))
            for way in WAYS:
                assert answering(ask(world, "client-1", "again", way, count=OFTEN)) == WEB
                assert answering(knock(world, "client-1", 2, "again", way, count=OFTEN)) == WEB
    assert addresses[0] != addresses[1]


def test_should_be_rejected_when_no_endpoints_exist(world: Cluster) -> None:
    """should be rejected when no endpoints exist"""
    with there(world, dual("nobody", "nobody", type="NodePort")):
        for way in WAYS:
            for source in ("client-1", "node/worker-2"):
                assert ask(world, source, "nobody", way, timeout=20)["outcome"] == "rejected"
            assert knock(world, "ext/client", 1, "nobody", way, timeout=20)["outcome"] == "rejected"
        for host in (address(world, "nobody", 4), f"[{address(world, 'nobody', 6)}]"):
            command = ["/agnhost", "connect", "--timeout=20s", f"{host}:80"]
            done = world.exec("shop/client-1", command)
            assert (done.exit_code, done.stderr.strip()) == (1, "REFUSED")


def test_should_implement_service_proxy_name(world: Cluster) -> None:
    """should implement service.kubernetes.io/service-proxy-name"""
    is_disowned_by(world, "service.kubernetes.io/service-proxy-name", "foo-bar")


def test_should_implement_headless(world: Cluster) -> None:
    """should implement service.kubernetes.io/headless"""
    is_disowned_by(world, "service.kubernetes.io/headless", "")


def is_disowned_by(world: Cluster, label: str, value: str) -> None:
    """With the label the address is nobody's, and so is the NodePort; without it they work again."""
    with there(world, dual("disowned", "web", type="NodePort")):
        for way in WAYS:
            assert answering(ask(world, "client-1", "disowned", way)) <= WEB
        _label(world, {label: value})
        for family, protocol in WAYS:
            port, number = PORTS[protocol], node_port(world, "disowned", protocol)
            silent = world.probe("shop/client-1", address(world, "disowned", family), port, timeout=A_WHILE)
            assert silent["outcome"] == "dropped"
            closed = f"{number}/{port.split('/')[1]}"
            refused = world.probe("ext/client", "node/worker-2", closed, family=family)
            assert refused["outcome"] == "rejected", "the node's own kernel has no such port"
        _label(world, {label: None})
        for way in WAYS:
            assert answering(ask(world, "client-2", "disowned", way)) <= WEB
            assert answering(knock(world, "ext/client", 1, "disowned", way)) <= WEB


def _label(cluster: Cluster, labels: dict[str, str | None]) -> None:
    cluster.patch("Service", "disowned", "shop", {"metadata": {"labels": labels}})
    in_force(cluster)
    forget_connections(cluster)


# -- internalTrafficPolicy -------------------------------------------------------------------------


def test_should_respect_internal_traffic_policy_local(world: Cluster) -> None:
    """should respect internalTrafficPolicy=Local Pod to Pod, and
    should respect internalTrafficPolicy=Local Pod (hostNetwork: true) to Pod"""
    with there(world, pod("solo", "worker-1"), dual("solo", "solo", internalTrafficPolicy="Local")):
        for way, near, far in _pairs(("client-1", "client-2"), ("on-node-1", "on-node-2")):
            assert answering(ask(world, near, "solo", way, count=5)) == {"solo"}
            assert ask(world, far, "solo", way, timeout=A_WHILE)["outcome"] == "dropped"


def test_should_respect_internal_traffic_policy_local_to_host_network_pods(world: Cluster) -> None:
    """should respect internalTrafficPolicy=Local Pod and Node, to Pod (hostNetwork: true)"""
    with there(world, dual("on-node", "on-node-1", internalTrafficPolicy="Local")):
        for way, near, far in _pairs(("client-1", "client-2"), ("node/worker-1", "node/worker-2")):
            assert ask(world, near, "on-node", way)["outcome"] == "connected"
            assert ask(world, far, "on-node", way, timeout=A_WHILE)["outcome"] == "dropped"


def _pairs(*pairs: tuple[str, str]) -> list[tuple[Way, str, str]]:
    """Each pair of clients by one way of each family, TCP here and UDP there."""
    ways = (WAYS[0], WAYS[3]), (WAYS[1], WAYS[2])
    return [(way, *pair) for chosen, pair in zip(ways, pairs, strict=True) for way in chosen]
