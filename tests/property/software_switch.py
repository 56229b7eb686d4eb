"""Flow programs, run in pure Python: what the switches of a cluster do with one first packet.

A small model of Open vSwitch for values of `controllers.pipeline`: tables by priority with masks, registers,
conjunctive matches, and connection tracking for connections that nobody knows yet. Where a hash chooses,
every choice is taken. Bridges are joined as the wiring says. Known connections are not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from controllers.pipeline import fields as f
from controllers.pipeline.actions import (
    Action,
    Conjunction,
    Controller,
    Ct,
    DecTtl,
    Goto,
    InPort,
    Learn,
    Load,
    Meter,
    Mirror,
    Move,
    Multipath,
    Output,
    OutputTo,
    Resubmit,
    Set,
)
from controllers.pipeline.fields import Bits, Field, Term
from controllers.pipeline.flow import Flow, FlowProgram
from controllers.pipeline.match import match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.tables import STAGES, Stage
from emulator.cluster.model import ClusterState, Protocol
from emulator.cluster.outcome import Outcome
from emulator.cluster.wiring import HOST_OFPORT, UPLINK_OFPORT, Bridge, IPAddress, PortRole

PROTO = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}
PORT = {6: f.TCP_DST, 17: f.UDP_DST, 132: f.SCTP_DST}
NEW = 0x21  # tracked and new
ARP = 0x0806
DEPTH = 6
"""The userspace datapath's limit of recirculations."""

Fields = dict[Field, int]


@dataclass(frozen=True, order=True)
class Fate:
    """What became of the packet, and what the place saw that it reached."""

    outcome: Outcome
    place: str = ""
    destination: IPAddress | None = None
    port: int | None = None
    source: IPAddress | None = None


@dataclass(frozen=True)
class Table:
    """One stage's flows by falling priority."""

    levels: tuple[tuple[Flow, ...], ...]

    def lookup(self, packet: Fields) -> Flow | None:
        """The flow that the packet meets. Raises AssertionError where that is undefined."""
        for level in self.levels:
            met = [flow for flow in level if matches(flow, packet)]
            conditions = {act for flow in met for act in flow.actions if isinstance(act, Conjunction)}
            plain = [flow for flow in met if not any(isinstance(a, Conjunction) for a in flow.actions)]
            satisfied = {
                one.id
                for one in conditions
                if sum((other.id, other.of) == (one.id, one.of) for other in conditions) == one.of
            }
            for number in sorted(satisfied):
                plain += [flow for flow in level if f.CONJ_ID(number) in flow.match and flow not in plain]
            if plain:
                ends = {flow.actions for flow in plain}
                assert len(ends) == 1, f"undefined: {[str(flow) for flow in plain]}"
                return plain[0]
        return None


def matches(flow: Flow, packet: Fields) -> bool:
    """Whether every condition holds; a field that the packet does not have meets none."""
    for term in flow.match.terms:
        value = packet.get(term.field)
        if value is None or value & term.mask != term.value:
            return False
    return True


def tables(program: FlowProgram) -> dict[Stage, Table]:
    """The program by stage and priority."""
    found: dict[Stage, dict[int, list[Flow]]] = {}
    for flow in program:
        found.setdefault(flow.stage, {}).setdefault(flow.priority, []).append(flow)
    return {
        stage: Table(tuple(tuple(levels[number]) for number in sorted(levels, reverse=True)))
        for stage, levels in found.items()
    }


