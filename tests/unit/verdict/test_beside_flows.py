"""Meters and groups, from the texts of ovs-ofctl."""

from __future__ import annotations

from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.flow import FlowProgram
from controllers.pipeline.owner import PIPELINE
from emulator.verdict.beside_flows import GROUP, METER, drift, groups, meters
from emulator.verdict.installed import Fault

from ..controllers.cluster import state

PROGRAM: FlowProgram = compile_cluster(state("three-node"))["n1"]
HEAD = "OFPST_METER_CONFIG reply (OF1.3) (xid=0x2):\n"
NO_GROUPS = "OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):\n"


def dumped(number: int, flags: str = "pktps burst", band: str = "rate=500 burst_size=500") -> str:
    return f"meter={number} {flags} bands=\ntype=drop {band}\n\n"


WELL = HEAD + "".join(map(dumped, PROGRAM.meters))


def test_what_the_controller_gives_is_no_difference() -> None:
    assert drift("n1", meters(WELL), groups(NO_GROUPS), PROGRAM) == ()


def test_a_meter_that_is_missing_altered_or_nobodys() -> None:
    text = HEAD + dumped(9, "kbps", "rate=7") + dumped(1) + dumped(3, band="rate=9 burst_size=9") + dumped(4)
    found = drift("n1", meters(text), {}, PROGRAM)
    assert [(one.kind, one.number, one.fault, one.owner, one.name) for one in found] == [
        (METER, 2, Fault.MISSING, PIPELINE, "port-unreachable"),
        (METER, 3, Fault.ALTERED, PIPELINE, "net-unreachable"),
        (METER, 9, Fault.EXTRA, None, ""),
    ]
    missing, altered, foreign = found
    assert (missing.computed, missing.installed) == ("pktps burst: type=drop rate=500 burst_size=500", "")
    assert altered.installed == "pktps burst: type=drop rate=9 burst_size=9"
    assert (foreign.computed, foreign.installed) == ("", "kbps: type=drop rate=7")


def test_every_group_is_somebody_elses() -> None:
    text = NO_GROUPS + " group_id=5,type=all,bucket=bucket_id:0,actions=output:1\n group_id=77,type=select\n"
    found = drift("n1", meters(WELL), groups(text), PROGRAM)
    assert [(one.kind, one.number, one.fault, one.owner) for one in found] == [
        (GROUP, 5, Fault.EXTRA, None),
        (GROUP, 77, Fault.EXTRA, None),
    ]
    assert found[0].as_json() == {
        "bridge": "n1",
        "kind": "group",
        "fault": "extra",
        "object": "group 5",
        "computed": "",
        "installed": "type=all,bucket=bucket_id:0,actions=output:1",
        "owner": "",
        "name": "",
    }
