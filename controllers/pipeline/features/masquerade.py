"""Source translation on a node.

Who is masqueraded:

- a pod that leaves the cluster network, other nodes' addresses included, leaves as its node
  (as flannel and Calico do by default; a node's own stack sees its own pods' addresses), unless
  the topology routes pods' addresses of that family to the internet;
- clients of a service, where kube-proxy would mark them (see `services`);
- the node's stack keeps its address, but passes the SNAT zone as well: that reserves its
  tuple, so that no pod's port is translated to one that the stack already uses. It is committed
  as it is: Open vSwitch 3.1 files a connection and its translation under one hash, finds the
  translation alone when the connection has just expired, and where the two are the same it
  aborts (an assertion in conn_update_state).

Towards the fabric the source becomes the node's address, towards pods the pod gateway's, so
that answers come back the way the question went. Towards pods the port stays where it is free, as Linux
does for a masquerade that is not told to choose at random: a server remembers the connections that it
has closed for a minute, longer than Open vSwitch, and where a random port comes to one of them with an
older timestamp, which Linux draws for each pair of ends, it is not let in (RFC 7323, PAWS). What would
end that on Linux, the client's reset, is out of the window that connection tracking expects, and dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline.actions import Action, Ct, Goto, Nat, load
from controllers.pipeline.features.conntrack import MARKS, main_zone, snat_zone
from controllers.pipeline.fields import ct_state
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, ip, match, src
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import (
    MARK_MASQUERADE,
    MARK_SERVICE,
    MASQUERADE,
    OUT_PORT,
    SOURCE,
    Source,
)
from controllers.pipeline.tables import CONNTRACK_COMMIT, OUTPUT, SNAT
from controllers.pipeline.view import NodeView, networks_of
from emulator.cluster.wiring import HOST_OFPORT, UPLINK_OFPORT, IPAddress

PORTS = (1024, 65535)
"""Source ports of those that leave as their node: those of its own stack are not known beforehand."""

_NEW = ct_state("+trk+new")


def flows(view: NodeView) -> Iterator[Flow]:
    """The masquerading part of ConntrackCommit, and SNAT."""
    for family in view.families:
        yield from _decide(view, family)
        yield from _translate(view, family)
    # Delivery is not forwarding: the stack sees who speaks to it, as in Linux, where nothing is
    # masqueraded on its way in.
    for source in (Source.POD, Source.TUNNEL, Source.UPLINK):
        delivered = match(SOURCE(source), OUT_PORT(HOST_OFPORT))
        yield Flow(SNAT, 310, delivered, (Goto(OUTPUT),), PIPELINE, "to-the-stack")
    yield Flow(SNAT, 0, match(), (Goto(OUTPUT),), PIPELINE, "as-it-is")


def _decide(view: NodeView, family: int) -> Iterator[Flow]:
    plain: tuple[Action, ...] = (Ct(main_zone(view), SNAT, commit=True, mark=MARKS),)
    masqueraded = (load(MASQUERADE, 1), *plain)
    leaving = (*ip(family), _NEW, SOURCE(Source.POD), OUT_PORT(UPLINK_OFPORT))
    if not view.overlay:
        for network in networks_of(view.wiring.pod_cidrs, family):
            to_pods = match(leaving, dst(network))
            yield Flow(CONNTRACK_COMMIT, 220, to_pods, plain, PIPELINE, "pod-to-pod")
    leaves = plain if family in view.wiring.keeps_pod_addresses else masqueraded
    yield Flow(CONNTRACK_COMMIT, 210, match(leaving), leaves, PIPELINE, "pod-leaves-cluster")
    from_stack = match(ip(family), _NEW, SOURCE(Source.HOST))
    yield Flow(CONNTRACK_COMMIT, 200, from_stack, masqueraded, PIPELINE, "reserve-the-stacks-tuple")


def _translate(view: NodeView, family: int) -> Iterator[Flow]:
    known = match(ip(family), ct_state("+trk-new-rpl"), MARK_MASQUERADE(1))
    again = (Ct(snat_zone(view), OUTPUT, nat=Nat()),)
    yield Flow(SNAT, 300, known, again, PIPELINE, "known-masqueraded")

    new = (*ip(family), ct_state("+trk+new-rpl"), MASQUERADE(1))
    to_itself = match(new, SOURCE(Source.HOST), OUT_PORT(HOST_OFPORT))
    yield Flow(SNAT, 230, to_itself, _to(view, view.host_hairpin(family)), view.ref, "stack-to-itself")
    uplink, keep = OUT_PORT(UPLINK_OFPORT), (Ct(snat_zone(view), OUTPUT, commit=True),)
    for address in view.addresses(family):
        own = match(new, MARK_SERVICE(0), SOURCE(Source.HOST), src(address))
        yield Flow(SNAT, 220, own, keep, view.ref, "keep-the-stacks-tuple")
    as_node, as_gateway = view.node_address(family), view.gateway(family)
    asks_service = (*new, MARK_SERVICE(1), SOURCE(Source.HOST))
    node = match(asks_service, uplink, src(as_node))
    yield Flow(SNAT, 220, node, keep, view.ref, "is-the-node")
    yield Flow(SNAT, 210, match((*new, uplink)), _to(view, as_node), view.ref, "as-the-node")
    gateway = match(asks_service, src(as_gateway))
    yield Flow(SNAT, 205, gateway, keep, view.ref, "is-the-pod-gateway")
    kept = (Ct(snat_zone(view), OUTPUT, nat=Nat("src", as_gateway), commit=True),)
    yield Flow(SNAT, 200, match(new), kept, view.ref, "as-the-pod-gateway")


def _to(view: NodeView, address: IPAddress) -> tuple[Action, ...]:
    return (Ct(snat_zone(view), OUTPUT, nat=Nat("src", address, PORTS), commit=True),)
