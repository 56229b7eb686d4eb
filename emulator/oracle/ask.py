"""May this packet pass, and where does it end up: from the objects alone.

`ask` follows a first packet as Kubernetes means it: through the frontends of the node that it meets, past
the policies of the pod that sends it, over the network, past the policies of the pod that it is for. It
knows kube-proxy's iptables mode and a network plugin that masquerades what leaves the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from emulator.cluster.model import ClusterState, Direction, Pod, PolicyAction, Ref, Tier
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import Place, PlaceKind
from emulator.cluster.wiring import IPAddress, Mode, NodePlan, Wiring
from emulator.oracle import frontends
from emulator.oracle.answer import Answer, Code, Judged, together
from emulator.oracle.fabric import Step, arrives, ends, router_of_host, router_of_node, travel
from emulator.oracle.packet import Entry, Packet, Question, place_of
from emulator.oracle.policy import Judgement, Peer, judge
from emulator.oracle.tiers import Ruling, ruling


class UnanswerableError(LookupError):
    """The question names a place that the state does not have, or one that cannot send or be sent to."""


def ask(state: ClusterState, question: Question) -> Answer:
    """What should become of the packet. Raises UnanswerableError."""
    return Oracle(state).ask(question)


@dataclass(frozen=True)
class Oracle:
    """Answers questions about one state of a cluster."""

    state: ClusterState

    def ask(self, question: Question) -> Answer:
        """What should become of the packet. Raises UnanswerableError."""
        destination = question.destination
        if isinstance(destination, Place):
            destination = self._address(destination, question.family)
        return together(self._begin(question, destination))

    # -- who sends ---------------------------------------------------------------------------------

    def _begin(self, question: Question, target: IPAddress) -> Iterator[Answer]:
        place, wiring = question.source, self._wiring
        match place.kind:
            case PlaceKind.POD:
                pod = self._pod(place)
                if pod.host_network:
                    yield from self._from_node(question, wiring.node(pod.node), target)
                else:
                    yield from self._from_pod(question, pod, target)
            case PlaceKind.NODE:
                yield from self._from_node(question, self._node(place.name), target)
            case PlaceKind.EXTERNAL:
                yield from self._from_outside(question, place.name, target)
            case PlaceKind.ROUTER:
                router = next((one for one in wiring.routers if one.name == place.name), None)
                if router is None:
                    raise UnanswerableError(f"{place} sends nothing of its own")
                packet = self._packet(question, router.addresses, target)
                yield from (
                    [packet]
                    if isinstance(packet, Answer)
                    else self._go_on(travel(self.state, router.place, packet))
                )
            case _:
                raise UnanswerableError(f"{place} is no place that sends")

    def _packet(self, question: Question, addresses: tuple[IPAddress, ...], target: IPAddress) -> Packet:
        for source in addresses:
            if source.version == target.version:
                return Packet(source, target, question.protocol, question.port)
        raise UnanswerableError(f"{question.source} has no IPv{target.version} address")

    def _from_pod(self, question: Question, pod: Pod, target: IPAddress) -> Iterator[Answer]:
        packet = self._packet(question, pod.addresses, target)
        if target.is_loopback or target in pod.addresses:
            yield arrives(packet, place_of(pod), pod.ref, target)
        else:
            yield from self._at_node(self._wiring.node(pod.node), packet, Entry.POD, pod)

    def _from_node(self, question: Question, node: NodePlan, target: IPAddress) -> Iterator[Answer]:
        """A node speaks to pods as their gateway where the network between nodes is an overlay."""
        to_pods = any(target.version == one.version and target in one for one in self._wiring.pod_cidrs)
        as_gateway = to_pods and self._wiring.mode is Mode.OVERLAY
        own = tuple(interface.ip for interface in node.addresses)
        packet = self._packet(question, node.pod_gateways if as_gateway else own, target)
        if target.is_loopback or target in frontends.own_addresses(node, target.version):
            packet = replace(packet, source=target)
        yield from self._at_node(node, packet, Entry.STACK, None)

    def _from_outside(self, question: Question, name: str, target: IPAddress) -> Iterator[Answer]:
        host = next((one for one in self._wiring.external if one.name == name), None)
        if host is None:
            raise UnanswerableError(f"no host ext/{name} outside the cluster")
        own = tuple(interface.ip for interface in host.addresses)
        packet = self._packet(question, own, target)
        if target.is_loopback or target in own:
            yield arrives(packet, f"ext/{name}", self._topology, target)
        else:
            yield from self._go_on(travel(self.state, router_of_host(self._wiring, name), packet))

    # -- a node ------------------------------------------------------------------------------------

    def _go_on(self, steps: Iterator[Step]) -> Iterator[Answer]:
        for step in steps:
            if isinstance(step, Answer):
                yield step
            else:
                yield from self._at_node(self._wiring.node(step.node), step.packet, Entry.WIRE, None)

    def _at_node(self, node: NodePlan, packet: Packet, entry: Entry, sender: Pod | None) -> Iterator[Answer]:
        """Frontends first; then what the sending pod's policies say of where it turns out to go."""
        packet = replace(packet, translated=False, masquerade=False, hairpin=False)
        if packet.destination.is_multicast:
            yield ends(packet, Outcome.DROPPED, Code.NO_ROUTE, _ref(node), "multicast is not routed")
            return
        if packet.destination.is_loopback and entry is not Entry.STACK:
            yield ends(packet, Outcome.DROPPED, Code.NO_ROUTE, _ref(node), "loopback addresses stay at home")
            return
        door = frontends.service_door(self.state, node, packet, entry)
        if door is None:
            found = frontends.host_port(self.state, node, packet, entry)
            yield from self._send(node, found or packet, entry, sender)
            return
        if frontends.refuses_source(door, node, packet):
            why = f"{packet.source} is not in loadBalancerSourceRanges of {door.service.ref}"
            yield ends(packet, Outcome.DROPPED, Code.SOURCE_RANGES, door.service.ref, why)
            return
        chosen, met = frontends.behind(door, node, packet, entry)
        if not chosen:
            silent = met.reasons[-1].code is Code.NO_LOCAL_ENDPOINT
            outcome = Outcome.DROPPED if silent else Outcome.REJECTED
            yield Answer(outcome, frozenset((outcome,)), frozenset(), frozenset(), met.reasons)
        for one in chosen:
            leaves = not self._is_pod_address(one.destination) and (
                one.destination not in frontends.own_addresses(node, one.family)
            )
            yield from self._send(node, replace(one, masquerade=one.masquerade or leaves), entry, sender)

    def _send(self, node: NodePlan, packet: Packet, entry: Entry, sender: Pod | None) -> Iterator[Answer]:
        if sender is not None:
            own = packet.destination in frontends.own_addresses(node, packet.family)
            judged = self._judge(Direction.EGRESS, sender, packet.destination, packet, at_home=own)
            if isinstance(judged, Answer):
                yield judged
                return
            packet = judged
        yield from self._route(node, packet, entry)

    def _route(self, node: NodePlan, packet: Packet, entry: Entry) -> Iterator[Answer]:
        target = packet.destination
        pod = self._owners.get(target)
        if pod is not None and pod.node == node.name:
            yield self._deliver(node, pod, packet, entry)
        elif target.is_loopback or target in frontends.own_addresses(node, packet.family):
            # A stack cannot be its own client from outside: what it sees then is nobody's address.
            to_itself = entry is Entry.STACK and packet.masquerade
            seen = None if to_itself else packet.source
            yield arrives(packet, f"node/{node.name}", _ref(node), seen)
        elif self._is_pod_address(target):
            yield from self._to_another_node(node, packet)
        elif self._is_service_address(target):
            why = f"no Service has {target}, {packet.told()}"
            yield ends(packet, Outcome.DROPPED, Code.NO_SERVICE_PORT, self._topology, why)
        else:
            keeps = packet.family in self._wiring.keeps_pod_addresses
            masquerade = packet.masquerade or (entry is Entry.POD and not keeps)
            out = self._as_node(node, packet) if masquerade else packet
            yield from self._leave(node, out)

    def _to_another_node(self, node: NodePlan, packet: Packet) -> Iterator[Answer]:
        home = next((n for n in self._wiring.nodes if _has(n, packet.destination)), None)
        if home is None or home is node:
            why = f"no pod has the address {packet.destination}"
            yield ends(packet, Outcome.DROPPED, Code.NO_SUCH_POD, _ref(node), why)
            return
        if self._wiring.mode is Mode.ROUTED:
            yield from self._leave(node, self._as_node(node, packet) if packet.masquerade else packet)
            return
        out = self._as_gateway(node, packet) if packet.masquerade else packet
        pod = self._owners.get(packet.destination)
        out = replace(out, masquerade=False, hairpin=False)
        if pod is not None:
            yield self._deliver(home, pod, out, Entry.WIRE)
        elif packet.destination in home.pod_gateways:
            yield from self._at_node(home, out, Entry.WIRE, None)
        else:
            why = f"no pod has the address {packet.destination}"
            yield ends(out, Outcome.DROPPED, Code.NO_SUCH_POD, _ref(home), why)

    def _leave(self, node: NodePlan, packet: Packet) -> Iterator[Answer]:
        router = router_of_node(self._wiring, node.name)
        yield from self._go_on(travel(self.state, router, packet))

    def _deliver(self, node: NodePlan, pod: Pod, packet: Packet, entry: Entry) -> Answer:
        """Past the pod's policies, which see the client as it is before its own node masquerades it.

        Its own node may always speak to it.
        """
        if entry is not Entry.STACK:
            judged = self._judge(Direction.INGRESS, pod, packet.source, packet, at_home=False)
            if isinstance(judged, Answer):
                return judged
            packet = judged
        packet = self._as_gateway(node, packet) if packet.masquerade else packet
        return arrives(packet, place_of(pod), pod.ref, packet.source)

    # -- policies ----------------------------------------------------------------------------------

    def _judge(
        self, direction: Direction, pod: Pod, other: IPAddress, packet: Packet, *, at_home: bool
    ) -> Packet | Answer:
        """The packet with what the pod's policies say of it, or the end of it.

        NetworkPolicies have no say between a pod and its own node (`at_home`) or itself; the tiers of
        ClusterNetworkPolicies have.
        """
        question = (direction, pod, Peer(other, self._owners.get(other)), packet.protocol, packet.port)
        seen = _Seen(f"{self._named(other)}, {packet.told()}", Judged(other, packet.protocol, packet.port))
        for tier in Tier:
            found = ruling(self.state, tier, *question)
            if found is not None:
                packet = _ruled(found, direction, pod, packet, seen)
                if found.rule.action is PolicyAction.DENY:
                    return _dropped(packet)
                if found.rule.action is PolicyAction.ACCEPT:
                    return packet
            if tier is Tier.BASELINE:
                continue
            judgement = judge(self.state, *question)
            if not packet.hairpin and not at_home:
                packet = _reasons(judgement, direction, pod, packet, seen)
                if not judgement.passes:
                    return _dropped(packet)
            if judgement.isolating:
                return packet
        return packet

    def _named(self, address: IPAddress) -> str:
        pod = self._owners.get(address)
        return place_of(pod) if pod else str(address)

    # -- masquerading ------------------------------------------------------------------------------

    def _as_node(self, node: NodePlan, packet: Packet) -> Packet:
        return _as(node, packet, tuple(interface.ip for interface in node.addresses))

    def _as_gateway(self, node: NodePlan, packet: Packet) -> Packet:
        return _as(node, packet, node.pod_gateways)

    # -- looking things up -------------------------------------------------------------------------

    @property
    def _wiring(self) -> Wiring:
        return self.state.wiring

    @property
    def _topology(self) -> Ref:
        return Ref("Topology", "", self._wiring.name)

    @cached_property
    def _owners(self) -> dict[IPAddress, Pod]:
        """Pods with a network of their own, by address."""
        return {address: pod for pod in self.state.pods if not pod.host_network for address in pod.addresses}

    def _is_pod_address(self, address: IPAddress) -> bool:
        return any(address.version == one.version and address in one for one in self._wiring.pod_cidrs)

    def _is_service_address(self, address: IPAddress) -> bool:
        """In a range that holds nothing but Services' addresses, so that nobody else can have it."""
        advertised = self._wiring.advertising.ranges if self._wiring.advertising else ()
        ranges = (*self._wiring.service_cidrs, *advertised)
        return any(address.version == one.version and address in one for one in ranges)

    def _pod(self, place: Place) -> Pod:
        for pod in self.state.pods:
            if (pod.ref.namespace, pod.ref.name) == (place.namespace, place.name):
                return pod
        raise UnanswerableError(f"no running pod {place}")

    def _node(self, name: str) -> NodePlan:
        for node in self._wiring.nodes:
            if node.name == name:
                return node
        raise UnanswerableError(f"no node {name!r}")

    def _address(self, place: Place, family: int) -> IPAddress:
        """The address that a place is known by. Raises UnanswerableError."""
        known: tuple[IPAddress, ...] = ()
        match place.kind:
            case PlaceKind.POD:
                known = self._pod(place).addresses
            case PlaceKind.NODE:
                known = tuple(interface.ip for interface in self._node(place.name).addresses)
            case PlaceKind.EXTERNAL:
                hosts = (host for host in self._wiring.external if host.name == place.name)
                known = tuple(a.ip for host in hosts for a in host.addresses)
            case PlaceKind.SERVICE:
                ref = Ref("Service", place.namespace, place.name)
                known = tuple(a for s in self.state.services if s.ref == ref for a in s.cluster_ips)
        for address in known:
            if address.version == family:
                return address
        raise UnanswerableError(f"{place} has no IPv{family} address")


