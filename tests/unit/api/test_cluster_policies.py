"""ClusterNetworkPolicy as an object: what is refused, what is remarked, which versions are read."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.api.apply import Result
from emulator.api.defaults import with_defaults
from emulator.api.findings import Finding
from emulator.api.objects import render_path
from emulator.api.recognise import Fate, Recognised, recognise
from emulator.api.remarks import remarks
from emulator.api.requests import WriteOptions
from emulator.api.resources import Resources
from emulator.api.validate import problems_of
from emulator.cluster.cluster_policies import cluster_network_policies
from emulator.cluster.model import PolicyAction, PolicyPeer, PolicyPort, Protocol, Tier
from tests.unit.api.samples import with_spec
from tests.unit.api.test_store import make_store

SOUND: dict[str, Any] = {
    "apiVersion": "policy.networking.k8s.io/v1alpha2",
    "kind": "ClusterNetworkPolicy",
    "metadata": {"name": "fence"},
    "spec": {
        "tier": "Admin",
        "priority": 0,
        "subject": {"namespaces": {}},
        "ingress": [{"action": "Deny", "from": [{"pods": {"podSelector": {}}}]}],
        "egress": [
            {
                "name": "out",
                "action": "Accept",
                "to": [{"networks": ["192.0.2.0/24"]}, {"nodes": {}}],
                "protocols": [{"tcp": {"destinationPort": {"range": {"start": 80, "end": 90}}}}],
            }
        ],
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The sound policy with another value at `spec/...`; None takes it away."""
    return with_spec(SOUND, path, value)


def test_it_is_sound() -> None:
    assert problems_of(SOUND) == []
    assert recognise(SOUND) == Recognised(Fate.STORED)


RULE = {"action": "Deny", "from": [{"namespaces": {}}]}
PORT = "egress/0/protocols/0/tcp/destinationPort"


