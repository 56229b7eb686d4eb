"""What a node may not host because of the pods that are there: host ports, (anti-)affinity, spread.

A `Crowd` is the scheduler's running picture of which pods are where; binding a pod adds to it.
Pods that a rule speaks of form a `Group`, counted once and kept up to date, so that placing
many pods with the same rule costs no more than placing them without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from emulator.api.objects import JsonObject
from emulator.api.selectors import Operator, Requirement, Selector, from_label_selector, matches_all
from emulator.cluster.placement import matches_node, untolerated_taint
from emulator.cluster.pods import container_ports, is_finished, is_terminating, node_name
from emulator.cluster.snapshot import controller_of

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_ANY_ADDRESS = ("", "0.0.0.0", "::")

HostPort = tuple[str, str, int]
"""(host address, protocol, port); the empty address is every one."""


@dataclass(frozen=True, slots=True)
class Group:
    """The pods that an affinity term or a spread constraint speaks of."""

    namespaces: frozenset[str]
    scope: Selector | None
    """Namespaces by their labels, beside `namespaces`."""
    labels: Selector | None
    """None selects nothing."""
    terminating: bool
    """Whether pods on their way out belong to it."""

    def has(self, pod: JsonObject, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether `pod` belongs to the group; `namespaces` gives every namespace's labels."""
        metadata = pod["metadata"]
        if self.labels is None or not matches_all(self.labels, metadata.get("labels")):
            return False
        if not self.terminating and is_terminating(pod):
            return False
        namespace = metadata.get("namespace", "")
        if namespace in self.namespaces:
            return True
        return self.scope is not None and matches_all(self.scope, namespaces.get(namespace))


@dataclass(slots=True)
class Place:
    """One node with the pods that are bound to it."""

    node: JsonObject
    name: str
    order: int
    labels: Mapping[str, str]
    capacity: int
    pods: list[JsonObject] = field(default_factory=list)
    host_ports: list[HostPort] = field(default_factory=list)
    owners: dict[str, int] = field(default_factory=dict)
    """Pods on the node by their controller's uid."""
    addressed: int = 0
    """Pods with an address of their own."""


