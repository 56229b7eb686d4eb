"""The route netlink messages this room needs, as functions from values to requests."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from emulator.cluster.wiring import IPAddress, IPInterface, IPNetwork
from emulator.network.netlink import (
    ALREADY_THERE,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NOT_THERE,
    Netlink,
    Request,
    attribute,
    attributes,
)

RTM_NEWLINK, RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_RTM_NEWADDR, _RTM_DELADDR = 20, 21
_RTM_NEWROUTE, _RTM_DELROUTE = 24, 25
_RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 28, 29, 30
_RTM_NEWRULE, _RTM_DELRULE, _RTM_GETRULE = 32, 33, 34
_RTM_NEWQDISC = 36

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK = 1, 3, 4, 5
_IFLA_LINKINFO, _IFLA_INFO_KIND, _IFLA_INFO_DATA = 18, 1, 2
_IFLA_GROUP, _IFLA_NET_NS_FD, _IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 27, 28, 31, 32
_VETH_INFO_PEER = 1
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT, _VXLAN_LOCAL6 = 1, 4, 7, 15, 17
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD = 0x02
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_RTA_PRIORITY, _RTA_TABLE = 6, 15
_RTNH_F_ONLINK = 4
_FRA_DST, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_TABLE, _FRA_IP_PROTO, _FRA_DPORT_RANGE = 1, 3, 6, 15, 22, 24
_FR_ACT_TO_TBL = 1
_NDA_DST, _NDA_LLADDR, _NTF_SELF, _NUD_PERMANENT = 1, 2, 0x02, 0x80
_TCA_KIND, _TC_H_ROOT = 1, 0xFFFFFFFF
_IFF_UP, _IFF_RUNNING = 1, 0x40
_AF_BRIDGE = 7
_ONE = struct.pack("=I", 1)

LOOPBACK_INDEX = 1
"""Every netns has `lo` first."""
MAIN_TABLE, LOCAL_TABLE = 254, 255
"""The routing tables that every netns has; the local one knows the netns' own addresses."""
MAIN_RULE, DEFAULT_RULE = (32766, MAIN_TABLE), (32767, 253)
"""Priority and table of the rules that every netns has; IPv6 has no table 253."""


@dataclass(frozen=True, slots=True)
class VethEnd:
    """One end of a veth pair. `netns` is an open file of its netns; None is the caller's own."""

    name: str
    mac: str | None = None
    netns: int | None = None


@dataclass(frozen=True, slots=True)
class LinkState:
    """One interface as the kernel lists it. `peer` is the index of a veth's other end, wherever it lies."""

    name: str
    index: int
    mac: str
    up: bool
    peer: int | None
    running: bool = True
    """It is up and has a wire: a veth's other end is up too."""
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class PortRule:
    """What a netns itself sends to ports of an address is routed by `table`."""

    priority: int
    table: int
    destination: IPNetwork
    protocol: int
    ports: range

    def __str__(self) -> str:
        return f"ports {self.ports.start}-{self.ports.stop - 1} of {self.destination}"


def add_veth(first: VethEnd, second: VethEnd, mtu: int) -> Request:
    """Make a veth pair, the first end up; the kernel refuses to make the second one up at once."""
    peer = _interface() + _end(second, mtu)
    payload = _interface(up=True) + _end(first, mtu) + _link_info("veth", attribute(_VETH_INFO_PEER, peer))
    return _create_link(payload, f"make the veth pair {first.name} - {second.name}")


def add_vxlan(end: VethEnd, vni: int, local: IPAddress, port: int, mtu: int) -> Request:
    """Make a VXLAN device whose UDP socket belongs to the sender's netns, wherever the device goes."""
    data = (
        attribute(_VXLAN_ID, struct.pack("=I", vni))
        + attribute(_VXLAN_LOCAL if isinstance(local, IPv4Address) else _VXLAN_LOCAL6, local.packed)
        + attribute(_VXLAN_LEARNING, b"\0")
        + attribute(_VXLAN_PORT, struct.pack("!H", port))
    )
    payload = _interface(up=True) + _end(end, mtu) + _link_info("vxlan", data)
    return _create_link(payload, f"make the VXLAN device {end.name}")


