"""What tc and the relay say that interfaces do to packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.cluster.impairments import Impairment
from emulator.network import queueing, tc
from emulator.network.errors import NetworkError
from emulator.network.relay import orders
from emulator.network.relay.orders import Order

NETEM = """[
 {"kind": "noqueue", "handle": "0:", "dev": "lo", "root": true, "options": {}},
 {"kind": "tbf", "handle": "1:", "dev": "n1-up", "root": true,
  "options": {"rate": 500000, "burst": 10240, "lat": 50000}},
 {"kind": "netem", "handle": "10:", "dev": "n1-up", "parent": "1:", "options": {"limit": 1000,
  "delay": {"delay": 0.02, "jitter": 0.005, "correlation": 0},
  "loss-random": {"loss": 0.1, "correlation": 0}, "duplicate": {"duplicate": 0.01, "correlation": 0},
  "reorder": {"reorder": 0.25, "correlation": 0}, "corrupt": {"corrupt": 0.001, "correlation": 0},
  "rate": {"rate": 125000, "packetoverhead": 0}, "ecn": false, "gap": 1}}
]"""


def test_netem_and_tbf_are_read_as_they_were_written() -> None:
    found = queueing.read(NETEM)
    assert found == {
        "n1-up": Impairment(
            delay=20_000, jitter=5000, loss=0.1, duplicate=0.01, reorder=0.25, corrupt=0.001, rate=1_000_000
        )
    }


def test_no_delay_is_no_impairment() -> None:
    text = '[{"kind": "netem", "dev": "n1-up", "options": {"limit": 1000, "rate": {"rate": 125000}}}]'
    assert queueing.read(text) == {"n1-up": Impairment(rate=1_000_000)}
    assert queueing.read("") == {}


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(NetworkError):
        queueing.read("Cannot open netlink socket")


def test_the_relay_does_what_the_kernel_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tc, "show", lambda _: '[{"kind": "htb", "dev": "n1-up", "options": {}}]')
    impairment, other = Impairment(delay=20_000), Impairment(loss=0.5)
    orders.write(tmp_path, [Order(None, "n1-up", impairment, "1"), Order("pod-shop.web", "eth0", other, "2")])
    assert queueing.impairments(None, tmp_path) == {"n1-up": impairment}
    assert queueing.impairments("pod-shop.web", tmp_path) == {"eth0": other}
