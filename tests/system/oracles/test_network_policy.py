"""Oracles of NetworkPolicy, by their numbers. `tests/system/policies` has the e2e suite's cases.

Every drop stands beside a packet that passes. `web` is guarded and runs on worker-1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from emulator import Cluster
from tests.system.hygiene import inside
from tests.system.oracles.addresses import bare, masquerade, node_port, pod_address
from tests.system.oracles.held import held
from tests.system.oracles.objects import HTTP, UDP, Object, namespace, pod, service

A_WHILE = 0.2
"""Seconds that a drop is waited for; what passes is given the usual time."""
WEB = {"matchLabels": {"app": "web"}}
CLIENT = {"podSelector": {"matchLabels": {"app": "client"}}}
NODE_PORT = {4: 30470, 6: 30670}
BOTH = pytest.mark.parametrize("port", [f"{HTTP}/tcp", f"{UDP}/udp"])

Enforce = Callable[..., None]


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Cluster:
    pods = [
        pod("client", "worker-1"),
        pod("web", "worker-1"),
        pod("remote", "worker-2"),
        pod("other", "worker-2", where="office"),
    ]
    spaces = [namespace("shop"), namespace("office")]
    spaces[1]["metadata"]["labels"] = {"team": "office"}
    applied = cluster.apply([*spaces, *pods, *map(_service, (4, 6))])
    assert applied.ready.ready, applied.ready.missing
    return cluster


def _service(family: int) -> Object:
    first = NODE_PORT[family]
    ports = [
        {"name": "http", "port": 80, "targetPort": HTTP, "nodePort": first},
        {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": UDP, "nodePort": first + 1},
    ]
    return service("web", "web", family=family, ports=ports, type="NodePort")


@contextmanager
def enforcing(cluster: Cluster) -> Iterator[Enforce]:
    """Puts policies into force; they end with the block."""
    made: list[Object] = []

    def enforce(name: str = "policy", **spec: Any) -> None:
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"podSelector": WEB, **spec},
        }
        made.append(policy)
        cluster.apply([policy])

    try:
        yield enforce
    finally:
        if made:
            cluster.delete(made)


@pytest.fixture
def enforce(shop: Cluster) -> Iterator[Enforce]:
    """Puts policies into force; they end with the test."""
    with enforcing(shop) as enforce:
        yield enforce


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


def address(cluster: Cluster, name: str, family: int, where: str = "shop") -> str:
    """As a range of one address."""
    return f"{pod_address(cluster, name, family, where)}/{32 if family == 4 else 128}"


@BOTH
def test_73_74_a_pod_that_is_not_selected_is_free(
    shop: Cluster, enforce: Enforce, family: int, port: str
) -> None:
    enforce(policyTypes=["Ingress"])
    assert is_dropped(shop, "shop/client", "shop/web", port, family)
    assert passes(shop, "shop/client", "shop/remote", port, family)
    assert passes(shop, "shop/web", "shop/remote", port, family), "isolated for ingress only"


def test_75_policies_add_up(shop: Cluster, enforce: Enforce, family: int) -> None:
    enforce("client", ingress=[{"from": [CLIENT]}])
    assert is_dropped(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)
    enforce("anybody", ingress=[{"ports": [{"port": HTTP}]}])
    assert passes(shop, "shop/client", "shop/web", f"{UDP}/udp", family)
    assert passes(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)
    assert is_dropped(shop, "shop/remote", "shop/web", f"{UDP}/udp", family)


def test_76_both_ends_have_to_allow(shop: Cluster, enforce: Enforce, family: int) -> None:
    to_web = {"to": [{"podSelector": WEB}]}
    clients = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["client", "remote"]}]}
    enforce("out", podSelector=clients, policyTypes=["Egress"], egress=[to_web])
    enforce("in", ingress=[{"from": [CLIENT]}])
    assert passes(shop, "shop/client", "shop/web", f"{HTTP}/tcp", family)
    assert is_dropped(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)
    assert is_dropped(shop, "shop/client", "shop/remote", f"{HTTP}/tcp", family)


@BOTH
def test_77_answers_pass(shop: Cluster, enforce: Enforce, family: int, port: str) -> None:
    enforce("web", policyTypes=["Ingress", "Egress"], ingress=[{"from": [{"podSelector": {}}]}])
    assert passes(shop, "shop/remote", "shop/web", port, family), "web may send nothing but answers"
    assert is_dropped(shop, "shop/web", "shop/remote", port, family)


@BOTH
def test_78_the_own_node_gets_in_and_another_one_does_not(
    shop: Cluster, enforce: Enforce, family: int, port: str
) -> None:
    enforce(policyTypes=["Ingress", "Egress"])
    assert passes(shop, "node/worker-1", "shop/web", port, family)
    assert is_dropped(shop, "node/worker-2", "shop/web", port, family)


@BOTH
def test_79_a_pod_reaches_itself(shop: Cluster, enforce: Enforce, family: int, port: str) -> None:
    enforce(policyTypes=["Ingress", "Egress"])
    through = {f"{HTTP}/tcp": "80/tcp", f"{UDP}/udp": "81/udp"}[port]
    assert passes(shop, "shop/web", "shop/web", port, family)
    assert passes(shop, "shop/web", f"svc/shop/web-v{family}", through)
    assert is_dropped(shop, "shop/client", f"svc/shop/web-v{family}", through)


def test_80_selectors_in_one_element_are_and_in_two_are_or(
    shop: Cluster, enforce: Enforce, family: int
) -> None:
    office = {"namespaceSelector": {"matchLabels": {"team": "office"}}}
    nobody = {"podSelector": {"matchLabels": {"app": "client"}}}
    enforce(ingress=[{"from": [{**office, **nobody}]}])
    assert is_dropped(shop, "shop/client", "shop/web", f"{HTTP}/tcp", family)
    assert is_dropped(shop, "office/other", "shop/web", f"{HTTP}/tcp", family)
    enforce(ingress=[{"from": [office, nobody]}])
    assert passes(shop, "shop/client", "shop/web", f"{HTTP}/tcp", family)
    assert passes(shop, "office/other", "shop/web", f"{HTTP}/tcp", family)
    assert is_dropped(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)


def test_81_except_binds_its_own_rule(shop: Cluster, enforce: Enforce, family: int) -> None:
    everybody = "0.0.0.0/0" if family == 4 else "::/0"
    block = {"ipBlock": {"cidr": everybody, "except": [address(shop, "client", family)]}}
    enforce(ingress=[{"from": [block]}])
    assert is_dropped(shop, "shop/client", "shop/web", f"{HTTP}/tcp", family)
    assert passes(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)
    again = {"ipBlock": {"cidr": address(shop, "client", family)}}
    enforce(ingress=[{"from": [block]}, {"from": [again]}])
    assert passes(shop, "shop/client", "shop/web", f"{HTTP}/tcp", family)


def test_82_policies_see_the_endpoints_port(shop: Cluster, enforce: Enforce, family: int) -> None:
    ways = ("shop/client", f"svc/shop/web-v{family}", "80/tcp")
    enforce(ingress=[{"ports": [{"port": 80}]}])
    assert is_dropped(shop, *ways)
    enforce(ingress=[{"ports": [{"port": HTTP}]}])
    assert passes(shop, *ways)
    assert is_dropped(shop, "shop/client", f"svc/shop/web-v{family}", "81/udp")


def test_83_a_range_has_both_its_ends(shop: Cluster, enforce: Enforce, family: int) -> None:
    enforce(ingress=[{"ports": [{"port": HTTP - 3, "endPort": HTTP}]}])
    assert passes(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)
    enforce(ingress=[{"ports": [{"port": HTTP - 3, "endPort": HTTP - 1}]}])
    assert is_dropped(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)
    enforce(ingress=[{"ports": [{"port": HTTP, "endPort": HTTP + 9}]}])
    assert passes(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)


def test_84_a_named_port_is_each_pods_own(shop: Cluster, enforce: Enforce, family: int) -> None:
    one, other = (pod(f"named-{number}", f"worker-{number}", app="web") for number in (1, 2))
    for made, port in ((one, HTTP), (other, HTTP + 10)):
        container = made["spec"]["containers"][0]
        container["args"] = ["netexec", f"--http-port={port}"]
        container["ports"] = [{"name": "front", "containerPort": port}]
    enforce(ingress=[{"ports": [{"port": "front"}]}])
    shop.apply([one, other])
    try:
        assert passes(shop, "shop/client", "shop/named-1", f"{HTTP}/tcp", family)
        assert passes(shop, "shop/client", "shop/named-2", f"{HTTP + 10}/tcp", family)
        assert is_dropped(shop, "shop/client", "shop/named-1", f"{HTTP + 10}/tcp", family)
        assert is_dropped(shop, "shop/client", "shop/named-2", f"{HTTP}/tcp", family)
    finally:
        shop.delete([one, other], grace_seconds=0)


def test_85_no_protocol_means_tcp(shop: Cluster, enforce: Enforce, family: int) -> None:
    enforce(ingress=[{"ports": [{"port": HTTP}, {"port": UDP}]}])
    assert passes(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)
    assert is_dropped(shop, "shop/remote", "shop/web", f"{UDP}/udp", family)


def test_86_what_is_denied_is_met_with_silence(shop: Cluster, enforce: Enforce, family: int) -> None:
    before, ports = _dropped(shop), (f"{HTTP}/tcp", f"{UDP}/udp", "icmp")
    enforce(policyTypes=["Ingress"])
    for port in ports:
        report = shop.probe("shop/remote", "shop/web", port, family=family, timeout=A_WHILE, count=2)
        assert report["outcomes"] == {"dropped": 2}, "and not rejected"
        assert not report.get("rejections")
    assert _dropped(shop) >= before + 6, "the policy's flow counts them"
    enforce(ingress=[{}])
    for port in ports:
        assert passes(shop, "shop/remote", "shop/web", port, family)


def _dropped(cluster: Cluster) -> int:
    """Packets that the drop flows of IngressDefaultRule on the pod's node have counted."""
    for _ in range(2):  # Counters follow the datapath's at the end of a round.
        inside(cluster, "ovs-appctl", "revalidator/wait")
    dump = inside(cluster, "ovs-ofctl", "-OOpenFlow13", "dump-flows", "n1", "table=51")
    counts = [line.split("n_packets=")[1].split(",")[0] for line in dump.splitlines() if "drop" in line]
    return sum(map(int, counts))