class Network:
    """The bridges of one cluster, each with its program."""

    def __init__(self, state: ClusterState, programs: Mapping[str, FlowProgram]) -> None:
        self._state = state
        self._wiring = state.wiring
        self._tables = {name: tables(program) for name, program in programs.items()}
        self._nodes = {node.bridge: node for node in self._wiring.nodes}
        self._pods = {
            (pod.node, pod.port.ofport): pod for pod in state.pods if pod.port and not pod.host_network
        }

    def send(
        self,
        place: str,
        source: IPAddress,
        destination: IPAddress,
        protocol: Protocol | None,
        port: int | None,
    ) -> frozenset[Fate]:
        """Everything that may become of a first packet from a place."""
        bridge, ofport, own_mac, next_mac = self._entrance(place, destination)
        packet: Fields = {
            f.ETH_SRC: mac(own_mac),
            f.ETH_DST: mac(next_mac),
            f.ETH_TYPE: 0x0800 if source.version == 4 else 0x86DD,
            f.NW_TTL: 64,
        }
        four = source.version == 4
        packet[f.IPV4_SRC if four else f.IPV6_SRC] = int(source)
        packet[f.IPV4_DST if four else f.IPV6_DST] = int(destination)
        if protocol is None:
            packet[f.IP_PROTO] = 1 if four else 58
            packet[f.ICMP_TYPE if four else f.ICMPV6_TYPE] = 8 if four else 128
            packet[f.ICMP_CODE if four else f.ICMPV6_CODE] = 0
        else:
            packet[f.IP_PROTO] = PROTO[protocol]
            packet[PORT[PROTO[protocol]]] = port or 0
            if protocol is Protocol.TCP:
                packet[f.TCP_FLAGS] = 0x002
            if protocol is Protocol.SCTP:
                packet[f.SCTP_SRC] = 40_000
        return frozenset(self._enter(bridge, ofport, packet))

    # -- places ------------------------------------------------------------------------------------

    def _entrance(self, place: str, destination: IPAddress) -> tuple[Bridge, int, str, str]:
        """Bridge and port where a place's frames come in, its MAC address and that of its next hop."""
        kind, _, name = place.partition("/")
        if kind == "ext":
            host = next(one for one in self._wiring.external if one.name == name)
            near = next(
                (
                    other.mac
                    for other in self._wiring.external
                    if any(destination == a.ip for a in other.addresses)
                    and any(destination in a.network for a in host.addresses)
                ),
                host.gateway_mac,
            )
            for bridge in self._wiring.bridges:
                for port in bridge.ports:
                    if port.peer == place:
                        return bridge, port.ofport, host.mac, near
        if kind == "node":
            node = self._wiring.node(name)
            peers = [
                peer.mac
                for peer in self._wiring.nodes
                if peer is not node and peer.subnet == node.subnet
                if any(destination == a.ip for a in peer.addresses)
            ]
            next_hop = peers[0] if peers else node.default_gateway_mac
            return self._wiring.bridge(node.bridge), HOST_OFPORT, node.mac, next_hop
        pod = next(pod for pod in self._state.pods if f"{pod.ref.namespace}/{pod.ref.name}" == place)
        assert pod.port is not None
        bridge = self._wiring.bridge(self._wiring.node(pod.node).bridge)
        return bridge, pod.port.ofport, pod.port.mac, pod.port.gateway_mac

    def _leave(self, bridge: Bridge, ofport: int, packet: Fields) -> Iterator[Fate]:
        """What is at the other end of a bridge's port."""
        node = self._nodes.get(bridge.name)
        if node is not None and (node.name, ofport) in self._pods:
            pod = self._pods[node.name, ofport]
            assert pod.port is not None
            yield arrived(f"{pod.ref.namespace}/{pod.ref.name}", packet, pod.port.mac)
            return
        port = next(port for port in bridge.ports if port.ofport == ofport)
        if port.role is PortRole.TUNNEL:
            there = next(one for one in self._wiring.nodes if mac(one.vtep_mac) == packet[f.ETH_DST])
            yield from self._enter(self._wiring.bridge(there.bridge), ofport, packet)
        elif port.role is PortRole.HOST or port.peer.startswith("ext/"):
            yield arrived(port.peer, packet, port.peer_mac)
        elif port.peer.startswith("node/"):
            other = self._wiring.bridge(self._wiring.node(port.peer.removeprefix("node/")).bridge)
            yield from self._enter(other, UPLINK_OFPORT, packet)
        else:
            other = next(one for one in self._wiring.bridges if one.place == port.peer)
            back = bridge.place if node is None else f"node/{node.name}"
            yield from self._enter(other, other.port(back).ofport, packet)

    # -- a switch ----------------------------------------------------------------------------------

    def _enter(self, bridge: Bridge, ofport: int, packet: Fields) -> Iterator[Fate]:
        """Registers and connection state are a bridge's own; only headers come over a cable."""
        kept = (
            f.ETH_SRC, f.ETH_DST, f.ETH_TYPE, f.IP_PROTO, f.IPV4_SRC, f.IPV4_DST, f.IPV6_SRC, f.IPV6_DST,
            f.NW_TTL, f.TCP_DST, f.UDP_DST, f.SCTP_DST, f.SCTP_SRC, f.TCP_FLAGS, f.ICMP_TYPE, f.ICMP_CODE,
            f.ICMPV6_TYPE, f.ICMPV6_CODE,
        )  # fmt: skip
        fresh = {field: packet[field] for field in kept if field in packet}
        yield from self.resume(bridge, STAGES[0], ofport, fresh)

    def resume(self, bridge: Bridge, stage: Stage, ofport: int, packet: Fields) -> Iterator[Fate]:
        """What may become of a packet at a stage; registers that it does not bring are empty."""
        registers = (f.REG0, f.REG1, f.REG2, f.REG3, f.REG4, f.REG5, f.REG6, f.REG7, f.XXREG2)
        fresh = dict.fromkeys((*registers, f.CT_STATE, f.CT_MARK), 0)
        fresh |= {f.IN_PORT: ofport, f.IN_PORT_NXM: ofport} | packet
        yield from self._stage(bridge, stage, fresh, 0)

    def _stage(self, bridge: Bridge, stage: Stage, packet: Fields, depth: int) -> Iterator[Fate]:
        table = self._tables[bridge.name].get(stage)
        flow = table.lookup(packet) if table else None
        if flow is None:
            yield Fate(Outcome.DROPPED)
        else:
            yield from self._act(bridge, flow.actions, packet, depth)

    def _act(self, bridge: Bridge, actions: tuple[Action, ...], packet: Fields, depth: int) -> Iterator[Fate]:
        packet = dict(packet)
        for position, action in enumerate(actions):
            match action:
                case Load(value, bits):
                    write(packet, bits, value)
                case Set(field, value):
                    packet[field] = value
                case Move(source, to):
                    write(packet, to, read(packet, source))
                case DecTtl():
                    packet[f.NW_TTL] -= 1
                case Meter():
                    pass
                case Learn():
                    self._learn(bridge, action, packet)
                case Resubmit(stage):
                    self._remember(bridge, stage, packet)
                case Multipath(ways, _, to, _):
                    for way in range(ways):
                        chosen = dict(packet)
                        write(chosen, to, way)
                        yield from self._act(bridge, actions[position + 1 :], chosen, depth)
                    return
                case Goto(stage):
                    yield from self._stage(bridge, stage, packet, depth)
                    return
                case Ct():
                    assert depth < DEPTH, "the userspace datapath drops what recirculates more often"
                    yield from self._stage(bridge, action.then, tracked(packet, action), depth + 1)
                    return
                case Controller():
                    yield Fate(Outcome.REJECTED)
                    return
                case InPort() if packet[f.ETH_TYPE] == ARP:
                    yield Fate(Outcome.CONNECTED, bridge.place)
                    return
                case InPort():
                    asker, number, asked = ends(packet)
                    yield Fate(Outcome.CONNECTED, bridge.place, asked, number, asker)
                    return
                case Output(port):
                    yield from self._output(bridge, port, packet)
                    return
                case OutputTo(bits):
                    yield from self._output(bridge, read(packet, bits), packet)
                    return
                case _:
                    raise AssertionError(f"not modelled: {action}")
        yield Fate(Outcome.DROPPED)

    def _learn(self, _bridge: Bridge, _action: Learn, _packet: Fields) -> None:
        """Nothing is learned: no packet is a second one."""

    def _remember(self, bridge: Bridge, stage: Stage, packet: Fields) -> None:
        """Nothing is remembered of a new client: the stage that is resubmitted to does nothing."""
        flow = self._tables[bridge.name][stage].lookup(packet)
        assert flow is None or not flow.actions, "only connections that nobody knows are modelled"

    def _output(self, bridge: Bridge, port: int, packet: Fields) -> Iterator[Fate]:
        if port == packet[f.IN_PORT_NXM]:
            yield Fate(Outcome.DROPPED)  # Open vSwitch sends nothing back to where it came from
        else:
            yield from self._leave(bridge, port, packet)


