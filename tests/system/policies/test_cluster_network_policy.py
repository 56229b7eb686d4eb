"""ClusterNetworkPolicies between nine pods: each step as packets, objects and flow tables have it."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.system.hygiene import inside
from tests.system.policies.conftest import Object, Playground
from tests.system.policies.table import expected

FROM_Y = "from: [{namespaces: {matchLabels: {ns: y}}}]"
FROM_YA = "from: [{pods: {namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: a}}}}]"
ALL_Y = "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]"
BOTH = (
    "podSelector: {}, ingress: "
    "[{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: [y, z]}]}}]}]"
)


def rules(name: str, tier: str, priority: int, *ingress: str) -> Object:
    """A policy about the pods of namespace x."""
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "tier": tier,
            "priority": priority,
            "subject": {"namespaces": {"matchLabels": {"ns": "x"}}},
            "ingress": [yaml.safe_load(f"{{{rule}}}") for rule in ingress],
        },
    }


def assert_all_say(playground: Playground, protocol: str, *rows: str) -> None:
    wanted = expected(rows)
    ways = {"wire": playground.reached(protocol), **playground.said(protocol)}
    assert {
        who: (sorted(wanted - found), sorted(found - wanted)) for who, found in ways.items()
    } == dict.fromkeys(ways, ([], []))


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_tiers_priorities_pass_and_changes(playground: Playground, protocol: str) -> None:
    port = f"protocols: [{{{protocol}: {{destinationPort: {{number: 80}}}}}}]"
    accept, deny = f"action: Accept, {FROM_YA}, {port}", f"name: fence, action: Deny, {FROM_Y}, {port}"
    playground.put(rules("fence", "Admin", 10, accept, deny))
    assert_all_say(playground, protocol, "x/*:80 <- x/* z/* y/a")
    playground.put(rules("fence", "Admin", 10, deny, accept))
    assert_all_say(playground, protocol, "x/*:80 <- x/* z/*")
    playground.apply("x", "only-y", ALL_Y)
    assert_all_say(playground, protocol, "x/*:80 <-", "x/*:81 <- y/*")
    playground.put(rules("exception", "Admin", 9, f"action: Pass, {FROM_YA}"))
    assert_all_say(playground, protocol, "x/*:80 <- y/a", "x/*:81 <- y/*")
    playground.delete("x", "only-y")
    playground.put(rules("floor", "Baseline", 0, "action: Deny, from: [{namespaces: {}}]"))
    assert_all_say(playground, protocol, "x/* <-")
    playground.apply("x", "both", BOTH)
    assert_all_say(playground, protocol, "x/*:80 <- z/* y/a", "x/*:81 <- y/* z/*")


def _dropped(playground: Playground) -> int:
    """Packets that the drops of the Admin tier have counted, on all nodes."""
    for _ in range(2):  # Counters follow the datapath's at the end of a round.
        inside(playground.cluster, "ovs-appctl", "revalidator/wait")
    dumps = [
        inside(playground.cluster, "ovs-ofctl", "-OOpenFlow13", "dump-flows", bridge, "table=48")
        for bridge in ("n1", "n2", "n3")
    ]
    return sum(
        int(n) for dump in dumps for n in re.findall(r"n_packets=(\d+).*conj_id=\d+ actions=drop", dump)
    )


def test_each_drop_counts_for_its_rule(playground: Playground) -> None:
    playground.put(rules("fence", "Admin", 10, f"action: Pass, {FROM_YA}", f"action: Deny, {FROM_Y}"))
    before = _dropped(playground)
    assert playground.reached("udp") == expected(["x/* <- x/* z/* y/a"])
    assert _dropped(playground) - before == 2 * 3 * 2 * 2, (
        "two pods of y, three of x, two ports, two families"
    )
