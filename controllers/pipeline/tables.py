"""The one list of stages, in the order that packets meet them.

A stage is one OpenFlow table. Names are Antrea's where the meaning is the same. Each stage
declares what its flows may match and set and which stages may follow; `FlowProgram` checks
every flow against its stage, so the list cannot drift from the code. Node bridges and router
bridges walk the same list; a stage without flows on a bridge is simply never entered there.

To add a stage: give it a free number that keeps the order, add it to the `follows` of the
stages that lead to it, and have a feature yield flows for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from controllers.pipeline import fields as f
from controllers.pipeline.fields import Field

_TYPE = frozenset({f.ETH_TYPE})
_SRC = frozenset({f.IPV4_SRC, f.IPV6_SRC})
_DST = frozenset({f.IPV4_DST, f.IPV6_DST})
_MAC = frozenset({f.ETH_SRC, f.ETH_DST})
_PORTS = frozenset({f.IP_PROTO, f.TCP_DST, f.UDP_DST, f.SCTP_DST})
_ND = frozenset({f.IP_PROTO, f.ICMPV6_TYPE, f.ICMPV6_CODE})
_ENDPOINT = frozenset({f.REG3, f.REG4, f.XXREG2})


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One table of the pipeline."""

    number: int
    name: str
    purpose: str
    """One sentence: what happens to a packet here."""
    matches: frozenset[Field]
    sets: frozenset[Field]
    follows: tuple[str, ...]
    """Names of the stages that may be entered from this one."""

    def __str__(self) -> str:
        return by_name(self)


