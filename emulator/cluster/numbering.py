"""The numbers and names that a plan gives out: bridges, ports, MAC addresses, public addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from emulator.cluster import ranges
from emulator.cluster.layout import Layout
from emulator.cluster.specs import RouterKind, RouterSpec, Topology, TopologyError
from emulator.cluster.wiring import IPAddress

ROUTER_MAC, NODE_MAC, VTEP_MAC, EXTERNAL_MAC, CHECKER_MAC = 0x10, 0x01, 0x04, 0x20, 0x11
"""The second octet of a MAC address says whose it is."""

_INTERFACE_NAME_LENGTH = 15
_BRIDGE_NAME_LENGTH = 11  # leaves room for "-" and a port number in an interface's 15 characters
_TAKEN_NAMES = frozenset({"lo", "eth0", "all", "default", "ovs-netdev", "ovs-system"})
_NODE_OR_POD_NAME = re.compile(r"[np]\d+(-.*)?")


@dataclass(frozen=True, slots=True)
class Draft:
    """What every part of the plan looks up."""

    layout: Layout
    bridge: Mapping[str, str]
    """The Open vSwitch bridge of each router."""
    ofport: Mapping[tuple[str, str], int]
    """(router, neighbour) → port number on the router's bridge."""

    def router_mac(self, router: str) -> str:
        """A router's one MAC address."""
        return mac_address(ROUTER_MAC, 1 + [r.name for r in self.layout.topology.routers].index(router))

    def is_linux(self, name: str) -> bool:
        """Whether it is a router that is no bridge."""
        return self.layout.kinds.get(name) is RouterKind.BGP

    def interface(self, router: str, neighbour: str) -> str:
        """A Linux router's interface towards a neighbour: the neighbour's name, where the kernel takes it."""
        is_usable = len(neighbour) <= _INTERFACE_NAME_LENGTH and neighbour not in _TAKEN_NAMES
        return neighbour if is_usable else f"port{self.ofport[router, neighbour]}"

    def place(self, name: str) -> str:
        """What users call the node, router or host of that name."""
        if name in self.bridge:
            return f"router/{name}"
        return f"node/{name}" if any(n.name == name for n in self.layout.topology.nodes) else f"ext/{name}"


def mac_address(kind: int, number: int) -> str:
    """Locally administered addresses, one second octet a kind of owner."""
    return f"02:{kind:02x}:00:00:{number >> 8:02x}:{number & 0xFF:02x}"


def pod_mac(address: IPAddress, node: int, index: int) -> str:
    """`0a:58:` and the IPv4 address, as CNI plugins do; from node and index where there is only IPv6."""
    if isinstance(address, IPv4Address):
        return "0a:58:" + ":".join(f"{byte:02x}" for byte in address.packed)
    return f"0a:59:{node >> 8:02x}:{node & 0xFF:02x}:{index >> 8:02x}:{index & 0xFF:02x}"


def own_addresses(
    layout: Layout, router: RouterSpec, public: Mapping[str, tuple[IPAddress, ...]]
) -> tuple[IPAddress, ...]:
    """The addresses that a router speaks with, one a family."""
    for subnet in (*layout.node_subnets, *layout.external_subnets):
        if subnet.router == router.name and len(subnet.gateways) == len(layout.topology.families):
            return tuple(gateway.ip for gateway in subnet.gateways)
    if router.kind is RouterKind.INTERNET:
        return public[router.name]
    number = 1 + layout.topology.routers.index(router)
    return tuple(ranges.router_address(number, version) for version in layout.topology.families)


def bridge_names(topology: Topology) -> dict[str, str]:
    """The Open vSwitch bridge of each router: its own name, or what is left of it and its number."""
    names: dict[str, str] = {}
    for router in topology.routers:
        if len(router.name) <= _BRIDGE_NAME_LENGTH and _usable(router.name, topology):
            names[router.name] = router.name
    for number, router in enumerate(topology.routers, start=1):
        if router.name not in names:
            stem = router.name[: _BRIDGE_NAME_LENGTH - 4].rstrip("-")
            names[router.name] = f"{stem}_{number}"
    return names


def _usable(name: str, topology: Topology) -> bool:
    """Whether a router's bridge may have its name: no clash with interfaces, bridges and their ports."""
    stem, _, number = name.rpartition("-")
    is_port = number.isdigit() and any(router.name == stem for router in topology.routers)
    return name not in _TAKEN_NAMES and not _NODE_OR_POD_NAME.fullmatch(name) and not is_port


def cable_ports(layout: Layout) -> dict[tuple[str, str], int]:
    """(router, neighbour) → port number, counted from 1 in the order of the cables."""
    ports: dict[tuple[str, str], int] = {}
    count: dict[str, int] = {}
    for cable in layout.cables:
        for router, other in (cable.ends, cable.ends[::-1]):
            if router in layout.neighbours:
                count[router] = count.get(router, 0) + 1
                ports[router, other] = count[router]
    return ports


def balancer_addresses(topology: Topology, name: str) -> tuple[IPAddress, ...]:
    """A load balancer's own addresses, one a family: what nodes see of it."""
    number = 1 + [router.name for router in topology.routers].index(name)
    return tuple(ranges.router_address(number, version) for version in topology.families)


def public_addresses(topology: Topology) -> dict[str, tuple[IPAddress, ...]]:
    """NAT gateways count up from .1; internet routers without hosts count down from .254."""
    pool = ranges.public_pool(topology.external)
    nat = [r.name for r in topology.routers if r.kind is RouterKind.NAT]
    internet = [r.name for r in topology.routers if r.kind is RouterKind.INTERNET]
    numbers = {name: n for n, name in enumerate(nat, 1)} | {name: 254 - n for n, name in enumerate(internet)}
    if len(numbers) > 254:
        raise TopologyError(("spec", "routers"), f"{pool} has no addresses for {len(numbers)} gateways")
    found: dict[str, tuple[IPAddress, ...]] = {}
    for name, number in numbers.items():
        four = ranges.numbered(pool, number)
        six = ranges.documentation_ipv6(four)
        router = topology.router(name)
        versions = router.translates if router.kind is RouterKind.NAT else topology.families
        found[name] = tuple(four if version == 4 else six for version in versions)
    return found
