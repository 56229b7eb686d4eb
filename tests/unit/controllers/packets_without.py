"""Packets that fare as they should, or otherwise where a feature is left out.

The oracle, which shares no code with the compiler, says what is right. What it is not asked (neighbour
discovery, answers, other people's addresses, a node's loopback address) has its outcome written here.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from controllers.pipeline import fields as f
from controllers.pipeline.registers import ENDPOINT_IPV4, ENDPOINT_PORT, REMEMBERED, SERVICE, SOURCE, Source
from controllers.pipeline.tables import CONNTRACK_STATE, SERVICE_LB, STAGES
from emulator.cluster.model import ClusterState, Pod, Protocol
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import parse_place
from emulator.cluster.wiring import IPAddress
from emulator.oracle.ask import Oracle
from emulator.oracle.packet import Question
from tests.property.software_switch import NEW, PORT, PROTO, Fate, Fields, Network, mac, write
from tests.property.test_spec_and_flows import assert_same, own_address

Check = Callable[[ClusterState, Network], bool]
"""Whether a packet fares as it should."""

FAMILIES = (4, 6)
ANSWER = 0x2A
"""Tracked, of a known connection, and from who did not begin it."""
FAR_PORT = 40_000


def says(source: str, target: str, port: str | None, outcome: Outcome = Outcome.CONNECTED) -> Check:
    """Whether the flows do what the oracle says, which is `outcome`."""

    def check(cluster: ClusterState, network: Network) -> bool:
        number, _, protocol = (port or "").partition("/")
        destination = ip_address(target)
        kind = Protocol(protocol.upper()) if port else None
        question = Question(parse_place(source), destination, kind, int(number) if port else None)
        answer = Oracle(cluster).ask(question)
        if answer.outcomes != {outcome}:
            raise ValueError(f"the oracle says {answer.outcomes}")
        own = own_address(cluster, source, question)
        fates = network.send(source, own, destination, question.protocol, question.port)
        try:
            assert_same(answer, fates)
        except AssertionError:
            return False
        return {fate.source for fate in fates if fate.source} >= answer.sources

    return check


def the_gateway_answers(family: int) -> Check:
    """Whether a pod that asks for its gateway's MAC address is answered (oracles 8 and 9)."""

    def check(cluster: ClusterState, network: Network) -> bool:
        port = next(pod.port for pod in cluster.pods if pod.ref.name == "client")
        assert port is not None
        own = next(int(a.ip) for a in port.addresses if a.version == family)
        node = cluster.wiring.nodes[0]
        gateway = next(int(a) for a in node.pod_gateways if a.version == family)
        if family == 4:
            asked = {
                f.ETH_DST: mac("ff:ff:ff:ff:ff:ff"), f.ETH_TYPE: 0x0806, f.ARP_OP: 1,
                f.ARP_SHA: mac(port.mac), f.ARP_SPA: own, f.ARP_THA: 0, f.ARP_TPA: gateway,
            }  # fmt: skip
        else:
            asked = {
                f.ETH_DST: mac("33:33:ff:00:00:01"), f.ETH_TYPE: 0x86DD, f.IPV6_SRC: own, f.IPV6_DST: gateway,
                f.IP_PROTO: 58, f.ICMPV6_TYPE: 135, f.ICMPV6_CODE: 0, f.ND_TARGET: gateway,
            }  # fmt: skip
        asked[f.ETH_SRC] = mac(port.mac)
        fates = network.resume(cluster.wiring.bridge(node.bridge), STAGES[0], port.ofport, asked)
        return {(fate.outcome, fate.place) for fate in fates} == {(Outcome.CONNECTED, f"node/{node.name}")}

    return check


def a_remembered_endpoint_is_kept(cluster: ClusterState, network: Network) -> bool:
    """Whether a client that is known gets the endpoint that it had, of three (oracle 62)."""
    sticky = next(one for one in cluster.services if one.ref.name == "sticky")
    client, kept = (next(p for p in cluster.pods if p.ref.name == name) for name in ("client", "web-1"))
    assert client.port is not None
    known = {
        f.ETH_SRC: mac(client.port.mac), f.ETH_DST: mac(client.port.gateway_mac), f.ETH_TYPE: 0x0800,
        f.NW_TTL: 64, f.IP_PROTO: 6, f.TCP_DST: 80, f.TCP_FLAGS: 2, f.CT_STATE: NEW,
        f.IPV4_SRC: int(client.addresses[0]), f.IPV4_DST: int(sticky.cluster_ips[0]),
    }  # fmt: skip
    write(known, SERVICE, sticky.ports[0].id)
    write(known, SOURCE, Source.POD)
    write(known, REMEMBERED, 1)
    write(known, ENDPOINT_IPV4, int(kept.addresses[0]))
    write(known, ENDPOINT_PORT, 8080)
    bridge = cluster.wiring.bridge(cluster.wiring.nodes[0].bridge)
    fates = network.resume(bridge, SERVICE_LB, client.port.ofport, known)
    return {fate.place for fate in fates} == {"shop/web-1"}


def a_node_reaches_its_node_port_at_loopback(_cluster: ClusterState, network: Network) -> bool:
    """Whether a node's own 127.0.0.1 is an address of its NodePorts (oracle 48)."""
    own = ip_address("127.0.0.1")
    fates = network.send("node/worker-1", own, own, Protocol.TCP, 30080)
    return {fate.place for fate in fates} == {"shop/web-0", "shop/web-1", "shop/web-2"}


