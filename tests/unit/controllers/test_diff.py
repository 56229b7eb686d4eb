"""Only what changed is sent."""

from __future__ import annotations

from dataclasses import replace

from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.diff import diff
from controllers.pipeline.flow import FlowProgram

from .cluster import endpoints, pod, service, state, wiring


def test_nothing_changes_when_nothing_changed() -> None:
    before, after = (compile_cluster(state("three-node")) for _ in range(2))
    assert not any(diff(before[bridge], after[bridge]) for bridge in before)


def test_an_empty_switch_gets_everything() -> None:
    program = compile_cluster(state("three-node"))["n1"]
    assert len(diff(None, program).add) == len(program)


def test_a_new_pod_costs_its_own_flows_on_its_own_bridge() -> None:
    old = state("three-node")
    new = replace(old, pods=(*old.pods, pod(wiring("three-node"), "late", "worker-2", 9)))
    before, after = compile_cluster(old), compile_cluster(new)
    changed = {name: diff(before[name], after[name]) for name in before if diff(before[name], after[name])}
    assert set(changed) == {"n2"}
    assert not changed["n2"].modify
    assert not changed["n2"].remove
    assert {str(flow.owner) for flow in changed["n2"].add} == {"Pod/shop/late"}


def test_an_endpoint_that_leaves_changes_slots_in_place() -> None:
    old = state("three-node")
    web = old.services[0]
    fewer = replace(web, ports=(replace(web.ports[0], endpoints=web.ports[0].endpoints[2:]),))
    new = replace(old, services=(fewer, *old.services[1:]))
    change = diff(compile_cluster(old)["n3"], compile_cluster(new)["n3"])
    assert not change.add
    assert {flow.stage.name for flow in change.modify} == {"ServiceLB", "ServiceEndpoint"}
    assert {flow.stage.name for flow in change.remove} == {"ServiceEndpoint", "EndpointDNAT"}


def test_another_owner_of_the_same_flow_is_an_addition() -> None:
    plan = wiring("three-node")
    here = pod(plan, "here", "worker-1", 5)

    def program(name: str) -> FlowProgram:
        renamed = replace(state("three-node"), pods=(here,), services=(service(name, 20, endpoints([here])),))
        return compile_cluster(renamed)["n1"]

    change = diff(program("web"), program("api"))
    assert change.add
    assert not change.modify
    assert not change.remove
