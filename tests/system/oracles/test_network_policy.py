"""Oracles of NetworkPolicy, by their numbers. `tests/system/policies` has the e2e suite's cases.

Every drop stands beside a packet that passes. `web` is guarded and runs on worker-1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from typing import Any

import pytest

from emulator import Cluster
from emulator.cluster.scheduler import LAST_INDEX
from tests.system.oracles.addresses import bare, masquerade, node_address, node_port, pod_address, pod_range
from tests.system.oracles.enforcing import (
    A_WHILE,
    WEB,
    Enforce,
    datagrams,
    denied,
    enforcing,
    is_dropped,
    passes,
    web_service,
)
from tests.system.oracles.held import held
from tests.system.oracles.objects import DEAD, HTTP, UDP, is_over, namespace, pod
from tests.system.oracles.talker import GREETER, talking

CLIENT = {"podSelector": {"matchLabels": {"app": "client"}}}
BOTH = pytest.mark.parametrize("port", [f"{HTTP}/tcp", f"{UDP}/udp"])


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
    applied = cluster.apply([*spaces, *pods, *map(web_service, (4, 6))])
    assert applied.ready.ready, applied.ready.missing
    return cluster


@pytest.fixture
def enforce(shop: Cluster) -> Iterator[Enforce]:
    """Policies end with the test."""
    with enforcing(shop) as enforce:
        yield enforce


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
    block = {"ipBlock": {"cidr": everybody, "except": [pod_range(shop, "worker-1", family)]}}
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
        shop.delete([other], grace_seconds=0)
        other["spec"]["containers"][0] |= {"args": one["spec"]["containers"][0]["args"]}
        other["spec"]["containers"][0]["ports"] = one["spec"]["containers"][0]["ports"]
        shop.apply([other])
        assert passes(shop, "shop/client", "shop/named-2", f"{HTTP}/tcp", family), "made anew with another"
    finally:
        shop.delete([one, other], grace_seconds=0)


def test_85_no_protocol_means_tcp(shop: Cluster, enforce: Enforce, family: int) -> None:
    enforce(ingress=[{"ports": [{"port": HTTP}, {"port": UDP}]}])
    assert passes(shop, "shop/remote", "shop/web", f"{HTTP}/tcp", family)
    assert is_dropped(shop, "shop/remote", "shop/web", f"{UDP}/udp", family)


def test_86_what_is_denied_is_met_with_silence(shop: Cluster, enforce: Enforce) -> None:
    ports, families = (f"{HTTP}/tcp", f"{UDP}/udp", "icmp"), (4, 6)
    enforce(policyTypes=["Ingress"])
    for port, family in product(ports, families):
        report = shop.probe("shop/remote", "shop/web", port, family=family, timeout=A_WHILE)
        assert report["outcomes"] == {"dropped": 1}, "and not rejected"
        assert not report.get("rejections")
    assert denied(shop) >= 6, "the policy's flow counts them, and came with the policy"
    enforce(ingress=[{}])
    for port, family in product(ports, families):
        assert passes(shop, "shop/remote", "shop/web", port, family)


def test_87_what_is_known_goes_on_whatever_policies_come_and_go(
    shop: Cluster, enforce: Enforce, family: int
) -> None:
    """A stream, and datagrams that are answered; new ones are judged by what is in force."""
    web, tcp, udp = pod_address(shop, "web", family), f"{HTTP}/tcp", f"{UDP}/udp"
    with held(shop, "shop/remote", web, HTTP) as stream, talking(shop, "shop/remote", web, UDP) as talker:

        def go_on() -> bool:
            return (stream.ask(), talker.answered_by()) == ("web", "web")

        assert go_on()
        unanswered = shop.probe("shop/remote", "shop/web", f"{DEAD}/udp", family=family, source_port=15000)
        assert unanswered["outcome"] == "rejected"
        enforce(policyTypes=["Ingress", "Egress"])
        assert go_on()
        again = shop.probe(
            "shop/remote", "shop/web", f"{DEAD}/udp", family=family, source_port=15000, timeout=A_WHILE
        )
        assert (again["outcome"], again["seen"]) == ("dropped", []), "nobody has answered: it is still new"
        assert is_dropped(shop, "shop/remote", "shop/web", tcp, family)
        assert is_dropped(shop, "shop/remote", "shop/web", udp, family)
        enforce(ingress=[{"from": [CLIENT]}])
        enforce("out", podSelector={"matchLabels": {"app": "remote"}}, policyTypes=["Egress"])
        assert passes(shop, "shop/client", "shop/web", tcp, family)
        enforce(ingress=[{"ports": [{"port": HTTP}]}])
        enforce.lift("out")
        assert passes(shop, "shop/remote", "shop/web", tcp, family)
        assert is_dropped(shop, "shop/remote", "shop/web", udp, family)
        enforce.lift("policy")
        assert passes(shop, "shop/remote", "shop/web", udp, family)
        assert go_on()


def test_labels_that_are_given_and_taken_away_are_followed(shop: Cluster, enforce: Enforce) -> None:
    """Of the pod that a policy is about, of a peer, and of a namespace."""
    office = {"namespaceSelector": {"matchLabels": {"team": "office"}}}
    trusted = {"podSelector": {"matchExpressions": [{"key": "trusted", "operator": "Exists"}]}}
    enforce(podSelector={"matchLabels": {"guarded": "yes"}}, ingress=[{"from": [office, trusted]}])
    port = f"{HTTP}/tcp"

    def reached() -> tuple[bool, ...]:
        """By the client and by the office's pod; about all others the objects are asked."""
        found = shop.matrix((port,))["ports"][port]
        assert found["wire"] == found["spec"]
        return tuple(found["wire"][one]["shop/web"] == "connected" for one in ("shop/client", "office/other"))

    def label(kind: str, name: str, **labels: str | None) -> tuple[bool, ...]:
        shop.patch(kind, name, "shop" if kind == "Pod" else None, {"metadata": {"labels": labels}})
        assert shop.wait_ready().ready
        return reached()

    assert reached() == (True, True)
    assert label("Pod", "web", guarded="yes") == (False, True)
    assert label("Pod", "client", trusted="") == (True, True)
    assert label("Pod", "client", trusted=None) == (False, True)
    assert label("Namespace", "office", team=None) == (False, False)
    assert label("Namespace", "shop", team="office") == (True, False)
    assert label("Namespace", "shop", team=None) == (False, False)
    assert label("Namespace", "office", team="office") == (False, True)
    assert label("Pod", "web", guarded=None) == (True, True)


