"""Breaks cables and tunnels, and mends them; in the netns where Open vSwitch runs."""

from __future__ import annotations

from collections.abc import Iterable

from emulator.cluster.wiring import IPAddress
from emulator.network import rtnl
from emulator.network.netlink import Netlink


def set_links(names: Iterable[str], *, up: bool) -> None:
    """Set interfaces up or down; those that are gone by now are passed over. Raises NetlinkError."""
    with Netlink() as netlink:
        present = rtnl.links(netlink)
        netlink.execute([rtnl.set_up(name, up=up) for name in names if name in present])


def links_up(names: Iterable[str]) -> list[str]:
    """Those of the interfaces that are up."""
    with Netlink() as netlink:
        present = rtnl.links(netlink)
    return [name for name in names if name in present and present[name].up]


def point_tunnel(interface: str, mac: str, remote: IPAddress) -> None:
    """Let a VXLAN device send frames for `mac` to `remote`. Raises NetlinkError, and KeyError without it."""
    with Netlink() as netlink:
        index = rtnl.links(netlink)[interface].index
        netlink.execute([rtnl.add_fdb(index, mac, remote)])
