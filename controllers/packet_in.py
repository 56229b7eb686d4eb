"""What the controller says about packets that the switches hand to it: ICMP errors.

A switch cannot quote a packet, so it asks the controller for the errors that the pipeline
wants sent (`Punt`). The answer goes straight back to the port the packet came from: an error
about a connection that nobody knows would be invalid to conntrack. Pure functions; RFC 792,
RFC 1812 4.3.2 and RFC 4443 say what an error looks like and when none may be sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from controllers.pipeline.registers import Punt
from emulator.cluster.wiring import Bridge, BridgeRole, IPAddress, Port, PortRole, Wiring

_ETHERTYPE = {0x0800: 4, 0x86DD: 6}
_HEADER = {4: 20, 6: 40}
_ICMP_PROTOCOL = {4: 1, 6: 58}
_HOP_LIMIT = 64
_LARGEST_ERROR = {4: 576, 6: 1280}
"""Bytes of IP that an error may fill with what it quotes."""

_TYPE_AND_CODE = {
    (Punt.TIME_EXCEEDED, 4): (11, 0),
    (Punt.PORT_UNREACHABLE, 4): (3, 3),
    (Punt.NET_UNREACHABLE, 4): (3, 0),
    (Punt.HOST_UNREACHABLE, 4): (3, 1),
    (Punt.TIME_EXCEEDED, 6): (3, 0),
    (Punt.PORT_UNREACHABLE, 6): (1, 4),
    (Punt.NET_UNREACHABLE, 6): (1, 0),
    (Punt.HOST_UNREACHABLE, 6): (1, 3),
}
_ICMP_ERRORS = {4: frozenset({3, 4, 5, 11, 12}), 6: frozenset(range(128))}


@dataclass(frozen=True, slots=True)
class _Packet:
    """What an answer needs to know of a frame."""

    family: int
    source: IPAddress
    destination: IPAddress
    is_error: bool
    is_later_fragment: bool
    data: bytes


def answer(frame: bytes, reason: Punt, wiring: Wiring, bridge: Bridge, in_port: int) -> bytes | None:
    """The frame to send back out of `in_port`, or None when no error may be sent about this one."""
    packet = _parse(frame)
    if packet is None or not _may_be_answered(packet):
        return None
    source = error_source(wiring, bridge, in_port, packet.destination)
    if source is None:
        return None
    body = _error(packet, reason, source)
    return frame[6:12] + frame[:6] + frame[12:14] + body


def error_source(wiring: Wiring, bridge: Bridge, in_port: int, destination: IPAddress) -> IPAddress | None:
    """The address that an error about a packet to `destination` comes from.

    That is the destination where the bridge or its node owns it, and otherwise the address that the
    sender knows as its next hop: the pod gateway for pods, the router's address in the subnet for hosts.
    A node's own stack drops packets that carry its own address, so to it the destination seems to answer.
    What the load balancer passed on is answered as from its address: only that leads back through it.
    """
    port = next((port for port in bridge.ports if port.ofport == in_port), None)
    if bridge.role is BridgeRole.NODE:
        node = next(node for node in wiring.nodes if node.bridge == bridge.name)
        node_addresses = tuple(interface.ip for interface in node.addresses)
        if (port is not None and port.role is PortRole.HOST) or destination in node_addresses:
            return destination
        uplink = port is not None and port.role is PortRole.UPLINK
        if uplink and wiring.balancer and any(destination in network for network in wiring.balancer.pool):
            return destination
        return _first(node_addresses if uplink else node.pod_gateways, destination.version)
    own = _router_addresses(bridge, port)
    return destination if destination in own else _first(own, destination.version)


def _router_addresses(bridge: Bridge, port: Port | None) -> tuple[IPAddress, ...]:
    on_port = () if port is None else tuple(interface.ip for interface in port.addresses)
    elsewhere = tuple(interface.ip for other in bridge.ports for interface in other.addresses)
    return (*on_port, *bridge.addresses, *elsewhere)


def _first(addresses: Iterable[IPAddress], family: int) -> IPAddress | None:
    return next((address for address in addresses if address.version == family), None)


# -- reading ---------------------------------------------------------------------------------------


def _parse(frame: bytes) -> _Packet | None:
    if len(frame) < 14:
        return None
    family = _ETHERTYPE.get(int.from_bytes(frame[12:14], "big"))
    data = frame[14:]
    if family is None or len(data) < _HEADER[family]:
        return None
    return _parse_ipv4(data) if family == 4 else _parse_ipv6(data)


def _parse_ipv4(data: bytes) -> _Packet | None:
    header = (data[0] & 0x0F) * 4
    length, fragment = struct.unpack_from("!H2xH", data, 2)
    data = data[: max(length, header)]
    error = data[9] == _ICMP_PROTOCOL[4] and len(data) > header and data[header] in _ICMP_ERRORS[4]
    source, destination = ip_address(data[12:16]), ip_address(data[16:20])
    return _Packet(4, source, destination, error, bool(fragment & 0x1FFF), data)


def _parse_ipv6(data: bytes) -> _Packet | None:
    length = int.from_bytes(data[4:6], "big")
    data = data[: 40 + length]
    error = data[6] == _ICMP_PROTOCOL[6] and len(data) > 40 and data[40] in _ICMP_ERRORS[6]
    later = data[6] == 44 and len(data) >= 44 and bool(int.from_bytes(data[42:44], "big") & 0xFFF8)
    return _Packet(6, ip_address(data[8:24]), ip_address(data[24:40]), error, later, data)


def _may_be_answered(packet: _Packet) -> bool:
    return not (
        packet.is_error
        or packet.is_later_fragment
        or packet.source.is_multicast
        or packet.source.is_unspecified
        or packet.destination.is_multicast
        or packet.source == IPv4Address("255.255.255.255")
    )


# -- writing ---------------------------------------------------------------------------------------


def _error(packet: _Packet, reason: Punt, source: IPAddress) -> bytes:
    kind, code = _TYPE_AND_CODE[reason, packet.family]
    room = _LARGEST_ERROR[packet.family] - _HEADER[packet.family] - 8
    message = struct.pack("!BBHI", kind, code, 0, 0) + packet.data[:room]
    if isinstance(source, IPv6Address):
        pseudo = source.packed + packet.source.packed + struct.pack("!I3xB", len(message), _ICMP_PROTOCOL[6])
        message = _with_checksum(message, 2, pseudo)
        header = struct.pack("!IHBB", 6 << 28, len(message), _ICMP_PROTOCOL[6], _HOP_LIMIT)
        return header + source.packed + packet.source.packed + message
    message = _with_checksum(message, 2)
    total = _HEADER[4] + len(message)
    # Type of service 0xc0, "internetwork control", as routers mark their errors (RFC 1812 4.3.2.5).
    header = struct.pack("!BBHHHBBH", 0x45, 0xC0, total, 0, 0, _HOP_LIMIT, _ICMP_PROTOCOL[4], 0)
    return _with_checksum(header + source.packed + packet.source.packed, 10) + message


def _with_checksum(data: bytes, offset: int, pseudo_header: bytes = b"") -> bytes:
    summed = pseudo_header + data
    summed += b"\0" * (len(summed) % 2)
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return data[:offset] + struct.pack("!H", ~total & 0xFFFF) + data[offset + 2 :]
