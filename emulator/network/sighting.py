"""What an operator can see of the network's devices without changing anything. All functions block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from emulator.cluster.wiring import IPAddress, Link, LinkEnd, PortRole, Wiring
from emulator.network import netns, rtnl
from emulator.network.names import netns_path
from emulator.network.netlink import Netlink, NetlinkError
from emulator.network.rtnl import LinkState


@dataclass(frozen=True, slots=True)
class Wire:
    """A link of the plan, as the kernel has it."""

    link: Link
    carries: bool
    """Both ends are there, and up."""
    mtu: int
    """The smaller one of its ends; 0 where none can be seen."""


def wires(links: Sequence[Link]) -> tuple[Wire, ...]:
    """These links, in their order. Raises OSError."""
    with Netlink() as netlink:
        here = rtnl.links(netlink)
    there = _inside({end.place for link in links for end in link.ends if end.bridge is None})
    return tuple(_wire(link, here, there) for link in links)


def tunnels(wiring: Wiring) -> Mapping[str, Mapping[str, IPAddress]]:
    """Node → VTEP's MAC → where its VXLAN device sends frames for it; a node without a device has no row."""
    devices = {
        node.name: port.name
        for node in wiring.nodes
        for port in wiring.bridge(node.bridge).ports
        if port.role is PortRole.TUNNEL
    }
    if not devices:
        return {}
    found: dict[str, Mapping[str, IPAddress]] = {}
    with Netlink() as netlink:
        here = rtnl.links(netlink)
        for node, device in devices.items():
            if device in here:
                with suppress(NetlinkError):
                    found[node] = rtnl.fdb(netlink, here[device].index)
    return found


def _wire(link: Link, here: Mapping[str, LinkState], there: Mapping[str, Mapping[str, LinkState]]) -> Wire:
    ends = [_state(end, here, there) for end in link.ends]
    known = [end for end in ends if end is not None]
    carries = len(known) == len(ends) and all(end.running for end in known)
    return Wire(link, carries, min((end.mtu for end in known), default=0))


def _state(
    end: LinkEnd, here: Mapping[str, LinkState], there: Mapping[str, Mapping[str, LinkState]]
) -> LinkState | None:
    return (here if end.bridge is not None else there.get(end.place, {})).get(end.interface)


def _inside(places: Iterable[str]) -> Mapping[str, Mapping[str, LinkState]]:
    names = [place for place in sorted(places) if netns_path(place).exists()]
    found = netns.inside([(netns_path(place), _links) for place in names])
    return dict(zip(names, found, strict=True))


def _links() -> Mapping[str, LinkState]:
    with Netlink() as netlink:
        return rtnl.links(netlink)
