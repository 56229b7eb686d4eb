"""Brings the network to what the wiring plan and the pods' attachments say."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path

from emulator.cluster.bands import FIRST_NODE_PORT, LAST_NODE_PORT
from emulator.cluster.host_ports import HostPort
from emulator.cluster.impairments import Impairment
from emulator.cluster.wiring import (
    FIRST_POD_OFPORT,
    Balancer,
    BridgeRole,
    IPAddress,
    IPInterface,
    Link,
    LinkEnd,
    NodePlan,
    PodPort,
    PortRole,
    Wiring,
)
from emulator.network import netns, own_ports, shaping
from emulator.network.bird import refuse_without_bird
from emulator.network.cables import Detour, HostRoute, OwnPorts
from emulator.network.datapath import refuse_without_kernel_datapath
from emulator.network.kernel import mending
from emulator.network.kernel.facts import Difference, differences
from emulator.network.kernel.found import found
from emulator.network.kernel.planned import planned
from emulator.network.kubenet import KubeNet
from emulator.network.names import netns_name
from emulator.network.places import BalancerHost, ExternalHost, NodeHost, PlaceHost, PodHost, RouterHost
from emulator.network.plumber import Plumber
from emulator.network.routers import router_ends
from emulator.network.shaping import How, RelayService, Shaper
from emulator.network.switchboard import BridgeSpec, Switchboard
from emulator.network.tunnels import tunnels

_MENDINGS = 3
"""Rounds: an interface that comes up has to be given its routes."""
_NODE_PORTS = range(FIRST_NODE_PORT, LAST_NODE_PORT + 1)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the network runs. `ovs` is the directory of Open vSwitch's sockets (OVS_RUNDIR)."""

    ovs: Path
    controller: str = "tcp:127.0.0.1:6653"
    datapath: str = "netdev"
    """`netdev` forwards in userspace and works everywhere; `kernel` needs the openvswitch module."""
    offload: bool = False
    """Leave segmentation and checksums to devices: fast, but captures show 64 KB packets."""


@dataclass(frozen=True, slots=True)
class PodAttachment:
    """A pod's place in the network: `shop/web` on a node's bridge."""

    place: str
    node: str
    port: PodPort
    host_ports: tuple[HostPort, ...] = ()
    """Ports of the node that lead to it."""


