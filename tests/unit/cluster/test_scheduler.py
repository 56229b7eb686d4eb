from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.api.objects import JsonObject
from emulator.cluster.pods import condition

from .lab import Lab, pod, pod_spec, wiring_of, workload

HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


def taint(key: str, effect: str = "NoSchedule", value: str = "") -> Any:
    return lambda node: (
        node["spec"].setdefault("taints", []).append({"key": key, "effect": effect, "value": value})
    )


def term(app: str, key: str = HOST) -> JsonObject:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}


def affinity(kind: str, *terms: JsonObject) -> JsonObject:
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}


def why_pending(lab: Lab, name: str) -> str:
    found = condition(lab.get("Pod", name), "PodScheduled")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", "Unschedulable")
    return str(found["message"])


def test_replicas_spread_over_nodes() -> None:
    lab = Lab()
    lab.apply(workload("Deployment", "web", replicas=6), workload("Deployment", "api", replicas=3))
    assert set(Counter(lab.nodes_of(app="web")).values()) == {2}
    assert set(Counter(lab.nodes_of(app="api")).values()) == {1}


def test_a_bound_pod_has_addresses_and_its_condition() -> None:
    lab = Lab()
    lab.apply(pod("web", nodeName="worker-2"))
    status = lab.get("Pod", "web")["status"]
    assert status["podIP"] == "10.244.2.2"
    assert [e["ip"] for e in status["podIPs"]] == ["10.244.2.2", "fd00:10:244:2::2"]
    assert (status["hostIP"], status["phase"]) == ("192.168.50.12", "Pending")
    assert condition(lab.get("Pod", "web"), "PodScheduled")["status"] == "True"  # type: ignore[index]


def test_a_host_network_pod_has_its_nodes_addresses() -> None:
    lab = Lab()
    lab.apply(pod("agent", hostNetwork=True, nodeName="worker-1"))
    assert lab.get("Pod", "agent")["status"]["podIP"] == "192.168.50.11"


def test_an_address_is_not_given_again_at_once() -> None:
    lab = Lab()
    seen = []
    for number in range(4):
        lab.apply(pod(f"p{number}", nodeName="worker-1"))
        seen.append(lab.get("Pod", f"p{number}")["status"]["podIP"])
        lab.delete("Pod", f"p{number}", grace=0)
    assert len(set(seen)) == 4


def test_a_full_node_takes_no_more_pods() -> None:
    spec: JsonObject = {"families": ["IPv4"], "podCIDRs": ["10.9.0.0/28"], "nodes": [{"name": "only"}]}
    from emulator.cluster.plan import wire
    from emulator.cluster.topology import parse_topology

    lab = Lab(wire(parse_topology({"metadata": {"name": "small"}, "spec": spec})))
    lab.apply(workload("Deployment", "web", replicas=6))
    waiting = [p for p in lab.pods(app="web") if not p["status"].get("podIP")]
    assert len(waiting) == 1
    assert why_pending(lab, waiting[0]["metadata"]["name"]) == "0/1 nodes are available: 1 Too many pods."


@pytest.mark.parametrize(
    ("spec", "nodes"),
    [
        ({"nodeSelector": {ZONE: "b"}}, {"worker-2"}),
        ({"nodeSelector": {"disk": "ssd"}}, set()),
        (
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": HOST, "operator": "In", "values": ["worker-3"]}
                                    ]
                                },
                                {
                                    "matchFields": [
                                        {"key": "metadata.name", "operator": "In", "values": ["worker-1"]}
                                    ]
                                },
                            ]
                        }
                    }
                }
            },
            {"worker-1", "worker-3"},
        ),
        (
            {
                "affinity": {
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 10,
                                "preference": {
                                    "matchExpressions": [
                                        {"key": ZONE, "operator": "NotIn", "values": ["a", "b"]}
                                    ]
                                },
                            }
                        ]
                    }
                }
            },
            {"worker-3"},
        ),
    ],
)
def test_selectors_and_node_affinity(spec: JsonObject, nodes: set[str]) -> None:
    lab = Lab()
    lab.apply(workload("Deployment", "web", pod_spec(**spec), replicas=4))
    assert {node for node in lab.nodes_of(app="web") if node} == nodes