@dataclass(slots=True)
class Crowd:
    """All nodes with their pods."""

    places: tuple[Place, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    _members: dict[Group, dict[str, int]] = field(default_factory=dict)
    _repelled: dict[tuple[Group, str], set[str]] = field(default_factory=dict)
    """(pods that are kept away, topology key) → the values of that key that they are kept from."""

    def add(self, pod: JsonObject, place: Place) -> None:
        """Put a pod where it is bound."""
        place.pods.append(pod)
        place.host_ports.extend(host_ports(pod))
        place.addressed += not pod["spec"].get("hostNetwork")
        owner = owner_uid(pod)
        place.owners[owner] = place.owners.get(owner, 0) + 1
        for term in _terms(pod, "podAntiAffinity"):
            key = term.get("topologyKey", "")
            if key in place.labels:
                self._repelled.setdefault((group_of(term, pod), key), set()).add(place.labels[key])
        for group, counts in self._members.items():
            if group.has(pod, self.namespaces):
                counts[place.name] += 1

    def members(self, group: Group) -> Mapping[str, int]:
        """How many pods of the group each node has."""
        counts = self._members.get(group)
        if counts is None:
            counts = {p.name: sum(group.has(pod, self.namespaces) for pod in p.pods) for p in self.places}
            self._members[group] = counts
        return counts

    def around(self, group: Group, key: str) -> Mapping[str, int]:
        """How many pods of the group each domain of a topology key has."""
        members = self.members(group)
        found: dict[str, int] = {}
        for place in self.places:
            if key in place.labels:
                value = place.labels[key]
                found[value] = found.get(value, 0) + members[place.name]
        return found

    def repelled_from(self, pod: JsonObject) -> tuple[tuple[str, frozenset[str]], ...]:
        """The (topology key, values) that other pods' anti-affinity keeps `pod` from."""
        return tuple(
            (key, frozenset(values))
            for (group, key), values in self._repelled.items()
            if group.has(pod, self.namespaces)
        )


def crowd_of(nodes: Iterable[Place], pods: Iterable[JsonObject], namespaces: Iterable[JsonObject]) -> Crowd:
    """The picture before anything is bound: finished pods hold nothing any more."""
    labels = {obj["metadata"]["name"]: obj["metadata"].get("labels") or {} for obj in namespaces}
    crowd = Crowd(tuple(nodes), labels)
    by_name = {place.name: place for place in crowd.places}
    for pod in pods:
        place = by_name.get(node_name(pod))
        if place is not None and not is_finished(pod):
            crowd.add(pod, place)
    return crowd


def owner_uid(pod: JsonObject) -> str:
    """The uid of the pod's controller; empty for a pod of its own."""
    owner = controller_of(pod)
    return str(owner["uid"]) if owner else ""


# -- host ports ------------------------------------------------------------------------------------


def host_ports(pod: JsonObject) -> list[HostPort]:
    """The node's ports that a pod claims."""
    found = []
    for port in container_ports(pod):
        if port.get("hostPort"):
            address = port.get("hostIP") or ""
            found.append(
                ("" if address in _ANY_ADDRESS else address, port.get("protocol") or "TCP", port["hostPort"])
            )
    return found


def ports_clash(wanted: Iterable[HostPort], taken: Iterable[HostPort]) -> bool:
    """Whether a wanted port is taken; an unspecified address clashes with every one."""
    taken = tuple(taken)
    return any(
        protocol == other_protocol and port == other_port and (not address or not other or address == other)
        for address, protocol, port in wanted
        for other, other_protocol, other_port in taken
    )


# -- affinity between pods -------------------------------------------------------------------------


def group_of(term: JsonObject, owner: JsonObject) -> Group:
    """The pods that an affinity term of `owner` speaks of."""
    listed, scope = term.get("namespaces") or (), from_label_selector(term.get("namespaceSelector"))
    own = owner["metadata"].get("namespace", "")
    return Group(
        namespaces=frozenset(listed) if listed or scope is not None else frozenset({own}),
        scope=scope,
        labels=_selector(term, owner),
        terminating=True,
    )


def _selector(rule: JsonObject, owner: JsonObject) -> Selector | None:
    """The rule's labelSelector, narrowed to `owner`'s own values of `matchLabelKeys`."""
    selector = from_label_selector(rule.get("labelSelector"))
    if selector is None:
        return None
    own = owner["metadata"].get("labels") or {}
    keys = (key for key in rule.get("matchLabelKeys") or () if key in own)
    return (*selector, *(Requirement(key, Operator.IN, (own[key],)) for key in keys))


def _terms(pod: JsonObject, kind: str) -> list[JsonObject]:
    affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
    return list(affinity.get(_REQUIRED) or ())


def _weighted_terms(pod: JsonObject, kind: str) -> Iterator[tuple[int, JsonObject]]:
    affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
    for item in affinity.get(_PREFERRED) or ():
        yield int(item.get("weight", 1)), item.get("podAffinityTerm") or {}


@dataclass(frozen=True, slots=True)
class Company:
    """What a pod's affinities, and those of the pods that are there, say about every node."""

    pod: JsonObject
    wanted: tuple[tuple[str, Mapping[str, int], bool], ...]
    """(topology key, companions a domain, whether the pod may start the group) of required affinities."""
    avoided: tuple[tuple[str, Mapping[str, int]], ...]
    repelled: tuple[tuple[str, frozenset[str]], ...]
    preferred: tuple[tuple[int, str, Mapping[str, int]], ...]
    """(signed weight, topology key, companions a domain)."""

    def obstacle(self, place: Place) -> str:
        """Why the pod may not join the pods on the node, in the scheduler's words; empty when it may."""
        for key, companions, may_start in self.wanted:
            if key not in place.labels:
                return "node(s) didn't match pod affinity rules"
            if not companions.get(place.labels[key]) and not may_start:
                return "node(s) didn't match pod affinity rules"
        if any(companions.get(place.labels.get(key, "")) for key, companions in self.avoided):
            return "node(s) didn't match pod anti-affinity rules"
        if any(place.labels.get(key) in values for key, values in self.repelled):
            return "node(s) didn't satisfy existing pods anti-affinity rules"
        return ""

    def score(self, place: Place) -> int:
        """Preferred affinities less preferred anti-affinities, weighed."""
        return sum(weight * found.get(place.labels.get(key, ""), 0) for weight, key, found in self.preferred)


def company_of(pod: JsonObject, crowd: Crowd) -> Company:
    """Look at the crowd with the eyes of one pod.

    The first pod of a group that wants its own company may start anywhere.
    """
    wanted = []
    for term in _terms(pod, "podAffinity"):
        group, key = group_of(term, pod), term.get("topologyKey", "")
        nobody = not any(crowd.members(group).values())
        wanted.append((key, crowd.around(group, key), nobody and group.has(pod, crowd.namespaces)))
    avoided = [
        (t["topologyKey"], crowd.around(group_of(t, pod), t["topologyKey"]))
        for t in _terms(pod, "podAntiAffinity")
    ]
    preferred = [
        (
            sign * weight,
            term.get("topologyKey", ""),
            crowd.around(group_of(term, pod), term.get("topologyKey", "")),
        )
        for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1))
        for weight, term in _weighted_terms(pod, kind)
    ]
    return Company(pod, tuple(wanted), tuple(avoided), crowd.repelled_from(pod), tuple(preferred))