def test_87_an_open_connection_survives_a_new_policy(shop: Cluster, enforce: Enforce, family: int) -> None:
    with held(shop, "shop/remote", pod_address(shop, "web", family), HTTP) as connection:
        assert connection.ask() == "web"
        enforce(policyTypes=["Ingress", "Egress"])
        assert connection.ask() == "web"
        assert is_dropped(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)


def test_88_an_ip_block_sees_the_node_that_masquerades(shop: Cluster, enforce: Enforce, family: int) -> None:
    port = f"{node_port(shop, 'web', family)}/tcp"
    node = masquerade(shop, "worker-2", "web", family)
    enforce(ingress=[{"from": [{"ipBlock": {"cidr": f"{node}/{32 if family == 4 else 128}"}}]}])
    report = shop.probe("ext/client", "node/worker-2", port, family=family)
    assert (report["outcome"], report["sourceSeen"]) == ("connected", [bare(node)])
    assert is_dropped(shop, "ext/client", "node/worker-1", port, family), "there it is the client's own"


_GREETER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
    for number in range(20):
        own.sendto(b"%d" % number, (sys.argv[1], 8081))
"""


def test_a_new_pod_is_isolated_before_its_first_packet(shop: Cluster, enforce: Enforce) -> None:
    """It talks as soon as it lives; the switch of its node drops every word, and lets `free` speak."""
    told = []
    remote = pod_address(shop, "remote", 4)
    enforce(podSelector={"matchLabels": {"app": "late"}}, policyTypes=["Egress"])
    for name in ("late", "free"):
        made = pod(name, "worker-3")
        container = made["spec"]["containers"][0]
        container |= {"image": "python:3", "command": ["python3", "-c", _GREETER, remote]}
        container.pop("args")
        container.pop("ports")
        made["spec"]["restartPolicy"] = "Never"
        stream = shop.capture(["shop/remote"])
        next(stream)
        shop.apply([made])
        shop.wait_for("Pod", name, "shop", lambda one: one is not None and _is_over(one))
        own = pod_address(shop, name, 4)
        assert shop.probe("shop/client", "shop/remote", f"{UDP}/udp", family=4)["outcome"] == "connected"
        marker = pod_address(shop, "client", 4)
        sources = []
        for record in stream:
            sources.append(record["headers"].get("ip.src"))
            if sources[-1] == marker:
                break
        stream.close()  # type: ignore[attr-defined]
        told.append(sources.count(own))
        shop.delete([made], grace_seconds=0)
    assert told == [0, 20]


def _is_over(one: Object) -> bool:
    return one["status"].get("phase") in ("Succeeded", "Failed")


SCTP = {"protocol": "SCTP", "port": 9}


def test_77_answers_of_sctp_pass(shop: Cluster, enforce: Enforce, family: int) -> None:
    """Nobody tracks its ports: `web` may answer the port that asked, and no other one of that client."""
    everyone = {"from": [{"podSelector": {}}], "ports": [SCTP]}
    enforce("web", policyTypes=["Ingress", "Egress"], ingress=[everyone])

    def arrives(source: str, target: str, ports: tuple[int, int], **more: Any) -> bool:
        packet = {"packet": "sctp", "source": {"port": ports[0]}, **more}
        port = f"{ports[1]}/sctp"
        report = shop.probe(source, target, port, family=family, packet=packet, timeout=A_WHILE)
        return [seen["at"] for seen in report["seen"]] == [target]

    own = 41_100 + family
    assert arrives("shop/remote", "shop/web", (own, 9))
    assert arrives("shop/web", "shop/remote", (9, own), chunk="init-ack")
    assert not arrives("shop/web", "shop/remote", (9, own + 10), chunk="init-ack")


def test_cluster_policies_come_first(shop: Cluster, enforce: Enforce, family: int) -> None:
    """In the Admin tier: they deny what a NetworkPolicy allows, and accept what it denies."""
    port = f"{HTTP}/tcp"
    enforce(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "remote"}}}]}])
    peers = {
        name: {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": name}}}}
        for name in ("client", "remote")
    }
    policy = {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "first"},
        "spec": {
            "tier": "Admin",
            "priority": 1,
            "subject": {"pods": {"namespaceSelector": {}, "podSelector": WEB}},
            "ingress": [
                {"action": "Accept", "from": [peers["client"]]},
                {"action": "Deny", "from": [peers["remote"]]},
            ],
        },
    }
    shop.apply([policy])
    try:
        assert passes(shop, "shop/client", "shop/web", port, family)
        assert is_dropped(shop, "shop/remote", "shop/web", port, family)
    finally:
        shop.delete([policy])
    assert is_dropped(shop, "shop/client", "shop/web", port, family)
    assert passes(shop, "shop/remote", "shop/web", port, family)
