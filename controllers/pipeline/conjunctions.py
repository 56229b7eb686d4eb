"""Rules of policies as conditions on packets: how many pods, peers and ports stay a sum.

A rule with pods T, peers P and ports Q takes T + P + Q + 1 flows a family at most, not T x P x Q: each flow
notes one condition that the packet meets, and one more decides about who meets them all (conjunctive matches,
ovs-fields(7)). Of a range of ports, P or Q count the masked pieces: 30 at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from zlib import crc32

from controllers.pipeline import fields as f
from controllers.pipeline.fields import Term
from controllers.pipeline.match import Match, dst, match, src, to_ports, transport
from controllers.pipeline.policies import Allowance, Place, Ports
from controllers.pipeline.registers import OUT_PORT
from controllers.pipeline.view import NodeView
from emulator.cluster.model import Direction

_NUMBERS = 0x7FFFFFFF
_PORT_BITS = 16


def number(rule: Allowance, taken: set[int]) -> int:
    """A conjunction's id, which is taken from now on: the same as long as the rule lives, whatever other
    rules come and go."""
    found = crc32(repr((rule.policy, rule.rule, rule.ports, rule.peers is None)).encode()) & _NUMBERS
    while found in taken or not found:
        found = (found + 1) & _NUMBERS
    taken.add(found)
    return found


def clauses(view: NodeView, rule: Allowance) -> list[list[Match]]:
    """The rule's conditions, each as the matches any of which meets it."""
    found = [[match(target(rule.direction, one)) for one in rule.targets]]
    if rule.peers is not None:
        peers = (peer for peer in rule.peers if peer.version in view.families)
        found.append([_peer(rule.direction, peer) for peer in peers])
    if rule.ports is not None:
        ports = (match(terms) for ports in rule.ports for terms in _ports(view, ports))
        found.append(list(dict.fromkeys(ports)))
    return found


def target(direction: Direction, ofport: int) -> Term:
    """Packets that a pod sends, or is sent."""
    return f.IN_PORT(ofport) if direction is Direction.EGRESS else OUT_PORT(ofport)


@lru_cache(maxsize=1 << 16)
def _peer(direction: Direction, place: Place) -> Match:
    """Many rules name the same pods."""
    return match(dst(place) if direction is Direction.EGRESS else src(place))


def _ports(view: NodeView, ports: Ports) -> Iterator[tuple[Term, ...]]:
    for family in view.families:
        if ports.first is None or ports.last is None:
            yield transport(family, ports.protocol)
        else:
            for value, mask in masked(ports.first, ports.last):
                yield to_ports(family, ports.protocol, value, mask)


def masked(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The ports `first..last` as values and masks: the fewest that are exactly these, 30 at most."""
    while first <= last:
        width = (first & -first).bit_length() - 1 if first else _PORT_BITS
        while first + (1 << width) - 1 > last:
            width -= 1
        yield first, (1 << _PORT_BITS) - (1 << width)
        first += 1 << width
