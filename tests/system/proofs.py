"""For each feature file, a test of the suite that fails where its flows are missing.

`tests/system/test_ablations.py` shows it with real packets, and `docs/fidelity.md` shows this table, which
`python -m tests.system.proofs` writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from emulator import Cluster
from tests.system.oracles import (
    test_affinity,
    test_cluster_ip,
    test_egress,
    test_host_ports,
    test_load_balancer,
    test_network_policy,
    test_node_port,
    test_outward,
    test_routing,
    test_sctp,
    test_spoofing,
)
from tests.system.oracles.enforcing import enforcing


@dataclass(frozen=True)
class Proof:
    """A test of the suite that fails without a feature."""

    test: Callable[..., None]
    arguments: tuple[object, ...]
    seen: str
    """What is seen without the feature, in words."""
    how: str
    """What the assertion that fails shows, as a regular expression."""
    enforces: bool = False
    """Whether the test puts policies into force."""

    def run(self, cluster: Cluster) -> None:
        if self.enforces:
            with enforcing(cluster) as enforce:
                self.test(cluster, enforce, *self.arguments)
        else:
            self.test(cluster, *self.arguments)


DROPPED, PASSED, REFUSED = (
    "'dropped' == 'connected'",
    "'connected' == 'dropped'",
    "'rejected' == 'connected'",
)
PROOFS: Mapping[str, Proof] = {
    "affinity": Proof(
        test_affinity.test_62_a_client_keeps_its_endpoint,
        (6, "81/udp"),
        "a client's connections meet all endpoints",
        "assert [23] == 1",
    ),
    "associations": Proof(
        test_network_policy.test_77_answers_of_sctp_pass,
        (4,),
        "an isolated pod cannot answer over SCTP",
        re.escape("'shop/remote', (9, 41104), chunk='init-ack'"),
        enforces=True,
    ),
    "balanced_frames": Proof(
        test_load_balancer.test_under_cluster_every_node_may_take_it_and_hides_the_client,
        (6, "vip", "TCP"),
        "no frame of the balancer comes to a node",
        re.escape("{'dropped': 60}"),
    ),
    "classifier": Proof(
        test_cluster_ip.test_12_the_endpoint_sees_the_client_and_its_own_port,
        (6, "81/udp"),
        "nobody knows that a pod asks: its Service's endpoint sees a node",
        "'fd00:192:168:50::11'",
    ),
    "cluster_network_policy": Proof(
        test_network_policy.test_cluster_policies_come_first,
        (6,),
        "a NetworkPolicy denies what the Admin tier accepts",
        DROPPED,
        enforces=True,
    ),
    "conntrack": Proof(
        test_cluster_ip.test_13_answers_come_from_the_cluster_ip,
        (4, "80/tcp"),
        "answers come from the endpoints' own addresses and ports",
        r"8080\)\} == \{\('10\.96",
    ),
    "forwarding": Proof(
        test_routing.test_1_pods_see_each_other_untranslated,
        (6, "8081/udp"),
        "a node does not know the way to other nodes' pods",
        DROPPED,
    ),
    "host_ports": Proof(
        test_host_ports.test_everyone_reaches_it_and_keeps_the_address_that_comes_to_the_node,
        (4, "TCP", "ext/client"),
        "the node's own stack refuses",
        re.escape("{'rejected': 3}"),
    ),
    "load_balancer": Proof(
        test_load_balancer.test_under_cluster_every_node_may_take_it_and_hides_the_client,
        (4, "proxy", "TCP"),
        "nobody answers at the balancer's address",
        re.escape("{'dropped': 60}"),
    ),
    "loopback": Proof(
        test_host_ports.test_48_node_ports_answer_at_the_loopback_address,
        ("TCP",),
        "no NodePort answers at 127.0.0.1",
        re.escape("('dropped', {})"),
    ),
    "masquerade": Proof(
        test_node_port.test_34_a_pod_is_masqueraded_at_its_nodes_port,
        (4, "TCP"),
        "the server sees the pod's own address",
        re.escape("['10.244.1.3'] == ['192.168.50.11']"),
    ),
    "nat_gateway": Proof(
        test_egress.test_69_the_application_is_told_the_public_address,
        (4,),
        "the server is told the node's private address",
        '"client": "192.168.50.11"',
    ),
    "neighbours": Proof(
        test_routing.test_8_the_gateway_answers_arp_and_nobody_else_hears_it,
        (),
        "nobody answers for the gateway",
        "expected 1, got 0",
    ),
    "network_policy": Proof(
        test_network_policy.test_73_74_a_pod_that_is_not_selected_is_free,
        (4, "8081/udp"),
        "a pod that is isolated is reached",
        PASSED,
        enforces=True,
    ),
    "node_ports": Proof(
        test_node_port.test_31_32_every_node_answers_and_masquerades,
        (6, "UDP", "worker-1"),
        "the node's own stack refuses",
        REFUSED,
    ),
    "output": Proof(
        test_cluster_ip.test_16_hairpin_shows_the_node_not_the_pod_itself,
        (4, "80/tcp"),
        "a pod does not reach itself through its Service",
        DROPPED,
    ),
    "outward": Proof(
        test_outward.test_38_a_pod_goes_anywhere_under_local,
        (4, "80/tcp", "client"),
        "a pod's packet for an external IP leaves the cluster",
        REFUSED,
    ),
    "router": Proof(
        test_routing.test_1_pods_see_each_other_untranslated,
        (4, "8080/tcp"),
        "the nodes of a subnet do not reach each other",
        DROPPED,
    ),
    "routing": Proof(
        test_egress.test_71_routers_on_the_way_out_tell_when_time_is_exceeded,
        (4, "udp"),
        "the way out ends at the first router",
        "assert 2 == 5",
    ),
    "sctp": Proof(
        test_sctp.test_12_an_init_reaches_the_endpoint_at_its_target_port,
        (4, test_sctp.OTHER),
        "the endpoint is met at the Service's port",
        re.escape("('shop/far', 3, 7777)"),
    ),
    "services": Proof(
        test_cluster_ip.test_12_the_endpoint_sees_the_client_and_its_own_port,
        (6, "80/tcp"),
        "nobody answers at a cluster IP",
        DROPPED,
    ),
    "spoof_guard": Proof(
        test_spoofing.test_7_neither_do_pings_and_fragments,
        (4, "icmp-echo"),
        "a packet in another pod's name arrives",
        PASSED,
    ),
    "ttl": Proof(
        test_routing.test_2_3_every_node_on_the_way_takes_one_off_the_ttl,
        (6, "8080/tcp", "far", 62),
        "no node takes anything off the hop limit",
        re.escape("{64} == {62}"),
    ),
}
"""By feature file."""


def table() -> Iterator[str]:
    """The lines of the table in Markdown."""
    yield "| feature file | what is seen without its flows | the test that fails |"
    yield "|---|---|---|"
    for feature, proof in sorted(PROOFS.items()):
        module = proof.test.__module__.removeprefix("tests.").replace(".", "/")
        yield f"| `{feature}` | {proof.seen} | `{module}.py::{proof.test.__name__}` |"


if __name__ == "__main__":
    print("\n".join(table()))