@pytest.mark.parametrize(
    ("path", "value", "where", "said"),
    [
        ("tier", "Lower", "spec.tier", "Unsupported value"),
        ("tier", None, "spec.tier", "Required value"),
        ("priority", 1001, "spec.priority", "must be between 0 and 1000"),
        ("priority", -1, "spec.priority", "must be between 0 and 1000"),
        ("priority", None, "spec.priority", "Required value"),
        ("subject", {}, "spec.subject", "exactly one of namespaces or pods"),
        ("subject", {"namespaces": {}, "pods": {"podSelector": {}}}, "spec.subject.pods", "exactly one of"),
        ("subject", {"pods": {}}, "spec.subject.pods.podSelector", "Required value"),
        ("ingress", [RULE] * 26, "spec.ingress", "must have at most 25 items"),
        ("ingress/0/action", "Allow", "spec.ingress[0].action", "Unsupported value"),
        ("ingress/0/from", [], "spec.ingress[0].from", "needs at least 1 item"),
        ("ingress/0/from", None, "spec.ingress[0].from", "Required value"),
        (
            "ingress/0/from/0",
            {"namespaces": {}, "networks": ["::/0"]},
            "spec.ingress[0].from[0].networks",
            "unknown field",
        ),
        ("ingress/0/from/0", {}, "spec.ingress[0].from[0]", "exactly one of"),
        ("egress/0/name", "n" * 101, "spec.egress[0].name", "100 characters"),
        ("egress/0/to/0", {"networks": ["192.0.2.1"]}, "spec.egress[0].to[0].networks[0]", "valid CIDR"),
        (
            "egress/0/to/0",
            {"networks": ["192.0.2.1/24"]},
            "spec.egress[0].to[0].networks[0]",
            "Invalid CIDR format provided",
        ),
        ("egress/0/to/0", {"networks": ["::/0", "::/0"]}, "spec.egress[0].to[0].networks[1]", "Duplicate"),
        ("egress/0/protocols", [], "spec.egress[0].protocols", "needs at least 1 item"),
        ("egress/0/protocols/0", {"tcp": {}}, "spec.egress[0].protocols[0].tcp", "must not be empty"),
        (PORT, {}, "spec.egress[0].protocols[0].tcp.destinationPort", "exactly one of number or range"),
        (
            PORT,
            {"number": 0},
            "spec.egress[0].protocols[0].tcp.destinationPort.number",
            "between 1 and 65535",
        ),
        (
            PORT,
            {"range": {"start": 90, "end": 90}},
            "spec.egress[0].protocols[0].tcp.destinationPort.range.end",
            "Start port must be less than End port",
        ),
        (
            "egress/0/protocols/0",
            {"destinationNamedPort": "web"},
            "spec.egress[0].protocols[0].destinationNamedPort",
            "have no named ports",
        ),
        (
            "ingress/0/from/0",
            {"namespaces": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            "spec.ingress[0].from[0].namespaces.matchExpressions[0].values",
            "must be specified",
        ),
    ],
)
def test_mistakes(path: str, value: Any, where: str, said: str) -> None:
    (found,) = problems_of(changed(path, value))
    assert render_path(found.path) == where
    assert said in found.message


def test_domain_names_have_no_effect_and_that_is_said() -> None:
    named = changed("egress/0/to", [{"domainNames": ["*.example.org"]}])
    assert problems_of(named) == []
    (remark,) = remarks(named)
    assert "spec.egress[0].to[0].domainNames: has no effect" in remark
    (policy,) = cluster_network_policies([named])
    assert policy.egress[0].traffic.peers == ()
    named["spec"]["egress"][0]["action"] = "Deny"
    (found,) = problems_of(named)
    assert "only rules with action Accept" in found.message


@pytest.mark.parametrize(
    ("kind", "version", "right"),
    [
        ("ClusterNetworkPolicy", "v1", "v1alpha2"),
        ("ClusterNetworkPolicy", "v1alpha1", "v1alpha2"),
        ("AdminNetworkPolicy", "v1beta1", "v1alpha1"),
        ("BaselineAdminNetworkPolicy", "v1alpha2", "v1alpha1"),
    ],
)
def test_another_version_is_a_mistake_and_not_ignored(kind: str, version: str, right: str) -> None:
    found = recognise({"apiVersion": f"policy.networking.k8s.io/{version}", "kind": kind})
    assert isinstance(found, Finding)
    assert found.hint == f"apiVersion: policy.networking.k8s.io/{right}"


def test_v1beta1_has_the_same_form_and_is_stored_as_v1alpha2() -> None:
    newer = {**SOUND, "apiVersion": "policy.networking.k8s.io/v1beta1"}
    assert recognise(newer) == Recognised(Fate.STORED)
    assert problems_of(newer) == []
    assert len(problems_of({**newer, "spec": {**SOUND["spec"], "tier": "Lower"}})) == 1
    resources = Resources(make_store())
    for policy, result in ((newer, Result.CREATED), (SOUND, Result.UNCHANGED)):
        found, answer = resources.apply(policy, WriteOptions())
        assert (found, answer.body["apiVersion"]) == (result, SOUND["apiVersion"])


def test_it_is_read_with_its_defaults() -> None:
    obj = with_defaults(SOUND)
    assert obj["spec"]["ingress"][0]["from"][0]["pods"]["namespaceSelector"] == {}
    (policy,) = cluster_network_policies([obj])
    assert (policy.tier, policy.priority, policy.subject) == (Tier.ADMIN, 0, PolicyPeer(namespaces=()))
    (inward,), (outward,) = policy.ingress, policy.egress
    assert inward.traffic.peers == (PolicyPeer(pods=(), namespaces=()),)
    assert (outward.action, outward.name) == (PolicyAction.ACCEPT, "out")
    assert outward.traffic.ports == (PolicyPort(Protocol.TCP, 80, 90),)
    assert outward.traffic.peers[1] == PolicyPeer(nodes=())
