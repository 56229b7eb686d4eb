"""Which of its own packets a node sends by way of its bridge."""

from __future__ import annotations

from ipaddress import ip_address

from emulator.cluster.host_ports import HostPort
from emulator.cluster.model import Protocol
from emulator.network import own_ports
from emulator.network.netlink import attributes
from tests.unit.cluster.lab import wiring_of

NODE = wiring_of().nodes[0]
POD4, POD6 = ip_address("10.244.1.5"), ip_address("fd00:10:244:1::5")


def destinations(*found: HostPort) -> list[str]:
    return [str(detour.destination) for detour in own_ports.host_port_detours(NODE, found)]


def test_a_host_port_is_at_every_address_of_its_family() -> None:
    assert destinations(HostPort(Protocol.TCP, 80, POD4, 8080)) == [
        "192.168.50.11/32",
        "10.244.1.1/32",
        "127.0.0.0/8",
    ]
    six = destinations(HostPort(Protocol.TCP, 80, POD6, 8080))
    assert six == ["fd00:192:168:50::11/128", "fd00:10:244:1::1/128"]


def test_or_at_the_one_that_it_names() -> None:
    at = ip_address("127.0.0.1")
    assert destinations(HostPort(Protocol.UDP, 53, POD4, 5353, at)) == ["127.0.0.1/32"]
    stranger = ip_address("192.168.50.12")
    assert destinations(HostPort(Protocol.UDP, 53, POD4, 5353, stranger)) == []


def test_node_ports_are_at_all_of_them() -> None:
    found = own_ports.node_port_detours(NODE, range(30000, 32768))
    assert {detour.protocol for detour in found} == {6, 17}
    assert len(found) == 2 * 5


def test_a_rule_names_protocol_ports_and_address() -> None:
    (detour,) = own_ports.host_port_detours(
        NODE, [HostPort(Protocol.UDP, 53, POD4, 5353, ip_address("127.0.0.1"))]
    )
    (request,) = own_ports.for_node_ports([detour])
    values = dict(attributes(request.payload[12:]))
    assert request.payload[:2] == bytes([2, 32])
    assert values[1] == b"\x7f\0\0\1"
    assert values[22] == b"\x11"
    assert values[24] == b"\x35\0\x35\0"
    assert request.payload[4] == 201, "the table whose source is a loopback address"
