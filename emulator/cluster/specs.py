"""What a topology says, as values; `emulator.cluster.topology` reads them from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from emulator.api.objects import Path, render_path
from emulator.cluster.impairments import SOUND, Impairment
from emulator.cluster.wiring import BalancerMode, HealthCheck, IPAddress, IPNetwork, Mode

CONTROL_PLANE = "control-plane"
WORKER = "worker"


class TopologyError(ValueError):
    """A topology that cannot be built; `path` leads to the field at fault, inside the object."""

    def __init__(self, path: Path, message: str, hint: str = "") -> None:
        self.path = path
        self.message = message
        self.hint = hint
        super().__init__(f"{render_path(path)}: {message}" + (f" ({hint})" if hint else ""))


class RouterKind(StrEnum):
    """What a router is for; decides its routes and whether it translates addresses."""

    FABRIC = "fabric"
    NAT = "nat"
    INTERNET = "internet"
    LB = "lb"
    BGP = "bgp"


ALWAYS_THERE = (RouterKind.FABRIC, RouterKind.NAT, RouterKind.INTERNET)
"""Kinds of which every topology has a router, named or not: no cluster is without a way out."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A Kubernetes node as the topology names it."""

    name: str
    zone: str = ""
    role: str = WORKER
    subnet: str = ""
    """Empty: the subnet of the router that the node hangs on."""
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A static route: packets to `to` go to the neighbouring router, node or host `via`."""

    to: IPNetwork
    via: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class BalancerSpec:
    """What a router of kind `lb` is told beside its routes."""

    pool: tuple[IPNetwork, ...]
    """One range a family of the topology."""
    mode: BalancerMode
    check: HealthCheck
    path: Path = ()
    """The router's place in the topology."""


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """A router, with the routes that the topology gives it beside the computed ones."""

    name: str
    kind: RouterKind
    routes: tuple[RouteSpec, ...] = ()
    asn: int | None = None
    """The autonomous system of a router that speaks BGP; None: it speaks none."""
    implied: bool = False
    """Whether the topology leaves it out. An internet that nobody describes knows the way to the nodes."""
    translates: tuple[int, ...] = ()
    """NAT gateways: the IP versions whose sources become public addresses; others are routed as they are."""
    balancer: BalancerSpec | None = None


@dataclass(frozen=True, slots=True)
class ExternalSpec:
    """A host on the emulated internet."""

    name: str
    addresses: tuple[IPAddress, ...]
    path: Path = ()
    names: tuple[str, ...] = ()
    """What the internet's resolver calls it, beside `NAME.example.com`."""


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A cable between two named things."""

    ends: tuple[str, str]
    impairment: Impairment = SOUND
    seed: int = 0
    """What the random choices of its impairment follow."""
    path: Path = ()


@dataclass(frozen=True, slots=True)
class BgpSpec:
    """What the nodes say over BGP to the routers of kind `bgp` that they hang on."""

    asn: int
    """The nodes' autonomous system."""
    hold_time: int
    """Seconds of silence after which a session counts as lost."""
    cluster_ips: bool
    """Whether the service ranges are advertised."""
    external_ips: tuple[IPNetwork, ...]
    """Ranges that are advertised for `externalIPs` of Services."""
    load_balancer_ips: tuple[IPNetwork, ...]
    """Ranges that are advertised, and that Services of type LoadBalancer get their addresses from."""


@dataclass(frozen=True, slots=True)
class Topology:
    """A topology with all defaults filled in. Names of nodes, routers and hosts differ from each other."""

    name: str
    mode: Mode
    families: tuple[int, ...]
    """IP versions (4, 6); the first one is the primary family."""
    pod_cidrs: tuple[IPNetwork, ...]
    service_cidrs: tuple[IPNetwork, ...]
    nodes: tuple[NodeSpec, ...]
    routers: tuple[RouterSpec, ...]
    external: tuple[ExternalSpec, ...]
    links: tuple[LinkSpec, ...]
    bgp: BgpSpec | None = None
    """None where no router speaks BGP."""
    masquerade_all: bool = False
    """kube-proxy's masqueradeAll: pods, too, come to cluster IPs with an address of their node."""

    @property
    def routed_families(self) -> tuple[int, ...]:
        """IP versions that no gateway translates: the internet knows the way to their inside addresses."""
        translated = {version for router in self.routers for version in router.translates}
        return tuple(version for version in self.families if version not in translated)

    def router(self, name: str) -> RouterSpec:
        """The router of that name. Raises KeyError when there is none."""
        for router in self.routers:
            if router.name == name:
                return router
        raise KeyError(name)
