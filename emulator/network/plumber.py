"""Lays cables: veth pairs, the namespaces at their ends, addresses and routes in them, ports at bridges.

Everything is declarative: `lay` brings a plan into being, whatever part of it is there already,
so that the same call builds a network, adds pods to it, and adopts it after a restart.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from emulator.network import ethtool, netns, own_ports, rtnl
from emulator.network.cables import BridgeEnd, Cable, Detour, HostEnd, Tunnel
from emulator.network.errors import VxlanUnavailable
from emulator.network.names import NETNS_DIRECTORY
from emulator.network.netlink import Netlink, NetlinkError, Request
from emulator.network.switchboard import BridgeSpec, Change, PortSpec, Switchboard

_DOOMED = 0x6D6E6574
"""The interface group that removals go through."""
_OWN_NETNS = Path("/proc/thread-self/ns/net")


@dataclass(frozen=True, slots=True)
class Plan:
    """What `Plumber.lay` brings into being."""

    bridges: tuple[BridgeSpec, ...] = ()
    cables: tuple[Cable, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()

    def bridge_ends(self) -> Iterator[BridgeEnd]:
        """Every port of every bridge."""
        for cable in self.cables:
            yield from cable.bridge_ends()
        for tunnel in self.tunnels:
            yield tunnel.end


class Plumber:
    """Works in the netns of the calling process, where Open vSwitch runs as well."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard

    def lay(self, plan: Plan) -> Change:
        """Make what is missing of the plan. Returns when the hosts are configured.

        Ports are being opened meanwhile; the caller waits for the returned change.
        Raises OSError (NetlinkError among them) and NetworkError.
        """
        wanted = {cable.host.netns for cable in plan.cables if cable.host}
        old = netns.existing() & wanted
        netns.create(sorted(wanted - old))
        netns.settle(netns.SWITCH_SYSCTLS)
        with Netlink() as netlink:
            present = rtnl.links(netlink)
            broken = _broken(plan.cables, present, old)
            netlink.execute([rtnl.delete_link(name) for name in broken])
            kept = present.keys() - broken
            new = [end.interface for end in plan.bridge_ends() if end.interface not in kept]
            if new:
                self._switchboard.release(new)
            _make_pairs(netlink, [c for c in plan.cables if c.near.interface not in kept])
            _make_tunnels(netlink, plan.tunnels, kept)
        change = self._switchboard.change(plan.bridges, [_port(end) for end in plan.bridge_ends()])
        netns.inside([_host_task(cable, cable.host) for cable in plan.cables if cable.host])
        ethtool.settle_links(end.interface for cable in plan.cables for end in cable.bridge_ends())
        return change

    def detour(self, changes: Mapping[str, own_ports.Change]) -> None:
        """Make and remove rules for hostPorts, in the named namespaces."""
        netns.inside(
            [(NETNS_DIRECTORY / name, partial(own_ports.change, wanted)) for name, wanted in changes.items()]
        )

    def set_detours(self, detours: Mapping[str, Iterable[Detour]]) -> None:
        """Make the rules for hostPorts in the named namespaces exactly these."""
        netns.inside(
            [(NETNS_DIRECTORY / name, partial(own_ports.replace, wanted)) for name, wanted in detours.items()]
        )

    def remove(self, interfaces: Iterable[str], names: Iterable[str]) -> None:
        """Take cables away by their interfaces at bridges, and namespaces by their names.

        Returns when no packet passes any more; Open vSwitch closes its ports afterwards.
        """
        doomed = tuple(interfaces)
        with Netlink() as netlink:
            present = rtnl.links(netlink)
            requests = [rtnl.set_group(name, _DOOMED) for name in doomed if name in present]
            if requests:
                netlink.execute([*requests, rtnl.delete_group(_DOOMED)])
        netns.remove(names)
        self._switchboard.remove(doomed)


def _port(end: BridgeEnd) -> PortSpec:
    return PortSpec(end.bridge, end.interface, end.ofport, end.shaped)


def _broken(
    cables: Sequence[Cable], present: Mapping[str, rtnl.LinkState], old: frozenset[str]
) -> frozenset[str]:
    """Interfaces whose cable does not end where it should: a restart came in the middle of a change."""
    suspects = [
        (cable.near.interface, cable.host)
        for cable in cables
        if cable.host and cable.near.interface in present
    ]
    checked = [(name, host) for name, host in suspects if host.netns in old]
    right = netns.inside(
        [(NETNS_DIRECTORY / host.netns, partial(_leads_to, host, present[name])) for name, host in checked]
    )
    sound = {name for (name, _), is_right in zip(checked, right, strict=True) if is_right}
    return frozenset(name for name, _ in suspects if name not in sound)


