"""How a link's impairment is brought about: by tbf, by netem, or by the relay; and what is undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator.cluster.impairments import SOUND, Impairment
from emulator.cluster.wiring import Link, LinkEnd
from emulator.network import shaping, tc
from emulator.network.errors import NetemUnavailable
from emulator.network.relay import orders
from emulator.network.relay.orders import Order
from emulator.network.rtnl import LinkState
from emulator.network.shaping import How, RelayService, Shaper

CABLE = Link((LinkEnd("router/a", "a-1", "a"), LinkEnd("ext/client", "eth0")))
OTHER = Link((LinkEnd("router/a", "a-2", "a"), LinkEnd("router/b", "b-1", "b")))


class Machine:
    """What the shaper does to the machine, as words."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, *, netem: bool) -> None:
        self.did: list[str] = []
        self.relay = RelayService(directory, lambda: self.note("start"))
        self.present = {name: LinkState(name, 1, "", True, None) for name in ("a-1", "a-2", "b-1")}
        monkeypatch.setattr(shaping, "has_netem", lambda: netem)
        monkeypatch.setattr(shaping, "can_relay", lambda: True)
        monkeypatch.setattr(tc, "run", lambda place, lines: self.note(place or "here", *lines))
        monkeypatch.setattr(tc, "clear", lambda place, name: self.note("clear", place or "here", name))
        monkeypatch.setattr(shaping.rtnl, "links", lambda _: self.present)
        monkeypatch.setattr(shaping, "_set_interfaces", self.set_interfaces)
        monkeypatch.setattr(orders, "carry_out", lambda *_: self.answer())
        self.failed: dict[str, str] = {}

    def note(self, *words: str) -> None:
        self.did.append(" ".join(words))

    def answer(self) -> Mapping[str, Any]:
        self.note("relay", *(order.interface for order in orders.read(self.relay.directory)))
        return {"failed": self.failed}

    def set_interfaces(self, names: list[str], mtu: int, before: Impairment, after: Impairment) -> None:
        if (before.mtu, before.down) != (after.mtu, after.down):
            self.note("set", *names, str(after.mtu or mtu), "down" if after.down else "up")

    def leave_queues(self, interfaces: list[str]) -> None:
        if interfaces:
            self.note("leave", *sorted(interfaces))

    def take_queues(self, interfaces: list[str]) -> None:
        if interfaces:
            self.note("take", *sorted(interfaces))

    def told(self) -> list[str]:
        did, self.did = self.did, []
        return did


@pytest.fixture
def netem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path, netem=True)


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path, netem=False)


def shaper(machine: Machine) -> Shaper:
    return Shaper(machine, machine.relay)  # type: ignore[arg-type]


def test_both_ends_are_shaped_by_netem_behind_a_token_bucket(netem: Machine) -> None:
    wanted = Impairment(2000, 500, 0.001, 0.01, 0.25, 0.002, rate=1_000_000_000)
    shaper(netem).shape([replace(CABLE, impairment=wanted)])
    effects = "delay 2000us 500us loss 0.100000% duplicate 1.000000% corrupt 0.200000% reorder 25.000000%"
    near = (
        "qdisc replace dev a-1 root handle 1: tbf rate 1000000000bit burst 1250000 latency 50ms "
        f"qdisc replace dev a-1 parent 1: handle 10: netem limit 10000 {effects}"
    )
    said = netem.told()
    assert said[0] == "leave a-1"
    assert sorted(said[1:]) == [f"ext-client {near.replace('a-1', 'eth0')}", f"here {near}"]


def test_small_rates_still_pass_a_frame(relay: Machine) -> None:
    shaper(relay).shape([replace(CABLE, impairment=Impairment(rate=64_000))])
    assert all("burst 15000 " in line for line in relay.told()[1:])


def test_a_rate_alone_needs_neither_netem_nor_relay(relay: Machine) -> None:
    one = shaper(relay)
    assert one.how(Impairment(rate=5)) is How.TOKEN_BUCKET
    assert one.how(Impairment(rate=5, loss=0.1)) is How.RELAY
    assert one.how(Impairment(mtu=1400, down=True)) is How.NOTHING


def test_delay_alone_needs_no_bucket(netem: Machine) -> None:
    shaper(netem).shape([replace(CABLE, impairment=Impairment(delay=500))])
    assert "here qdisc replace dev a-1 root handle 1: netem limit 10000 delay 500us" in netem.told()


