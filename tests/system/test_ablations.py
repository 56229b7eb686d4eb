"""Ablations with real packets: which test of the suite fails where one feature file's flows are missing.

A controller that can leave things out takes the place of the shipped one, and a label tells it what. For each
feature file the test that is named for it runs twice, without the feature and with it again; the first time
it has to fail, and in the way that shows what the feature does. `tests/ablation.py` says what stands in for
features that every packet passes.

Three parts of the design that look superfluous are taken away as well:

* Without the rule for a first packet that is sent again, oracle 30 fails: a repeated SYN is not masqueraded.
* With one conntrack zone for two nodes, oracle 12 fails: what one node knows of a connection to a Service
  confuses the other one, and connections to endpoints on that node hang.
* With a patch port in place of a node's uplink, oracle 68 fails: no packet can be captured there. With patch
  ports all along the way, oracle 31 fails too: all bridges' lookups add up in one pass through the datapath,
  which ends after six (oracle 90).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator import Cluster
from emulator.api.errors import ApiError
from tests.system.ablations import LABEL, NAMESPACE, REPEATED, ZONES
from tests.system.hygiene import assert_nothing_was_lost, inside
from tests.system.living import until
from tests.system.oracles import (
    test_cluster_ip,
    test_egress,
    test_host_ports,
    test_load_balancer,
    test_node_port,
    test_outward,
    test_sctp,
)
from tests.system.oracles.conftest import services
from tests.system.oracles.objects import Object, namespace, pod, service
from tests.system.processes import PATIENCE, descendants, end
from tests.system.proofs import PROOFS

TOPOLOGY = Path(__file__).with_name("ablations.yaml")
CONTROLLER = ("python", "-m", "controllers.runtime", "tests.system.ablated_controller")
FAMILY = 4
SOON = 0.25
"""Seconds of silence that show a failure; with the feature, the test has its usual time."""
TO_FAR = ("fabric-1", "n1-up"), ("fabric-3", "n3-up"), ("fabric-4", "nat-1")
"""Both ends of each link between the internet, worker-1 and worker-3."""


class Impatient(Cluster):
    """Waits less long for packets that do not come.

    A machine that is slower than this would at most hide that a test passes without a feature.
    """

    def probe(self, *arguments: Any, **options: Any) -> Object:
        options["timeout"] = min(options.get("timeout") or SOON, SOON)
        return super().probe(*arguments, **options)


def objects() -> Iterator[Object]:
    """Everything that the tests named above look for."""
    yield namespace(NAMESPACE)
    for name, node in (
        ("client", "worker-1"),
        ("neighbour", "worker-1"),
        ("remote", "worker-2"),
        ("solo", "worker-1"),
        ("far", "worker-3"),
        ("half-live", "worker-2"),
        ("web", "worker-1"),
    ):
        yield pod(name, node)
    yield test_host_ports.claiming("anywhere", test_host_ports.ANYWHERE["TCP"], "TCP")
    for number in (1, 2, 3):
        served = pod(f"web-{number}", f"worker-{number}", app="served")
        served["metadata"]["labels"]["balanced"] = str(f"shop/web-{number}" in test_load_balancer.HOMES)
        yield served
    everywhere = {"selector": {"app": "served"}}
    for family in (4, 6):
        found = {one["metadata"]["name"].partition("-v")[0]: one for one in services(family)}
        found["web"]["spec"].update(everywhere)
        found["local"]["spec"]["externalIPs"] = [test_outward.vip(test_outward.LOCAL, family, 2)]
        yield from (found[name] for name in ("web", "solo", "far", "local"))
        yield service("plain", "served", family=family)
        yield service("sticky", "served", family=family, sessionAffinity="ClientIP")
        yield from test_sctp.services(family)[:1]
    for mode in ("vip", "proxy"):
        yield test_load_balancer.balanced(f"any-{mode}", mode, selector={"balanced": "True"})


@pytest.fixture(scope="module")
def shop() -> Iterator[Cluster]:
    """A cluster with a controller that can leave something out."""
    with Cluster.up(TOPOLOGY, list(objects()), name=f"ablations-{os.getpid()}") as running:
        running.sandbox.hold("controller")
        with subprocess.Popen(running.sandbox.command(CONTROLLER)) as controller:
            try:
                # The first crafted packet takes as long as Scapy needs to start.
                running.probe("shop/client", "shop/solo", "icmp", packet={"packet": "icmp-echo"})
                yield running
                assert running.status()["errors"] == []
            finally:
                *_, innermost = descendants(controller.pid)
                end(innermost)


def say(cluster: Cluster, left_out: str | None) -> None:
    """Tell the controller, and wait until that is in force."""
    cluster.patch("Namespace", NAMESPACE, None, {"metadata": {"labels": {LABEL: left_out}}})
    readiness = cluster.wait_ready()
    assert readiness.ready, readiness.missing


@contextmanager
def without(cluster: Cluster, left_out: str) -> Iterator[Cluster]:
    """The cluster without something; in the end it is whole again."""
    say(cluster, left_out)
    try:
        yield Impatient(cluster.sandbox)
    finally:
        say(cluster, None)


@pytest.mark.parametrize("feature", PROOFS)
def test_without_a_feature_the_test_named_for_it_fails(shop: Cluster, feature: str) -> None:
    proof = PROOFS[feature]
    with without(shop, feature) as ablated, pytest.raises((AssertionError, ValueError), match=proof.how):
        proof.run(ablated)
    proof.run(shop)


def test_the_rule_for_a_first_packet_sent_again(shop: Cluster) -> None:
    oracle_30 = test_node_port.test_29_30_a_first_packet_sent_again_takes_the_same_way
    with without(shop, REPEATED) as ablated, pytest.raises(AssertionError):
        oracle_30(ablated, FAMILY)
    oracle_30(shop, FAMILY)


def test_a_zone_for_each_node(shop: Cluster) -> None:
    oracle_12 = test_cluster_ip.test_12_the_endpoint_sees_the_client_and_its_own_port
    with without(shop, ZONES) as ablated, pytest.raises(AssertionError):
        oracle_12(ablated, FAMILY, "80/tcp")
    oracle_12(shop, FAMILY, "80/tcp")


def test_veth_pairs_between_bridges(shop: Cluster) -> None:
    """The last one: patch ports stay."""
    oracle_68 = test_egress.test_68_a_pod_leaves_as_its_node
    oracle_31 = test_node_port.test_31_32_every_node_answers_and_masquerades
    oracle_68(shop, FAMILY, "80/tcp")
    oracle_31(shop, FAMILY, "TCP", "worker-1")
    assert_nothing_was_lost(shop)
    hasty = Impatient(shop.sandbox)
    first, *others = TO_FAR
    lay_patch_ports(shop, *first)
    with pytest.raises((AssertionError, ApiError)):
        oracle_68(hasty, FAMILY, "80/tcp")
    for ends in others:
        lay_patch_ports(shop, *ends)
    with pytest.raises(AssertionError):
        oracle_31(hasty, FAMILY, "TCP", "worker-1")
    # The switch's threads hand in what they have counted once a second at most.
    until(lambda: recirculated_too_often(shop), PATIENCE)


def recirculated_too_often(cluster: Cluster) -> bool:
    """Whether packets were lost because they went through the datapath too often."""
    try:
        assert_nothing_was_lost(cluster)
    except AssertionError as lost:
        return "datapath_drop_recirc_error" in str(lost)
    return False


def lay_patch_ports(cluster: Cluster, near: str, far: str) -> None:
    """Join two bridges by patch ports of the same numbers as the ends of the veth pair had."""
    words: list[str] = []
    for one, other in ((near, far), (far, near)):
        bridge = inside(cluster, "ovs-vsctl", "iface-to-br", one).strip()
        number = inside(cluster, "ovs-vsctl", "get", "interface", one, "ofport").strip()
        patch = ("type=patch", f"options:peer=patch-{other}", f"ofport_request={number}")
        words += ["--", "del-port", bridge, one, "--", "add-port", bridge, f"patch-{one}"]
        words += ["--", "set", "interface", f"patch-{one}", *patch]
    inside(cluster, "ovs-vsctl", *words)
