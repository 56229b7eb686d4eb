"""Flows as values: matches that merge, text that Open vSwitch prints, checks that catch mistakes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Ct, DecTtl, Goto, Nat, load, move, text, write
from controllers.pipeline.fields import ct_state
from controllers.pipeline.flow import Flow, FlowProgram, PipelineError, collect
from controllers.pipeline.match import dst, icmp, match, src, to_port
from controllers.pipeline.owner import PIPELINE, cookie_of, without_round
from controllers.pipeline.registers import ENDPOINT_IPV6, MASQUERADE, SOURCE, Source
from controllers.pipeline.tables import (
    L3_DEC_TTL,
    L3_FORWARDING,
    SERVICE_FRONTEND,
    SNAT,
    TTL_GUARD,
    by_name,
    by_number,
)
from emulator.cluster.model import Protocol, Ref


def test_bits_of_one_register_are_one_condition() -> None:
    assert str(match(SOURCE(Source.HOST), MASQUERADE(1))) == "reg0=0x102/0x10f"


def test_the_order_of_conditions_does_not_matter() -> None:
    one = match(dst(ip_address("10.0.0.1")), f.IN_PORT(1))
    other = match(f.IN_PORT(1), dst(ip_address("10.0.0.1")))
    assert one == other
    assert hash(one) == hash(other)


def test_a_contradiction_is_refused() -> None:
    with pytest.raises(ValueError, match="contradicts"):
        match(SOURCE(Source.HOST), SOURCE(Source.POD))


def test_a_condition_on_no_bit_is_none() -> None:
    assert str(match(dst(ip_network("0.0.0.0/0")))) == "ip"


def test_a_value_must_fit() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        SOURCE(16)
    with pytest.raises(ValueError, match="does not fit"):
        load(SOURCE, 16)
    with pytest.raises(ValueError, match="width"):
        move(f.ETH_SRC, f.IPV4_SRC)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (match(), ""),
        (match(to_port(6, Protocol.UDP, 53)), "udp6,tp_dst=53"),
        (match(src(ip_network("10.244.1.0/24"))), "ip,nw_src=10.244.1.0/24"),
        (match(icmp(6, 135), f.ND_TARGET(ip_address("fd00::1"))),
         "icmp6,icmp_type=135,icmp_code=0,nd_target=fd00::1"),
        (match(ct_state("+trk+new-rpl")), "ct_state=+new-rpl+trk"),
        (match(f.ETH_DST("0a:58:0a:f4:01:01")), "dl_dst=0a:58:0a:f4:01:01"),
    ],
)  # fmt: skip
def test_text_of_a_match(conditions: object, expected: str) -> None:
    assert str(conditions) == expected


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (write(f.ETH_SRC, "0a:58:0a:f4:01:01"), "set_field:0a:58:0a:f4:01:01->eth_src"),
        (load(MASQUERADE, 1), "load:0x1->reg0[8]"),
        (load(ENDPOINT_IPV6, 5), "set_field:0x5->xxreg2"),
        (move(f.IPV4_SRC, f.IPV4_DST), "move:ip_src[]->ip_dst[]"),
        (Ct(102, L3_FORWARDING, nat=Nat("dst", ip_address("fd00::5"), (80, 80)), commit=True),
         "ct(commit,table=L3Forwarding,zone=102,nat(dst=[fd00::5]:80))"),
        (Ct(103, SNAT, nat=Nat("src", ip_address("10.0.0.1"), (1024, 65535))),
         "ct(table=SNAT,zone=103,nat(src=10.0.0.1:1024-65535))"),
    ],
)  # fmt: skip
def test_text_of_an_action(action: object, expected: str) -> None:
    assert text(action, by_name) == expected  # type: ignore[arg-type]


def test_text_of_a_flow_names_stages_or_numbers_them() -> None:
    flow = Flow(TTL_GUARD, 7, match(SOURCE(Source.POD)), (), PIPELINE, "nothing")
    assert flow.text(by_name) == "table=TTLGuard, priority=7,reg0=0x1/0xf actions=drop"
    assert flow.text(by_number).startswith("table=8, ")
    assert str(flow).endswith("# nothing: Pipeline/base")


def test_a_flow_must_keep_to_its_stage() -> None:
    backwards = Flow(L3_FORWARDING, 1, match(), (Goto(TTL_GUARD),), PIPELINE, "backwards")
    undeclared = Flow(L3_DEC_TTL, 1, match(f.IN_PORT(1)), (DecTtl(),), PIPELINE, "undeclared")
    writes = Flow(SERVICE_FRONTEND, 1, match(), (write(f.ETH_SRC, 1),), PIPELINE, "writes")
    for flow in (backwards, undeclared, writes):
        with pytest.raises(PipelineError, match="does not declare"):
            collect([flow])


def test_two_flows_with_one_match_contradict_each_other() -> None:
    flow = Flow(TTL_GUARD, 1, match(), (), PIPELINE, "one")
    with pytest.raises(PipelineError, match="two flows with one match"):
        collect([flow, Flow(TTL_GUARD, 1, match(), (), PIPELINE, "other")])


def test_two_units_with_one_match_contradict_each_other() -> None:
    units = {name: collect([Flow(TTL_GUARD, 1, match(), (), PIPELINE, name)]) for name in ("one", "other")}
    with pytest.raises(PipelineError, match="two flows with one match"):
        FlowProgram("n1", 1, units).flows  # noqa: B018


def test_a_program_without_a_flow() -> None:
    program = FlowProgram("n1", 1, {None: collect([Flow(TTL_GUARD, 1, match(), (), PIPELINE, "one")])})
    assert len(program.without("one")) == 0
    with pytest.raises(KeyError):
        program.without("two")


def test_a_cookie_names_round_kind_bridge_and_object() -> None:
    cookie = cookie_of(Ref("Service", "shop", "web"), 0x102, 7)
    assert cookie >> 48 == 7
    assert cookie >> 40 & 0xFF == 3
    assert cookie >> 32 & 0xFF == 2
    assert without_round(cookie) == cookie_of(Ref("Service", "shop", "web"), 0x102)
    assert cookie != cookie_of(Ref("Service", "shop", "api"), 0x102, 7)