def test_blocks_mean_nodes_and_nothing_forbids_the_own_one(
    shop: Cluster, enforce: Enforce, family: int
) -> None:
    """Where packets of a node's stack come from depends on the way that they take to pods."""
    length = 32 if family == 4 else 128
    out, inward = node_address(shop, "worker-2", family), masquerade(shop, "worker-2", "web", family)
    enforce(
        policyTypes=["Ingress", "Egress"],
        egress=[{"to": [{"ipBlock": {"cidr": f"{out}/{length}"}}]}],
        ingress=[{"from": [{"ipBlock": {"cidr": f"{inward}/{length}"}}]}],
    )
    for node, is_open in (("worker-1", True), ("worker-2", True), ("worker-3", False)):
        judge = passes if is_open else is_dropped
        assert judge(shop, "shop/web", f"node/{node}", "10256/tcp", family)
        assert judge(shop, f"node/{node}", "shop/web", f"{HTTP}/tcp", family)
    assert passes(shop, "shop/web", "shop/web", f"{HTTP}/tcp", family)


def test_88_an_ip_block_sees_the_node_that_masquerades(shop: Cluster, enforce: Enforce, family: int) -> None:
    port = f"{node_port(shop, 'web', family)}/tcp"
    node = masquerade(shop, "worker-2", "web", family)
    enforce(ingress=[{"from": [{"ipBlock": {"cidr": f"{node}/{32 if family == 4 else 128}"}}]}])
    report = shop.probe("ext/client", "node/worker-2", port, family=family)
    assert (report["outcome"], report["sourceSeen"]) == ("connected", [bare(node)])
    assert is_dropped(shop, "ext/client", "node/worker-1", port, family), "there it is the client's own"


def test_a_pod_at_anothers_address_is_isolated_before_its_first_packet(
    shop: Cluster, enforce: Enforce
) -> None:
    """Who spoke to the pod that had the address before, and speaks on, is a stranger to the new one."""
    guarded, again = {"matchLabels": {"app": "late"}}, {"metadata": {"annotations": {LAST_INDEX: None}}}
    enforce(podSelector=guarded, policyTypes=["Ingress"])
    early, late = pod("early", "worker-1"), pod("late", "worker-1")
    shop.patch("Node", "worker-1", None, again)
    shop.apply([early])
    own = [pod_address(shop, "early", family) for family in (4, 6)]
    with ExitStack() as stack:
        stack.callback(shop.delete, [late], grace_seconds=0)
        talkers = [
            stack.enter_context(talking(shop, "shop/remote", address, UDP, 12345 + number))
            for number, address in enumerate(own)
        ]
        assert [talker.answered_by() for talker in talkers] == ["early", "early"]
        shop.delete([early], grace_seconds=0)
        shop.patch("Node", "worker-1", None, again)
        shop.apply([late])
        assert [pod_address(shop, "late", family) for family in (4, 6)] == own
        assert [talker.answered_by(A_WHILE) for talker in talkers] == ["silence", "silence"]
        assert datagrams(shop, "shop/late") == (0, 0)
        enforce(podSelector=guarded, ingress=[{}])
        assert [talker.answered_by() for talker in talkers] == ["late", "late"]
        assert all(datagrams(shop, "shop/late"))


def test_a_new_pod_is_isolated_before_its_first_packet(shop: Cluster, enforce: Enforce) -> None:
    """It talks as soon as it lives; the switch of its node drops every word, and lets `free` speak."""
    told = []
    remote = pod_address(shop, "remote", 4)
    enforce(podSelector={"matchLabels": {"app": "late"}}, policyTypes=["Egress"])
    for name in ("late", "free"):
        made = pod(name, "worker-3")
        container = made["spec"]["containers"][0]
        container |= {"image": "python:3", "command": ["python3", "-c", GREETER, remote]}
        container.pop("args")
        container.pop("ports")
        made["spec"]["restartPolicy"] = "Never"
        stream = shop.capture(["shop/remote"])
        next(stream)
        shop.apply([made])
        shop.wait_for("Pod", name, "shop", lambda one: one is not None and is_over(one))
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


SCTP = {"protocol": "SCTP", "port": 9}


def test_77_answers_of_sctp_pass(shop: Cluster, enforce: Enforce, family: int) -> None:
    """Nobody tracks its ports: `web` may answer the port that asked, and no other one of that client."""
    everyone = {"from": [{"podSelector": {}}], "ports": [SCTP]}
    enforce("web", policyTypes=["Ingress", "Egress"], ingress=[everyone])

    def arrives(source: str, target: str, ports: tuple[int, int], **more: Any) -> bool:
        packet = {"packet": "sctp", "source": {"port": ports[0]}, **more}
        port = f"{ports[1]}/sctp"
        report = shop.probe(source, target, port, family=family, packet=packet, timeout=2 * A_WHILE)
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