def test_the_relay_gets_both_ends_and_lets_go_of_them(relay: Machine) -> None:
    one = shaper(relay)
    one.shape([CABLE, replace(OTHER, impairment=Impairment(loss=0.1), seed=3)])
    assert relay.told() == ["leave a-2 b-1", "start", "relay a-2 b-1"]
    (first, second) = orders.read(relay.relay.directory)
    assert first == Order(None, "a-2", Impairment(loss=0.1), "3/router/a/a-2")
    assert second.seed == "3/router/b/b-1", "the two directions are chosen for apart"
    one.shape([replace(OTHER, impairment=Impairment(loss=0.2), seed=3)])
    assert relay.told() == ["leave a-2 b-1", "start", "relay a-2 b-1"]
    one.shape([])
    said = relay.told()
    assert sorted(said[:2]) == ["clear here a-2", "clear here b-1"], "frames pass before the relay lets go"
    assert said[-3:] == ["start", "relay", "take a-2 b-1"]
    one.shape([])
    assert relay.told() == []


def test_from_the_bucket_to_the_relay_and_back(relay: Machine) -> None:
    one = shaper(relay)
    limited = replace(OTHER, impairment=Impairment(rate=5_000_000))
    one.shape([limited])
    assert any("tbf" in line for line in relay.told())
    one.shape([replace(limited, impairment=Impairment(rate=5_000_000, delay=10))])
    said = relay.told()
    assert "clear here a-2" in said
    assert said[-1] == "relay a-2 b-1"
    one.shape([limited])
    said = relay.told()
    assert said.index("clear here a-2") < next(k for k, line in enumerate(said) if "tbf" in line)
    assert said[-1] == "relay"


def test_what_a_dead_engine_left_to_the_relay_is_taken_back(relay: Machine) -> None:
    orders.write(relay.relay.directory, [Order("pod-x.y", "eth0", Impairment(loss=1.0), "s")])
    shaper(relay).shape([])
    assert relay.told()[:3] == ["clear pod-x.y eth0", "start", "relay"]


def test_the_relays_refusal_names_the_interface(relay: Machine) -> None:
    relay.failed = {"eth0": "no such device"}
    with pytest.raises(shaping.NetworkError, match="eth0 cannot be impaired: no such device"):
        shaper(relay).shape([replace(CABLE, impairment=Impairment(loss=0.1))])


def test_mtu_and_cut_are_set_at_bridges_and_taken_back(relay: Machine) -> None:
    one = shaper(relay)
    one.shape(
        [replace(OTHER, impairment=Impairment(mtu=1400)), replace(CABLE, impairment=Impairment(down=True))]
    )
    assert sorted(relay.told()) == ["set a-1 1500 down", "set a-2 b-1 1400 up"]
    one.shape([])
    assert sorted(relay.told()) == ["set a-1 1500 up", "set a-2 b-1 1500 up"]


def test_the_cable_of_a_pod_that_has_gone_is_passed_over(relay: Machine) -> None:
    del relay.present["a-1"]
    shaper(relay).shape([replace(CABLE, impairment=Impairment(loss=0.1))])
    assert relay.told() == []


def test_what_neither_can_do_is_refused(relay: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    lossy = replace(CABLE, impairment=Impairment(loss=0.5))
    shaper(relay).refuse_impossible([lossy])
    monkeypatch.setattr(shaping, "can_relay", lambda: False)
    with pytest.raises(NetemUnavailable, match=r"router/a - ext/client.*sch_netem.*act_mirred"):
        shaper(relay).refuse_impossible([CABLE, lossy])
    shaper(relay).refuse_impossible([CABLE, replace(CABLE, impairment=Impairment(rate=5))])
    monkeypatch.setattr(shaping, "has_netem", lambda: True)
    shaper(relay).refuse_impossible([lossy])


def test_orders_are_read_as_they_were_written(tmp_path: Path) -> None:
    wanted = (
        Order(None, "a-1", Impairment(delay=5, mtu=1400), "1/x"),
        Order("ext-client", "eth0", SOUND, "1/y"),
    )
    assert orders.read(tmp_path) == ()
    orders.write(tmp_path / "new", wanted)
    assert orders.read(tmp_path / "new") == wanted