def pod_of(cluster: ClusterState, name: str) -> Pod:
    """The pod of that name."""
    return next(pod for pod in cluster.pods if pod.ref.name == name)


def address_of(pod: Pod, family: int) -> IPAddress:
    """Its address of a family."""
    return next(address for address in pod.addresses if address.version == family)


def headers(
    pod: Pod, source: IPAddress, target: IPAddress, protocol: Protocol, ports: tuple[int, int], ttl: int = 64
) -> Fields:
    """A packet as it comes from a pod's interface; `ports` are its own and the target's."""
    assert pod.port is not None
    four = source.version == 4
    found = {
        f.ETH_SRC: mac(pod.port.mac), f.ETH_DST: mac(pod.port.gateway_mac),
        f.ETH_TYPE: 0x0800 if four else 0x86DD, f.NW_TTL: ttl, f.IP_PROTO: PROTO[protocol],
        (f.IPV4_SRC if four else f.IPV6_SRC): int(source), (f.IPV4_DST if four else f.IPV6_DST): int(target),
        PORT[PROTO[protocol]]: ports[1],
    }  # fmt: skip
    return found | ({f.SCTP_SRC: ports[0]} if protocol is Protocol.SCTP else {f.TCP_FLAGS: 0x002})


def fates(cluster: ClusterState, network: Network, pod: Pod, packet: Fields) -> set[Fate]:
    """What may become of a packet that a pod sends."""
    assert pod.port is not None
    bridge = cluster.wiring.bridge(cluster.wiring.node(pod.node).bridge)
    return set(network.resume(bridge, STAGES[0], pod.port.ofport, packet))


def a_forged_source_goes_nowhere(cluster: ClusterState, network: Network) -> bool:
    """Whether a pod that takes the name of one on another node is silenced (oracle 7)."""
    client, other, target = (pod_of(cluster, name) for name in ("client", "web-1", "web-0"))
    outcomes = set()
    for family in FAMILIES:
        ends = address_of(other, family), address_of(target, family)
        packet = headers(client, *ends, Protocol.TCP, (FAR_PORT, 8080))
        outcomes |= {fate.outcome for fate in fates(cluster, network, client, packet)}
    return outcomes == {Outcome.DROPPED}


def a_last_hop_is_told(cluster: ClusterState, network: Network) -> bool:
    """Whether the sender of a packet with a TTL of 1 is told that it ends here (oracle 10)."""
    client, target = (pod_of(cluster, name) for name in ("client", "web-0"))
    outcomes = set()
    for family in FAMILIES:
        ends = address_of(client, family), address_of(target, family)
        packet = headers(client, *ends, Protocol.TCP, (FAR_PORT, 8080), ttl=1)
        outcomes |= {fate.outcome for fate in fates(cluster, network, client, packet)}
    return outcomes == {Outcome.REJECTED}


def an_answer_passes(cluster: ClusterState, network: Network) -> bool:
    """Whether a pod that may send nothing of itself may answer (oracle 77)."""
    web, client = (pod_of(cluster, name) for name in ("web-0", "client"))
    assert web.port is not None
    bridge = cluster.wiring.bridge(cluster.wiring.node(web.node).bridge)
    met = set()
    for family in FAMILIES:
        ends = address_of(web, family), address_of(client, family)
        packet = headers(web, *ends, Protocol.TCP, (8080, FAR_PORT)) | {
            f.CT_STATE: ANSWER,
            f.TCP_FLAGS: 0x010,
        }
        met |= {fate.place for fate in network.resume(bridge, CONNTRACK_STATE, web.port.ofport, packet)}
    return met == {"shop/client"}


def an_answer_of_sctp_passes(cluster: ClusterState, network: Network) -> bool:
    """The same for SCTP, whose ports nobody tracks: the question has taught the bridge."""
    web, client = (pod_of(cluster, name) for name in ("web-0", "client"))
    met = set()
    for family in FAMILIES:
        asker, asked = address_of(client, family), address_of(web, family)
        question = headers(client, asker, asked, Protocol.SCTP, (FAR_PORT, 9))
        assert {fate.place for fate in fates(cluster, network, client, question)} == {"shop/web-0"}
        answer = headers(web, asked, asker, Protocol.SCTP, (9, FAR_PORT))
        met |= {fate.place for fate in fates(cluster, network, web, answer)}
        other = headers(web, asked, asker, Protocol.SCTP, (9, FAR_PORT + 1))
        assert {fate.place for fate in fates(cluster, network, web, other)} == {""}, "it was not asked so"
    return met == {"shop/client"}


def a_router_answers_pings(cluster: ClusterState, network: Network) -> bool:
    """Whether a node that pings its gateway hears from it."""
    node = cluster.wiring.nodes[0]
    fabric = next(bridge for bridge in cluster.wiring.bridges if bridge.place == "router/fabric")
    met = set()
    for asked in fabric.addresses:
        own = next(interface.ip for interface in node.addresses if interface.version == asked.version)
        met |= {fate.place for fate in network.send(f"node/{node.name}", own, asked, None, None)}
    return met == {fabric.place}
