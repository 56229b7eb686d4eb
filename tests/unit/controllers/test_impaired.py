"""What the controller compiles for a cluster that suffers from faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.diff import diff
from controllers.pipeline.impaired import ImpairedCompiler
from controllers.pipeline.stale import frontends
from emulator.cluster.faults.effects import proxied_objects
from emulator.cluster.faults.fault import Fault
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import state_of

from .cluster import wiring

WIRING = wiring("three-node")


def service(name: str, address: str, number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "annotations": {"mininetes.io/service-port-ids": f'{{"/TCP": {number}}}'},
        },
        "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80, "protocol": "TCP"}]},
    }


def snapshot(services: list[dict[str, Any]], *faults: Fault) -> Snapshot:
    topology = {
        "kind": "Topology",
        "metadata": {"name": "t"},
        "status": {"faults": [fault.record() for fault in faults]},
    }
    objects = {
        "Service": {("shop", one["metadata"]["name"]): one for one in services},
        "Topology": {("", "t"): topology},
    }
    return Snapshot(objects, WIRING)


def fault(kind: str, memo: dict[str, Any], **arguments: str) -> Fault:
    return Fault(f"{kind}-1", kind, arguments, "2026-11-29T07:00:00Z", (), memo)


OLD = [service("old", "10.96.0.20", 1)]
NEW = [service("old", "10.96.0.20", 1), service("new", "10.96.0.21", 2)]


def test_without_faults_it_is_the_compiler() -> None:
    well = snapshot(NEW)
    assert ImpairedCompiler().compile(well, state_of(well)) == compile_cluster(state_of(well))


def test_a_stopped_proxy_keeps_its_nodes_services() -> None:
    old = compile_cluster(state_of(snapshot(OLD)))
    new = compile_cluster(state_of(snapshot(NEW)))
    stopped = fault("kube-proxy-stopped", {"objects": proxied_objects(snapshot(OLD))}, node="worker-2")
    ill = snapshot(NEW, stopped)
    assert old != new
    assert ImpairedCompiler().compile(ill, state_of(ill)) == {**new, "n2": old["n2"]}


def test_the_first_to_stop_a_proxy_decides_what_it_knows() -> None:
    first = fault("kube-proxy-stopped", {"objects": proxied_objects(snapshot(OLD))}, node="worker-2")
    second = fault("kube-proxy-stopped", {"objects": proxied_objects(snapshot(NEW))}, node="worker-2")
    ill = snapshot(NEW, first, second)
    old = compile_cluster(state_of(snapshot(OLD)))
    assert ImpairedCompiler().compile(ill, state_of(ill))["n2"] == old["n2"]


def test_what_ends_is_forgotten() -> None:
    compiler = ImpairedCompiler()
    stopped = fault("kube-proxy-stopped", {"objects": proxied_objects(snapshot(OLD))}, node="worker-2")
    for one in (snapshot(OLD), snapshot(NEW, stopped), snapshot(NEW)):
        programs = compiler.compile(one, state_of(one))
    assert programs == compile_cluster(state_of(snapshot(NEW)))


def test_a_stopped_proxy_forgets_no_connections() -> None:
    stopped = fault("kube-proxy-stopped", {"objects": proxied_objects(snapshot(OLD))}, node="worker-2")
    ill, compiler = snapshot(NEW, stopped), ImpairedCompiler()
    well = frontends(state_of(snapshot(NEW)))
    zone = WIRING.bridge("n2").zone
    assert zone in well.nodes
    assert compiler.frontends(ill, state_of(ill)) == replace(
        well, nodes={one: found for one, found in well.nodes.items() if one != zone}
    )
    assert compiler.frontends(snapshot(NEW), state_of(snapshot(NEW))) == well


def test_a_removed_route_is_missing_in_its_table_only() -> None:
    well, removed = (
        snapshot(OLD),
        fault("vpc-route-removed", {"router": "router/fabric", "to": ["0.0.0.0/0"]}),
    )
    ill = snapshot(OLD, removed)
    compiler = ImpairedCompiler()
    before = compiler.compile(well, state_of(well))
    after = compiler.compile(ill, state_of(ill))
    (fabric,) = (bridge.name for bridge in WIRING.bridges if bridge.place == "router/fabric")
    assert set(after[fabric]) < set(before[fabric])
    assert {name: after[name] for name in after if name != fabric} == {
        name: before[name] for name in before if name != fabric
    }
    assert compiler.compile(ill, state_of(ill)) == after
    assert compiler.compile(well, state_of(well)) == before


def test_altered_flows_drop_and_nothing_else_changes() -> None:
    well = compile_cluster(state_of(snapshot(NEW)))
    chosen = next(flow for flow in well["n1"] if flow.owner.kind == "Service" and flow.actions)
    keys = [[chosen.stage.number, chosen.priority, str(chosen.match)], [1, 2, "no such flow"]]
    suffering = snapshot(NEW, fault("flows-altered", {"bridge": "n1", "keys": keys}))
    found = ImpairedCompiler().compile(suffering, state_of(suffering))
    change = diff(well["n1"], found["n1"])
    assert (change.add, change.modify, change.remove) == ((), (replace(chosen, actions=()),), ())
    assert {bridge for bridge in well if well[bridge] != found[bridge]} == {"n1"}


def test_a_flow_may_be_altered_that_a_stopped_proxy_keeps() -> None:
    flow = next(
        f for f in compile_cluster(state_of(snapshot(OLD)))["n1"] if f.owner.name == "old" and f.actions
    )
    memo = {"bridge": "n1", "keys": [[flow.stage.number, flow.priority, str(flow.match)]]}
    stopped = fault("kube-proxy-stopped", {"objects": proxied_objects(snapshot(OLD))}, node="worker-1")
    both = snapshot([], stopped, fault("flows-altered", memo))
    assert ImpairedCompiler().compile(both, state_of(both))["n1"].flows[flow.key].actions == ()
