"""What a trace found: a frozen value for everybody who asks what the flow tables say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from emulator.api.objects import JsonObject
from emulator.cluster.model import Ref
from emulator.cluster.outcome import Outcome
from emulator.verdict.trace.packet import Packet


class Direction(StrEnum):
    """Which way a packet goes."""

    FORWARD = "forward"
    REPLY = "reply"


class Weight(StrEnum):
    """How much a hop matters to who reads."""

    PASS = "pass"
    """Nothing happened to the packet there."""
    NOTE = "note"
    """Something was decided or found out."""
    CHANGE = "change"
    """The packet was changed, delivered, dropped or refused."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One thing that happened to a packet, in order."""

    node: str
    """Where: a node's name, `router/fabric`, `ext/client`, a pod, or `vxlan`."""
    stage: str
    """A stage of `controllers/pipeline/tables.py`; empty where no flow table was asked."""
    action: str
    owner: Ref | None = None
    """Whom the flow serves."""
    direction: Direction = Direction.FORWARD
    weight: Weight = Weight.NOTE
    bridge: str = ""
    table: int | None = None
    priority: int | None = None
    match: str = ""
    actions: tuple[str, ...] = ()
    cookie: int = 0
    derived: bool = False
    """Not traced, but concluded from the way of the first packet: a trace knows no connection."""

    def as_json(self) -> JsonObject:
        """The contract's fields first."""
        found: JsonObject = {
            "node": self.node,
            "stage": self.stage,
            "action": self.action,
            "owner": str(self.owner) if self.owner else "",
            "direction": self.direction.value,
            "weight": self.weight.value,
        }
        if self.table is not None:
            found |= {
                "bridge": self.bridge,
                "table": self.table,
                "priority": self.priority,
                "match": self.match,
                "actions": list(self.actions),
                "cookie": f"{self.cookie:#x}",
            }
        if self.derived:
            found["derived"] = True
        return found


@dataclass(frozen=True, slots=True)
class Leg:
    """A packet at a port of a switch: what a capture there has to show."""

    node: str
    bridge: str
    interface: str
    """The switch's own end of the cable, as Linux names it."""
    enters: bool
    """It comes into the switch there, or it leaves it."""
    packet: Packet
    direction: Direction = Direction.FORWARD
    outer: Packet | None = None
    """The VXLAN packet around it, where it goes over the fabric in one."""

    @property
    def words(self) -> str:
        """`out of n1-tun`."""
        return f"{'into' if self.enters else 'out of'} {self.node} at {self.interface}"


@dataclass(frozen=True, slots=True)
class Trace:
    """Where the installed flows take a new connection, and its answer."""

    outcome: Outcome
    hops: tuple[Hop, ...]
    source: str = ""
    target: str = ""
    packet: Packet | None = None
    """The first packet, as it was sent."""
    endpoint: str = ""
    """The place that the first packet was delivered to; empty when it was not."""
    endpoint_port: int = 0
    source_seen: str = ""
    """The address that the endpoint sees as the client's."""
    notes: tuple[str, ...] = ()
    """What the flow tables cannot tell."""
    legs: tuple[Leg, ...] = ()
    """The ports that it passes, in order, there and back."""
    is_open: bool = False
    """Somebody on the way chooses by a source port that is drawn when a real packet comes."""

    @property
    def decisive(self) -> Hop | None:
        """The hop that dropped or refused the packet; None when it arrived."""
        if self.outcome is Outcome.CONNECTED or not self.hops:
            return None
        return self.hops[-1]

    def as_json(self) -> JsonObject:
        """`{"kind": "Trace", ...}`."""
        packet = self.packet
        port = f"{packet.destination_port}/{packet.protocol}" if packet and packet.destination_port else ""
        return {
            "apiVersion": "mininetes.io/v1",
            "kind": "Trace",
            "from": self.source,
            "to": self.target,
            "port": port,
            "outcome": self.outcome.value,
            "endpoint": self.endpoint,
            "endpointPort": self.endpoint_port or None,
            "sourceSeen": self.source_seen,
            "packet": str(packet) if packet else "",
            "address": str(packet.destination) if packet else "",
            "sourceAddress": str(packet.source) if packet else "",
            "hops": [hop.as_json() for hop in self.hops],
            "notes": list(self.notes),
        }
