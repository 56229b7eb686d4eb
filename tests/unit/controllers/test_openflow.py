"""Ryu's bytes mean to Open vSwitch what the flow's text means: both are read back and compared."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controllers import openflow
from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.diff import diff
from controllers.pipeline.flow import Flow
from controllers.pipeline.tables import by_number
from controllers.switch import Switch

from .cluster import ALL, state

needs_ovs = pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="Open vSwitch is not installed")
DATAPATH: Any = SimpleNamespace(ofproto=openflow.ofp, ofproto_parser=openflow.parser)


def read_text(flows: list[Flow], directory: Path) -> list[str]:
    file = directory / "flows"
    file.write_text("".join(f"{flow.text(by_number)}\n" for flow in flows))
    command = ["ovs-ofctl", "-O", "OpenFlow13", "parse-flows", str(file)]
    return messages(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def read_bytes(flows: list[Flow], directory: Path) -> list[str]:
    data = bytearray()
    for flow in flows:
        message = openflow.add(DATAPATH, flow, 0)
        message.set_xid(1)
        message.serialize()
        data += message.buf
    file = directory / "messages"
    file.write_bytes(data)
    command = ["ovs-ofctl", "ofp-parse", str(file)]
    return messages(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def messages(output: str) -> list[str]:
    found = [line.split(": ", 1)[1] for line in output.splitlines() if line.startswith("OFPT_FLOW_MOD")]
    return [line.replace(" out_port:0", "").replace(" cookie:0x0", "") for line in found]


@needs_ovs
@pytest.mark.parametrize("topology", ALL)
def test_every_flow_means_the_same_in_text_and_on_the_wire(topology: str, tmp_path: Path) -> None:
    flows = list({flow: None for program in compile_cluster(state(topology)).values() for flow in program})
    text, wire = read_text(flows, tmp_path), read_bytes(flows, tmp_path)
    assert len(text) == len(wire) == len(flows)
    for flow, one, other in zip(flows, text, wire, strict=True):
        assert one == other, str(flow)


class Connection:
    """Stands in for Ryu's Datapath: numbers messages and keeps what is sent."""

    ofproto = openflow.ofp
    ofproto_parser = openflow.parser

    def __init__(self) -> None:
        self.sent = bytearray()
        self.closed = False
        self._xid = 0

    def set_xid(self, message: Any) -> None:
        self._xid += 1
        message.set_xid(self._xid)

    def send(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True


def confirm(transaction: Any) -> Any:
    return SimpleNamespace(xid=transaction.barrier)


def refusal(xid: int, kind: int = 2, code: int = 0) -> Any:
    return SimpleNamespace(xid=xid, type=kind, code=code)


def test_a_new_switch_gets_everything_in_place_of_what_it_had() -> None:
    program = compile_cluster(state("single-node"))["n1"]
    connection = Connection()
    switch = Switch(connection, 1, 0)
    transaction = switch.begin(program)
    assert transaction is not None
    switch.on_barrier(confirm(transaction))
    outcome = switch.finish(transaction, program, 1.0)
    assert outcome.errors == ()
    assert outcome.added == len(program)
    assert switch.installed is program
    assert switch.begin(program) is None


@needs_ovs
def test_a_change_is_one_atomic_ordered_bundle_and_a_barrier(tmp_path: Path) -> None:
    program = compile_cluster(state("single-node"))["n1"]
    connection = Connection()
    Switch(connection, 1, 0).begin(program)
    file = tmp_path / "messages"
    file.write_bytes(connection.sent)
    command = ["ovs-ofctl", "ofp-parse", str(file)]
    read = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = [line.split()[0] for line in read.splitlines() if line.startswith(("OFPT_", "ONFT_"))]
    kinds = [word for word in words if word != "OFPT_FLOW_MOD"]  # shown inside the bundle's messages
    meters = ["OFPT_METER_MOD"] * len(program.meters) * 2  # whether it is there or not
    adds = ["ONFT_BUNDLE_ADD_MESSAGE"] * (len(program) + 1)
    assert kinds == [*meters, "ONFT_BUNDLE_CONTROL", *adds, "ONFT_BUNDLE_CONTROL", "OFPT_BARRIER_REQUEST"]
    assert read.count("flags=atomic ordered") == len(program) + 3


def test_a_refused_flow_is_reported_with_its_owner() -> None:
    program = compile_cluster(state("single-node"))["n1"]
    switch = Switch(Connection(), 1, 0)
    transaction = switch.begin(program)
    assert transaction is not None
    xid, flow = next((xid, flow) for xid, flow in transaction.flows.items() if flow.owner.kind == "Service")
    switch.on_error(refusal(xid))
    switch.on_barrier(confirm(transaction))
    (error,) = switch.finish(transaction, program, 1.0).errors
    assert str(flow.owner) in error
    assert switch.installed is None


def test_meters_that_exist_are_no_error() -> None:
    program = compile_cluster(state("single-node"))["n1"]
    switch = Switch(Connection(), 1, 0)
    transaction = switch.begin(program)
    assert transaction is not None
    for xid in transaction.tolerated:
        switch.on_error(refusal(xid, kind=12, code=1))
    switch.on_barrier(confirm(transaction))
    assert switch.finish(transaction, program, 1.0).errors == ()


def test_a_switch_that_stays_silent_is_hung_up_on() -> None:
    program = compile_cluster(state("single-node"))["n1"]
    connection = Connection()
    switch = Switch(connection, 1, 0)
    transaction = switch.begin(program)
    assert transaction is not None
    (error,) = switch.finish(transaction, program, 0.01).errors
    assert "no confirmation" in error
    assert connection.closed


def test_a_lost_connection_ends_the_change() -> None:
    program = compile_cluster(state("single-node"))["n1"]
    switch = Switch(Connection(), 1, 0)
    transaction = switch.begin(program)
    assert transaction is not None
    switch.lost()
    assert switch.finish(transaction, program, 5.0).errors == ("the connection was lost",)


def test_only_the_difference_is_sent() -> None:
    before = compile_cluster(state("single-node"))["n1"]
    after = before.without("hairpin")
    connection = Connection()
    switch = Switch(connection, 1, 0)
    first = switch.begin(before)
    assert first is not None
    switch.on_barrier(confirm(first))
    switch.finish(first, before, 1.0)
    second = switch.begin(after)
    assert second is not None
    assert len(second.flows) == len(diff(before, after).remove)


def in_force(program: Any) -> tuple[Switch, Connection]:
    connection = Connection()
    switch = Switch(connection, 7, 0)
    transaction = switch.begin(program)
    assert transaction is not None
    switch.on_barrier(confirm(transaction))
    switch.finish(transaction, program, 1.0)
    connection.sent.clear()
    return switch, connection


def test_missing_flows_are_added_again_and_nothing_is_cleared() -> None:
    program = compile_cluster(state("single-node"))["n1"]
    switch, connection = in_force(program)
    switch.ask_for_count()
    assert connection.sent
    assert switch.on_count(len(program))
    assert switch.begin(program) is None
    assert not switch.on_count(len(program) - 1)
    again = switch.begin(program)
    assert again is not None
    assert len(again.flows) == len(program)
    assert switch.installed is not None, "so no message clears the switch"


def test_flows_too_many_are_replaced_by_the_program() -> None:
    program = compile_cluster(state("single-node"))["n1"]
    switch, _ = in_force(program)
    assert not switch.on_count(len(program) + 1)
    assert switch.installed is None
    again = switch.begin(program)
    assert again is not None
    assert len(again.flows) == len(program)


def test_a_count_that_comes_during_a_change_says_nothing() -> None:
    program = compile_cluster(state("single-node"))["n1"]
    switch, connection = in_force(program)
    switch.begin(program.without("hairpin"))
    connection.sent.clear()
    switch.ask_for_count()
    assert not connection.sent
    assert switch.on_count(0)
