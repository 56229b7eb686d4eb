"""The question, and the packet that it is about as it travels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from emulator.cluster.model import Pod, Protocol, Ref
from emulator.cluster.places import Place, PlaceKind
from emulator.cluster.wiring import IPAddress
from emulator.oracle.answer import Code, Judged, Reason


@dataclass(frozen=True, slots=True)
class Question:
    """May a first packet from `source` to `destination` pass, and where does it end up?"""

    source: Place
    """A pod, a node, a host outside, or a router that is a network stack."""
    destination: IPAddress | Place
    """An address; or a pod, a node, a host outside or a Service (its clusterIP), of IP version `family`."""
    protocol: Protocol | None
    """None: an ICMP echo request."""
    port: int | None = None
    family: int = 4
    """Of use where `destination` is a place."""


class Entry(Enum):
    """How a packet came to a node."""

    POD = auto()
    """From a pod of the node that has a network of its own."""
    STACK = auto()
    """From the node itself, or from a pod on its network."""
    WIRE = auto()
    """From outside the node."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A first packet, and what has happened to it so far."""

    source: IPAddress
    destination: IPAddress
    protocol: Protocol | None
    port: int | None
    reasons: tuple[Reason, ...] = ()
    masquerade: bool = False
    """It will leave this node with an address of it as the source."""
    translated: bool = False
    """A frontend of this node has been met: it is looked up no more."""
    hairpin: bool = False
    """It goes back to the pod that it came from."""
    hops: int = 0

    @property
    def family(self) -> int:
        """The IP version."""
        return self.destination.version

    def because(self, code: Code, about: Ref, sentence: str, judged: Judged | None = None) -> Packet:
        """The packet with one more reason."""
        return replace(self, reasons=(*self.reasons, Reason(code, about, sentence, judged)))

    def told(self) -> str:
        """`80/tcp`, `ICMP echo`."""
        return f"{self.port}/{self.protocol.lower()}" if self.protocol else "ICMP echo"


def place_of(pod: Pod) -> str:
    """What users call a pod."""
    return str(Place(PlaceKind.POD, pod.ref.name, pod.ref.namespace))
