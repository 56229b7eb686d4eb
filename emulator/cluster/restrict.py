"""A topology in fewer families, or with the other one first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from emulator.api.objects import Path
from emulator.cluster.specs import BgpSpec, ExternalSpec, RouterSpec, Topology, TopologyError
from emulator.cluster.wiring import IPAddress, IPNetwork

_PATH: Path = ("spec", "families")

T = TypeVar("T", IPAddress, IPNetwork)


def restrict(topology: Topology, families: Sequence[int]) -> Topology:
    """`topology` with these IP versions only, in this order. Raises TopologyError when it lacks one."""
    for version in families:
        if version not in topology.families:
            has = " and ".join(f"IPv{one}" for one in topology.families)
            raise TopologyError(_PATH, f"{topology.name} has no IPv{version}, only {has}")
    return replace(
        topology,
        families=tuple(families),
        pod_cidrs=_of(topology.pod_cidrs, families),
        service_cidrs=_of(topology.service_cidrs, families),
        routers=tuple(_router(router, families) for router in topology.routers),
        external=tuple(_external(host, families) for host in topology.external),
        bgp=None if topology.bgp is None else _bgp(topology.bgp, families),
    )


def _bgp(bgp: BgpSpec, families: Sequence[int]) -> BgpSpec:
    return replace(
        bgp,
        external_ips=_of(bgp.external_ips, families),
        load_balancer_ips=_of(bgp.load_balancer_ips, families),
    )


def _router(router: RouterSpec, families: Sequence[int]) -> RouterSpec:
    return replace(
        router,
        routes=tuple(route for route in router.routes if route.to.version in families),
        translates=tuple(version for version in families if version in router.translates),
        balancer=router.balancer and replace(router.balancer, pool=_of(router.balancer.pool, families)),
    )


def _external(host: ExternalSpec, families: Sequence[int]) -> ExternalSpec:
    addresses = _of(host.addresses, families)
    if not addresses:
        wanted = " or ".join(f"IPv{version}" for version in families)
        raise TopologyError((*host.path, "addresses"), f"{host.name} has no {wanted} address")
    return replace(host, addresses=addresses)


def _of(items: Iterable[T], families: Sequence[int]) -> tuple[T, ...]:
    """The items of these families, in their order."""
    items = tuple(items)
    return tuple(item for version in families for item in items if item.version == version)
