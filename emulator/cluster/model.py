"""The cluster as values: the typed, frozen reading of the objects that decide a packet's fate.

`controllers.pipeline` compiles a `ClusterState` to flow tables; `emulator.oracle` answers
from the same state what should happen. Neither looks at JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from emulator.api.selectors import Selector
from emulator.cluster.wiring import IPAddress, IPNetwork, PodPort, Wiring


class Protocol(StrEnum):
    """A service port's transport protocol."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class TrafficPolicy(StrEnum):
    """Which endpoints take traffic: all of them, or those on the node that it reached."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


class ServiceType(StrEnum):
    """How far a Service is exposed."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_NAME = "ExternalName"


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Names one object; `str(Ref("Service", "shop", "db"))` is `Service/shop/db`."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container declares. `host_ip` None is every address of the node."""

    name: str
    protocol: Protocol
    port: int
    host_port: int | None = None
    host_ip: str | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that has a node and addresses. hostNetwork pods have no `port`: they use the node's stack."""

    ref: Ref
    uid: str
    node: str
    labels: Mapping[str, str]
    addresses: tuple[IPAddress, ...]
    host_network: bool
    ready: bool
    terminating: bool
    container_ports: tuple[ContainerPort, ...]
    port: PodPort | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One (address, port) behind a service port, as the EndpointSlices tell it."""

    address: IPAddress
    port: int
    node: str | None
    ready: bool
    serving: bool
    terminating: bool
    target: Ref | None
    zone: str | None = None
    for_nodes: tuple[str, ...] | None = None
    for_zones: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service with the endpoints behind it."""

    id: int
    """1..65535: the service id of registers and ct_mark. It belongs to the (Service, port name,
    protocol), stays while that lives, and is not given to another port soon afterwards."""
    name: str
    protocol: Protocol
    port: int
    node_port: int | None
    endpoints: tuple[Endpoint, ...]
    """All endpoints of both families, in slice order; the compiler filters by family."""


@dataclass(frozen=True, slots=True)
class LoadBalancerAddress:
    """An address of `status.loadBalancer.ingress`."""

    address: IPAddress
    proxy: bool
    """ipMode Proxy: in-cluster traffic leaves through the load balancer (KEP-1860)."""


@dataclass(frozen=True, slots=True)
class Service:
    """A Service that a proxy programs: headless and ExternalName ones are not among them."""

    ref: Ref
    type: ServiceType
    cluster_ips: tuple[IPAddress, ...]
    ports: tuple[ServicePort, ...]
    external_ips: tuple[IPAddress, ...] = ()
    load_balancer: tuple[LoadBalancerAddress, ...] = ()
    source_ranges: tuple[IPNetwork, ...] = ()
    internal_traffic_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    external_traffic_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    affinity_seconds: int | None = None
    health_check_node_port: int | None = None
    yields: frozenset[tuple[IPAddress, int]] = frozenset()
    """Outward addresses and ids of ports that an earlier Service has there already."""
    targets: tuple[str, ...] = ()
    """The nodes that the topology's load balancer sends new connections to."""


class Direction(StrEnum):
    """Which traffic of a pod a policy rules; as `policyTypes` writes it."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """Destination ports that a rule allows."""

    protocol: Protocol
    port: int | str | None
    """A number, the name of a container port of the destination pod, or None: every port of the protocol."""
    end_port: int | None = None
    """The last port of a range that begins at `port`, which is then a number."""


@dataclass(frozen=True, slots=True)
class PolicyPeer:
    """Who is at the other end: pods that two selectors choose, or a range of addresses.

    Either `block` or `nodes` is given, or at least one selector of pods. `pods` None is every pod of the
    namespaces; `namespaces` None is the policy's own namespace alone.
    """

    pods: Selector | None = None
    namespaces: Selector | None = None
    block: IPNetwork | None = None
    excepts: tuple[IPNetwork, ...] = ()
    """Parts of `block` that are not meant."""
    nodes: Selector | None = None
    """ClusterNetworkPolicies only: the addresses of nodes with these labels, and nobody else."""


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """Traffic that is allowed: with any of the peers, to any of the ports."""

    peers: tuple[PolicyPeer, ...] = ()
    """None at all: everybody, also beyond the cluster."""
    ports: tuple[PolicyPort, ...] = ()
    """None at all: every port of every protocol."""


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A NetworkPolicy. A pod that `pods` selects is isolated in each of `directions`."""

    ref: Ref
    pods: Selector
    """Among the pods of the policy's namespace; the empty selector is all of them."""
    directions: frozenset[Direction]
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()

    def rules(self, direction: Direction) -> tuple[PolicyRule, ...]:
        """What is allowed in that direction; rules of a direction that the policy does not rule count not."""
        if direction not in self.directions:
            return ()
        return self.ingress if direction is Direction.INGRESS else self.egress


class Tier(StrEnum):
    """When a ClusterNetworkPolicy is asked: before all NetworkPolicies, or after them."""

    ADMIN = "Admin"
    BASELINE = "Baseline"


class PolicyAction(StrEnum):
    """What a rule of a ClusterNetworkPolicy does with the packets that it means."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"
    """No more rules of this tier are asked."""


@dataclass(frozen=True, slots=True)
class ClusterPolicyRule:
    """What becomes of traffic with any of the peers, to any of the ports."""

    action: PolicyAction
    traffic: PolicyRule
    """Its `peers` are all that is meant: none of them is nobody."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ClusterNetworkPolicy:
    """Rules about the pods of many namespaces; the first one that a packet meets decides (v1alpha2)."""

    ref: Ref
    tier: Tier
    priority: int
    """Lower numbers are asked first; of equal ones, the policy whose name comes first, then whose kind."""
    subject: PolicyPeer
    """The pods that it rules: a selector of namespaces, with or without one of pods."""
    ingress: tuple[ClusterPolicyRule, ...] = ()
    egress: tuple[ClusterPolicyRule, ...] = ()

    def rules(self, direction: Direction) -> tuple[ClusterPolicyRule, ...]:
        """Its rules about that direction, in their order."""
        return self.ingress if direction is Direction.INGRESS else self.egress


@dataclass(frozen=True, slots=True)
class Node:
    """A node's changing part; its fixed part is `Wiring.node(name)`."""

    name: str
    labels: Mapping[str, str]
    ready: bool = True


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Everything the compiler and the oracle need, and nothing else."""

    wiring: Wiring
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[Service, ...] = ()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of each namespace."""
    policies: tuple[NetworkPolicy, ...] = ()
    """In the order of namespaces and names."""
    cluster_policies: tuple[ClusterNetworkPolicy, ...] = ()
    """In the order of names."""