class LearningNetwork(Network):
    """Bridges that learn: what one packet teaches, the next one meets."""

    def _learn(self, bridge: Bridge, action: Learn, packet: Fields) -> None:
        found: list[Term] = []
        for one in action.matches:
            match one:
                case Term():
                    found.append(one)
                case Bits():
                    found.append(one(read(packet, one)))
                case Mirror(field, source):
                    found.append(Term(field, packet[source], field.full_mask))
        flow = Flow(action.stage, action.priority, match(*found), action.loads, PIPELINE, "learned")
        table = self._tables[bridge.name].get(action.stage, Table(()))
        self._tables[bridge.name][action.stage] = Table(((flow,), *table.levels))

    def _remember(self, bridge: Bridge, stage: Stage, packet: Fields) -> None:
        flow = self._tables[bridge.name][stage].lookup(packet)
        for action in flow.actions if flow else ():
            assert isinstance(action, Load), flow
            write(packet, action.to, action.value)


def tracked(packet: Fields, action: Ct) -> Fields:
    """The packet after `ct`: a new connection, translated if it is committed so."""
    packet = dict(packet)
    packet[f.CT_STATE] = NEW
    if not action.commit:
        packet[f.CT_MARK] = 0
        return packet
    for change in action.mark:
        value = change.value if isinstance(change, Load) else read(packet, change.source)
        write(packet, change.to, value)
    if action.nat is not None and action.nat.address is not None:
        four = action.nat.address.version == 4
        if action.nat.side == "src":
            packet[f.IPV4_SRC if four else f.IPV6_SRC] = int(action.nat.address)
        else:
            packet[f.IPV4_DST if four else f.IPV6_DST] = int(action.nat.address)
            number = PORT.get(packet[f.IP_PROTO])
            # Open vSwitch 3.1 translates SCTP's addresses and leaves its ports alone.
            if action.nat.ports and number is not None and number is not f.SCTP_DST:
                packet[number] = action.nat.ports[0]
    return packet