class Network:
    """One cluster's network, in the netns of the calling process.

    All methods block, are safe to call from several threads, and raise NetworkError or OSError.
    Each is idempotent and makes whatever part is missing, so a fresh object over a network that is
    already there adopts it.
    """

    def __init__(self, wiring: Wiring, settings: Settings, relay: RelayService | None = None) -> None:
        self.net = KubeNet()
        self._wiring = wiring
        self._settings = settings
        self._switchboard = Switchboard(settings.ovs / "db.sock")
        self._plumber = Plumber(self._switchboard)
        self._shaper = Shaper(self._switchboard, relay)
        self._pods: dict[str, PodAttachment] = {}
        self._lock = threading.Lock()

    def build(self, impaired: Sequence[Link] = ()) -> None:
        """Make bridges, nodes, external hosts, links and tunnels; returns when all ports forward.

        `impaired` are links that are impaired beside those of the plan, or otherwise than it says.
        Raises NetemUnavailable, VxlanUnavailable and KernelDatapathUnavailable where the kernel lacks what
        is asked for.
        """
        if self._settings.datapath == "kernel":
            refuse_without_kernel_datapath()
        links = self._impaired(impaired)
        self._shaper.refuse_impossible(links)
        if self._wiring.routers:
            refuse_without_bird()
        with self._lock:
            sketch(self.net, self._wiring, self._settings)
            change = self.net.weave(self._plumber)
            change.wait()
            self._shaper.shape(links)

    def impair(self, links: Sequence[Link]) -> None:
        """Make these links as they say, sound or impaired, and all others as the plan says.

        Returns when it is so. Pods' cables are links too.
        """
        wanted = self._impaired(links)
        self._shaper.refuse_impossible(wanted)
        with self._lock:
            self._shaper.shape(wanted)

    def refuse_impossible(self, links: Sequence[Link]) -> None:
        """Raise NetemUnavailable when a link is impaired as this kernel cannot."""
        self._shaper.refuse_impossible(links)

    def cable_of(self, pod: str) -> Link | None:
        """The cable between a pod, `shop/web-0`, and its node's bridge; None when there is no such pod."""
        attached = self._pods.get(pod)
        if attached is None:
            return None
        bridge, port = self._wiring.node(attached.node).bridge, attached.port
        near = LinkEnd(f"node/{attached.node}", port.interface, bridge)
        return Link((LinkEnd(pod, "eth0"), near), mtu=port.mtu)

    def impairs_by(self, impairment: Impairment) -> How:
        """What it takes here to impair a link so."""
        return self._shaper.how(impairment)

    def _impaired(self, links: Sequence[Link]) -> list[Link]:
        return list({link.ends: link for link in (*self._wiring.links, *links)}.values())

    def attach(self, pods: Sequence[PodAttachment]) -> None:
        """Give pods their netns, interface, addresses and port. A pod that moved is detached first."""
        with self._lock:
            new = [pod for pod in pods if self._pods.get(pod.place) != pod]
            if not new:
                return
            self._detach([pod.place for pod in new if pod.place in self._pods])
            for pod in new:
                add_pod(self.net, self._wiring, pod, offload=self._settings.offload)
            try:
                self.net.weave(self._plumber).wait()
            except BaseException:
                self.net.forget([pod.place for pod in new])
                raise
            self._detour(lambda: self._pods.update({pod.place: pod for pod in new}))

    def detach(self, pods: Iterable[PodAttachment]) -> None:
        """Take pods off the network; their namespaces lose their names. Unknown ones are ignored, and so are
        those in whose place a namesake is by now.

        No packet of theirs passes once this returns.
        """
        with self._lock:
            self._detach([pod.place for pod in pods if self._pods.get(pod.place) == pod])

    def adopt(self, pods: Sequence[PodAttachment]) -> None:
        """After a restart: keep what these pods have, make what they lack, remove every other pod's rest."""
        with self._lock:
            node_bridges = {b.name for b in self._wiring.bridges if b.role is BridgeRole.NODE}
            wanted = {pod.port.interface for pod in pods}
            ports = self._switchboard.ports().values()
            stale = [
                port.interface
                for port in ports
                if port.bridge in node_bridges
                and port.interface not in wanted
                and (port.ofport or -1) >= FIRST_POD_OFPORT
                and port.interface != port.bridge
            ]
            names = {netns_name(pod.place) for pod in pods}
            left = [name for name in netns.existing() if name.startswith("pod-") and name not in names]
            self._plumber.remove(stale, left)
            self._plumber.set_detours({netns_name(f"node/{node.name}"): () for node in self._wiring.nodes})
        self.attach(pods)

    def reconnect(self, bridges: Collection[str]) -> None:
        """Make these bridges dial their controller now."""
        with self._lock:
            self._switchboard.reconnect(bridges)

    def switch_process(self) -> int | None:
        """The id of the ovs-vswitchd that runs; None while none does. Does not block."""
        try:
            process = int((self._settings.ovs / "ovs-vswitchd.pid").read_text())
            os.kill(process, 0)
        except (OSError, ValueError):
            return None
        return process

    def differences(self) -> tuple[Difference, ...]:
        """How the kernel and the ports of Open vSwitch differ from the plan."""
        with self._lock:
            return self._differences()

    def mend(self, places: Collection[str]) -> tuple[Difference, ...]:
        """Put right what differs at these places; returns what is left, because something changes it."""
        with self._lock:
            left = self._differences_at(places)
            for _ in range(_MENDINGS):
                if left:
                    self._mend(left)
                    left = self._differences_at(places)
            return left

    def _differences_at(self, places: Collection[str]) -> tuple[Difference, ...]:
        return tuple(one for one in self._differences() if one.subject.place in places)

    def _differences(self) -> tuple[Difference, ...]:
        plan = self.net.plan()
        places = {bridge.name: bridge.place for bridge in self._wiring.bridges}
        detours = {f"node/{node}": found for node, found in self._detours().items()}
        wanted = planned(plan.cables, plan.tunnels, detours, places)
        return differences(wanted, found(wanted, self._switchboard.ports()))

    def _mend(self, told: Sequence[Difference]) -> None:
        broken = mending.broken(told)
        if broken:
            wanted = self.net.plan(lambda strand: mending.concerns(broken, strand.cable))
            self._plumber.lay(wanted).wait()
        mending.mend(told)

    def _detach(self, places: Iterable[str]) -> None:
        known = [place for place in places if place in self._pods]
        self._detour(lambda: [self._pods.pop(place) for place in known])
        cables = self.net.forget(known)
        self._plumber.remove([cable.near.interface for cable in cables], [netns_name(p) for p in known])

    def _detour(self, change_pods: Callable[[], object]) -> None:
        """Change the pods, and with them what nodes send to their own hostPorts by way of their bridges."""
        before = self._detours()
        change_pods()
        after = self._detours()
        changes = {
            netns_name(f"node/{node}"): own_ports.Change(
                add=tuple(after.get(node, frozenset()) - before.get(node, frozenset())),
                remove=tuple(before.get(node, frozenset()) - after.get(node, frozenset())),
            )
            for node in before.keys() | after.keys()
            if before.get(node) != after.get(node)
        }
        if changes:
            self._plumber.detour(changes)

    def _detours(self) -> dict[str, frozenset[Detour]]:
        found: dict[str, set[Detour]] = {}
        for pod in self._pods.values():
            if pod.host_ports:
                node = self._wiring.node(pod.node)
                found.setdefault(pod.node, set()).update(own_ports.host_port_detours(node, pod.host_ports))
        return {node: frozenset(detours) for node, detours in found.items()}