def test_taints_repel_and_tolerations_admit() -> None:
    lab = Lab()
    lab.change("Node", "worker-1", taint("gpu", value="yes"), namespace="")
    lab.change("Node", "worker-2", taint("slow", "PreferNoSchedule"), namespace="")
    lab.change("Node", "worker-3", taint("gone", "NoExecute"), namespace="")
    lab.apply(workload("Deployment", "web", replicas=2))
    assert set(lab.nodes_of(app="web")) == {"worker-2"}
    tolerations = [{"key": "gpu", "operator": "Equal", "value": "yes"}]
    lab.apply(workload("Deployment", "ml", pod_spec(tolerations=tolerations), replicas=2))
    assert set(lab.nodes_of(app="ml")) == {"worker-1"}
    lab.apply(workload("Deployment", "all", pod_spec(tolerations=[{"operator": "Exists"}]), replicas=3))
    assert set(lab.nodes_of(app="all")) == {"worker-1", "worker-2", "worker-3"}


def test_the_message_counts_the_reasons() -> None:
    lab = Lab()
    lab.change("Node", "worker-1", taint("gpu", value="yes"), namespace="")
    lab.change("Node", "worker-2", lambda node: node["spec"].update(unschedulable=True), namespace="")
    lab.apply(pod("web", nodeSelector={"disk": "ssd"}))
    assert why_pending(lab, "web") == (
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
        "1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were unschedulable."
    )
    lab.change("Node", "worker-3", lambda node: node["metadata"]["labels"].update(disk="ssd"), namespace="")
    assert lab.get("Pod", "web")["spec"]["nodeName"] == "worker-3"


def test_host_ports_do_not_meet() -> None:
    lab = Lab()
    ports = [{"containerPort": 80, "hostPort": 8080}]
    lab.apply(workload("Deployment", "web", pod_spec(ports=ports), replicas=4))
    assert sorted(lab.nodes_of(app="web")) == ["", "worker-1", "worker-2", "worker-3"]
    waiting = next(p["metadata"]["name"] for p in lab.pods(app="web") if not p["spec"].get("nodeName"))
    assert why_pending(lab, waiting) == (
        "0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports."
    )


def test_the_same_host_port_on_other_addresses_and_protocols_is_no_conflict() -> None:
    lab = Lab()
    port = {"containerPort": 80, "hostPort": 54323}
    for name, more in (
        ("one", {"hostIP": "127.0.0.1", "protocol": "TCP"}),
        ("two", {"hostIP": "192.168.50.11", "protocol": "TCP"}),
        ("three", {"hostIP": "192.168.50.11", "protocol": "UDP"}),
        ("four", {"protocol": "TCP"}),
    ):
        lab.apply(pod(name, ports=[{**port, **more}], nodeSelector={HOST: "worker-1"}))
    assert [lab.get("Pod", n)["spec"].get("nodeName") for n in ("one", "two", "three", "four")] == [
        "worker-1", "worker-1", "worker-1", None,
    ]  # fmt: skip


def test_a_node_refuses_a_pod_put_there_by_name_whose_port_is_taken() -> None:
    lab = Lab()
    ports = [{"containerPort": 80, "hostPort": 8080}]
    lab.apply(pod("one", ports=ports, nodeName="worker-1"), pod("two", ports=ports, nodeName="worker-1"))
    status = lab.get("Pod", "two")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "NodePorts")


