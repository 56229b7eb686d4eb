"""Faults of machines and of the ways between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from controllers import unixctl
from emulator.cluster.faults.fault import Fault
from emulator.cluster.faults.kind import FaultMistake, Value, nearest
from emulator.cluster.state import state_of
from emulator.cluster.wiring import Bridge, BridgeRole, NodePlan, PortRole
from emulator.engine.faults.filling import TUPLE, handshake
from emulator.engine.faults.handler import Handler, Plan
from emulator.engine.faults.ofctl import ofctl
from emulator.engine.faults.waiting import await_flows
from emulator.network import breaking

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

_ZONES_OF_A_NODE = 2


class Unplugged(Handler):
    """Sets interfaces of Open vSwitch's side down; which ones, subclasses say."""

    async def impose(self, fault: Fault) -> None:
        """Down with them."""
        await asyncio.to_thread(breaking.set_links, fault.memo["interfaces"], up=False)

    async def clear(self, fault: Fault) -> None:
        """Up again."""
        await asyncio.to_thread(breaking.set_links, fault.memo["interfaces"], up=True)

    async def _plan(self, what: str, interfaces: Iterable[str]) -> Plan:
        # What is down already was taken down by somebody else, who will put it up again.
        up = await asyncio.to_thread(breaking.links_up, list(interfaces))
        return Plan(
            (f"took {what} off the network: {', '.join(up) or 'nothing was up'}",), {"interfaces": up}
        )


class NodeDown(Unplugged):
    """A node with everything on it."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """Its uplink, its own stack's cable, and those of its pods."""
        node = node_named(self.engine, arguments)
        bridge = self.engine.wiring.bridge(node.bridge)
        own = [port.name for port in bridge.ports if port.role is not PortRole.TUNNEL]
        pods = state_of(self.engine.snapshot()).pods
        cables = [pod.port.interface for pod in pods if pod.node == node.name and pod.port is not None]
        return await self._plan(f"node/{node.name}", [*own, *cables])


class GatewayDown(Unplugged):
    """A router of a role."""

    def __init__(self, engine: Engine, role: BridgeRole, word: str) -> None:
        super().__init__(engine)
        self._role = role
        self._word = word

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """All its cables."""
        found = [bridge for bridge in self.engine.wiring.bridges if bridge.role is self._role]
        if not found:
            raise FaultMistake("", f"topology {self.engine.wiring.name} has no {self._word}")
        wanted = arguments.get("router")
        if wanted is None:
            # Hosts outside hang on a router that is the internet itself where there is another one.
            chosen = min(found, key=lambda bridge: any(p.role is PortRole.EXTERNAL for p in bridge.ports))
        else:
            chosen = _router(found, str(wanted), self._word)
        return await self._plan(chosen.place, [port.name for port in chosen.ports])


class RouteRemoved(Handler):
    """A route of a router that is a bridge; the controller leaves it out."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """The routes that are meant."""
        routers = [bridge for bridge in self.engine.wiring.bridges if bridge.routes]
        bridge = _router(routers, str(arguments["router"]), "router with a route table")
        known = [str(route.destination) for route in bridge.routes]
        to = known
        if "to" in arguments:
            wanted = _network(str(arguments["to"]))
            if wanted not in known:
                raise FaultMistake(
                    "to", f"{bridge.place} has no route to {wanted}", f"it has {', '.join(known)}"
                )
            to = [wanted]
        did = f"removed from {bridge.place} the route to {', '.join(to)}"
        return Plan((did,), {"router": bridge.place, "to": to})

    async def impose(self, fault: Fault) -> None:  # noqa: ARG002
        """The controller reads of it."""
        await await_flows(self.engine)

    async def clear(self, fault: Fault) -> None:  # noqa: ARG002
        """The controller has read that it is gone."""
        await await_flows(self.engine)

    async def resume(self, fault: Fault) -> None:
        """The controller knows."""


class WrongVtep(Handler):
    """A node's VXLAN device believes another node elsewhere."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """The device, the peer's address of the overlay's family, and one that nobody has."""
        node = node_named(self.engine, arguments)
        peer = node_named(self.engine, arguments, "peer")
        if peer is node:
            raise FaultMistake("peer", f"node {node.name} has no tunnel to itself")
        ports = self.engine.wiring.bridge(node.bridge).ports
        device = next((port.name for port in ports if port.role is PortRole.TUNNEL), None)
        if device is None:
            raise FaultMistake("node", f"topology {self.engine.wiring.name} has no overlay")
        right = next(a for a in peer.addresses if a.version == node.addresses[0].version)
        used = {a.ip for one in self.engine.wiring.nodes for a in one.addresses}
        wrong = next(a for i in range(2, 250) if (a := right.network[-i]) not in used)
        memo = {"device": device, "mac": peer.vtep_mac, "right": str(right.ip), "wrong": str(wrong)}
        return Plan(
            (f"told {device} of node/{node.name} that {peer.name} is at {wrong}, not {right.ip}",), memo
        )

    async def impose(self, fault: Fault) -> None:
        """The wrong address."""
        await self._point(fault, "wrong")

    async def clear(self, fault: Fault) -> None:
        """The right one."""
        await self._point(fault, "right")

    async def _point(self, fault: Fault, where: str) -> None:
        memo = fault.memo
        await asyncio.to_thread(breaking.point_tunnel, memo["device"], memo["mac"], ip_address(memo[where]))


