"""Mininet's nodes for places: hosts in named namespaces, and bridges, none with a shell until asked."""

# ruff: noqa: ARG002, FBT001, FBT002, N802, N803, N815 - the names and signatures of overridden methods are Mininet's

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emulator.cluster.wiring import IPInterface
from emulator.network.cables import HostEnd, HostRoute, OwnPorts
from emulator.network.errors import NetworkError
from emulator.network.mn import Host, Node, OVSSwitch
from emulator.network.names import netns_path
from emulator.network.netlink import Netlink
from emulator.network.rtnl import set_up


class LateShell(Node):  # type: ignore[misc]
    """A Mininet node whose shell starts with the first command.

    Mininet starts a shell for each node and configures the node through it, at 16 ms and one process
    each. `Node.cmd` and the prompt look at `shell`, so a property is enough to start it in time.
    """

    # Mininet would look for mnexec and ifconfig, which nothing here runs.
    isSetup = True
    _process: subprocess.Popen[bytes] | None = None
    _is_starting = False
    netns: Path | None = None
    """The netns of the node's commands; None is that of Open vSwitch."""

    @property
    def shell(self) -> subprocess.Popen[bytes] | None:
        """The node's shell, started now if there is none. Raises NetworkError when its netns is gone."""
        if self._process is None and not self._is_starting:
            if self.netns is not None and not self.netns.exists():
                # Mininet would wait for the prompt of a shell that could not enter.
                raise NetworkError(f"{self.name} has no network namespace (any more)")
            self._is_starting = True
            try:
                Node.startShell(self)
            finally:
                self._is_starting = False
        return self._process

    @shell.setter
    def shell(self, process: subprocess.Popen[bytes] | None) -> None:
        self._process = process

    @property
    def has_shell(self) -> bool:
        """Whether a shell was asked for."""
        return self._process is not None

    def startShell(self, mnopts: str | None = None) -> None:
        """Mininet calls this when a node is made; here nothing happens yet."""

    def _popen(self, cmd: Sequence[str], **params: Any) -> subprocess.Popen[bytes]:
        """Start a process, with nsenter(1) where Mininet would use its own mnexec(1)."""
        words = list(cmd)
        if words[0] == "mnexec":
            options = 3 if words[1] == "-da" else 2
            words = words[options:]
            params["start_new_session"] = True
        if self.netns is not None:
            words = ["nsenter", f"--net={self.netns}", "--", *words]
        params["close_fds"] = True
        return subprocess.Popen(words, **params)

    def terminate(self) -> None:
        """End the shell if one was asked for."""
        if self.has_shell:
            super().terminate()

    def cleanup(self) -> None:
        """Close what a shell left open."""
        if self.has_shell:
            super().cleanup()


class PlaceHost(LateShell, Host):  # type: ignore[misc]
    """A host in a named netns with one interface, `eth0`, configured by netlink."""

    def __init__(
        self,
        name: str,
        *,
        mac: str,
        addresses: tuple[IPInterface, ...],
        routes: tuple[HostRoute, ...],
        own_ports: OwnPorts | None = None,
        **params: Any,
    ) -> None:
        self.end = HostEnd(name, mac, addresses, routes, own_ports)
        self.netns = netns_path(name)
        super().__init__(name, **params)

    def end_at(self, interface: str) -> HostEnd:
        """What lies behind one of its interfaces. Raises KeyError for an interface that it has not."""
        if interface != self.end.interface:
            raise KeyError(f"{self.name} has no interface {interface}")
        return self.end

    def config(self, **params: Any) -> dict[str, Any]:
        """Nothing: hosts are configured when their cables are laid."""
        return {}


class PodHost(PlaceHost):
    """A pod."""


class NodeHost(PlaceHost):
    """A Kubernetes node's own network stack."""


class ExternalHost(PlaceHost):
    """A host outside the cluster."""


class BalancerHost(PlaceHost):
    """A load balancer's own network stack, from which it checks nodes."""


class RouterHost(PlaceHost):
    """A router that is a Linux network stack, with an interface for each neighbour."""

    def __init__(self, name: str, *, ends: tuple[HostEnd, ...], **params: Any) -> None:
        self._ends = {end.interface: end for end in ends}
        super().__init__(name, mac=ends[0].mac, addresses=ends[0].addresses, routes=(), **params)

    def end_at(self, interface: str) -> HostEnd:
        """What lies behind one of its interfaces. Raises KeyError for an interface that it has not."""
        return self._ends[interface]


class PlaceBridge(LateShell, OVSSwitch):  # type: ignore[misc]
    """A bridge of Open vSwitch, made with all others in one transaction."""

    controlIntf = None

    def __init__(self, name: str, *, dpid: str, place: str, datapath: str, **params: Any) -> None:
        # Not Switch's and OVSSwitch's own: they configure `lo` and ask ovs-vsctl, through a shell.
        Node.__init__(self, name, **params)
        self.dpid = self.defaultDpid(dpid)
        self.place = place
        self.datapath = datapath
        self.opts, self.listenPort = "", None
        self.failMode, self.protocols = "secure", "OpenFlow13"
        self.batch = False
        self._uuids: list[str] = []

    def dpctl(self, *args: str) -> str:
        """Run ovs-ofctl on this bridge, in the version of OpenFlow that it speaks."""
        return str(self.cmd("ovs-ofctl", "-O", self.protocols, args[0], self, *args[1:]))

    def start(self, controllers: Sequence[object]) -> None:
        """Connect all ports again after `stop`."""
        self._set_ports(up=True)

    def stop(self, deleteIntfs: bool = False) -> None:
        """Disconnect all ports; the flows stay."""
        self._set_ports(up=False)

    def _set_ports(self, *, up: bool) -> None:
        with Netlink() as netlink:
            netlink.execute([set_up(interface.name, up=up) for interface in self.intfList()])
