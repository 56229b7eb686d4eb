"""NetworkPolicies as values: defaults, peers, ports and directions."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
import yaml

from emulator.api.selectors import Operator, Requirement, matches_all
from emulator.cluster.model import Direction, NetworkPolicy, PolicyPeer, PolicyPort, PolicyRule, Protocol, Ref
from emulator.cluster.policies import network_policies
from tests.unit.cluster.lab import Lab


def read(spec: str) -> NetworkPolicy:
    """The policy `x/p` of that spec."""
    obj: dict[str, Any] = {"metadata": {"name": "p", "namespace": "x"}, "spec": yaml.safe_load(spec)}
    return next(iter(network_policies([obj])))


def test_a_policy_of_every_kind_of_peer_and_port() -> None:
    policy = read("""
        podSelector: {matchLabels: {app: web}}
        ingress:
        - from:
          - podSelector: {matchLabels: {app: shop}}
          - namespaceSelector: {}
          - {podSelector: {}, namespaceSelector: {matchLabels: {team: a}}}
          - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
          ports: [{}, {port: 80}, {protocol: UDP, port: dns}, {protocol: SCTP, port: 1, endPort: 9}]
        - {}
        policyTypes: [Ingress]
        """)
    shop, team = Requirement("app", Operator.IN, ("shop",)), Requirement("team", Operator.IN, ("a",))
    peers = (
        PolicyPeer(pods=(shop,)),
        PolicyPeer(namespaces=()),
        PolicyPeer(pods=(), namespaces=(team,)),
        PolicyPeer(block=ip_network("10.0.0.0/8"), excepts=(ip_network("10.1.0.0/16"),)),
    )
    ports = (
        PolicyPort(Protocol.TCP, None),
        PolicyPort(Protocol.TCP, 80),
        PolicyPort(Protocol.UDP, "dns"),
        PolicyPort(Protocol.SCTP, 1, 9),
    )
    assert policy == NetworkPolicy(
        ref=Ref("NetworkPolicy", "x", "p"),
        pods=(Requirement("app", Operator.IN, ("web",)),),
        directions=frozenset({Direction.INGRESS}),
        ingress=(PolicyRule(peers, ports), PolicyRule()),
    )


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ("{}", {"Ingress"}),
        ("{ingress: []}", {"Ingress"}),
        ("{egress: []}", {"Ingress"}),
        ("{egress: [{}]}", {"Ingress", "Egress"}),
        ("{egress: [{}], policyTypes: [Egress]}", {"Egress"}),
        ("{egress: [{}], policyTypes: [Ingress]}", {"Ingress"}),
    ],
)
def test_policy_types_have_a_default(spec: str, directions: set[str]) -> None:
    assert read(spec).directions == directions


def test_rules_of_a_direction_that_is_not_ruled_do_not_count() -> None:
    policy = read("{egress: [{}], ingress: [{}], policyTypes: [Egress]}")
    assert policy.rules(Direction.INGRESS) == ()
    assert policy.rules(Direction.EGRESS) == (PolicyRule(),)


@pytest.mark.parametrize("rule", ["{}", "{from: []}", "{from: null}", "{from: [], ports: []}"])
def test_no_peers_are_everybody_and_no_ports_are_all(rule: str) -> None:
    assert read(f"{{ingress: [{rule}]}}").ingress == (PolicyRule(),)


def test_an_absent_selector_is_not_an_empty_one() -> None:
    (rule,) = read("{ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}]}]}").ingress
    assert [(peer.pods, peer.namespaces) for peer in rule.peers] == [((), None), (None, ())]


@pytest.mark.parametrize("operator", ["NotIn", "DoesNotExist"])
def test_negative_requirements_select_pods_without_the_label(operator: str) -> None:
    values = ", values: [b]" if operator == "NotIn" else ""
    policy = read(f"{{podSelector: {{matchExpressions: [{{key: pod, operator: {operator}{values}}}]}}}}")
    assert matches_all(policy.pods, {"other": "b"})
    assert not matches_all(policy.pods, {"pod": "b"})


def test_policies_are_part_of_the_state_by_name() -> None:
    lab = Lab()
    for name in ("second", "first"):
        lab.apply(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"podSelector": {}},
            }
        )
    assert [policy.ref.name for policy in lab.state().policies] == ["first", "second"]