class ConntrackFull(Handler):
    """A limit of a node's conntrack zones. Open vSwitch counts what comes after the limit was set."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """Its zones."""
        node = node_named(self.engine, arguments)
        bridge = self.engine.wiring.bridge(node.bridge)
        zones = list(range(bridge.zone, bridge.zone + _ZONES_OF_A_NODE))
        left = int(arguments["left"])
        did = f"limited conntrack of node/{node.name} (zones {zones[0]} and {zones[-1]}) to {left} more"
        return Plan((did,), {"bridge": bridge.name, "zones": zones})

    async def impose(self, fault: Fault) -> None:
        """Set it. No limit at all is what zero means to Open vSwitch: one place then, and it is taken."""
        left = int(fault.arguments["left"])
        await self._forget(fault)
        words = [f"zone={zone},limit={max(left, 1)}" for zone in fault.memo["zones"]]
        await asyncio.to_thread(unixctl.command, "dpctl/ct-set-limits", *words)
        if not left:
            for zone in fault.memo["zones"]:
                for frame in handshake():
                    packet = f"in_port=controller,packet={frame.hex()},actions=ct(commit,zone={zone})"
                    await ofctl("packet-out", fault.memo["bridge"], packet)

    async def clear(self, fault: Fault) -> None:
        """Take it away, and what took the place."""
        zones = ",".join(map(str, fault.memo["zones"]))
        await asyncio.to_thread(unixctl.command, "dpctl/ct-del-limits", f"zone={zones}")
        await self._forget(fault)

    async def _forget(self, fault: Fault) -> None:
        for zone in fault.memo["zones"]:
            with suppress(unixctl.ControlError):  # it is not there
                await asyncio.to_thread(unixctl.command, "dpctl/flush-conntrack", f"zone={zone}", TUPLE)


def node_named(engine: Engine, arguments: Mapping[str, Value], field: str = "node") -> NodePlan:
    """The node that an argument names. Raises FaultMistake with the nearest one."""
    word = str(arguments[field])
    names = [node.name for node in engine.wiring.nodes]
    if word not in names:
        hint = nearest(word, names) or f"there are {', '.join(names)}"
        raise FaultMistake(field, f"there is no node {word!r}", hint)
    return engine.wiring.node(word)


def _router(found: Iterable[Bridge], word: str, what: str) -> Bridge:
    names = {bridge.place.removeprefix("router/"): bridge for bridge in found}
    if word not in names:
        hint = nearest(word, list(names)) or f"there are {', '.join(names)}"
        raise FaultMistake("router", f"there is no {what} {word!r}", hint)
    return names[word]


def _network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError as wrong:
        raise FaultMistake("to", f"{text!r} is no destination: {wrong}") from None


MACHINES: Mapping[str, Callable[[Engine], Handler]] = {
    "node-down": NodeDown,
    "nat-gateway-down": partial(GatewayDown, role=BridgeRole.NAT, word="NAT gateway"),
    "internet-gateway-down": partial(GatewayDown, role=BridgeRole.INTERNET, word="internet gateway"),
    "vpc-route-removed": RouteRemoved,
    "wrong-vtep": WrongVtep,
    "conntrack-full": ConntrackFull,
}
