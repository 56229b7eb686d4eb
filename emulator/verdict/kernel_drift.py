"""How the kernel differs from the plan, with the object that each difference concerns. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from emulator.api.objects import JsonObject
from emulator.cluster.advertisement import Routes
from emulator.cluster.model import ClusterState, Ref
from emulator.cluster.wiring import IPNetwork, LinuxRouter
from emulator.network.kernel.facts import Difference, Fault, Hops, Kind, Subject


@dataclass(frozen=True, slots=True)
class KernelDrift:
    """One thing that the kernel lacks, has too much, or has otherwise than planned."""

    node: str
    """As flows name it: `worker-1`, also for its pods; `router/tor`, `ext/client`."""
    difference: Difference
    owner: Ref

    @property
    def place(self) -> str:
        """Whose it is: `shop/web`, `node/worker-1`."""
        return self.difference.subject.place

    @property
    def kind(self) -> Kind:
        """What sort of thing differs."""
        return self.difference.subject.kind

    def as_json(self) -> JsonObject:
        """For `diff -o json` and diagnoses; flows have `kind` flow and more fields."""
        one = self.difference
        return {
            "node": self.node,
            "kind": one.subject.kind.value,
            "fault": one.fault.value,
            "place": one.subject.place,
            "interface": one.subject.interface,
            "object": str(one.subject),
            "computed": _text(one.planned),
            "installed": _text(one.found),
            "owner": str(self.owner),
        }


def owned(differences: Iterable[Difference], state: ClusterState) -> tuple[KernelDrift, ...]:
    """The differences with their owners, in the order of the places."""
    nodes = {f"{pod.ref.namespace}/{pod.ref.name}": pod.node for pod in state.pods}
    return tuple(
        KernelDrift(_node(one.subject.place, nodes), one, _owner(one.subject, state)) for one in differences
    )


def learned(router: LinuxRouter, expected: Routes, found: Routes) -> Iterator[Difference]:
    """How the routes that a router's BIRD has written differ from what its nodes should tell it."""
    for prefix in sorted(expected.keys() | found.keys(), key=str):
        wanted, there = expected.get(prefix, frozenset()), found.get(prefix, frozenset())
        if wanted == there:
            continue
        fault = Fault.MISSING if not there else Fault.EXTRA if not wanted else Fault.ALTERED
        yield Difference(
            Subject(router.place, Kind.BGP_ROUTE, what=prefix),
            fault,
            Hops(wanted) if wanted else None,
            Hops(there) if there else None,
        )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _node(place: str, nodes: dict[str, str]) -> str:
    return nodes.get(place, place.removeprefix("node/"))


def _owner(subject: Subject, state: ClusterState) -> Ref:
    if subject.kind is Kind.BGP_ROUTE:
        return _advertised(subject.what, state)
    first, _, name = subject.place.partition("/")
    if first == "node":
        return Ref("Node", "", name)
    if first in ("router", "ext"):
        return Ref("Topology", "", state.wiring.name)
    return Ref("Pod", first, name)


def _advertised(prefix: object, state: ClusterState) -> Ref:
    """Whom a route leads to: a node's pods, a Service's one address, or a range of the topology."""
    for plan in state.wiring.nodes:
        if prefix in plan.pod_cidrs:
            return Ref("Node", "", plan.name)
    if isinstance(prefix, IPNetwork) and prefix.num_addresses == 1:
        address = prefix.network_address
        for service in state.services:
            others = (entry.address for entry in service.load_balancer)
            if address in (*service.cluster_ips, *service.external_ips, *others):
                return service.ref
    return Ref("Topology", "", state.wiring.name)