def _ref(node: NodePlan) -> Ref:
    return Ref("Node", "", node.name)


def _has(node: NodePlan, address: IPAddress) -> bool:
    return any(address.version == one.version and address in one for one in node.pod_cidrs)


def _as(node: NodePlan, packet: Packet, addresses: tuple[IPAddress, ...]) -> Packet:
    address = next(one for one in addresses if one.version == packet.family)
    told = packet.because(Code.MASQUERADED, _ref(node), f"masqueraded as {address} by node/{node.name}")
    return replace(told, source=address)


def _dropped(packet: Packet) -> Answer:
    dropped = Outcome.DROPPED
    return Answer(dropped, frozenset((dropped,)), frozenset(), frozenset(), packet.reasons)


_CODES = {
    Direction.INGRESS: (Code.INGRESS_ALLOWED, Code.INGRESS_ISOLATED),
    Direction.EGRESS: (Code.EGRESS_ALLOWED, Code.EGRESS_ISOLATED),
}
_RULINGS = {
    PolicyAction.ACCEPT: ("accepted by", Code.INGRESS_ALLOWED, Code.EGRESS_ALLOWED),
    PolicyAction.DENY: ("denied by", Code.INGRESS_DENIED, Code.EGRESS_DENIED),
    PolicyAction.PASS: ("passed on by", Code.POLICY_PASSED, Code.POLICY_PASSED),
}


class _Seen(NamedTuple):
    """What policies judge."""

    pair: str
    """In words: the other end and the port."""
    judged: Judged


def _ruled(found: Ruling, direction: Direction, pod: Pod, packet: Packet, seen: _Seen) -> Packet:
    words, inward, outward = _RULINGS[found.rule.action]
    code = inward if direction is Direction.INGRESS else outward
    side = direction.value.lower()
    sentence = f"{side} of {place_of(pod)} {words} {found.title}: {seen.pair}"
    return packet.because(code, found.policy.ref, sentence, replace(seen.judged, rule=found.number))


def _reasons(judgement: Judgement, direction: Direction, pod: Pod, packet: Packet, seen: _Seen) -> Packet:
    allowed, isolated = _CODES[direction]
    side = direction.value.lower()
    for policy in judgement.allowing:
        sentence = f"{side} of {place_of(pod)} allowed by {policy.ref}: {seen.pair}"
        packet = packet.because(allowed, policy.ref, sentence, seen.judged)
    if not judgement.passes:
        for policy in judgement.isolating:
            sentence = f"{place_of(pod)} isolated for {side} by {policy.ref}; no rule allows {seen.pair}"
            packet = packet.because(isolated, policy.ref, sentence, seen.judged)
    return packet