def set_up(name: str, *, up: bool) -> Request:
    """Set an interface up or down."""
    payload = _interface(up=up) + _named(name)
    return Request(RTM_NEWLINK, 0, payload, f"set {name} {'up' if up else 'down'}")


def set_up_index(index: int) -> Request:
    """Set the interface of that index up."""
    return Request(RTM_NEWLINK, 0, _interface(up=True, index=index), f"set interface {index} up")


def set_mtu(name: str, mtu: int) -> Request:
    """Have an interface send packets of at most so many bytes."""
    payload = _interface() + _named(name) + attribute(_IFLA_MTU, struct.pack("=I", mtu))
    return Request(RTM_NEWLINK, 0, payload, f"set the MTU of {name} to {mtu}")


def set_mac(name: str, mac: str) -> Request:
    """Give an interface another MAC address."""
    payload = _interface() + _named(name) + attribute(_IFLA_ADDRESS, _packed_mac(mac))
    return Request(RTM_NEWLINK, 0, payload, f"set the MAC address of {name} to {mac}")


def set_group(name: str, group: int) -> Request:
    """Put an interface in a group, so that `delete_group` takes all of them in one go."""
    payload = _interface() + _named(name) + attribute(_IFLA_GROUP, struct.pack("=I", group))
    return Request(RTM_NEWLINK, 0, payload, f"mark {name} for removal", NOT_THERE)


def delete_group(group: int) -> Request:
    """Delete all interfaces of a group; a veth's other end goes too."""
    payload = _interface() + attribute(_IFLA_GROUP, struct.pack("=I", group))
    return Request(RTM_DELLINK, 0, payload, "delete interfaces", NOT_THERE)


def delete_link(name: str) -> Request:
    """Delete one interface; content when there is none."""
    return Request(RTM_DELLINK, 0, _interface() + _named(name), f"delete {name}", NOT_THERE)


def add_address(index: int, interface: IPInterface) -> Request:
    """Give an interface an address, usable at once (no duplicate address detection)."""
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    flags = _IFA_F_NODAD if interface.version == 6 else 0
    payload = struct.pack("=BBBBI", family, interface.network.prefixlen, flags, 0, index)
    payload += attribute(_IFA_LOCAL, interface.ip.packed) + attribute(_IFA_ADDRESS, interface.ip.packed)
    if flags:
        payload += attribute(_IFA_FLAGS, struct.pack("=I", flags))
    return Request(
        _RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, payload, f"add the address {interface}", (ALREADY_THERE,)
    )


def delete_address(index: int, interface: IPInterface) -> Request:
    """Take an address away; one that is not there is no error."""
    family = _family(interface.version)
    payload = struct.pack("=BBBBI", family, interface.network.prefixlen, 0, 0, index)
    payload += attribute(_IFA_LOCAL, interface.ip.packed) + attribute(_IFA_ADDRESS, interface.ip.packed)
    return Request(_RTM_DELADDR, 0, payload, f"delete the address {interface}", NOT_THERE)


def delete_route(destination: IPNetwork, table: int, metric: int) -> Request:
    """Take a route away, wherever it leads; one that is not there is no error."""
    nowhere = 255
    payload = struct.pack(
        "=BBBBBBBBI", _family(destination.version), destination.prefixlen, 0, 0, table, 0, nowhere, 0, 0
    )
    payload += attribute(_RTA_DST, destination.network_address.packed)
    if metric:
        payload += attribute(_RTA_PRIORITY, struct.pack("=I", metric))
    return Request(_RTM_DELROUTE, 0, payload, f"delete the route to {destination}", NOT_THERE)


def delete_neighbour(index: int, address: IPAddress) -> Request:
    """Forget a neighbour; an unknown one is no error."""
    payload = struct.pack("=BxxxiHBB", _family(address.version), index, 0, 0, 0)
    payload += attribute(_NDA_DST, address.packed)
    return Request(_RTM_DELNEIGH, 0, payload, f"delete the neighbour {address}", NOT_THERE)


