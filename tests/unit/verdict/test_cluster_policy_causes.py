"""What policies deny: the cause names the rule, and its fix is one. What Accept is said to do."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
import yaml

from emulator.api.defaults import with_defaults
from emulator.api.validate import problems_of
from emulator.cluster.admin_policies import admin_network_policies
from emulator.cluster.cluster_policies import cluster_network_policies
from emulator.cluster.model import ClusterState, Node, PolicyRule, Protocol
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import parse_place
from emulator.cluster.policies import network_policies
from emulator.cluster.snapshot import Snapshot
from emulator.oracle.ask import ask
from emulator.oracle.packet import Question
from emulator.verdict.causes.order import FINDERS
from emulator.verdict.diagnose.change import change
from emulator.verdict.diagnose.diagnosis import Diagnosis, diagnose
from emulator.verdict.diagnose.evidence import Answers, Asked, Evidence
from tests.unit.controllers.cluster import endpoints, service
from tests.unit.controllers.policy_lab import NAMESPACES, PLAN, PODS, XA, YB, policy

Object = dict[str, Any]
NODE = PLAN.nodes[1]


def fence(tier: str, *rules: Object, **more: list[Object]) -> Object:
    """Everything that is sent from x or to x passes, but what rule 2 denies."""
    first = {"action": "Pass", "protocols": [{"tcp": {"destinationPort": {"number": 9}}}]}
    ingress = [{**first, "from": [{"namespaces": {}}]}, *(more.get("ingress") or ())]
    egress = [{**first, "to": [{"namespaces": {}}]}, *rules]
    spec = {"tier": tier, "priority": 3, "subject": {"namespaces": {"matchLabels": {"ns": "x"}}}}
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "fence"},
        "spec": {**spec, "ingress": ingress, "egress": egress},
    }


def state_with(*objects: Object) -> ClusterState:
    for one in objects:
        assert problems_of(one) == []
    read = tuple(cluster_network_policies(map(with_defaults, objects)))
    nodes = tuple(Node(node.name, {"kubernetes.io/hostname": node.name}) for node in PLAN.nodes)
    return ClusterState(PLAN, pods=PODS, namespaces=NAMES, nodes=nodes, cluster_policies=read)


NAMES = {name: {**labels, "kubernetes.io/metadata.name": name} for name, labels in NAMESPACES.items()}


def diagnosed(state: ClusterState, source: str, target: str, port: str) -> Diagnosis:
    number, _, word = port.partition("/")
    question = Question(
        parse_place(source),
        ip_address(target),
        Protocol(word.upper()) if word else None,
        int(number) if word else None,
    )
    evidence = Evidence(
        Asked(parse_place(source), parse_place(target)),
        Snapshot({}, PLAN),
        state,
        source=source,
        address=ip_address(target),
        answers=Answers(spec=ask(state, question)),
    )
    return diagnose(evidence, FINDERS, change)


def to(peer: Object) -> Object:
    return {"name": "no", "action": "Deny", "to": [peer]}


@pytest.mark.parametrize("tier", ["Admin", "Baseline"])
@pytest.mark.parametrize("port", ["80/tcp", "53/udp", "9/sctp", "echo"])
@pytest.mark.parametrize(
    ("target", "peer", "chosen"),
    [
        (str(YB.addresses[0]), {"namespaces": {"matchLabels": {"ns": "y"}}}, "pods"),
        (str(YB.addresses[1]), {"networks": ["::/0"]}, "pods"),
        (str(NODE.addresses[0].ip), {"nodes": {}}, "nodes"),
        (str(NODE.addresses[1].ip), {"networks": ["::/0"]}, "nodes"),
        ("198.51.100.80", {"networks": ["198.51.100.0/24"]}, "networks"),
    ],
)
def test_the_fix_of_what_is_sent_lets_it_pass(
    tier: str, port: str, target: str, peer: Object, chosen: str
) -> None:
    denying = fence(tier, to(peer))
    found = diagnosed(state_with(denying), "x/a", target, port)
    assert found.cause
    assert str(found.cause.code) == "cluster-policy-denies-source"
    assert found.cause.object == "ClusterNetworkPolicy/fence"
    assert f"rule 2 (no), {tier} tier" in found.cause.sentence
    assert found.cause.see == "mininetes describe clusternetworkpolicy/fence"
    (rule,) = yaml.safe_load(found.cause.fix)["egress"]
    assert list(rule["to"][0]) == [chosen]
    mended = deepcopy(denying)
    mended["spec"]["egress"].insert(1, rule)
    assert diagnosed(state_with(mended), "x/a", target, port).outcome is Outcome.CONNECTED


@pytest.mark.parametrize("port", ["80/tcp", "53/udp", "echo"])
def test_the_fix_of_what_is_received_lets_it_pass(port: str) -> None:
    denying = fence("Admin", ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}])
    target = str(XA.addresses[0])
    found = diagnosed(state_with(denying), "y/b", target, port)
    assert found.cause
    assert str(found.cause.code) == "cluster-policy-denies-destination"
    (rule,) = yaml.safe_load(found.cause.fix)["ingress"]
    mended = deepcopy(denying)
    mended["spec"]["ingress"].insert(1, rule)
    assert diagnosed(state_with(mended), "y/b", target, port).outcome is Outcome.CONNECTED
    assert diagnosed(state_with(mended), "y/a", target, port).outcome is Outcome.DROPPED, "and nobody else"


@pytest.mark.parametrize("port", ["80/tcp", "9/sctp", "echo"])
@pytest.mark.parametrize("kind", ["AdminNetworkPolicy", "BaselineAdminNetworkPolicy"])
def test_the_fix_in_a_forerunner_is_written_as_its_rules_are(kind: str, port: str) -> None:
    priority = {"priority": 3} if kind == "AdminNetworkPolicy" else {}
    rules = [{"action": "Deny", "to": [{"namespaces": {}}]}]
    denying: Object = {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "default"},
        "spec": {"subject": {"namespaces": {}}, "egress": rules, **priority},
    }
    target = str(YB.addresses[0])

    def ask_again() -> Diagnosis:
        assert problems_of(denying) == []
        read = tuple(admin_network_policies([with_defaults(denying)]))
        return diagnosed(replace(state_with(), cluster_policies=read), "x/a", target, port)

    found = ask_again()
    assert found.cause
    assert (str(found.cause.code), found.cause.object) == ("cluster-policy-denies-source", f"{kind}/default")
    assert found.cause.see == f"mininetes describe {kind.lower()}/default"
    rules[:0] = yaml.safe_load(found.cause.fix)["egress"]
    assert ask_again().outcome is Outcome.CONNECTED


def test_a_fix_outlives_the_pod_that_was_asked_for() -> None:
    """Labels of one pod, or of one revision of a Deployment, are no part of it."""
    told = {"app": "b", "pod-template-hash": "6b9877dc5f", "statefulset.kubernetes.io/pod-name": "b-0"}
    renamed = tuple(replace(pod, labels=told) if pod == YB else pod for pod in PODS)
    state = replace(state_with(fence("Admin", to({"namespaces": {}}))), pods=renamed)
    found = diagnosed(state, "x/a", str(YB.addresses[0]), "80/tcp")
    assert found.cause
    (rule,) = yaml.safe_load(found.cause.fix)["egress"]
    assert rule["to"][0]["pods"]["podSelector"] == {"matchLabels": {"app": "b"}}


def test_what_would_alter_an_accepted_packet_is_its_own_rule() -> None:
    """Without it a NetworkPolicy may allow the same; as Deny it drops."""
    accepting = fence("Admin", ingress=[{"action": "Accept", "from": [{"namespaces": {}}]}])
    found = diagnosed(state_with(accepting), "y/b", str(XA.addresses[0]), "80/tcp")
    assert found.change == "if rule 2 of ClusterNetworkPolicy/fence said Deny, it would be dropped"
    denying = deepcopy(accepting)
    denying["spec"]["ingress"][1]["action"] = "Deny"
    assert diagnosed(state_with(denying), "y/b", str(XA.addresses[0]), "80/tcp").outcome is Outcome.DROPPED


def test_what_several_policies_allow_each_of_them_has_to_stop_allowing() -> None:
    state = state_with()
    allowing = tuple(policy(name=name, ingress=[PolicyRule()]) for name in ("a", "b"))
    for policies, said in (
        (allowing[:1], "without the rule of NetworkPolicy/x/a that allows it"),
        (allowing, "without the rules of NetworkPolicy/x/a and NetworkPolicy/x/b that allow it"),
    ):
        found = diagnosed(replace(state, policies=policies), "y/b", str(XA.addresses[0]), "80/tcp")
        assert found.change == f"{said}, it would be dropped"


def test_no_policy_is_proposed_between_a_pod_and_its_own_node() -> None:
    state, target = state_with(), str(XA.addresses[0])
    assert diagnosed(state, f"node/{XA.node}", target, "80/tcp").change == ""
    assert "NetworkPolicy in x" in diagnosed(state, "node/worker-3", target, "80/tcp").change


def test_the_fix_in_a_network_policy_means_the_endpoint_and_its_port() -> None:
    """Policies see what a Service has been translated to."""
    web = service("web", 3, endpoints([YB], 8080))
    isolating: Object = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "quiet", "namespace": "x"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    }

    def ask_again(spec: Object) -> Diagnosis:
        policies = tuple(network_policies([{**isolating, "spec": spec}]))
        state = replace(state_with(), policies=policies, services=(web,))
        return diagnosed(state, "x/a", str(web.cluster_ips[0]), "80/tcp")

    found = ask_again(isolating["spec"])
    assert found.cause
    assert str(found.cause.code) == "policy-isolates-source"
    rule = yaml.safe_load(found.cause.fix)
    assert rule["egress"][0]["ports"] == [{"port": 8080, "protocol": "TCP"}]
    assert ask_again({**isolating["spec"], **rule}).outcome is Outcome.CONNECTED
