"""Parts of the design that look superfluous, taken away one by one: which oracles notice.

* Without the rule for a first packet that is sent again, oracle 30 fails: a repeated SYN is not masqueraded.
* With one conntrack zone for two nodes, oracle 12 fails: what one node knows of a connection to a Service
  confuses the other one, and connections to endpoints on that node hang.
* With a patch port in place of a node's uplink, oracle 68 fails: no packet can be captured there. With patch
  ports all along the way, oracle 31 fails too: all bridges' lookups add up in one pass through the datapath,
  which ends after six (oracle 90).

Each oracle passes before. Flows are brought back by a new controller, after which it passes again.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

import pytest

from controllers.pipeline.tables import CONNTRACK_STATE
from emulator import Cluster
from emulator.api.errors import ApiError
from tests.system.hygiene import assert_nothing_was_lost, inside, zones_of
from tests.system.oracles.conftest import objects
from tests.system.oracles.test_cluster_ip import (
    test_12_the_endpoint_sees_the_client_and_its_own_port as oracle_12,
)
from tests.system.oracles.test_egress import test_68_a_pod_leaves_as_its_node as oracle_68
from tests.system.oracles.test_node_port import (
    test_29_30_a_first_packet_sent_again_takes_the_same_way as oracle_30,
)
from tests.system.oracles.test_node_port import test_31_32_every_node_answers_and_masquerades as oracle_31
from tests.system.processes import PATIENCE, kill_and_await, of_service, stopped

pytestmark = pytest.mark.cluster(topology="three-node-routed")

FAMILY = 4
TO_FAR = ("fabric-1", "n1-up"), ("fabric-3", "n3-up"), ("fabric-4", "nat-1")
"""Both ends of each link between the internet, worker-1 and worker-3."""


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Cluster:
    """The shop of the oracles."""
    applied = cluster.apply(objects())
    assert applied.ready.ready, applied.ready.missing
    return cluster


def replace_flows(cluster: Cluster, bridge: str, flows: Iterable[str]) -> None:
    """Make these the bridge's flows, in one bundle; returns when they are in force.

    A controller that runs would soon put back what is missing.
    """
    command = ["ovs-ofctl", "-O", "OpenFlow13", "--bundle", "replace-flows", bridge, "-"]
    subprocess.run(cluster.sandbox.command(command), input="\n".join(flows), text=True, check=True)
    inside(cluster, "ovs-appctl", "revalidator/wait")


def flows_of(cluster: Cluster, bridge: str) -> list[str]:
    """The bridge's flows, as `replace_flows` takes them."""
    options = ("-O", "OpenFlow13", "--no-names", "--no-stats")
    return inside(cluster, "ovs-ofctl", *options, "dump-flows", bridge).splitlines()


def bring_back(cluster: Cluster) -> None:
    """A new controller replaces whatever the switches hold."""
    kill_and_await(cluster, "controller")
    assert cluster.wait_ready(PATIENCE).ready


def lay_patch_ports(cluster: Cluster, near: str, far: str) -> None:
    """Join two bridges by patch ports of the same numbers as the ends of the veth pair had."""
    words: list[str] = []
    for end, other in ((near, far), (far, near)):
        bridge = inside(cluster, "ovs-vsctl", "iface-to-br", end).strip()
        number = inside(cluster, "ovs-vsctl", "get", "interface", end, "ofport").strip()
        patch = ("type=patch", f"options:peer=patch-{other}", f"ofport_request={number}")
        words += ["--", "del-port", bridge, end, "--", "add-port", bridge, f"patch-{end}"]
        words += ["--", "set", "interface", f"patch-{end}", *patch]
    inside(cluster, "ovs-vsctl", *words)


def test_the_rule_for_a_first_packet_sent_again(shop: Cluster) -> None:
    oracle_30(shop, FAMILY)
    flows = flows_of(shop, "n2")
    rule = f"table={CONNTRACK_STATE.number}, priority=200,ct_state=+new+trk,ct_mark=0x1/0x1"
    others = [flow for flow in flows if rule not in flow]
    assert len(others) == len(flows) - 1, flows
    with stopped(of_service(shop, "controller")):
        replace_flows(shop, "n2", others)
        with pytest.raises(AssertionError):
            oracle_30(shop, FAMILY)
    bring_back(shop)
    oracle_30(shop, FAMILY)


def test_a_zone_for_each_node(shop: Cluster) -> None:
    oracle_12(shop, FAMILY, "80/tcp")
    one, three = (sorted(set(zones_of(shop, bridge))) for bridge in ("n1", "n3"))
    shared = dict(zip(map(str, three), map(str, one), strict=True))
    flows = [
        re.sub(r"(?<=zone=)\d+", lambda zone: shared[zone.group()], flow) for flow in flows_of(shop, "n3")
    ]
    with stopped(of_service(shop, "controller")):
        replace_flows(shop, "n3", flows)
        with pytest.raises(AssertionError):
            oracle_12(shop, FAMILY, "80/tcp")
    bring_back(shop)
    oracle_12(shop, FAMILY, "80/tcp")


def test_veth_pairs_between_bridges(shop: Cluster) -> None:
    """The last one: patch ports stay."""
    oracle_68(shop, FAMILY, "80/tcp")
    oracle_31(shop, FAMILY, "TCP", "worker-1")
    assert_nothing_was_lost(shop)
    first, *others = TO_FAR
    lay_patch_ports(shop, *first)
    with pytest.raises((AssertionError, ApiError)):
        oracle_68(shop, FAMILY, "80/tcp")
    for ends in others:
        lay_patch_ports(shop, *ends)
    with pytest.raises(AssertionError):
        oracle_31(shop, FAMILY, "TCP", "worker-1")
    with pytest.raises(AssertionError, match="datapath_drop_recirc_error"):
        assert_nothing_was_lost(shop)
