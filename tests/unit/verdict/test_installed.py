"""Installed flows and drift, from the texts of ovs-ofctl."""

from __future__ import annotations

import pytest

from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.flow import FlowProgram
from controllers.pipeline.owner import cookie_of
from controllers.pipeline.tables import SERVICE_LB, by_number
from emulator.cluster.model import Ref
from emulator.verdict.installed import DumpTextError, Fault, computed_text, drift, flows, installed_text
from emulator.verdict.trace.legend import Legend, stage_name, terms

from ..controllers.cluster import state

PROGRAM: FlowProgram = compile_cluster(state("three-node"))["n1"]
LEGEND = Legend(PROGRAM)
CHOICE = next(flow for flow in PROGRAM if flow.stage is SERVICE_LB and "multipath" in str(flow))
COOKIE = cookie_of(CHOICE.owner, PROGRAM.datapath_id, 0x4711)


def dumped(match: str, actions: str, cookie: int = COOKIE) -> str:
    return (
        f" cookie={cookie:#x}, duration=3.5s, table={CHOICE.stage.number}, n_packets=7, n_bytes=420, "
        f"priority={CHOICE.priority},{match} actions={actions}\n"
    )


def test_an_installed_flow_names_stage_owner_and_author() -> None:
    text = "OFPST_FLOW reply (OF1.3) (xid=0x2):\n" + dumped(str(CHOICE.match), "drop")
    (flow,) = flows("n1", text, LEGEND)
    assert (flow.owner, flow.name, flow.packets, flow.octets) == (CHOICE.owner, CHOICE.name, 7, 420)
    assert flow.as_json()["stage"] == "ServiceLB"


def test_a_strangers_flow_has_no_owner() -> None:
    (flow,) = flows("n1", dumped("ip", "drop", cookie=0xBAD), LEGEND)
    assert (flow.owner, flow.name, flow.learned) == (None, "", False)


def test_flows_without_a_match_and_with_timeouts() -> None:
    bare = " cookie=0x0, duration=1.0s, table=70, n_packets=0, n_bytes=0, priority=100 actions=drop\n"
    timed = (
        " cookie=0x0, duration=1.0s, table=22, n_packets=1, n_bytes=2, idle_timeout=10, hard_timeout=20,"
        " priority=200,tcp,nw_src=10.0.0.1 actions=load:0x1->NXM_NX_REG4[16]\n"
    )
    matches = [flow.match for flow in flows("n1", bare + timed, LEGEND)]
    assert matches == ["", "tcp,nw_src=10.0.0.1"]


def test_what_is_no_dump_is_told() -> None:
    with pytest.raises(DumpTextError, match="not a flow"):
        list(flows("n1", "cookie=0x1 nonsense", LEGEND))


def test_the_round_of_a_controller_is_no_difference() -> None:
    text = installed_text(dumped(str(CHOICE.match), "drop"), PROGRAM)
    assert f"cookie={cookie_of(CHOICE.owner, PROGRAM.datapath_id):#x}," in text
    assert (
        f"cookie={cookie_of(CHOICE.owner, PROGRAM.datapath_id):#x}, {CHOICE.text(by_number)}"
        in computed_text(PROGRAM)
    )


def line(sign: str, actions: str, match: str = str(CHOICE.match), cookie: int = COOKIE) -> str:
    table = f"table={CHOICE.stage.number} priority={CHOICE.priority}"
    return f"{sign}{table},{match} cookie={cookie & (1 << 48) - 1:#x} actions={actions}\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (line("+", "goto_table:24"), Fault.MISSING),
        (line("-", "drop", "ip,nw_dst=10.0.0.9"), Fault.EXTRA),
        (line("-", "drop") + line("+", "goto_table:24"), Fault.ALTERED),
    ],
)
def test_drift(text: str, fault: Fault) -> None:
    (found,) = drift("n1", text, LEGEND)
    assert (found.fault, found.table, found.priority) == (fault, CHOICE.stage.number, CHOICE.priority)
    assert found.owner == CHOICE.owner
    assert found.computed == ("" if fault is Fault.EXTRA else "goto_table:24")
    assert found.installed == ("" if fault is Fault.MISSING else "drop")


def test_a_strangers_extra_flow_in_table_0() -> None:
    (found,) = drift("n1", "-priority=5,ip actions=drop\n", LEGEND)
    assert (found.fault, found.table, found.owner, found.match) == (Fault.EXTRA, 0, None, "ip")


def test_every_flow_is_found_by_its_own_match() -> None:
    for flow in PROGRAM:
        assert LEGEND.flow(flow.stage.number, flow.priority, str(flow.match)) is flow


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("ct_state=+new+trk,ip", "ip,ct_state=+trk+new"),
        ("reg5=0x0/0xffff", "reg5=0/0xffff"),
        ("xxreg2=0xfd000010009600000000000000000a", "reg8=0xfd0000,reg9=0x10009600,reg10=0,reg11=0xa"),
        ("tcp,tcp_flags=0x4/0x4", "tcp,tcp_flags=+rst"),
    ],
)
def test_spellings_of_one_match(ours: str, theirs: str) -> None:
    assert terms(ours) == terms(theirs)


def test_a_table_of_no_stage() -> None:
    assert stage_name(SERVICE_LB.number) == "ServiceLB"
    assert stage_name(253) == "table 253"
    assert Ref("Service", "", "x") != LEGEND.owner(0, 5, "ip", 0)
