"""Causes in what carries packets: nodes, routers, cables, tunnels, routing daemons."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.cluster.bird import session
from emulator.cluster.impairments import words
from emulator.cluster.pods import condition
from emulator.cluster.wiring import BridgeRole
from emulator.oracle.answer import Code as Said
from emulator.verdict.causes import path
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence
from emulator.verdict.diagnose.sights import Speaker

NODE_DOWN = Code(
    "node-down",
    "A node is not heard of: pods on it reach nobody, and nobody reaches them",
    "bring the node back, or wait until its pods are evicted and start elsewhere",
)
NAT_DOWN = Code(
    "nat-gateway-down",
    "The NAT gateway passes nothing on, so private subnets have no way out",
    "bring the NAT gateway back",
)
INTERNET_DOWN = Code(
    "internet-gateway-down",
    "The internet gateway passes nothing on, so the network is cut off from the internet",
    "bring the internet gateway back",
)
ROUTER_DOWN = Code(
    "router-down",
    "A router on the way passes nothing on",
    "bring the router back",
)
LINK_DOWN = Code(
    "link-down",
    "A cable on the way carries nothing: one of its ends is down",
    "bring the link up again",
)
LINK_IMPAIRED = Code(
    "link-impaired",
    "A cable on the way delays, loses, doubles, reorders or corrupts packets, or lets few of them pass",
    "take the impairment off the link, or let clients wait longer and try again",
)
PEER_MISSING = Code(
    "overlay-peer-missing",
    "A node's VXLAN device does not know behind which address another node's tunnel ends",
    "put the forwarding entry back",
)
WRONG_VTEP = Code(
    "wrong-vtep",
    "A node's VXLAN device sends what is for another node to an address that is not that node's",
    "correct the forwarding entry",
)
BGP_DOWN = Code(
    "bgp-down",
    "A router or node that advertises addresses over BGP does not: nobody learns the way to them",
    "start the routing daemon again",
)
BGP_SESSION = Code(
    "bgp-session-down",
    "A BGP session is not established, so what is advertised over it is not known",
    "enable the session at both ends, and see that they reach each other",
)
CODES = (
    NODE_DOWN,
    NAT_DOWN,
    INTERNET_DOWN,
    ROUTER_DOWN,
    LINK_DOWN,
    LINK_IMPAIRED,
    PEER_MISSING,
    WRONG_VTEP,
    BGP_DOWN,
    BGP_SESSION,
)

_GATEWAYS = {BridgeRole.NAT: NAT_DOWN, BridgeRole.INTERNET: INTERNET_DOWN}


def node_down(evidence: Evidence) -> Cause | None:
    """A node of one of the ends is silent, and not for its cable alone.

    That its pods count as not ready then is no cause of its own.
    """
    for name in _doubtful(evidence):
        since = _lost_since(evidence, name)
        uplinks = evidence.sights.of(f"node/{name}")
        cut = [cable for cable in uplinks if not cable.carries and "router/" in "".join(cable.ends)]
        own = [c for c in evidence.sights.cables if c.ends == (f"node/{name}", f"node/{name}")]
        is_off = bool(cut) and any(not cable.carries for cable in own)
        if not is_off and (cut or not since):
            continue
        said = f"nobody hears of node {name}" + (
            f" since {since}" if since else ", and all its links are down"
        )
        fix = f"bring node {name} back"
        return Cause(NODE_DOWN, f"Node/{name}", said, fix, f"mininetes get node {name}")
    return None


def _doubtful(evidence: Evidence) -> tuple[str, ...]:
    """Nodes that may be why it fails: those on the way, and those that a Service has all its pods on."""
    if path.fails(evidence):
        return path.nodes(evidence)
    if evidence.answers.reasons(Said.NO_ENDPOINTS, Said.NO_LOCAL_ENDPOINT, Said.NO_HEALTHY_NODE):
        return tuple(dict.fromkeys(_homes_of_service(evidence)))
    return ()


def _lost_since(evidence: Evidence, name: str) -> str:
    """Empty for a node that is heard of."""
    node = evidence.snapshot.get("Node", "", name) if f"Node/{name}" not in evidence.back else None
    ready = condition(node, "Ready") if node is not None else None
    if ready is None or ready.get("status") != "Unknown":
        return ""
    return str(ready.get("lastTransitionTime") or "a while")


def _homes_of_service(evidence: Evidence) -> Iterator[str]:
    """The nodes of all pods that the Service asked for selects, ready or not."""
    service = evidence.service()
    selector = ((service or {}).get("spec") or {}).get("selector")
    if service is None or not selector:
        return
    for pod in evidence.snapshot.pods:
        labels = pod["metadata"].get("labels") or {}
        near = pod["metadata"]["namespace"] == service["metadata"]["namespace"]
        name = pod["spec"].get("nodeName")
        if near and name and selector.items() <= labels.items():
            yield name


def router_down(evidence: Evidence) -> Cause | None:
    """All cables of a router are dead."""
    cable = path.dead_cable(evidence) if path.fails(evidence) else None
    if cable is None:
        return None
    for place in cable.ends:
        if not place.startswith("router/") or any(one.carries for one in evidence.sights.of(place)):
            continue
        role = next((b.role for b in evidence.state.wiring.bridges if b.place == place), None)
        code = _GATEWAYS.get(role, ROUTER_DOWN) if role is not None else ROUTER_DOWN
        name = place.removeprefix("router/")
        said = f"all links of {place} are down"
        return Cause(code, f"Router/{name}", said, code.remedy, "mininetes diff")
    return None


def link_down(evidence: Evidence) -> Cause | None:
    """One cable on the way is dead, or one that leads to a node with all pods of a Service."""
    cable = path.dead_cable(evidence) if path.fails(evidence) else None
    if cable is None:
        places = {f"node/{name}" for name in _doubtful(evidence)}
        cable = next((one for one in evidence.sights.down() if places & set(one.ends)), None)
    if cable is None:
        return None
    said = f"the link between {cable} is down"
    return Cause(LINK_DOWN, cable.object, said, LINK_DOWN.remedy, "mininetes diff")


def link_impaired(evidence: Evidence) -> Cause | None:
    """Queues of a cable on the way do something to packets that the topology does not want."""
    for cable in evidence.sights.impaired:
        said = f"the link between {cable} impairs packets: {words(cable.harm)}"
        return Cause(
            LINK_IMPAIRED,
            cable.object,
            said,
            LINK_IMPAIRED.remedy,
            "echo 'sh tc qdisc show' | mininetes shell",
        )
    return None


def overlay(evidence: Evidence) -> Cause | None:
    """A forwarding entry of VXLAN is not there, or leads to the wrong node."""
    if not path.fails(evidence):
        return None
    wiring, passed = evidence.state.wiring, path.nodes(evidence)
    plans = {node.name: node for node in wiring.nodes}
    for near in (name for name in passed if name in evidence.sights.tunnels):
        known = evidence.sights.tunnels[near]
        for far in (plans[name] for name in passed if name != near):
            own = {interface.ip for interface in far.addresses}
            found = known.get(far.vtep_mac)
            if found in own:
                continue
            code = PEER_MISSING if found is None else WRONG_VTEP
            leads = "nowhere" if found is None else f"to {found}"
            said = f"node {near} sends packets for node {far.name} ({far.vtep_mac}) {leads}"
            fix = f"put the entry for {far.name} back on {near}"
            return Cause(code, f"Node/{near}", said, fix, "mininetes diff")
    return None


def bgp_down(evidence: Evidence) -> Cause | None:
    """A routing daemon on the way does not run."""
    for speaker in _speakers(evidence):
        if not speaker.runs:
            said = f"the BGP daemon of {speaker.place} does not run"
            return Cause(BGP_DOWN, _object(speaker.place), said, BGP_DOWN.remedy, "mininetes diff")
    return None


def bgp_session_down(evidence: Evidence) -> Cause | None:
    """A session of the question's family, between two that run, is not established."""
    asked = evidence.address.version if evidence.address is not None else 4
    for speaker in _speakers(evidence):
        for (peer, family), state in speaker.sessions.items():
            if family == asked and state != "Established":
                said = f"the BGP session of {speaker.place} with {peer} for IPv{family} is {state}"
                name = session(peer.partition("/")[2], family)
                again = f"mininetes exec {speaker.place} -- birdc enable {name}" if state == "down" else ""
                about = _object(speaker.place)
                return Cause(BGP_SESSION, about, said, BGP_SESSION.remedy, "mininetes diff", again)
    return None


def _speakers(evidence: Evidence) -> tuple[Speaker, ...]:
    """Those that the way depends on: the routers first, since without them nobody learns anything."""
    speakers = evidence.sights.speakers
    stations = path.stations(evidence)
    passed = {place for place in stations if place.startswith("router/")}
    if not path.fails(evidence) or not passed & {speaker.place for speaker in speakers}:
        return ()
    if evidence.supposed:
        speakers = tuple(one for one in speakers if one.place in stations)
    return tuple(sorted(speakers, key=lambda one: not one.place.startswith("router/")))


def _object(place: str) -> str:
    kind, _, name = place.partition("/")
    return f"{kind.title()}/{name}"
