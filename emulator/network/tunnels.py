"""The overlay of a plan: each node's VXLAN device, with all the others behind it."""

from __future__ import annotations

from collections.abc import Iterable

from emulator.cluster.wiring import PortRole, Wiring
from emulator.network.cables import BridgeEnd, RemoteEnd, Tunnel


def tunnels(wiring: Wiring) -> Iterable[Tunnel]:
    """A VXLAN device for each node whose bridge has a port for one."""
    for node in wiring.nodes:
        for port in wiring.bridge(node.bridge).ports:
            if port.role is not PortRole.TUNNEL:
                continue
            local = node.addresses[0].ip
            others = (other for other in wiring.nodes if other is not node)
            remotes = (
                RemoteEnd(other.vtep_mac, interface.ip)
                for other in others
                for interface in other.addresses
                if interface.version == local.version
            )
            yield Tunnel(
                end=BridgeEnd(node.bridge, port.name, port.ofport),
                place=f"node/{node.name}",
                vni=wiring.vni,
                local=local,
                remotes=tuple(remotes),
                mtu=port.mtu,
            )