def _leads_to(host: HostEnd, near: rtnl.LinkState) -> bool:
    with Netlink() as netlink:
        found = rtnl.links(netlink).get(host.interface)
    return found is not None and found.peer == near.index and found.mac == host.mac


def _make_pairs(netlink: Netlink, cables: Sequence[Cable]) -> None:
    with contextlib.ExitStack() as files:
        requests: list[Request] = []
        for cable in cables:
            near = rtnl.VethEnd(cable.near.interface)
            if isinstance(cable.far, BridgeEnd):
                far = rtnl.VethEnd(cable.far.interface)
                requests += [rtnl.add_veth(near, far, cable.mtu), rtnl.set_up(far.name, up=True)]
            else:
                file = _open(NETNS_DIRECTORY / cable.far.netns, files)
                far = rtnl.VethEnd(cable.far.interface, cable.far.mac, file)
                requests.append(rtnl.add_veth(near, far, cable.mtu))
        netlink.execute(requests)


def _make_tunnels(netlink: Netlink, tunnels: Sequence[Tunnel], kept: Iterable[str]) -> None:
    if not tunnels:
        return
    with contextlib.ExitStack() as files:
        here = _open(_OWN_NETNS, files)
        missing = [tunnel for tunnel in tunnels if tunnel.end.interface not in set(kept)]
        netns.inside([(NETNS_DIRECTORY / t.netns, partial(_make_tunnel, t, here)) for t in missing])
    present = rtnl.links(netlink)
    netlink.execute(
        [
            rtnl.add_fdb(present[tunnel.end.interface].index, remote.mac, remote.address)
            for tunnel in tunnels
            for remote in tunnel.remotes
        ]
    )
    for tunnel in missing:
        # Merged segments would leave the far bridge larger than any wire carries.
        ethtool.switch_off(tunnel.end.interface, ethtool.Feature.RECEIVE_OFFLOAD)


def _make_tunnel(tunnel: Tunnel, netns_file: int) -> None:
    """Runs in the node's netns, so that the device's UDP socket is made there."""
    end = rtnl.VethEnd(tunnel.end.interface, netns=netns_file)
    try:
        with Netlink() as netlink:
            netlink.execute([rtnl.add_vxlan(end, tunnel.vni, tunnel.local, tunnel.udp_port, tunnel.mtu)])
    except NetlinkError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            raise VxlanUnavailable(
                "this kernel has no VXLAN devices (module vxlan), which overlay topologies need; "
                "load the module, or use a topology of mode routed"
            ) from error
        raise


def _open(path: Path, files: contextlib.ExitStack) -> int:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    files.callback(os.close, file)
    return file


def _host_task(cable: Cable, host: HostEnd) -> tuple[Path, partial[None]]:
    return NETNS_DIRECTORY / host.netns, partial(_configure, host, offload=cable.offload)


def _configure(host: HostEnd, *, offload: bool) -> None:
    """Configure the netns that the calling thread is in."""
    with Netlink() as netlink:
        index = rtnl.links(netlink)[host.interface].index
        netlink.execute(
            [
                rtnl.set_up_index(rtnl.LOOPBACK_INDEX),
                rtnl.set_up_index(index),
                *(rtnl.add_address(index, address) for address in host.addresses),
                *(rtnl.add_route(index, r.destination, r.gateway, r.source) for r in host.routes),
                *(rtnl.add_neighbour(index, r.gateway, r.gateway_mac) for r in host.routes if r.gateway_mac),
                *(rtnl.add_neighbour(index, n.address, n.mac) for n in host.neighbours),
            ]
        )
        if host.own_ports:
            netns.settle(own_ports.SYSCTLS)
            netlink.execute(list(own_ports.for_node_ports(host.own_ports.detours)))
            netlink.execute(list(own_ports.roads(index, host.own_ports.routes)))
    if not offload:
        ethtool.switch_off(host.interface, ethtool.Feature.TX_CHECKSUM)
    netns.settle(host.sysctls)
    ethtool.settle_links([host.interface])
