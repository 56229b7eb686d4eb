"""Whether Open vSwitch can forward in the kernel here."""

from __future__ import annotations

import errno
import struct

from emulator.network.errors import KernelDatapathUnavailable
from emulator.network.netlink import NETLINK_GENERIC, Netlink, NetlinkError, Request, attribute

_CONTROL_FAMILY = 0x10
_GET_FAMILY = struct.pack("=BBxx", 3, 1)
_FAMILY_NAME = 2


def has_kernel_datapath() -> bool:
    """Whether the kernel has the module openvswitch; asking loads it where modules are loaded on demand."""
    payload = _GET_FAMILY + attribute(_FAMILY_NAME, b"ovs_datapath\0")
    try:
        with Netlink(NETLINK_GENERIC) as netlink:
            netlink.execute([Request(_CONTROL_FAMILY, 0, payload, "look for the module openvswitch")])
    except NetlinkError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def refuse_without_kernel_datapath() -> None:
    """Raise KernelDatapathUnavailable unless there is one."""
    if not has_kernel_datapath():
        raise KernelDatapathUnavailable(
            "this kernel has no Open vSwitch datapath (module openvswitch); load it, or use --datapath netdev"
        )