def test_pods_keep_company_and_distance() -> None:
    lab = Lab()
    lab.apply(pod("cache", nodeSelector={HOST: "worker-2"}))
    lab.apply(
        workload("Deployment", "web", pod_spec(affinity=affinity("podAffinity", term("cache"))), replicas=2)
    )
    assert set(lab.nodes_of(app="web")) == {"worker-2"}
    lab.apply(
        workload("Deployment", "db", pod_spec(affinity=affinity("podAntiAffinity", term("db"))), replicas=4)
    )
    assert sorted(lab.nodes_of(app="db")) == ["", "worker-1", "worker-2", "worker-3"]
    waiting = next(p["metadata"]["name"] for p in lab.pods(app="db") if not p["spec"].get("nodeName"))
    assert "3 node(s) didn't match pod anti-affinity rules" in why_pending(lab, waiting)


def test_anti_affinity_holds_against_later_pods() -> None:
    lab = Lab()
    lab.apply(
        pod("shy", affinity=affinity("podAntiAffinity", term("loud", ZONE)), nodeSelector={HOST: "worker-1"})
    )
    lab.apply(pod("loud", nodeSelector={HOST: "worker-1"}))
    assert "1 node(s) didn't satisfy existing pods anti-affinity rules" in why_pending(lab, "loud")


def test_affinity_to_oneself_can_start_and_to_nobody_cannot() -> None:
    lab = Lab()
    lab.apply(
        workload(
            "Deployment", "web", pod_spec(affinity=affinity("podAffinity", term("web", ZONE))), replicas=3
        )
    )
    assert len(set(lab.nodes_of(app="web"))) == 1
    lab.apply(pod("lonely", affinity=affinity("podAffinity", term("nobody"))))
    assert "3 node(s) didn't match pod affinity rules" in why_pending(lab, "lonely")


def test_affinity_looks_into_other_namespaces_when_told() -> None:
    lab = Lab()
    lab.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}}
    )
    cache = pod("cache", nodeSelector={HOST: "worker-3"})
    cache["metadata"]["namespace"] = "shop"
    lab.apply(cache)
    near = {**term("cache"), "namespaceSelector": {"matchLabels": {"team": "a"}}}
    lab.apply(
        pod("web", affinity=affinity("podAffinity", near)),
        pod("far", affinity=affinity("podAffinity", term("cache"))),
    )
    assert lab.get("Pod", "web")["spec"]["nodeName"] == "worker-3"
    assert "nodeName" not in lab.get("Pod", "far")["spec"]


def spread(key: str, skew: int = 1, when: str = "DoNotSchedule", **more: Any) -> list[JsonObject]:
    selector = {"matchLabels": {"app": "web"}}
    return [
        {"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": when, "labelSelector": selector, **more}
    ]


def test_topology_spread_is_even_over_zones() -> None:
    lab = Lab(wiring_of("two-zone-vpc", nodes=8))
    lab.apply(workload("Deployment", "web", pod_spec(topologySpreadConstraints=spread(ZONE)), replicas=7))
    zones = {n["metadata"]["name"]: n["metadata"]["labels"][ZONE] for n in lab.store.list("Node")}
    counts = Counter(zones[node] for node in lab.nodes_of(app="web"))
    assert sorted(counts.values()) == [3, 4]


def test_min_domains_that_are_missing_hold_pods_back() -> None:
    lab = Lab()
    constraint = spread(ZONE, minDomains=4)
    lab.apply(workload("Deployment", "web", pod_spec(topologySpreadConstraints=constraint), replicas=4))
    assert sorted(lab.nodes_of(app="web")) == ["", "worker-1", "worker-2", "worker-3"]


def test_a_node_without_the_label_is_no_place_for_a_spread() -> None:
    lab = Lab()
    lab.apply(pod("web", topologySpreadConstraints=spread("rack")))
    assert "3 node(s) didn't match pod topology spread constraints (missing required label)" in why_pending(
        lab, "web"
    )