def delete_fdb(index: int, mac: str) -> Request:
    """Have a VXLAN device forget behind which address a MAC lives."""
    payload = struct.pack("=BxxxiHBB", _AF_BRIDGE, index, _NUD_PERMANENT, _NTF_SELF, 0)
    payload += attribute(_NDA_LLADDR, _packed_mac(mac))
    return Request(_RTM_DELNEIGH, 0, payload, f"delete the tunnel end of {mac}", NOT_THERE)


def add_route(
    index: int,
    destination: IPNetwork | None,
    gateway: IPAddress,
    source: IPAddress | None = None,
    table: int = MAIN_TABLE,
) -> Request:
    """Route `destination` (None: everything) through a gateway on that interface's wire, subnet or not."""
    version = gateway.version
    length = destination.prefixlen if destination else 0
    universe, static_protocol, unicast = 0, 4, 1
    payload = struct.pack(
        "=BBBBBBBBI",
        _family(version),
        length,
        0,
        0,
        table,
        static_protocol,
        universe,
        unicast,
        _RTNH_F_ONLINK,
    )
    if destination:
        payload += attribute(_RTA_DST, destination.network_address.packed)
    payload += attribute(_RTA_GATEWAY, gateway.packed) + attribute(_RTA_OIF, struct.pack("=I", index))
    if source:
        payload += attribute(_RTA_PREFSRC, source.packed)
    where = destination or ("0.0.0.0/0" if version == 4 else "::/0")
    return Request(_RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, payload, f"route {where} through {gateway}")


def add_neighbour(index: int, address: IPAddress, mac: str) -> Request:
    """Tell an interface for good which MAC a neighbour has."""
    payload = struct.pack("=BxxxiHBB", _family(address.version), index, _NUD_PERMANENT, 0, 0)
    payload += attribute(_NDA_DST, address.packed) + attribute(_NDA_LLADDR, _packed_mac(mac))
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, payload, f"add the neighbour {address}")


def add_rule(version: int, priority: int, table: int) -> Request:
    """Look routes up in `table`, in the order of priorities."""
    return _rule(_RTM_NEWRULE, version, priority, table, b"", f"rule {priority}")


def add_port_rule(rule: PortRule) -> Request:
    """Make such a rule."""
    return _port_rule(_RTM_NEWRULE, rule, f"rule for {rule}")


def delete_port_rule(rule: PortRule) -> Request:
    """Take it away; one that is not there is no error."""
    return _port_rule(_RTM_DELRULE, rule, f"delete the rule for {rule}")


def delete_rule(version: int, priority: int, table: int = 0) -> Request:
    """Take one rule away, whatever its conditions; one that is not there is no error."""
    return _rule(_RTM_DELRULE, version, priority, table, b"", f"delete rule {priority}")


def rule_priorities(netlink: Netlink, version: int) -> list[int]:
    """The priorities of all rules of a family in the socket's netns."""
    header = struct.pack("=BBBBBBBBI", _family(version), 0, 0, 0, 0, 0, 0, 0, 0)
    found = (dict(attributes(body[12:])) for body in netlink.dump(_RTM_GETRULE, header))
    return [struct.unpack("=I", values.get(_FRA_PRIORITY, bytes(4)))[0] for values in found]


def _port_rule(kind: int, rule: PortRule, purpose: str) -> Request:
    network = rule.destination
    conditions = (
        attribute(_FRA_DST, network.network_address.packed)
        + attribute(_FRA_IIFNAME, b"lo\0")
        + attribute(_FRA_IP_PROTO, struct.pack("=B", rule.protocol))
        + attribute(_FRA_DPORT_RANGE, struct.pack("=HH", rule.ports.start, rule.ports.stop - 1))
    )
    return _rule(kind, network.version, rule.priority, rule.table, conditions, purpose, network.prefixlen)


