"""What a flow does to a packet, as values, and the text of each that `ovs-ofctl` reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from controllers.pipeline.fields import NW_TTL, Bits, Field, Term, Value, as_number
from controllers.pipeline.registers import PUNT, Punt
from controllers.pipeline.tables import Stage
from emulator.cluster.wiring import IPAddress


class HashBy(StrEnum):
    """What a choice hashes; no recirculation is needed for any."""

    CONNECTION = "symmetric_l3l4+udp"  # addresses and, for TCP, UDP and SCTP, ports
    CLIENT = "nw_src"  # the source address, IPv4 or IPv6


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet to a port; a packet is never sent back to where it came from by this action."""

    port: int


@dataclass(frozen=True, slots=True)
class OutputTo:
    """Send the packet to the port that some bits name."""

    port: Bits


@dataclass(frozen=True, slots=True)
class InPort:
    """Send the packet back to where it came from."""


@dataclass(frozen=True, slots=True)
class Controller:
    """Hand the whole packet to the controller."""


@dataclass(frozen=True, slots=True)
class Meter:
    """Drop what exceeds the meter's rate; first of a flow's actions."""

    id: int


@dataclass(frozen=True, slots=True)
class Goto:
    """Continue in a later stage; last of a flow's actions."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Load:
    """Write a number to some bits."""

    value: int
    to: Bits


@dataclass(frozen=True, slots=True)
class Set:
    """Write a whole field."""

    field: Field
    value: int


@dataclass(frozen=True, slots=True)
class Move:
    """Copy bits; both sides have the same width."""

    source: Bits
    to: Bits


@dataclass(frozen=True, slots=True)
class Nat:
    """Translate addresses inside `Ct`. Without an address: as the connection already says."""

    side: str = ""
    """`src`, `dst` or nothing."""
    address: IPAddress | None = None
    ports: tuple[int, int] | None = None
    """First and last port to choose from; None keeps the port where it is free."""


@dataclass(frozen=True, slots=True)
class Ct:
    """Pass the packet through connection tracking and go on with it in `then` (one recirculation)."""

    zone: int
    then: Stage
    nat: Nat | None = None
    commit: bool = False
    mark: tuple[Load | Move, ...] = ()
    """Writes to ct_mark, kept with the connection."""


@dataclass(frozen=True, slots=True)
class DecTtl:
    """Decrement the TTL or hop limit."""


@dataclass(frozen=True, slots=True)
class Multipath:
    """Write a number in `0..ways-1` to some bits, always the same for one connection or client."""

    ways: int
    basis: int
    """Switches in a row need different ones, or the second choice follows from the first."""
    to: Bits
    by: HashBy = HashBy.CONNECTION


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Do what a stage says as well, and then go on with the flow's next action."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Mirror:
    """For a flow that is learned: `field` must be what `source` is in this packet. They are equally wide."""

    field: Field
    source: Field


@dataclass(frozen=True, slots=True)
class Learn:
    """Remember something about packets like this one: a flow in `stage`, in the place of an equal one.

    It goes when no packet has met it for `idle_timeout` seconds (1 to `LONGEST_IDLE`), and when the last flow
    goes that has a Learn with this cookie.
    """

    stage: Stage
    priority: int
    idle_timeout: int
    cookie: int
    matches: tuple[Term | Bits | Mirror, ...]
    """Conditions of the new flow: a value, or bits that must be as in this packet, or as others in it."""
    loads: tuple[Load, ...]
    """What the new flow does."""


@dataclass(frozen=True, slots=True)
class Conjunction:
    """The packet meets one of several conditions; a flow with `conj_id` decides about who meets all of them.

    A flow has no other actions beside these.
    """

    id: int
    condition: int
    """From 1."""
    of: int
    """How many conditions there are: 2 at least."""


LONGEST_IDLE = 0xFFFF
"""Seconds: OpenFlow counts them in 16 bits."""

Action = (
    Output
    | OutputTo
    | InPort
    | Controller
    | Meter
    | Goto
    | Load
    | Set
    | Move
    | Ct
    | DecTtl
    | Multipath
    | Resubmit
    | Learn
    | Conjunction
)


def write(field: Field, value: Value) -> Set:
    """Write `value` to a whole field."""
    return Set(field, as_number(value)[0])


def load(bits: Bits, value: int) -> Load:
    """Write `value` to some bits. Raises ValueError when it does not fit."""
    if value >> bits.width:
        raise ValueError(f"{value:#x} does not fit {bits}")
    return Load(value, bits)


def move(source: Field | Bits, to: Field | Bits) -> Move:
    """Copy bits or whole fields. Raises ValueError when the widths differ."""
    one, other = _whole(source), _whole(to)
    if one.width != other.width:
        raise ValueError(f"{one} and {other} differ in width")
    return Move(one, other)


def punt(reason: Punt) -> tuple[Action, ...]:
    """Hand the packet to the controller, metered, with the reason for it."""
    return (Meter(int(reason)), load(PUNT, reason), Controller())


def _whole(bits: Field | Bits) -> Bits:
    return bits if isinstance(bits, Bits) else Bits(bits, 0, bits.bits - 1)


def text(action: Action, label: Callable[[Stage], str]) -> str:
    """The action as `ovs-ofctl` writes it, with stages as `label` calls them."""
    match action:
        case Output(port):
            return f"output:{port}"
        case OutputTo(bits):
            return f"output:{bits}"
        case InPort():
            return "IN_PORT"
        case Controller():
            return "CONTROLLER:65535"
        case Meter(number):
            return f"meter:{number}"
        case Goto(stage):
            return f"goto_table:{label(stage)}"
        case Load(value, bits) if bits.width > 64:
            return f"set_field:{value:#x}->{bits.field.in_actions}"
        case Load(value, bits):
            return f"load:{value:#x}->{bits}"
        case Set(field, value) if field is NW_TTL:
            return f"mod_nw_ttl:{value}"
        case Set(field, value):
            return f"set_field:{field.show(value)}->{field.in_actions}"
        case Move(source, to):
            return f"move:{source}->{to}"
        case DecTtl():
            return "dec_ttl"
        case Multipath(ways, basis, to, by):
            return f"multipath({by},{basis},modulo_n,{ways},0,{to})"
        case Resubmit(stage):
            return f"resubmit(,{label(stage)})"
        case Conjunction(number, condition, of):
            return f"conjunction({number},{condition}/{of})"
        case Learn():
            return _learn_text(action, label)
        case Ct():
            return _ct_text(action, label)


def _learn_text(action: Learn, label: Callable[[Stage], str]) -> str:
    parts = [f"table={label(action.stage)}", f"idle_timeout={action.idle_timeout}"]
    parts += [f"priority={action.priority}", "delete_learned", f"cookie={action.cookie:#x}"]
    for condition in action.matches:
        if isinstance(condition, Term):
            parts.append(f"{condition.field.in_actions}={condition.field.show(condition.value)}")
        elif isinstance(condition, Mirror):
            parts.append(f"{condition.field.in_actions}[]={condition.source.in_actions}[]")
        else:
            parts.append(str(condition))
    parts += [f"load:{load.value:#x}->{load.to}" for load in action.loads]
    return f"learn({','.join(parts)})"


def _ct_text(action: Ct, label: Callable[[Stage], str]) -> str:
    parts = ["commit"] if action.commit else []
    parts += [f"table={label(action.then)}", f"zone={action.zone}"]
    if action.nat is not None:
        parts.append(_nat_text(action.nat))
    if action.mark:
        parts.append(f"exec({','.join(text(part, label) for part in action.mark)})")
    return f"ct({','.join(parts)})"


def _nat_text(nat: Nat) -> str:
    if nat.address is None:
        return "nat"
    ports = "" if nat.ports is None else ":" + "-".join(str(port) for port in dict.fromkeys(nat.ports))
    address = f"[{nat.address}]" if nat.address.version == 6 and ports else str(nat.address)
    return f"nat({nat.side}={address}{ports})"