def sketch(net: KubeNet, wiring: Wiring, settings: Settings) -> None:
    """Note everything of the plan in a KubeNet: bridges, hosts, links, tunnels."""
    datapath = "system" if settings.datapath == "kernel" else "netdev"
    for bridge in wiring.bridges:
        net.addBridge(
            BridgeSpec(bridge.name, bridge.datapath_id, datapath, settings.controller), bridge.place
        )
    for node in wiring.nodes:
        net.addHost(
            f"node/{node.name}",
            cls=NodeHost,
            mac=node.mac,
            addresses=(*node.addresses, *(_alone(gateway) for gateway in node.pod_gateways)),
            routes=tuple(_node_routes(wiring, node)),
            own_ports=OwnPorts(own_ports.node_port_detours(node, _NODE_PORTS), tuple(_own_port_routes(node))),
        )
    for host in wiring.external:
        net.addHost(
            f"ext/{host.name}",
            cls=ExternalHost,
            mac=host.mac,
            addresses=host.addresses,
            routes=tuple(HostRoute(None, gateway) for gateway in host.gateways),
        )
    if wiring.balancer is not None:
        _add_balancer(net, wiring.balancer)
    for router in wiring.routers:
        net.addHost(router.place, cls=RouterHost, ends=tuple(router_ends(router)))
    for link in wiring.links:
        _add_link(net, wiring, link, offload=settings.offload)
    for tunnel in tunnels(wiring):
        net.addTunnel(tunnel)


def _add_balancer(net: KubeNet, balancer: Balancer) -> None:
    """Note a load balancer's own stack: whatever it sends goes to its bridge."""
    net.addHost(
        balancer.place,
        cls=BalancerHost,
        mac=balancer.mac,
        addresses=tuple(_alone(address) for address in balancer.addresses),
        routes=tuple(
            HostRoute(None, gateway, gateway_mac=balancer.gateway_mac) for gateway in balancer.gateways
        ),
    )