def _rule(
    kind: int, version: int, priority: int, table: int, conditions: bytes, purpose: str, length: int = 0
) -> Request:
    payload = struct.pack("=BBBBBBBBI", _family(version), length, 0, 0, table, 0, 0, _FR_ACT_TO_TBL, 0)
    payload += attribute(_FRA_PRIORITY, struct.pack("=I", priority)) + conditions
    if kind == _RTM_DELRULE:
        return Request(kind, 0, payload, purpose, NOT_THERE)
    return Request(kind, NLM_F_CREATE | NLM_F_EXCL, payload, purpose, (ALREADY_THERE,))


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def add_fdb(index: int, mac: str, remote: IPAddress) -> Request:
    """Tell a VXLAN device behind which address a MAC lives."""
    payload = struct.pack("=BxxxiHBB", _AF_BRIDGE, index, _NUD_PERMANENT, _NTF_SELF, 0)
    payload += attribute(_NDA_LLADDR, _packed_mac(mac)) + attribute(_NDA_DST, remote.packed)
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, payload, f"add the tunnel end {remote}")


def add_qdisc(index: int, kind: str) -> Request:
    """Hang a queueing discipline with its defaults on an interface."""
    payload = struct.pack("=BxxxiIII", 0, index, 0, _TC_H_ROOT, 0)
    payload += attribute(_TCA_KIND, kind.encode() + b"\0")
    return Request(
        _RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, payload, f"add the queueing discipline {kind}"
    )


def fdb(netlink: Netlink, index: int) -> Mapping[str, IPAddress]:
    """Behind which address a VXLAN device looks for each MAC that it knows."""
    header = struct.pack("=BxxxiHBB", _AF_BRIDGE, index, 0, 0, 0)
    found = (dict(attributes(body[12:])) for body in netlink.dump(_RTM_GETNEIGH, header))
    return {
        values[_NDA_LLADDR].hex(":"): ip_address(values[_NDA_DST])
        for values in found
        if _NDA_LLADDR in values and _NDA_DST in values
    }


def links(netlink: Netlink) -> Mapping[str, LinkState]:
    """All interfaces of the socket's netns by name."""
    found = (link_state(body) for body in netlink.dump(_RTM_GETLINK, _interface()))
    return {link.name: link for link in found}


def link_state(body: bytes) -> LinkState:
    """The interface that a message about one describes."""
    index, flags = struct.unpack_from("=iI", body, 4)
    values = dict(attributes(body[16:]))
    peer = values.get(_IFLA_LINK)
    return LinkState(
        name=values[_IFLA_IFNAME].rstrip(b"\0").decode(),
        index=index,
        mac=values.get(_IFLA_ADDRESS, b"").hex(":"),
        up=bool(flags & _IFF_UP),
        running=bool(flags & _IFF_UP and flags & _IFF_RUNNING),
        peer=struct.unpack("=I", peer)[0] if peer else None,
        mtu=struct.unpack("=I", values.get(_IFLA_MTU, bytes(4)))[0],
    )


def _interface(*, up: bool | None = None, index: int = 0) -> bytes:
    change = 0 if up is None else _IFF_UP
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, _IFF_UP if up else 0, change)


def _create_link(payload: bytes, purpose: str) -> Request:
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, purpose)


def _end(end: VethEnd, mtu: int) -> bytes:
    parts = [
        _named(end.name),
        attribute(_IFLA_MTU, struct.pack("=I", mtu)),
        attribute(_IFLA_NUM_TX_QUEUES, _ONE),
        attribute(_IFLA_NUM_RX_QUEUES, _ONE),
    ]
    if end.mac:
        parts.append(attribute(_IFLA_ADDRESS, _packed_mac(end.mac)))
    if end.netns is not None:
        parts.append(attribute(_IFLA_NET_NS_FD, struct.pack("=I", end.netns)))
    return b"".join(parts)


def _link_info(kind: str, data: bytes) -> bytes:
    info = attribute(_IFLA_INFO_KIND, kind.encode()) + attribute(_IFLA_INFO_DATA, data)
    return attribute(_IFLA_LINKINFO, info)


def _named(name: str) -> bytes:
    return attribute(_IFLA_IFNAME, name.encode() + b"\0")


def _packed_mac(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
