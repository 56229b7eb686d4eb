"""AdminNetworkPolicy and BaselineAdminNetworkPolicy: what is refused, what is remarked, what they mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from emulator.api.defaults import with_defaults
from emulator.api.objects import render_path
from emulator.api.recognise import Fate, Recognised, recognise
from emulator.api.remarks import remarks
from emulator.api.validate import problems_of
from emulator.cluster.admin_policies import admin_network_policies
from emulator.cluster.cluster_policies import cluster_network_policies
from emulator.cluster.model import PolicyPort, Protocol, Ref, Tier
from tests.unit.api.samples import sample, with_spec

ADMIN, BASELINE = "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"
PORTS = "egress/1/ports"


def changed(kind: str, path: str, value: Any) -> dict[str, Any]:
    """The sample with another value at `spec/...`; None takes it away."""
    return with_spec(sample(kind), path, value)


@pytest.mark.parametrize("kind", [ADMIN, BASELINE])
def test_they_are_stored(kind: str) -> None:
    assert problems_of(sample(kind)) == []
    assert recognise(sample(kind)) == Recognised(Fate.STORED)


RULE = {"action": "Deny", "from": [{"namespaces": {}}]}


@pytest.mark.parametrize(
    ("kind", "path", "value", "where", "said"),
    [
        (ADMIN, "priority", None, "spec.priority", "Required value"),
        (ADMIN, "priority", 1001, "spec.priority", "must be between 0 and 1000"),
        (BASELINE, "priority", 1, "spec.priority", "unknown field"),
        (ADMIN, "tier", "Admin", "spec.tier", "unknown field"),
        (ADMIN, "subject", {}, "spec.subject", "exactly one of namespaces or pods"),
        (
            BASELINE,
            "subject",
            {"pods": {"podSelector": {}}},
            "spec.subject.pods.namespaceSelector",
            "Required value",
        ),
        (ADMIN, "ingress/0/action", "Accept", "spec.ingress[0].action", "Unsupported value"),
        (BASELINE, "ingress/0/action", "Pass", "spec.ingress[0].action", "Unsupported value"),
        (ADMIN, "ingress", [RULE] * 101, "spec.ingress", "must have at most 100 items"),
        (ADMIN, "ingress/0/from", None, "spec.ingress[0].from", "Required value"),
        (
            ADMIN,
            "ingress/0/from/0",
            {"namespaces": {}, "networks": ["::/0"]},
            "spec.ingress[0].from[0].networks",
            "unknown field",
        ),
        (
            ADMIN,
            "egress/1/to/0",
            {"networks": ["192.0.2.1"]},
            "spec.egress[1].to[0].networks[0]",
            "valid CIDR",
        ),
        (ADMIN, PORTS, [], "spec.egress[1].ports", "needs at least 1 item"),
        (ADMIN, PORTS, [{}], "spec.egress[1].ports[0]", "exactly one of portNumber, namedPort or portRange"),
        (
            ADMIN,
            PORTS,
            [{"portNumber": {"port": 0}}],
            "spec.egress[1].ports[0].portNumber.port",
            "between 1 and 65535",
        ),
        (
            ADMIN,
            PORTS,
            [{"portRange": {"start": 9, "end": 9}}],
            "spec.egress[1].ports[0].portRange.end",
            "Start port must be less than End port",
        ),
        (
            ADMIN,
            PORTS,
            [{"namedPort": "web"}],
            "spec.egress[1].ports[0].namedPort",
            "have no named ports",
        ),
        (
            ADMIN,
            PORTS,
            [{"portNumber": {"protocol": "ICMP", "port": 1}}],
            "spec.egress[1].ports[0].portNumber.protocol",
            "Unsupported value",
        ),
    ],
)
def test_mistakes(kind: str, path: str, value: Any, where: str, said: str) -> None:
    (found,) = problems_of(changed(kind, path, value))
    assert render_path(found.path) == where
    assert said in found.message


def test_there_is_one_baseline() -> None:
    other = sample(BASELINE)
    other["metadata"]["name"] = "mine"
    (found,) = problems_of(other)
    assert render_path(found.path) == "metadata.name"
    assert "default" in found.message


def test_what_has_no_effect_is_said() -> None:
    named = changed(ADMIN, "egress/1/to", [{"domainNames": ["example.org"]}])
    assert problems_of(named) == []
    (remark,) = remarks(named)
    assert remark.startswith("AdminNetworkPolicy fence: spec.egress[1].to[0].domainNames: has no effect")


def test_it_means_what_its_successor_does() -> None:
    """The samples of the two kinds say the same in their own words."""
    (admin,) = admin_network_policies([with_defaults(sample(ADMIN))])
    (cluster,) = cluster_network_policies([with_defaults(sample("ClusterNetworkPolicy"))])
    assert admin.ref == Ref(ADMIN, "", "fence")
    assert replace(admin, ref=cluster.ref) == cluster


def test_the_baseline_comes_last_in_its_tier() -> None:
    (found,) = admin_network_policies([with_defaults(sample(BASELINE))])
    assert (found.tier, found.ref.kind) == (Tier.BASELINE, BASELINE)
    assert found.priority > 1000
    assert found.ingress[0].traffic.ports == (PolicyPort(Protocol.UDP, 53, 54),)


def test_ports_are_tcp_if_nothing_else_is_said() -> None:
    plain = changed(ADMIN, PORTS, [{"portNumber": {"port": 80}}, {"portRange": {"start": 81, "end": 90}}])
    ports = with_defaults(plain)["spec"]["egress"][1]["ports"]
    assert [one["protocol"] for port in ports for one in port.values()] == ["TCP", "TCP"]
    (read,) = admin_network_policies([plain])
    tcp = Protocol.TCP
    assert read.egress[1].traffic.ports == (PolicyPort(tcp, 80), PolicyPort(tcp, 81, 90))