def add_pod(net: KubeNet, wiring: Wiring, pod: PodAttachment, *, offload: bool) -> PlaceHost:
    """Note a pod and its cable in a KubeNet.

    Pods have host addresses (/32, /128) and no link-local one: everything goes to the gateway, as with
    routed CNI plugins, so that there is one neighbour to answer for and one source to expect. They know
    it from the start: what they would learn counts in a table that all namespaces of a machine share,
    of 1,024 entries by default, and when it is full nobody on the machine reaches a new neighbour.
    """
    host: PlaceHost = net.addHost(
        pod.place,
        cls=PodHost,
        mac=pod.port.mac,
        addresses=tuple(_alone(interface.ip) for interface in pod.port.addresses),
        routes=tuple(
            HostRoute(None, gateway, gateway_mac=pod.port.gateway_mac) for gateway in pod.port.gateways
        ),
    )
    net.addLink(
        wiring.node(pod.node).bridge,
        host,
        port1=pod.port.ofport,
        intfName1=pod.port.interface,
        mtu=pod.port.mtu,
        offload=offload,
    )
    return host


def _alone(address: IPAddress) -> IPInterface:
    return ip_interface(address)


def _node_routes(wiring: Wiring, node: NodePlan) -> Iterable[HostRoute]:
    """A node speaks to pods as their gateway, so that answers find their way through the tunnel."""
    own = {interface.version: interface.ip for interface in node.addresses}
    bridge = wiring.bridge(node.bridge)
    has_tunnel = any(port.role is PortRole.TUNNEL for port in bridge.ports)
    as_gateway = {gateway.version: gateway for gateway in node.pod_gateways} if has_tunnel else own
    for gateway in node.default_gateways:
        yield HostRoute(None, gateway, own[gateway.version])
        for cidr in wiring.pod_cidrs:
            if cidr.version == gateway.version:
                yield HostRoute(cidr, gateway, as_gateway[cidr.version])


def _own_port_routes(node: NodePlan) -> Iterable[HostRoute]:
    own = {interface.version: interface.ip for interface in node.addresses}
    return (HostRoute(None, gateway, own[gateway.version]) for gateway in node.default_gateways)


def _add_link(net: KubeNet, wiring: Wiring, link: Link, *, offload: bool) -> None:
    near, far = link.ends if link.ends[0].bridge else link.ends[::-1]
    # A node's encapsulated packets must be whole before they reach its bridge.
    is_node = wiring.bridge(near.bridge).role is BridgeRole.NODE if near.bridge else False
    options = {"mtu": link.mtu, "shaped": shaping.is_shaped(link), "offload": offload and not is_node}
    if near.bridge is None:
        raise ValueError(f"no end of the link {near.place} - {far.place} is a bridge")
    if far.bridge is None:
        net.addLink(
            near.bridge,
            far.place,
            port1=_ofport(wiring, near),
            intfName1=near.interface,
            intfName2=far.interface,
            port2=_position(wiring, far),
            **options,
        )
        return
    net.addLink(
        near.bridge,
        far.bridge,
        port1=_ofport(wiring, near),
        port2=_ofport(wiring, far),
        intfName1=near.interface,
        intfName2=far.interface,
        **options,
    )


def _position(wiring: Wiring, end: LinkEnd) -> int:
    """Which of its place's interfaces it is: Mininet keeps one a number."""
    names = [i.name for router in wiring.routers if router.place == end.place for i in router.interfaces]
    return names.index(end.interface) if names else 0


def _ofport(wiring: Wiring, end: LinkEnd) -> int:
    ports = wiring.bridge(end.bridge or "").ports
    return next(port.ofport for port in ports if port.name == end.interface)
