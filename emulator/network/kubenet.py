"""The network as a Mininet: the object that it is built, asked and shown through.

`addHost`, `addSwitch` and `addLink` only note what is wanted; `weave` makes all of it in one go.
The names of hosts are places (`shop/web`, `node/worker-1`, `ext/client`), those of switches the
bridges' names.
"""

# ruff: noqa: ARG002, FBT001, FBT002, N802, N803, N815 - the names and signatures of overridden methods are Mininet's

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from emulator.network import rtnl
from emulator.network.cables import HOST_INTERFACE, BridgeEnd, Cable, Tunnel
from emulator.network.errors import NetworkError
from emulator.network.mn import Intf, Link, Mininet, Node, log_output
from emulator.network.netlink import Netlink
from emulator.network.places import PlaceBridge, PlaceHost, PodHost
from emulator.network.plumber import Plan, Plumber
from emulator.network.switchboard import BridgeSpec, Change


class Plug(Intf):  # type: ignore[misc]
    """An end of a cable. Its addresses are known, so nobody is asked for them."""

    def __init__(self, name: str, *, node: Node, port: int, link: Strand, mac: str | None) -> None:
        super().__init__(name, node=node, port=port, link=link, mac=mac, moveIntfFn=_leave_in_place)
        if isinstance(node, PlaceHost) and node.end_at(name).addresses:
            first = node.end_at(name).addresses[0]
            self.ip, self.prefixLen = str(first.ip), first.network.prefixlen

    def config(self, **params: Any) -> dict[str, Any]:
        """Nothing: cables are configured when they are laid."""
        return {}

    def updateIP(self) -> str | None:
        """The first address of the host."""
        return str(self.ip) if self.ip else None

    def updateMAC(self) -> str | None:
        """The address given when the cable was laid."""
        return str(self.mac) if self.mac else None

    def ifconfig(self, *args: str) -> str:
        """`up` and `down`; at a bridge only, since a host's own end would lose its routes."""
        if args and args[0] in ("up", "down") and not isinstance(self.node, PlaceHost):
            with Netlink() as netlink:
                netlink.execute([rtnl.set_up(self.name, up=args[0] == "up")])
        return ""

    def isUp(self, setUp: bool = False) -> bool:
        """Whether the cable carries packets; `setUp` sets it up first."""
        if setUp:
            self.ifconfig("up")
        return self.status() == "OK"

    def status(self) -> str:
        """`OK`, `DOWN` or `MISSING`."""
        if isinstance(self.node, PlaceHost):
            return "OK" if self.node.netns and self.node.netns.exists() else "MISSING"
        with Netlink() as netlink:
            found = rtnl.links(netlink).get(self.name)
        if found is None:
            return "MISSING"
        return "OK" if found.up else "DOWN"


class Strand(Link):  # type: ignore[misc]
    """A link of the network. Mininet's own would make the pair at once, by ip(8)."""

    def __init__(
        self,
        node1: Node,
        node2: Node,
        *,
        port1: int,
        port2: int = 0,
        intfName1: str,
        intfName2: str = HOST_INTERFACE,
        mtu: int,
        offload: bool = False,
        shaped: bool = False,
        **_ignored: Any,
    ) -> None:
        end = node2.end_at(intfName2) if isinstance(node2, PlaceHost) else None
        self.intf1 = Plug(intfName1, node=node1, port=port1, link=self, mac=None)
        self.intf2 = Plug(intfName2, node=node2, port=port2, link=self, mac=end.mac if end else None)
        near = BridgeEnd(node1.name, intfName1, port1, shaped)
        far = end or BridgeEnd(node2.name, intfName2, port2, shaped)
        self.cable = Cable(near, far, mtu, offload)

    def __str__(self) -> str:
        return "<->".join(f"{plug.node.name}:{plug.name}" for plug in (self.intf1, self.intf2))


