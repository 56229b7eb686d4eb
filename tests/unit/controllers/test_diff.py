"""Only what changed is sent."""

from __future__ import annotations

from dataclasses import replace

from controllers.pipeline.compile import Compiler, compile_cluster
from controllers.pipeline.diff import diff
from controllers.pipeline.flow import FlowProgram
from emulator.cluster.model import ClusterState

from .cluster import endpoints, pod, service, state, wiring


def unguarded(topology: str) -> ClusterState:
    """Without policies: they have to know of every pod."""
    return replace(state(topology), policies=(), cluster_policies=())


def test_nothing_changes_when_nothing_changed() -> None:
    before, after = (compile_cluster(state("three-node")) for _ in range(2))
    assert not any(diff(before[bridge], after[bridge]) for bridge in before)


def test_an_empty_switch_gets_everything() -> None:
    program = compile_cluster(state("three-node"))["n1"]
    assert len(diff(None, program).add) == len(program)


def test_a_new_pod_costs_its_own_flows_on_its_own_bridge() -> None:
    old = unguarded("three-node")
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


def test_compiling_again_gives_the_same_programs() -> None:
    states = [state("three-node"), *_steps(), state("three-node")]
    compiler = Compiler()
    for step in states:
        assert {name: program.flows for name, program in compiler.compile(step).items()} == {
            name: program.flows for name, program in compile_cluster(step).items()
        }


def test_what_did_not_change_is_not_compiled_again() -> None:
    compiler = Compiler()
    before = compiler.compile(unguarded("three-node"))
    after = compiler.compile(_steps()[0])
    changed = {
        unit
        for name in before
        for unit, flows in after[name].units.items()
        if before[name].units.get(unit) is not flows
    }
    assert {str(unit) for unit in changed} == {"Pod/shop/late"}


def _steps() -> list[ClusterState]:
    """A pod comes, a service loses an endpoint, another goes, the pod's address goes to another pod."""
    start = unguarded("three-node")
    late = pod(start.wiring, "late", "worker-2", 9)
    web, *others = start.services
    fewer = replace(web, ports=(replace(web.ports[0], endpoints=web.ports[0].endpoints[2:]),))
    return [
        replace(start, pods=(*start.pods, late)),
        replace(start, pods=(*start.pods, late), services=(fewer, *others)),
        replace(start, pods=(*start.pods, late), services=tuple(others)),
        replace(start, pods=(*start.pods, pod(start.wiring, "heir", "worker-2", 9)), services=tuple(others)),
    ]


def test_an_address_that_changes_hands_stays_installed() -> None:
    *_, before, after = (Compiler().compile(step)["n2"] for step in _steps())
    change = diff(before, after)
    assert {str(flow.owner) for flow in change.add} == {"Pod/shop/heir"}
    assert not change.remove
