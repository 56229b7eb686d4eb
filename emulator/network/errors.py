"""What can go wrong when a network is built."""

from __future__ import annotations


class NetworkError(Exception):
    """The network could not be brought to what was asked for; the message says what is missing and why."""


class NetemUnavailable(NetworkError):  # noqa: N818 - says what is the matter
    """This kernel cannot delay or lose packets on a link (it has no sch_netem)."""


class VxlanUnavailable(NetworkError):  # noqa: N818 - says what is the matter
    """This kernel cannot make VXLAN devices, so there is no overlay; a routed topology works."""


class KernelDatapathUnavailable(NetworkError):  # noqa: N818 - says what is the matter
    """This kernel has no Open vSwitch datapath; the netdev datapath works."""


class BirdUnavailable(NetworkError):  # noqa: N818 - says what is the matter
    """BIRD is not installed, so nobody can speak BGP."""
