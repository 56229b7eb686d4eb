"""The audit: what a switch tells of others' changes, which of them are undone, and by what."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controllers import flow_monitor, openflow
from controllers.audit import TOLD, Repair, Suspects, foreign
from controllers.flow_monitor import METER_DELETED, Change, What, conditions
from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.flow import Flow, FlowProgram
from controllers.pipeline.owner import ROUND_SHIFT, cookie_of
from controllers.switch import Switch

from .cluster import state
from .test_openflow import Connection, confirm, in_force, needs_ovs, refusal

ROUND = 7
PROGRAM = compile_cluster(state("three-node"))["n1"]
SERVICE = next(flow for flow in PROGRAM if flow.owner.kind == "Service")
STICKY = min(PROGRAM.taught)
ALIEN = 0x1234
DELETE = openflow.ofp.OFPRR_DELETE


def change(what: What, flow: Flow = SERVICE, cookie: int | None = None, reason: int = DELETE) -> Change:
    """As the switch tells it of a flow of the program; with its cookie, or another one."""
    own = cookie_of(flow.owner, PROGRAM.datapath_id, ROUND)
    match = openflow.match(flow.match)
    return Change(what, flow.stage.number, flow.priority, own if cookie is None else cookie, match, reason)


def update(one: Change) -> bytes:
    body = struct.pack(
        "!HHHHHHHBxQ", 24 + len(one.match), one.what, one.reason, one.priority, 0, 0, 0, one.table, one.cookie
    )
    return body + one.match


def reply(*parts: bytes, kind: int = flow_monitor.FLOW_MONITOR) -> Any:
    return SimpleNamespace(experimenter=flow_monitor.EXPERIMENTER, exp_type=kind, data=b"".join(parts))


# -- what is told ----------------------------------------------------------------------------------------


@needs_ovs
def test_open_vswitch_understands_what_is_asked(tmp_path: Path) -> None:
    datapath: Any = SimpleNamespace(ofproto=openflow.ofp, ofproto_parser=openflow.parser)
    message = flow_monitor.watch(datapath)
    message.set_xid(1)
    message.serialize()
    file = tmp_path / "message"
    file.write_bytes(message.buf)
    command = ["ovs-ofctl", "ofp-parse", str(file)]
    read = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "FLOW_MONITOR" in read.splitlines()[0]
    assert "flags=add,delete,modify" in read
    assert "id=0" in read
    assert "match=" not in read, "everything is watched"


def test_changes_are_read_and_the_controllers_own_are_passed_over() -> None:
    own = struct.pack("!HHI", 8, openflow.ofp.ONFFME_ABBREV, 99)
    told = [change(What.ADDED, cookie=ALIEN), change(What.DELETED), change(What.MODIFIED)]
    body = reply(own, update(told[0]), own, update(told[1]), update(told[2]))
    assert list(flow_monitor.changes(body)) == told


def test_an_answer_about_something_else_tells_nothing() -> None:
    assert list(flow_monitor.changes(reply(update(change(What.DELETED)), kind=1))) == []
    assert list(flow_monitor.changes(reply())) == []


# -- what is undone --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    what: What
    cookie: int
    table: int
    undone: bool


OWN = ROUND << ROUND_SHIFT | 5
EARLIER = (ROUND - 1) << ROUND_SHIFT | 5
CHANGES = {
    "a flow of ours is gone": Told(What.DELETED, OWN, 1, undone=True),
    "a flow of ours has other actions": Told(What.MODIFIED, OWN, 1, undone=True),
    "somebody adds one by our cookie": Told(What.ADDED, OWN, 1, undone=True),
    "somebody adds one": Told(What.ADDED, ALIEN, 1, undone=True),
    "somebody alters one of his own": Told(What.MODIFIED, ALIEN, 1, undone=True),
    "somebody takes his own away": Told(What.DELETED, ALIEN, 1, undone=False),
    "what an earlier controller left is gone": Told(What.DELETED, EARLIER, 1, undone=False),
    "a flow is learned": Told(What.ADDED, STICKY[1], STICKY[0], undone=False),
    "a learned flow is refreshed": Told(What.MODIFIED, STICKY[1], STICKY[0], undone=False),
    "a learned flow is forgotten": Told(What.DELETED, STICKY[1], STICKY[0], undone=False),
    "a learned flow in the wrong table": Told(What.ADDED, STICKY[1], STICKY[0] + 1, undone=True),
}


@pytest.mark.parametrize("told", CHANGES.values(), ids=CHANGES)
def test_which_changes_are_undone(told: Told) -> None:
    one = Change(told.what, told.table, 1, told.cookie, b"")
    assert foreign([one], PROGRAM.taught, ROUND) == ((one,) if told.undone else ())


def test_a_deleted_flow_is_given_again_with_all_of_its_owner() -> None:
    suspects = Suspects((change(What.DELETED),))
    assert list(suspects.to_remove()) == []
    assert set(suspects.to_give_again(PROGRAM)) == {f for f in PROGRAM if f.owner == SERVICE.owner}


def test_one_that_was_put_in_anothers_place_gives_way_to_it() -> None:
    suspects = Suspects((change(What.ADDED, cookie=ALIEN),))
    assert [one.match for one in suspects.to_remove()] == [openflow.match(SERVICE.match)]
    assert SERVICE in suspects.to_give_again(PROGRAM)


def test_the_same_change_is_undone_once() -> None:
    again = iter([change(What.DELETED), change(What.MODIFIED)])
    suspects = Suspects((change(What.DELETED),)) + again
    assert suspects.changes == (change(What.DELETED), change(What.MODIFIED))


def test_changes_are_told_by_stage_owner_and_name() -> None:
    stage, whose = SERVICE.stage.name, f"{SERVICE.owner} ({SERVICE.name})"
    alien = Change(What.ADDED, SERVICE.stage.number, 9, ALIEN, openflow.match(SERVICE.match))
    told = list(Suspects((change(What.DELETED), change(What.MODIFIED), alien)).repairs(PROGRAM))
    assert list(map(str, told)) == [
        f"deleted in {stage}: {whose}",
        f"modified in {stage}: {whose}",
        f"added in {stage}: nobody's",
    ]


def test_of_very_many_changes_the_first_are_told() -> None:
    some = Suspects(tuple(change(What.DELETED, flow) for flow in list(PROGRAM)[: TOLD + 5]))
    assert len(list(some.repairs(PROGRAM))) == TOLD


SPELLINGS = {
    "their order": ("80000a020800 8000140106", "8000140106 80000a020800"),
    "a register of 128 bits": (
        "0001e210fd000010024400010000000000000003",
        "00011004fd000010 0001120402440001 0001140400000000 0001160400000003",
    ),
    "a masked register of 128 bits": (
        "0001df20fd0000100244000100000000000000ffffffffff0000000000000000000000ff",
        "00010004fd000010 00010708000000ff000000ff",
    ),
    "TCP flags": ("0001450400040004", "ffff55084f4e460000040004"),
    "all TCP flags": ("000144020004", "ffff54064f4e46000004"),
}


@pytest.mark.parametrize(("ours", "told"), SPELLINGS.values(), ids=SPELLINGS)
def test_conditions_compare_whatever_their_order_and_spelling(ours: str, told: str) -> None:
    def match(fields: str) -> bytes:
        encoded = bytes.fromhex(fields)
        length = 4 + len(encoded)
        return struct.pack("!HH", 1, length) + encoded + bytes(-length % 8)

    assert conditions(match(ours)) == conditions(match(told))
    assert len(conditions(match(told))) == len(told.split())


# -- a switch --------------------------------------------------------------------------------------------


def sent(connection: Connection, directory: Path) -> list[str]:
    """What the switch was sent, in order, as Open vSwitch reads it."""
    file = directory / "messages"
    file.write_bytes(connection.sent)
    connection.sent.clear()
    command = ["ovs-ofctl", "ofp-parse", str(file)]
    read = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.strip() for line in read.splitlines()]


def flow_mods(lines: Iterable[str], verb: str) -> list[str]:
    return [line for line in lines if "FLOW_MOD" in line and f": {verb}" in line]


def finish(switch: Switch, transaction: Any, program: FlowProgram) -> Sequence[str]:
    switch.on_barrier(confirm(transaction))
    return switch.finish(transaction, program, 1.0).errors


def test_all_is_well_while_nobody_does_anything() -> None:
    switch, _ = in_force(PROGRAM)
    assert switch.on_changes([])
    assert switch.on_changes([Change(What.ADDED, *STICKY[:1], 200, STICKY[1], b"")])
    assert switch.begin(PROGRAM) is None


@needs_ovs
def test_what_was_added_goes_before_anything_is_given_again(tmp_path: Path) -> None:
    switch, connection = in_force(PROGRAM)
    assert not switch.on_changes([change(What.ADDED, cookie=ALIEN)])
    transaction = switch.begin(PROGRAM)
    assert transaction is not None
    lines = sent(connection, tmp_path)
    assert not any("METER_MOD" in line for line in lines)
    mods = [line for line in lines if "FLOW_MOD" in line]
    assert ": DEL_STRICT" in mods[0]
    assert len(flow_mods(lines, "DEL")) == 1
    assert len(flow_mods(lines, "ADD")) == len(mods) - 1 < len(PROGRAM), "the rest stays as it is"
    assert finish(switch, transaction, PROGRAM) == ()
    assert switch.begin(PROGRAM) is None, "once"


@needs_ovs
def test_meters_come_back_before_the_flows_that_they_took_along(tmp_path: Path) -> None:
    metered = next(flow for flow in PROGRAM if "meter" in str(flow))
    switch, connection = in_force(PROGRAM)
    assert not switch.on_changes([change(What.DELETED, metered, reason=METER_DELETED)])
    transaction = switch.begin(PROGRAM)
    lines = sent(connection, tmp_path)
    order = [word for line in lines for word in ("METER_MOD", "BUNDLE_CONTROL") if word in line.split(" ")[0]]
    assert order == ["METER_MOD"] * 2 * len(PROGRAM.meters) + ["BUNDLE_CONTROL"] * 2
    assert transaction is not None
    for xid in transaction.tolerated:
        switch.on_error(refusal(xid))
    assert finish(switch, transaction, PROGRAM) == ()


@needs_ovs
def test_a_change_under_way_is_never_put_back(tmp_path: Path) -> None:
    """Word of a deletion comes while the switch is given the next program: that one decides."""
    after = PROGRAM.without(SERVICE.name)
    switch, connection = in_force(PROGRAM)
    first = switch.begin(after)
    assert not switch.on_changes([change(What.DELETED), change(What.MODIFIED)])
    assert finish(switch, first, after) == ()
    connection.sent.clear()
    second = switch.begin(after)
    assert second is not None
    lines = sent(connection, tmp_path)
    given = {flow.key for flow in second.flows.values()}
    assert SERVICE.key not in given
    assert given <= after.flows.keys()
    assert len(flow_mods(lines, "DEL_STRICT")) == 1, "what was altered, and is no flow any more, goes"
    assert finish(switch, second, after) == ()
    assert switch.begin(after) is None


def test_what_the_last_program_still_learns_is_no_intrusion() -> None:
    """A packet that was under way when the flow that teaches it went."""
    learned = Change(What.ADDED, STICKY[0], 200, STICKY[1], b"")
    bare = FlowProgram(PROGRAM.bridge, PROGRAM.datapath_id, {})
    switch, _ = in_force(PROGRAM)
    transaction = switch.begin(bare)
    assert switch.on_changes([learned])
    assert finish(switch, transaction, bare) == ()
    assert not switch.on_changes([learned])


def test_what_a_refused_bundle_did_not_undo_is_undone_by_the_next() -> None:
    switch, _ = in_force(PROGRAM)
    switch.on_changes([change(What.DELETED)])
    first = switch.begin(PROGRAM)
    assert first is not None
    switch.on_error(refusal(next(iter(first.flows))))
    assert finish(switch, first, PROGRAM)
    again = switch.begin(PROGRAM)
    assert again is not None
    assert finish(switch, again, PROGRAM) == ()
    assert switch.begin(PROGRAM) is None


def test_a_count_says_nothing_more_while_it_is_known_what_was_done() -> None:
    switch, _ = in_force(PROGRAM)
    switch.on_changes([change(What.DELETED)])
    assert switch.on_count(len(PROGRAM) - 1)
    transaction = switch.begin(PROGRAM)
    assert transaction is not None
    assert len(transaction.flows) < len(PROGRAM)
    switch.on_barrier(confirm(transaction))
    outcome = switch.finish(transaction, PROGRAM, 1.0)
    repaired = Repair("deleted", SERVICE.stage.name, str(SERVICE.owner), SERVICE.name)
    assert (outcome.errors, outcome.repaired) == ((), (repaired,))
    assert not switch.on_count(len(PROGRAM) - 1), "if that was not all, everything is given anew"


@needs_ovs
def test_a_connection_is_watched_once(tmp_path: Path) -> None:
    connection = Connection()
    switch = Switch(connection, ROUND, 0)
    for _ in range(2):
        transaction = switch.begin(PROGRAM)
        assert transaction is not None
        switch.on_error(refusal(next(iter(transaction.flows))))
        assert finish(switch, transaction, PROGRAM)
    assert sum("FLOW_MONITOR" in line for line in sent(connection, tmp_path)) == 1