CLASSIFIER = Stage(
    0,
    "Classifier",
    "Notes where a packet came from. VXLAN between the node's stack and its uplink, and neighbour "
    "discovery between them, pass straight across.",
    _TYPE | _SRC | _DST | _ND | {f.IN_PORT, f.ETH_DST, f.UDP_DST},
    frozenset({f.ETH_SRC, f.REG0, f.REG7}),
    ("SpoofGuard", "ARPResponder", "L2Forwarding", "LocalDelivery", "TTLGuard"),
)
SPOOF_GUARD = Stage(
    1,
    "SpoofGuard",
    "Lets a pod speak only with its own MAC and IP addresses.",
    _TYPE | _SRC | _DST | _ND | {f.IN_PORT, f.ETH_SRC, f.UDP_DST, f.ARP_OP, f.ARP_SPA, f.ARP_SHA},
    frozenset(),
    ("ARPResponder", "TTLGuard"),
)
ARP_RESPONDER = Stage(
    2,
    "ARPResponder",
    "Answers ARP requests for the bridge's own addresses and turns neighbour solicitations for them "
    "into advertisements.",
    _TYPE | _ND | {f.ARP_OP, f.ARP_TPA, f.ND_TARGET, f.REG7},
    _MAC
    | {f.ARP_OP, f.ARP_SPA, f.ARP_TPA, f.ARP_SHA, f.ARP_THA, f.REG3, f.IPV6_SRC, f.IPV6_DST, f.ICMPV6_TYPE},
    ("NeighborAdvertisement", "L2Forwarding"),
)
NEIGHBOR_ADVERTISEMENT = Stage(
    3,
    "NeighborAdvertisement",
    "Completes the advertisement begun in ARPResponder and sends it back.",
    _TYPE | _ND,
    frozenset({f.ND_TLL, f.ND_RESERVED, f.ND_OPTIONS_TYPE}),
    (),
)
L2_FORWARDING = Stage(
    4,
    "L2Forwarding",
    "Router bridges: switches frames between the hosts of one subnet by MAC address; ARP and "
    "neighbour discovery reach all of them.",
    _TYPE | _ND | {f.ETH_DST, f.REG7},
    frozenset(),
    (),
)
LOCAL_DELIVERY = Stage(
    6,
    "LocalDelivery",
    "Router bridges: answers pings to the router's own addresses and refuses everything else sent to them.",
    _TYPE | _DST | _ND | {f.ICMP_TYPE, f.ICMP_CODE},
    _MAC | _SRC | _DST | {f.ICMP_TYPE, f.ICMPV6_TYPE, f.NW_TTL, f.REG3, f.XXREG2, f.REG6},
    ("TTLGuard",),
)
TTL_GUARD = Stage(
    8,
    "TTLGuard",
    "Answers packets whose TTL ends here, before any translation: an ICMP error quotes what was sent.",
    _TYPE | _DST | {f.NW_TTL, f.REG0},
    frozenset({f.REG6}),
    ("UnSNAT", "ConntrackZone", "L3Forwarding"),
)
UN_SNAT = Stage(
    10,
    "UnSNAT",
    "Gives packets addressed to the node back to the connection that was masqueraded, if there is one.",
    _TYPE | _DST | {f.REG0},
    frozenset(),
    ("ConntrackZone",),
)
CONNTRACK_ZONE = Stage(
    11,
    "ConntrackZone",
    "Looks the packet up in the bridge's MAIN zone and translates it as its connection says.",
    _TYPE | {f.IP_PROTO},
    frozenset(),
    ("ConntrackState", "SCTPAnswer"),
)
CONNTRACK_STATE = Stage(
    12,
    "ConntrackState",
    "Drops invalid packets, sends known connections on and new ones to the services.",
    _TYPE | _SRC | _DST | {f.IP_PROTO, f.CT_STATE, f.CT_MARK, f.SCTP_SRC, f.SCTP_DST, f.TCP_FLAGS},
    frozenset({f.REG0, f.SCTP_SRC, f.SCTP_DST}),
    ("NodePortMark", "ServiceFrontend", "AdminEgress", "L3Forwarding"),
)
SCTP_ANSWER = Stage(
    13,
    "SCTPAnswer",
    "Knows the answers to what the policies have let pass of SCTP, whose ports are not tracked. SCTPQuestion "
    "has these flows learned; the packet comes here on its way from ConntrackZone to ConntrackState.",
    _TYPE | _SRC | _DST | {f.IP_PROTO, f.SCTP_SRC, f.SCTP_DST},
    frozenset({f.REG0}),
    (),
)
NODE_PORT_MARK = Stage(
    20,
    "NodePortMark",
    "Notes that the destination is an address of this node, where NodePorts and hostPorts answer; "
    "drops what comes from outside for its loopback addresses.",
    _TYPE | _DST | {f.REG0},
    frozenset({f.REG0}),
    ("ServiceFrontend",),
)
SERVICE_FRONTEND = Stage(
    21,
    "ServiceFrontend",
    "Recognises a service port's frontends and decides which endpoints may serve this client and "
    "whether its address is masqueraded; a pod's hostPort leads to that pod.",
    _TYPE | _SRC | _DST | _PORTS | {f.REG0},
    _ENDPOINT | {f.REG0, f.REG2},
    ("Affinity", "ServiceLB", "EndpointDNAT", "AdminEgress"),
)
AFFINITY = Stage(
    22,
    "Affinity",
    "Remembers which endpoint a client of a service with sessionAffinity was given. EndpointDNAT has these "
    "flows learned; the packet comes here on its way from ServiceFrontend to ServiceLB.",
    _TYPE | _SRC | {f.REG2},
    _ENDPOINT,
    (),
)
SERVICE_LB = Stage(
    23,
    "ServiceLB",
    "Keeps to the endpoint that is remembered, if it may still serve; else chooses one by a hash of the "
    "connection. Refuses a service without endpoints.",
    _TYPE | _ENDPOINT | {f.REG2},
    frozenset({f.REG5, f.REG6}),
    ("ServiceEndpoint", "EndpointDNAT"),
)
SERVICE_ENDPOINT = Stage(
    24,
    "ServiceEndpoint",
    "Turns the hash into an endpoint's address and port; at a load balancer, into a node.",
    _TYPE | {f.REG2, f.REG5},
    _ENDPOINT | {f.REG5},
    ("EndpointDNAT",),
)
ENDPOINT_DNAT = Stage(
    25,
    "EndpointDNAT",
    "Commits the connection with its destination translated to the endpoint.",
    _TYPE | _SRC | _ENDPOINT | {f.IP_PROTO, f.NW_TTL, f.REG0, f.REG2, f.REG5},
    frozenset({f.REG0, f.REG6, f.CT_MARK, f.SCTP_DST}),
    ("AdminEgress", "L3Forwarding"),
)
ADMIN_EGRESS = Stage(
    28,
    "AdminEgress",
    "Asks the ClusterNetworkPolicies of the Admin tier about what a pod sends, after the translation of "
    "services: the first rule that means it decides. Answers and known connections pass.",
    _TYPE | _DST | _PORTS | {f.IN_PORT, f.CONJ_ID, f.REG0},
    frozenset(),
    ("EgressRule", "L3Forwarding"),
)
EGRESS_RULE = Stage(
    30,
    "EgressRule",
    "Lets pass what a NetworkPolicy allows a pod to send. NetworkPolicies have no say about what it sends to "
    "itself and to its own node.",
    _TYPE | _DST | _PORTS | {f.IN_PORT, f.CONJ_ID, f.REG0},
    frozenset(),
    ("EgressDefaultRule", "BaselineEgress", "L3Forwarding"),
)
EGRESS_DEFAULT_RULE = Stage(
    31,
    "EgressDefaultRule",
    "Drops what else a pod sends that a NetworkPolicy isolates for egress.",
    frozenset({f.IN_PORT}),
    frozenset(),
    ("BaselineEgress",),
)
BASELINE_EGRESS = Stage(
    32,
    "BaselineEgress",
    "Asks the ClusterNetworkPolicies of the Baseline tier about what a pod sends that no NetworkPolicy "
    "isolates.",
    _TYPE | _DST | _PORTS | {f.IN_PORT, f.CONJ_ID},
    frozenset(),
    ("L3Forwarding",),
)
L3_FORWARDING = Stage(
    40,
    "L3Forwarding",
    "Finds the way to the destination: MAC addresses and port.",
    _TYPE | _SRC | _DST | {f.IN_PORT, f.CT_MARK, f.REG0},
    _MAC | {f.REG1, f.REG6, f.REG7},
    ("NextHop", "L3DecTTL"),
)
NEXT_HOP = Stage(
    41,
    "NextHop",
    "Router bridges: turns the hash over equal-cost routes into MAC addresses and port.",
    frozenset({f.REG7}),
    _MAC | {f.REG1},
    ("L3DecTTL",),
)
L3_DEC_TTL = Stage(
    42,
    "L3DecTTL",
    "Decrements the TTL of what is routed; the node's own stack does that for itself.",
    _TYPE | {f.REG0, f.REG1},
    frozenset({f.NW_TTL}),
    ("AdminIngress", "ConntrackCommit", "Output"),
)
ADMIN_INGRESS = Stage(
    48,
    "AdminIngress",
    "Asks the ClusterNetworkPolicies of the Admin tier about what a pod is sent, before its source is "
    "masqueraded: the first rule that means it decides. Answers and known connections pass.",
    _TYPE | _SRC | _PORTS | {f.CONJ_ID, f.REG0, f.REG1},
    frozenset(),
    ("IngressRule", "SCTPQuestion"),
)
INGRESS_RULE = Stage(
    50,
    "IngressRule",
    "Lets pass what a NetworkPolicy allows a pod to be sent, judged before its source is masqueraded. "
    "A pod's own node passes; NetworkPolicies have no say about what a pod sends itself.",
    _TYPE | _SRC | _PORTS | {f.CONJ_ID, f.REG0, f.REG1},
    frozenset(),
    ("IngressDefaultRule", "BaselineIngress", "SCTPQuestion"),
)
INGRESS_DEFAULT_RULE = Stage(
    51,
    "IngressDefaultRule",
    "Drops what else is sent to a pod that a NetworkPolicy isolates for ingress.",
    frozenset({f.REG1}),
    frozenset(),
    ("BaselineIngress",),
)
BASELINE_INGRESS = Stage(
    52,
    "BaselineIngress",
    "Asks the ClusterNetworkPolicies of the Baseline tier about what a pod is sent that no NetworkPolicy "
    "isolates.",
    _TYPE | _SRC | _PORTS | {f.CONJ_ID, f.REG1},
    frozenset(),
    ("SCTPQuestion",),
)
SCTP_QUESTION = Stage(
    58,
    "SCTPQuestion",
    "Where policies are enforced, has the answer learned to what they have let pass of SCTP.",
    _TYPE | {f.IP_PROTO, f.REG0},
    frozenset(),
    ("ConntrackCommit",),
)
CONNTRACK_COMMIT = Stage(
    60,
    "ConntrackCommit",
    "Commits new connections that no service has committed, and decides which of them leave masqueraded.",
    _TYPE | _SRC | _DST | {f.CT_STATE, f.CT_MARK, f.REG0, f.REG1},
    frozenset({f.REG0, f.CT_MARK}),
    ("SNAT", "Output"),
)
SNAT = Stage(
    61,
    "SNAT",
    "Translates the source address of masqueraded connections to the node's.",
    _TYPE | _SRC | {f.CT_STATE, f.CT_MARK, f.REG0, f.REG1},
    frozenset(),
    ("Output",),
)
OUTPUT = Stage(
    70,
    "Output",
    "Sends the packet to the port chosen, even if that is where it came from.",
    frozenset({f.CT_STATE}),
    frozenset({f.IN_PORT_NXM}),
    (),
)

