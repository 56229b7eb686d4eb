"""The reader of ofproto/trace, on texts that Open vSwitch 3.1 has printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.verdict.trace.text import Part, TraceTextError, fields, parse

TRACES = Path(__file__).parent / "traces"


def sample(name: str) -> tuple[Part, ...]:
    return parse((TRACES / f"{name}.txt").read_text())


def test_a_service_takes_three_passes() -> None:
    looked_up, chosen, sent = sample("service")
    assert [step.table for step in looked_up.steps] == [0, 1, 8, 10, 11]
    assert [step.table for step in chosen.steps] == [12, 20, 21, 23, 24, 25]
    assert [step.table for step in sent.steps] == [40, 42, 60, 61, 70]
    assert (looked_up.outputs, chosen.outputs, sent.outputs) == ((), (), (3,))
    assert (chosen.before["nw_dst"], sent.before["nw_dst"]) == ("10.96.144.46", "10.244.2.5")
    assert (sent.before["tp_dst"], sent.after["nw_ttl"], sent.after["dl_dst"]) == (
        "8080",
        "63",
        "02:04:00:00:00:02",
    )


def test_a_step_names_its_flow() -> None:
    step = sample("service")[1].steps[2]
    assert (step.table, step.priority, step.cookie) == (21, 310, 0xFDEC030376429D36)
    assert step.match == "tcp,reg0=0x1/0xf,nw_dst=10.96.144.46,tp_dst=80"
    assert step.actions == ("load:0x7->NXM_NX_REG2[0..15]", "goto_table:23")


def test_explanations_are_no_actions() -> None:
    choice = sample("service")[1].steps[3]
    assert choice.actions == (
        "multipath(symmetric_l3l4+udp,3,modulo_n,3,0,NXM_NX_REG5[0..15])",
        "goto_table:24",
    )


def test_a_masquerade_changes_the_source() -> None:
    parts = sample("masqueraded")
    assert [part.before["nw_src"] for part in parts] == ["10.244.3.2"] * 3 + ["192.168.50.13"]
    assert parts[-1].outputs == (1,)


def test_a_drop_has_no_output_and_an_unchanged_packet() -> None:
    last = sample("no-such-port")[-1]
    assert last.outputs == ()
    assert not last.punted
    assert last.steps[-1].actions == ("drop",)
    assert last.after == last.before


def test_a_punt_tells_its_reason() -> None:
    (part,) = sample("ttl")
    assert part.punted
    assert part.after["reg6"] == "0x1"


def test_ipv6() -> None:
    parts = sample("ipv6")
    assert parts[0].before["kind"] == "udp6"
    assert parts[0].before["ipv6_dst"] == "fd00:10:96::a"
    assert len(parts) > 1


def test_a_table_without_a_flow() -> None:
    text = (
        'Flow: tcp,in_port=1,nw_ttl=64\n\nbridge("n1")\n------------\n 0. priority 0\n    goto_table:1\n'
        " 1. No match.\n    drop\n\nFinal flow: unchanged\nMegaflow: recirc_id=0\nDatapath actions: drop\n"
    )
    (part,) = parse(text)
    assert [step.hit for step in part.steps] == [True, False]
    assert part.steps[0].cookie == 0


def test_what_is_no_trace_is_told() -> None:
    with pytest.raises(TraceTextError, match="no `Flow:`"):
        parse("Unknown bridge")
    with pytest.raises(TraceTextError, match="no `Final flow:`"):
        parse("Flow: tcp,in_port=1\n")


def test_fields() -> None:
    assert fields("recirc_id=0x2c,eth,tcp6,in_port=102,ipv6_dst=fd00::1") == {
        "recirc_id": "0x2c",
        "kind": "tcp6",
        "in_port": "102",
        "ipv6_dst": "fd00::1",
    }


def test_what_would_leave_by_its_own_port_stays() -> None:
    text = """\
Flow: tcp,in_port=2,dl_dst=02:01:00:00:00:02

bridge("fabric")
----------------
 0. in_port=2, priority 100
    goto_table:4
 4. dl_dst=02:01:00:00:00:02, priority 200
    output:2
{}
Final flow: unchanged
Datapath actions: {}
"""
    (sent,) = parse(text.format("", "2"))
    assert sent.outputs == (2,)
    (kept,) = parse(text.format("     >> skipping output to input port\n", "drop"))
    assert kept.outputs == ()