def test_gated_pods_and_other_schedulers_pods_wait() -> None:
    lab = Lab()
    lab.apply(pod("gated", schedulingGates=[{"name": "x/y"}]), pod("other", schedulerName="mine"))
    assert condition(lab.get("Pod", "gated"), "PodScheduled")["reason"] == "SchedulingGated"  # type: ignore[index]
    assert condition(lab.get("Pod", "other"), "PodScheduled") is None


def test_edge_nodes_are_for_those_who_ask() -> None:
    lab = Lab(wiring_of("two-zone-vpc"))
    lab.apply(workload("Deployment", "web", replicas=8))
    assert set(lab.nodes_of(app="web")) == {f"worker-{i}" for i in (1, 2, 3, 4)}


PODS = st.fixed_dictionaries(
    {
        "app": st.sampled_from(["a", "b", "c"]),
        "anti": st.sampled_from([None, HOST, ZONE]),
        "spread": st.sampled_from([None, 1, 2]),
        "port": st.sampled_from([None, 8080, 8081]),
        "zone": st.sampled_from([None, "a", "b"]),
    }
)


@given(st.lists(PODS, min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_no_constraint_is_ever_broken(wishes: list[dict[str, Any]]) -> None:
    lab = Lab(wiring_of("two-zone-vpc"))
    for number, wish in enumerate(wishes):
        spec: JsonObject = {}
        if wish["anti"]:
            spec["affinity"] = affinity("podAntiAffinity", term(wish["app"], wish["anti"]))
        if wish["port"]:
            spec["ports"] = [{"containerPort": 80, "hostPort": wish["port"]}]
        if wish["zone"]:
            spec["nodeSelector"] = {ZONE: wish["zone"]}
        lab.store.create(pod(f"p{number}", {"app": wish["app"]}, **spec))
    lab.settle()
    nodes = {n["metadata"]["name"]: n["metadata"]["labels"] for n in lab.store.list("Node")}
    bound = [p for p in lab.pods() if p["spec"].get("nodeName")]
    ports = [
        (p["spec"]["nodeName"], c["hostPort"]) for p in bound for c in p["spec"]["containers"][0]["ports"]
    ]
    assert len(set(ports)) == len(ports)
    addresses = [e["ip"] for p in bound for e in p["status"]["podIPs"]]
    assert len(set(addresses)) == len(addresses)
    for p in bound:
        labels = nodes[p["spec"]["nodeName"]]
        assert (p["spec"].get("nodeSelector") or {}).items() <= labels.items()
        assert "node-role.kubernetes.io/edge" not in labels
        for rule in ((p["spec"].get("affinity") or {}).get("podAntiAffinity") or {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution", ()
        ):
            app, key = rule["labelSelector"]["matchLabels"]["app"], rule["topologyKey"]
            near = [
                q for q in bound
                if q is not p and q["metadata"]["labels"]["app"] == app
                and nodes[q["spec"]["nodeName"]][key] == labels[key]
            ]  # fmt: skip
            assert not near


@given(st.integers(1, 20), st.sampled_from([1, 2, 3]), st.sampled_from([HOST, ZONE]))
@settings(max_examples=30, deadline=None)
def test_no_skew_is_ever_exceeded(replicas: int, skew: int, key: str) -> None:
    lab = Lab(wiring_of("two-zone-vpc"))
    lab.apply(
        workload(
            "Deployment", "web", pod_spec(topologySpreadConstraints=spread(key, skew)), replicas=replicas
        )
    )
    nodes = {n["metadata"]["name"]: n["metadata"]["labels"] for n in lab.store.list("Node")}
    domains = {labels[key] for name, labels in nodes.items() if key == ZONE or name.startswith("worker")}
    counts = Counter(nodes[node][key] for node in lab.nodes_of(app="web") if node)
    values = [counts[domain] for domain in domains]
    if key == ZONE:
        assert max(values) - min(values) <= skew
    else:  # the edge nodes count as empty domains, as in Kubernetes unless nodeTaintsPolicy says otherwise
        assert max(values) <= skew
