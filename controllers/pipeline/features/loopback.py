"""A node's NodePorts and hostPorts at 127.0.0.1, which the node itself reaches and nobody else.

kube-proxy's iptables mode lets packets leave the loopback network for this (sysctl route_localnet), IPv4
only, and has to shut the door that this opens: whatever comes from outside for a loopback address is
dropped (KUBE-FIREWALL; CVE-2020-8558).
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Goto, load
from controllers.pipeline.features.forwarding import via
from controllers.pipeline.fields import ct_state
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, match, src
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import MARK_SERVICE, OUT_PORT, SOURCE, TO_NODE_ADDRESS, Source
from controllers.pipeline.tables import (
    CLASSIFIER,
    CONNTRACK_COMMIT,
    L3_FORWARDING,
    NODE_PORT_MARK,
    SERVICE_FRONTEND,
)
from controllers.pipeline.view import LOOPBACK, NodeView
from emulator.cluster.wiring import HOST_OFPORT, TUNNEL_OFPORT, UPLINK_OFPORT


def flows(view: NodeView) -> Iterator[Flow]:
    """What Classifier, NodePortMark, L3Forwarding and ConntrackCommit do about 127.0.0.0/8."""
    if LOOPBACK.version not in view.families:
        return
    for ofport in (UPLINK_OFPORT, TUNNEL_OFPORT) if view.overlay else (UPLINK_OFPORT,):
        martian = match(f.IN_PORT(ofport), src(LOOPBACK))
        yield Flow(CLASSIFIER, 380, martian, (), PIPELINE, "from-anothers-loopback")
    own = match(dst(LOOPBACK), SOURCE(Source.HOST))
    noted = (load(TO_NODE_ADDRESS, 1), Goto(SERVICE_FRONTEND))
    yield Flow(NODE_PORT_MARK, 210, own, noted, PIPELINE, "to-its-own-loopback")
    yield Flow(NODE_PORT_MARK, 200, match(dst(LOOPBACK)), (), PIPELINE, "to-anothers-loopback")
    back = via(HOST_OFPORT, view.node.gateway_mac, view.node.mac)
    yield Flow(L3_FORWARDING, 300, match(dst(LOOPBACK)), back, view.ref, "to-the-nodes-loopback")
    outward = match(
        src(LOOPBACK), ct_state("+trk+new"), MARK_SERVICE(0), SOURCE(Source.HOST), OUT_PORT(UPLINK_OFPORT)
    )
    yield Flow(CONNTRACK_COMMIT, 230, outward, (), PIPELINE, "from-its-own-loopback")
