"""Connection tracking on a node's bridge: two zones, two lookups, one commit.

The MAIN zone knows every connection as its endpoints see it, and translates service
addresses. The SNAT zone knows connections whose source was translated to the node's address;
what comes back for them is addressed to the node and must be given back first. A packet
recirculates once per lookup or commit, and userspace Open vSwitch allows six.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Ct, Goto, Move, Nat, load, move
from controllers.pipeline.fields import ct_state
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, ip, match, transport
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import FLAGS, KNOWN, MARK_FLAGS, MARK_SERVICE, MARK_SOURCE, SOURCE, Source
from controllers.pipeline.tables import (
    ADMIN_EGRESS,
    CONNTRACK_COMMIT,
    CONNTRACK_STATE,
    CONNTRACK_ZONE,
    NODE_PORT_MARK,
    SNAT,
    UN_SNAT,
)
from controllers.pipeline.view import NodeView
from emulator.cluster.model import Protocol

RESET = 0x004
"""TCP's flag."""
MARKS: tuple[Move, ...] = (move(FLAGS, MARK_FLAGS), move(SOURCE, MARK_SOURCE))
"""What every committed connection remembers of its first packet."""


def main_zone(view: NodeView) -> int:
    """The zone in which the bridge's connections are known."""
    return view.bridge.zone


def snat_zone(view: NodeView) -> int:
    """The zone in which masqueraded connections are known."""
    return view.bridge.zone + 1


def flows(view: NodeView) -> Iterator[Flow]:
    """UnSNAT, ConntrackZone, ConntrackState and the plain part of ConntrackCommit."""
    for family in view.families:
        given_back = (Ct(snat_zone(view), CONNTRACK_ZONE, nat=Nat()),)
        for address in (*view.addresses(family), view.host_hairpin(family)):
            yield Flow(UN_SNAT, 200, match(dst(address)), given_back, view.ref, "back-to-masqueraded")
        # What the stack says to itself is no answer: it would meet its own connection, and be masqueraded
        # before it is looked up.
        for address in view.addresses(family):
            own = match(SOURCE(Source.HOST), dst(address))
            yield Flow(UN_SNAT, 210, own, (Goto(CONNTRACK_ZONE),), view.ref, "stack-to-itself")
        looked_up = (Ct(main_zone(view), CONNTRACK_STATE, nat=Nat()),)
        yield Flow(CONNTRACK_ZONE, 200, match(ip(family)), looked_up, PIPELINE, "look-up")
    yield Flow(UN_SNAT, 0, match(), (Goto(CONNTRACK_ZONE),), PIPELINE, "not-to-the-node")
    yield from _states(view)
    yield from _commits(view)


def _states(view: NodeView) -> Iterator[Flow]:
    known, translated = ct_state("+trk-new-inv"), match(ct_state("+trk+new"), MARK_SERVICE(1))
    yield Flow(CONNTRACK_STATE, 300, match(ct_state("+trk+inv")), (), PIPELINE, "invalid")
    for family in view.families:
        # Linux calls a reset of no connection invalid; Open vSwitch takes it for the beginning of one.
        reset = (*transport(family, Protocol.TCP), f.TCP_FLAGS(RESET, RESET), ct_state("+trk+new"))
        lone = match(reset, MARK_SOURCE(0))
        yield Flow(CONNTRACK_STATE, 250, lone, (), PIPELINE, "lone-reset")
    belongs = (load(KNOWN, 1), Goto(ADMIN_EGRESS))
    yield Flow(CONNTRACK_STATE, 200, match(known), belongs, PIPELINE, "known-connection")
    for family in view.families:
        # What is said of SCTP is said of its addresses: other ports are another association.
        sctp = match(known, transport(family, Protocol.SCTP))
        yield Flow(CONNTRACK_STATE, 210, sctp, (Goto(ADMIN_EGRESS),), PIPELINE, "known-addresses")
    # A connection is new until it is answered: a first packet sent again was translated by the lookup
    # already. Looked up as a service again it would lose its masquerade, and the connection would hang.
    again = (move(MARK_FLAGS, FLAGS), Goto(ADMIN_EGRESS))
    yield Flow(CONNTRACK_STATE, 200, translated, again, PIPELINE, "retransmitted-first-packet")
    yield Flow(
        CONNTRACK_STATE, 100, match(ct_state("+trk+new")), (Goto(NODE_PORT_MARK),), PIPELINE, "new-connection"
    )


def _commits(view: NodeView) -> Iterator[Flow]:
    committed = match(ct_state("+trk+new"), MARK_SERVICE(1))
    yield Flow(CONNTRACK_COMMIT, 300, committed, (Goto(SNAT),), PIPELINE, "committed-by-service")
    for family in view.families:
        commit = (Ct(main_zone(view), SNAT, commit=True, mark=MARKS),)
        new = match(ip(family), ct_state("+trk+new"))
        yield Flow(CONNTRACK_COMMIT, 100, new, commit, PIPELINE, "commit")
        # What a full table cannot take Linux drops, and Open vSwitch lets on, without the mark of a commit.
        untracked = match(ip(family), ct_state("+trk+new"), MARK_SOURCE(0))
        yield Flow(SNAT, 320, untracked, (), PIPELINE, "conntrack-full")
    yield Flow(CONNTRACK_COMMIT, 0, match(), (Goto(SNAT),), PIPELINE, "known-connection")