# -- spread ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spread:
    """One topologySpreadConstraint of a pod, against the crowd."""

    key: str
    max_skew: int
    counts: Mapping[str, int]
    """Pods that count, a domain."""
    least: int
    own: int
    """1 when the pod itself counts."""

    def skew(self, place: Place) -> int | None:
        """How uneven the domains would be with the pod on this node; None when it is in no domain."""
        value = place.labels.get(self.key)
        return None if value is None else self.counts.get(value, 0) + self.own - self.least

    def obstacle(self, place: Place) -> str:
        """Why the constraint forbids the node, in the scheduler's words; empty when it does not."""
        skew = self.skew(place)
        if skew is None:
            return "node(s) didn't match pod topology spread constraints (missing required label)"
        return "node(s) didn't match pod topology spread constraints" if skew > self.max_skew else ""


def spreads(pod: JsonObject, crowd: Crowd, when: str) -> tuple[Spread, ...]:
    """The pod's topologySpreadConstraints that say `when` they cannot be satisfied."""
    listed = pod["spec"].get("topologySpreadConstraints") or ()
    return tuple(
        _spread(c, pod, crowd) for c in listed if c.get("whenUnsatisfiable", "DoNotSchedule") == when
    )


def _spread(constraint: JsonObject, pod: JsonObject, crowd: Crowd) -> Spread:
    key = constraint["topologyKey"]
    own = frozenset({pod["metadata"].get("namespace", "")})
    group = Group(own, None, _selector(constraint, pod), terminating=False)
    members = crowd.members(group)
    counts: dict[str, int] = {}
    for place in crowd.places:
        if key in place.labels and _is_eligible(constraint, pod, place):
            value = place.labels[key]
            counts[value] = counts.get(value, 0) + members[place.name]
    too_few = len(counts) < constraint.get("minDomains", 1)
    return Spread(
        key=key,
        max_skew=constraint.get("maxSkew", 1),
        counts=counts,
        least=0 if too_few else min(counts.values(), default=0),
        own=int(group.has(pod, crowd.namespaces)),
    )


def _is_eligible(constraint: JsonObject, pod: JsonObject, place: Place) -> bool:
    if constraint.get("nodeAffinityPolicy", "Honor") == "Honor" and not matches_node(pod, place.node):
        return False
    honours_taints = constraint.get("nodeTaintsPolicy", "Ignore") == "Honor"
    return not honours_taints or untolerated_taint(pod, place.node) is None