STAGES: tuple[Stage, ...] = (
    CLASSIFIER,
    SPOOF_GUARD,
    ARP_RESPONDER,
    NEIGHBOR_ADVERTISEMENT,
    L2_FORWARDING,
    LOCAL_DELIVERY,
    TTL_GUARD,
    UN_SNAT,
    CONNTRACK_ZONE,
    CONNTRACK_STATE,
    SCTP_ANSWER,
    NODE_PORT_MARK,
    SERVICE_FRONTEND,
    AFFINITY,
    SERVICE_LB,
    SERVICE_ENDPOINT,
    ENDPOINT_DNAT,
    ADMIN_EGRESS,
    EGRESS_RULE,
    EGRESS_DEFAULT_RULE,
    BASELINE_EGRESS,
    L3_FORWARDING,
    NEXT_HOP,
    L3_DEC_TTL,
    ADMIN_INGRESS,
    INGRESS_RULE,
    INGRESS_DEFAULT_RULE,
    BASELINE_INGRESS,
    SCTP_QUESTION,
    CONNTRACK_COMMIT,
    SNAT,
    OUTPUT,
)


def stage(name: str) -> Stage:
    """The stage of that name. Raises KeyError when there is none."""
    for candidate in STAGES:
        if candidate.name == name:
            return candidate
    raise KeyError(name)


def by_name(stage: Stage) -> str:
    """How people call a stage."""
    return stage.name


def by_number(stage: Stage) -> str:
    """How a switch calls it."""
    return str(stage.number)
