"""What links do to packets: how it is written, what contradicts itself, and how faults add up."""

from __future__ import annotations

import pytest

from emulator.cluster.cables import cables, find_cable, name_of
from emulator.cluster.faults.catalogue import kind_of_fault
from emulator.cluster.faults.fault import Fault
from emulator.cluster.faults.kind import FaultMistake
from emulator.cluster.impairments import SOUND, Impairment, ImpairmentMistake, read_impairment, words
from emulator.cluster.plan import wire
from emulator.cluster.topology import parse_topology
from emulator.cluster.wiring import Wiring
from emulator.engine.faults.links import troubled_links

EVERYTHING = {
    "delay": "20ms",
    "jitter": "5ms",
    "loss": "10%",
    "duplicate": "1%",
    "reorder": "25%",
    "corrupt": "0.1%",
    "rate": "10mbit",
    "mtu": 1400,
}


@pytest.fixture
def wiring() -> Wiring:
    spec = {
        "nodes": [{"name": "worker-1"}, {"name": "worker-2"}],
        "links": [{"ends": ["worker-1", "fabric"], "delay": "2ms", "seed": 5}],
    }
    return wire(parse_topology({"metadata": {"name": "t"}, "spec": spec}))


def test_every_field_is_read_and_said() -> None:
    read = read_impairment({"ends": "ignored", **EVERYTHING})
    assert read == Impairment(20_000, 5000, 0.1, 0.01, 0.25, 0.001, 10_000_000, 1400)
    said = "delay 20ms, jitter 5ms, loss 10%, duplicate 1%, reorder 25%, corrupt 0.1%, rate 10mbit, mtu 1400"
    assert words(read) == said
    assert words(SOUND) == "sound"
    assert words(Impairment(down=True)) == "down"


@pytest.mark.parametrize(
    ("given", "field", "hint"),
    [
        ({"delay": "soon"}, "delay", "2ms"),
        ({"loss": "200%"}, "loss", "0.1%"),
        ({"loss": 0.1}, "loss", "0.1%"),
        ({"duplicate": "x"}, "duplicate", "0.1%"),
        ({"corrupt": "x"}, "corrupt", "0.1%"),
        ({"rate": "fast"}, "rate", "100mbit"),
        ({"mtu": 67}, "mtu", "68 to 1500"),
        ({"mtu": "big"}, "mtu", "68 to 1500"),
        ({"jitter": "1ms"}, "jitter", "add delay"),
        ({"reorder": "1%"}, "reorder", "add delay"),
        ({"delay": "1ms", "jitter": "2ms"}, "jitter", "at most the delay"),
    ],
)
def test_mistakes_name_the_field_and_what_is_right(given: dict[str, object], field: str, hint: str) -> None:
    with pytest.raises(ImpairmentMistake) as raised:
        read_impairment(given)
    assert raised.value.field == field
    assert hint in raised.value.hint


def test_what_needs_more_than_every_kernel_has() -> None:
    for field in ("delay", "loss", "duplicate", "corrupt"):
        assert read_impairment({field: EVERYTHING[field]}).needs_netem
    assert not Impairment(rate=5).needs_netem
    assert Impairment(rate=5).touches_packets
    assert not Impairment(mtu=1400, down=True).touches_packets
    assert Impairment(mtu=1400)
    assert not Impairment()


def test_the_later_one_counts_and_zero_is_something() -> None:
    first = Impairment(delay=1000, loss=0.5)
    assert first.under(Impairment(loss=0.0)) == Impairment(delay=1000, loss=0.0)
    assert first.under(Impairment(down=True)) == Impairment(delay=1000, loss=0.5, down=True)
    assert first.under(SOUND) == first


def test_links_are_found_by_their_ends(wiring: Wiring) -> None:
    assert [name_of(link) for link in cables(wiring)][:2] == ["worker-1,fabric", "worker-2,fabric"]
    wanted = cables(wiring)[0]
    for word in ("worker-1", "node/worker-1", "worker-1,fabric", "fabric, worker-1", "fabric,node/worker-1"):
        assert find_cable(wiring, word) == wanted
    with pytest.raises(LookupError, match="there are several: worker-1,fabric, worker-2,fabric"):
        find_cable(wiring, "fabric")
    with pytest.raises(LookupError, match="the links are worker-1,fabric, "):
        find_cable(wiring, "worker-9")


def fault(wiring: Wiring, kind: str, link: str, **arguments: str | int) -> Fault:
    ends = [[end.place, end.interface, end.bridge] for end in find_cable(wiring, link).ends]
    read = kind_of_fault(kind).arguments({"link": link, **arguments})
    return Fault(f"{kind}-1", kind, read, "2026-11-29T07:00:00Z", (), {"ends": ends, "mtu": 1500})


def test_faults_of_a_link_add_up_over_its_topology(wiring: Wiring) -> None:
    faults = [
        fault(wiring, "link-impaired", "worker-1", loss="10%", seed=9),
        fault(wiring, "link-mtu", "worker-1,fabric"),
        fault(wiring, "link-down", "worker-2"),
    ]
    one, two = troubled_links(wiring.links, faults)
    assert one.impairment == Impairment(delay=2000, loss=0.1, mtu=1400)
    assert one.seed == 9
    assert (two.impairment, two.seed) == (Impairment(down=True), 0)
    assert troubled_links(wiring.links, faults[1:2])[0].seed == 5
    assert not troubled_links(wiring.links, [])


def test_a_fault_of_another_kind_is_about_no_link(wiring: Wiring) -> None:
    assert not troubled_links(wiring.links, [Fault("controller-down-1", "controller-down", {}, "")])


@pytest.mark.parametrize(
    ("arguments", "field", "message"),
    [
        ({}, "", "nothing is said to happen"),
        ({"loss": "0.1"}, "loss", "'0.1' is no loss"),
        ({"jitter": "1ms"}, "jitter", "varies a delay"),
        ({"mtu": "1400"}, "mtu", "has no argument"),
    ],
)
def test_what_a_fault_cannot_be(arguments: dict[str, str], field: str, message: str) -> None:
    with pytest.raises(FaultMistake, match=message) as raised:
        kind_of_fault("link-impaired").arguments({"link": "worker-1", **arguments})
    assert raised.value.field == field
