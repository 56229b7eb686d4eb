"""What holds for every program, whatever the cluster: proven on the flows, without a switch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import product

import pytest

from controllers.pipeline.actions import Ct, Goto, Meter, Nat, Output
from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.fields import CT_MARK, Field, ct_state
from controllers.pipeline.flow import (
    Flow,
    FlowProgram,
    check,
    learned_fields,
    learns,
    next_stages,
    written_fields,
)
from controllers.pipeline.match import ip, match, src
from controllers.pipeline.owner import cookie_of
from controllers.pipeline.registers import (
    MARK_SERVICE,
    MARK_SOURCE,
    MASQUERADE,
    NAMED,
    OUT_PORT,
    SOURCE,
    Source,
)
from controllers.pipeline.tables import CLASSIFIER, SNAT, STAGES, Stage
from controllers.pipeline.view import NodeView

from .cluster import ALL, state, wiring

MOST_RECIRCULATIONS = 5
"""The userspace datapath drops a packet that recirculates more than six times."""

topologies = pytest.mark.parametrize("topology", ALL)


@cache
def programs(topology: str) -> tuple[FlowProgram, ...]:
    return tuple(compile_cluster(state(topology)).values())


def test_stages_are_in_order_and_named_once() -> None:
    numbers = [stage.number for stage in STAGES]
    assert numbers == sorted(set(numbers))
    assert len({stage.name for stage in STAGES}) == len(STAGES)


def test_stages_lead_forward_to_stages_of_the_list() -> None:
    position = {stage.name: index for index, stage in enumerate(STAGES)}
    for stage in STAGES:
        for following in stage.follows:
            assert position[following] > position[stage.name]


def test_named_bits_share_no_bit_that_lives_at_the_same_time() -> None:
    shared = {"FLAGS", "MARK_FLAGS", "SWAP_MAC", "SWAP_IPV4", "SWAP_IPV6", "MARK_TARGET"}
    taken: Counter[tuple[str, int]] = Counter()
    for name, bits in NAMED.items():
        if name not in shared:
            taken.update((bits.field.name, bit) for bit in range(bits.first, bits.last + 1))
    assert all(count == 1 for count in taken.values())


@topologies
def test_flows_keep_to_their_stage(topology: str) -> None:
    for program in programs(topology):
        for flow in program:
            check(flow)


def test_stages_declare_no_more_than_is_used() -> None:
    matches, sets, follows = ({stage: set() for stage in STAGES} for _ in range(3))  # type: ignore[var-annotated]
    for topology in ALL:
        for program in programs(topology):
            for flow in program:
                matches[flow.stage] |= {term.field for term in flow.match}
                sets[flow.stage] |= set(written_fields(flow.actions))
                follows[flow.stage] |= {stage.name for stage in next_stages(flow.actions)}
                for learned in learns(flow.actions):
                    matches[learned.stage] |= learned_fields(learned)
                    sets[learned.stage] |= set(written_fields(learned.loads))
    for stage in STAGES:
        assert {field.ryu for field in stage.matches - matches[stage]} == set(), stage
        assert {field.ryu for field in stage.sets - sets[stage]} == set(), stage
        assert set(stage.follows) == follows[stage], stage


@topologies
def test_flows_lead_to_stages_that_have_flows(topology: str) -> None:
    for program in programs(topology):
        entered = {flow.stage for flow in program}
        for flow in program:
            for following in next_stages(flow.actions):
                assert following in entered, f"{program.bridge}: {flow}"
                assert following.number > flow.stage.number


@topologies
def test_goto_comes_last_and_meter_first(topology: str) -> None:
    for program in programs(topology):
        for flow in program:
            kinds = [type(action) for action in flow.actions]
            assert Goto not in kinds[:-1], str(flow)
            assert Meter not in kinds[1:], str(flow)


@topologies
def test_no_walk_recirculates_too_often(topology: str) -> None:
    for program in programs(topology):
        assert _worst(program, CLASSIFIER) <= MOST_RECIRCULATIONS, program.bridge


def _worst(program: FlowProgram, stage: Stage) -> int:
    """The most recirculations of any path from `stage`, whether or not a packet can take it."""
    worst = {}
    by_stage: dict[Stage, list[tuple[int, Stage]]] = {}
    for flow in program:
        for action in flow.actions:
            if isinstance(action, Goto):
                by_stage.setdefault(flow.stage, []).append((0, action.stage))
            elif isinstance(action, Ct):
                by_stage.setdefault(flow.stage, []).append((1, action.then))
    for entered in reversed(STAGES):
        worst[entered] = max((cost + worst[then] for cost, then in by_stage.get(entered, ())), default=0)
    return worst[stage]


@topologies
def test_zones_belong_to_one_bridge(topology: str) -> None:
    owners: dict[int, str] = {}
    for program in programs(topology):
        zones = {action.zone for flow in program for action in flow.actions if isinstance(action, Ct)}
        assert 0 not in zones
        for zone in zones:
            assert owners.setdefault(zone, program.bridge) == program.bridge


@topologies
def test_every_meter_that_is_used_is_made(topology: str) -> None:
    for program in programs(topology):
        used = {action.id for flow in program for action in flow.actions if isinstance(action, Meter)}
        assert used <= set(program.meters)


@topologies
def test_outputs_are_ports_of_the_bridge(topology: str) -> None:
    plan = state(topology).wiring
    for program in programs(topology):
        ports = {port.ofport for port in plan.bridge(program.bridge).ports}
        sent = {action.port for flow in program for action in flow.actions if isinstance(action, Output)}
        assert sent <= ports


@topologies
def test_cookies_tell_owners_apart(topology: str) -> None:
    for program in programs(topology):
        assert all(len(owners) == 1 for owners in program.owners.values())
        taught = {learned.cookie for flow in program for learned in learns(flow.actions)}
        own = {cookie_of(flow.owner, program.datapath_id) for flow in program}
        assert own | taught == set(program.owners)
        assert not own & taught


@topologies
def test_marks_are_written_by_commits_only(topology: str) -> None:
    for program in programs(topology):
        for flow in program:
            for action in flow.actions:
                if isinstance(action, Ct) and action.mark:
                    assert action.commit
                    assert all(part.to.field is CT_MARK for part in action.mark)


@topologies
def test_no_connection_is_translated_to_what_it_is(topology: str) -> None:
    """Open vSwitch 3.1 aborts when such a connection gets a packet after it has expired."""
    plan = wiring(topology)
    for node in plan.nodes:
        view = NodeView(plan, plan.bridge(node.bridge), node)
        program = next(program for program in programs(topology) if program.bridge == node.bridge)
        for family in view.families:
            for address, out_port, asks_service in product(view.addresses(family), (1, 2, 3, 100), (0, 1)):
                new = (ct_state("+trk+new"), MARK_SERVICE(asks_service), MARK_SOURCE(Source.HOST))
                leaves = (SOURCE(Source.HOST), MASQUERADE(1), OUT_PORT(out_port))
                packet = match(ip(family), src(address), new, leaves)
                decided = first_match(program, SNAT, {term.field: term.value for term in packet})
                translations = [action.nat for action in decided.actions if isinstance(action, Ct)]
                assert translations
                assert Nat("src", address) not in [nat and replace(nat, ports=None) for nat in translations]


def first_match(program: FlowProgram, stage: Stage, packet: dict[Field, int]) -> Flow:
    """The flow that decides a packet; fields that are not given are zero."""
    found = (
        flow
        for flow in program
        if flow.stage is stage
        and all(packet.get(term.field, 0) & term.mask == term.value for term in flow.match)
    )
    return max(found, key=lambda flow: flow.priority)