def read(packet: Fields, bits: Bits) -> int:
    """The number in some bits."""
    return (packet.get(bits.field, 0) & bits.mask) >> bits.first


def write(packet: Fields, bits: Bits, value: int) -> None:
    """Write a number to some bits."""
    packet[bits.field] = packet.get(bits.field, 0) & ~bits.mask | value << bits.first


def ends(packet: Fields) -> tuple[IPAddress, int | None, IPAddress]:
    """Destination, its port, and source."""
    four = packet[f.ETH_TYPE] == 0x0800
    source = packet[f.IPV4_SRC if four else f.IPV6_SRC]
    destination = packet[f.IPV4_DST if four else f.IPV6_DST]
    number = PORT.get(packet[f.IP_PROTO])
    family = IPv4Address if four else IPv6Address
    return family(destination), packet[number] if number else None, family(source)


def mac(text: str) -> int:
    """A MAC address as a number."""
    return int(text.replace(":", ""), 16)


def arrived(place: str, packet: Fields, own: str) -> Fate:
    """The fate of a packet that a place gets; a stack takes no frame that bears another's MAC address."""
    if packet[f.ETH_DST] != mac(own):
        return Fate(Outcome.DROPPED)
    return Fate(Outcome.CONNECTED, place, *ends(packet))