class KubeNet(Mininet):  # type: ignore[misc]
    """A Mininet of places. See the module."""

    hosts: list[Node]
    nameToNode: dict[str, Node]
    switches: list[PlaceBridge]
    links: list[Link]

    def __init__(self) -> None:
        self._bridges: list[BridgeSpec] = []
        self._strands: list[Strand] = []
        self._tunnels: list[Tunnel] = []
        self.tunnels: list[Tunnel] = []
        super().__init__(topo=None, controller=None, link=Strand, intf=None, build=False)

    def addBridge(self, spec: BridgeSpec, place: str) -> PlaceBridge:
        """Note a bridge, reachable by its name and, for routers, by its place."""
        bridge: PlaceBridge = self.addSwitch(
            spec.name, cls=PlaceBridge, dpid=f"{spec.datapath_id:x}", place=place, datapath=spec.datapath
        )
        if place.startswith("router/"):
            self.nameToNode[place] = bridge
        self._bridges.append(spec)
        return bridge

    def addHost(self, name: str, cls: type[PlaceHost] | None = None, **params: Any) -> PlaceHost:
        """Note a host. A pod also answers to `pod/<namespace>/<name>`."""
        host: PlaceHost = super().addHost(name, cls=cls, **params)
        if isinstance(host, PodHost):
            self.alias(f"pod/{name}", name)
        return host

    def addLink(self, node1: Node | str, node2: Node | str, **params: Any) -> Strand:
        """Note a cable between a bridge and a host or another bridge; the bridge comes first."""
        strand: Strand = super().addLink(node1, node2, **params)
        self._strands.append(strand)
        return strand

    def addTunnel(self, tunnel: Tunnel) -> None:
        """Note a node's VXLAN device."""
        self._tunnels.append(tunnel)
        self.tunnels.append(tunnel)

    def weave(self, plumber: Plumber) -> Change:
        """Make everything noted since the last time. What failed is forgotten, not tried again."""
        plan = Plan(
            bridges=tuple(self._bridges),
            cables=tuple(strand.cable for strand in self._strands),
            tunnels=tuple(self._tunnels),
        )
        self._bridges, self._strands, self._tunnels = [], [], []
        return plumber.lay(plan)

    def plan(self, wanted: Callable[[Strand], bool] = lambda _: True) -> Plan:
        """Cables, those that are wanted, and tunnels: whatever should be there."""
        return Plan(
            cables=tuple(strand.cable for strand in self.links if wanted(strand)),
            tunnels=tuple(self.tunnels),
        )

    def forget(self, places: Iterable[str]) -> list[Cable]:
        """Take hosts out of the picture; returns the cables that led to them."""
        hosts = {self.nameToNode[place] for place in places if place in self.nameToNode}
        cut = [strand for strand in self.links if strand.intf2.node in hosts]
        for strand in cut:
            strand.intf1.node.delIntf(strand.intf1)
        for host in hosts:
            host.terminate()
        self.nameToNode = {name: node for name, node in self.nameToNode.items() if node not in hosts}
        self.hosts = [host for host in self.hosts if host not in hosts]
        self.links = [strand for strand in self.links if strand.intf2.node not in hosts]
        self._strands = [strand for strand in self._strands if strand.intf2.node not in hosts]
        return [strand.cable for strand in cut]

    def alias(self, name: str, host: str) -> None:
        """Let a host answer to another name as well."""
        self.nameToNode[name] = self.nameToNode[host]

    def pods(self) -> Sequence[PodHost]:
        """The pods, in the order they came."""
        return [host for host in self.hosts if isinstance(host, PodHost)]

    def pingAll(self, timeout: str | None = None) -> float:
        """Ping between all hosts, waiting a second for those that do not answer."""
        return float(super().pingAll(timeout=timeout or "1"))

    def iperf(
        self,
        hosts: Sequence[Node] | None = None,
        l4Type: str = "TCP",
        udpBw: str = "10M",
        fmt: str | None = None,
        seconds: int = 5,
        port: int = 5001,
    ) -> list[str]:
        """Run iperf between two hosts (the first and the last pod unless said).

        Mininet's own kills every iperf on the machine first and finds out by telnet when the server listens.
        """
        default = self.pods() if len(self.pods()) > 1 else self.hosts
        client, server = hosts or (default[0], default[-1])
        log_output(f"*** Iperf: testing {l4Type} bandwidth between {client} and {server}\n")
        common = f"iperf -p {port}" + (" -u" if l4Type == "UDP" else "") + (f" -f {fmt}" if fmt else "")
        server.sendCmd(f"{common} -s")
        heard = ""
        while server.waiting and "listening" not in heard:
            heard += server.monitor()
        if not server.waiting:
            raise NetworkError(f"iperf did not start on {server}: {heard.strip()}")
        bandwidth = f" -b {udpBw}" if l4Type == "UDP" else ""
        said = client.cmd(f"{common} -t {seconds} -c {server.IP()}{bandwidth}")
        server.sendInt()
        heard += server.waitOutput()
        result = [*([udpBw] if l4Type == "UDP" else []), self._parseIperf(heard), self._parseIperf(said)]
        log_output(f"*** Results: {result}\n")
        return result

    def configLinkStatus(self, src: str, dst: str, status: str) -> None:
        """Set the link between two ends up or down; a node's name also stands for its bridge."""
        ends = [self.nameToNode.get(name) for name in (src, dst)]
        if None not in ends and not self.linksBetween(*ends):
            bridge_of = {bridge.place: bridge.name for bridge in self.switches}
            src, dst = (bridge_of.get(name, name) for name in (src, dst))
        super().configLinkStatus(src, dst, status)


def _leave_in_place(*_: object) -> None:
    """Mininet would move the interface by ip(8); ours is made where it belongs."""
