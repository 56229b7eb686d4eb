"""A Topology object read into a value with every default filled in.

The YAML format is described in `docs/` and in the design; this module knows its meaning:
what is implied when a field is left out, and what contradicts itself. It decides no
interface name and no MAC address (see `emulator.cluster.plan`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from emulator.api.names import dns1123_subdomain
from emulator.api.objects import JsonObject, Path, render_path
from emulator.cluster.bgp_fields import read_bgp, read_router_asn
from emulator.cluster.fields import address as _address
from emulator.cluster.fields import choice as _choice
from emulator.cluster.fields import known as _known
from emulator.cluster.fields import mapping as _mapping
from emulator.cluster.fields import name as _name
from emulator.cluster.fields import network as _network
from emulator.cluster.fields import quantity as _quantity
from emulator.cluster.fields import sequence as _sequence
from emulator.cluster.health_fields import read_health
from emulator.cluster.impairments import PARSERS, Impairment, ImpairmentMistake, read_impairment
from emulator.cluster.quantities import parse_seed
from emulator.cluster.ranges import documentation_ipv6
from emulator.cluster.resize import resize
from emulator.cluster.restrict import restrict
from emulator.cluster.specs import (
    ALWAYS_THERE,
    WORKER,
    BalancerSpec,
    ExternalSpec,
    LinkSpec,
    NodeSpec,
    RouterKind,
    RouterSpec,
    RouteSpec,
    Topology,
    TopologyError,
)
from emulator.cluster.wiring import BalancerMode, IPAddress, IPNetwork, Mode

__all__ = ["FAMILIES", "NODES", "Topology", "TopologyError", "parse_topology"]

DEFAULT_POD_CIDRS = {4: "10.244.0.0/16", 6: "fd00:10:244::/56"}
DEFAULT_SERVICE_CIDRS = {4: "10.96.0.0/16", 6: "fd00:10:96::/112"}
DEFAULT_EXTERNAL = {"client": "198.51.100.7", "server": "198.51.100.80", "dns": "198.51.100.53"}

_FAMILIES = {"IPv4": 4, "IPv6": 6}

NODES = "mininetes.io/nodes"
"""Annotation of a Topology: the number of nodes that it is sized to."""

FAMILIES = "mininetes.io/families"
"""Annotation of a Topology: the families that it is restricted to, the primary one first (`IPv6,IPv4`)."""
_BALANCER_FIELDS = "pool mode health"
"""What only a router of kind `lb` is told."""


def parse_topology(obj: JsonObject, *, nodes: int | None = None) -> Topology:
    """Read a Topology object; `nodes` resizes it by cloning or dropping workers.

    Without `nodes` the size written on the object (`mininetes.io/nodes`) counts, if there is one, and so do
    the families (`mininetes.io/families`).
    Raises TopologyError with the path of the field at fault.
    """
    spec = _mapping(obj.get("spec"), ("spec",))
    _known(
        spec, ("spec",), "mode families podCIDRs serviceCIDRs nodes routers external links bgp masqueradeAll"
    )
    pods, services = _networks(spec, "podCIDRs"), _networks(spec, "serviceCIDRs")
    families = _families(spec, (*pods, *services))
    topology = Topology(
        name=str(_mapping(obj.get("metadata"), ("metadata",)).get("name") or "topology"),
        mode=_choice(Mode, spec.get("mode", Mode.OVERLAY), ("spec", "mode")),
        families=families,
        pod_cidrs=_one_a_family(pods, families, DEFAULT_POD_CIDRS, ("spec", "podCIDRs")),
        service_cidrs=_one_a_family(services, families, DEFAULT_SERVICE_CIDRS, ("spec", "serviceCIDRs")),
        nodes=tuple(_nodes(spec)),
        routers=tuple(_routers(spec, families)),
        external=tuple(_external(spec, families)),
        links=tuple(_links(spec)),
        bgp=read_bgp(spec, families),
        masquerade_all=_flag(spec.get("masqueradeAll", False), ("spec", "masqueradeAll")),
    )
    _check_names(topology)
    families_wanted = _wanted_families(obj)
    if families_wanted:
        topology = restrict(topology, families_wanted)
    wanted = _wanted_nodes(obj) if nodes is None else nodes
    return topology if wanted is None else resize(topology, wanted)


def _flag(value: Any, path: Path) -> bool:
    if not isinstance(value, bool):
        raise TopologyError(path, f"{value!r} is neither true nor false")
    return value


def _wanted_families(obj: JsonObject) -> tuple[int, ...]:
    path: Path = ("metadata", "annotations", FAMILIES)
    metadata = _mapping(obj.get("metadata"), path[:1])
    value = _mapping(metadata.get("annotations"), path[:2]).get(FAMILIES)
    if value is None:
        return ()
    names = str(value).split(",")
    for name in names:
        if name not in _FAMILIES or names.count(name) > 1:
            raise TopologyError(path, f"{value!r} names no IP families", "IPv4, IPv6, or both with a comma")
    return tuple(_FAMILIES[name] for name in names)


def _wanted_nodes(obj: JsonObject) -> int | None:
    path: Path = ("metadata", "annotations", NODES)
    metadata = _mapping(obj.get("metadata"), path[:1])
    value = _mapping(metadata.get("annotations"), path[:2]).get(NODES)
    if value is None:
        return None
    if not str(value).isdecimal():
        raise TopologyError(path, f"{value!r} is not a number of nodes")
    return int(value)


# -- fields ----------------------------------------------------------------------------------------


def _families(spec: Mapping[str, Any], given: Sequence[IPNetwork]) -> tuple[int, ...]:
    path: Path = ("spec", "families")
    value = spec.get("families")
    if value is None:
        return (4, 6)
    families = _versions(value, path)
    if not families or len(set(families)) != len(families):
        raise TopologyError(path, "name one or two different IP families")
    for network in given:
        if network.version not in families:
            raise TopologyError(path, f"no family of the range {network} is named here")
    return families


def _versions(value: object, path: Path) -> tuple[int, ...]:
    """A list of families' names."""
    versions = []
    for index, name in enumerate(_sequence(value, path)):
        if name not in _FAMILIES:
            raise TopologyError((*path, index), f"unknown IP family {name!r}", "IPv4 or IPv6")
        versions.append(_FAMILIES[name])
    return tuple(versions)


def _networks(spec: Mapping[str, Any], field: str, within: Path = ("spec",)) -> tuple[IPNetwork, ...]:
    path: Path = (*within, field)
    networks = [_network(v, (*path, i)) for i, v in enumerate(_sequence(spec.get(field), path))]
    versions = [n.version for n in networks]
    if len(set(versions)) != len(versions):
        raise TopologyError(path, "at most one range a family")
    return tuple(networks)


def _one_a_family(
    given: Sequence[IPNetwork], families: Sequence[int], defaults: Mapping[int, str], path: Path
) -> tuple[IPNetwork, ...]:
    by_version: dict[int, IPNetwork] = {network.version: network for network in given}
    for index, network in enumerate(given):
        if network.version not in families:
            raise TopologyError((*path, index), f"{network} is of a family that spec.families does not name")
    return tuple(by_version.get(v) or ip_network(defaults[v]) for v in families)


def _nodes(spec: Mapping[str, Any]) -> Iterator[NodeSpec]:
    path: Path = ("spec", "nodes")
    items = _sequence(spec.get("nodes"), path)
    if not items:
        raise TopologyError(path if "nodes" in spec else ("spec",), "a cluster needs at least one node")
    for index, value in enumerate(items):
        here: Path = (*path, index)
        item = _mapping(value, here)
        _known(item, here, "name zone role subnet labels")
        labels = {str(k): str(v) for k, v in _mapping(item.get("labels"), (*here, "labels")).items()}
        yield NodeSpec(
            name=_name(item.get("name"), (*here, "name")),
            zone=str(item.get("zone") or ""),
            role=_name(item.get("role", WORKER), (*here, "role")),
            subnet=str(item.get("subnet") or ""),
            labels=labels,
        )


def _routers(spec: Mapping[str, Any], families: Sequence[int]) -> Iterator[RouterSpec]:
    path: Path = ("spec", "routers")
    kinds = set()
    for index, value in enumerate(_sequence(spec.get("routers"), path)):
        here: Path = (*path, index)
        item = _mapping(value, here)
        _known(item, here, f"name kind routes translates asn {_BALANCER_FIELDS}")
        name = _name(item.get("name"), (*here, "name"))
        kind = _choice(RouterKind, item.get("kind", name), (*here, "kind"))
        balancer = _balancer(item, kind, here, families)
        if balancer and kind in kinds:
            raise TopologyError(here, "a second load balancer; a topology has one at most")
        kinds.add(kind)
        asn = read_router_asn(item, kind, here)
        translates = _translates(item, kind, here, families)
        routes = tuple(_routes(item, here, families))
        yield RouterSpec(name, kind, routes, asn=asn, translates=translates, balancer=balancer)
    if RouterKind.BGP in kinds:
        kinds.add(RouterKind.FABRIC)
    for kind in ALWAYS_THERE:
        if kind not in kinds:
            translates = tuple(families) if kind is RouterKind.NAT else ()
            yield RouterSpec(kind.value, kind, implied=True, translates=translates)


def _translates(
    item: Mapping[str, Any], kind: RouterKind, path: Path, families: Sequence[int]
) -> tuple[int, ...]:
    here: Path = (*path, "translates")
    if kind is not RouterKind.NAT:
        if "translates" in item:
            raise TopologyError(here, f"a router of kind {kind} translates nothing", "kind: nat does")
        return ()
    if "translates" not in item:
        return tuple(families)
    versions = _versions(item["translates"], here)
    for index, version in enumerate(versions):
        if version not in families:
            raise TopologyError((*here, index), f"IPv{version} is not named by spec.families")
        if version in versions[:index]:
            raise TopologyError((*here, index), f"IPv{version} is named twice")
    return versions


def _balancer(
    item: Mapping[str, Any], kind: RouterKind, path: Path, families: Sequence[int]
) -> BalancerSpec | None:
    if kind is not RouterKind.LB:
        for field in _BALANCER_FIELDS.split():
            if field in item:
                raise TopologyError((*path, field), f"a router of kind {kind} has no {field}", "kind: lb has")
        return None
    pool = _networks(item, "pool", path)
    if not pool:
        where = (*path, "pool") if "pool" in item else path
        raise TopologyError(
            where, "a load balancer needs a pool of addresses", "pool: [203.0.113.64/26], a range a family"
        )
    for index, network in enumerate(pool):
        if network.version not in families:
            raise TopologyError(
                (*path, "pool", index), f"{network} is of a family that spec.families does not name"
            )
    mode = _choice(BalancerMode, item.get("mode", BalancerMode.VIP), (*path, "mode"))
    where = (*path, "health")
    return BalancerSpec(pool, mode, read_health(_mapping(item.get("health"), where), where), path)


def _routes(item: Mapping[str, Any], path: Path, families: Sequence[int]) -> Iterator[RouteSpec]:
    for index, value in enumerate(_sequence(item.get("routes"), (*path, "routes"))):
        here: Path = (*path, "routes", index)
        route = _mapping(value, here)
        _known(route, here, "to via")
        to = _network(route.get("to"), (*here, "to"))
        if to.version not in families:
            raise TopologyError((*here, "to"), f"{to} is of a family that spec.families does not name")
        yield RouteSpec(to, _name(route.get("via"), (*here, "via")), here)


def _external(spec: Mapping[str, Any], families: Sequence[int]) -> Iterator[ExternalSpec]:
    path: Path = ("spec", "external")
    items = spec.get("external")
    if items is None:
        items = [{"name": name, "addresses": [address]} for name, address in DEFAULT_EXTERNAL.items()]
    for index, value in enumerate(_sequence(items, path)):
        here: Path = (*path, index)
        item = _mapping(value, here)
        _known(item, here, "name addresses names")
        where: Path = (*here, "addresses")
        given = [_address(v, (*where, i)) for i, v in enumerate(_sequence(item.get("addresses"), where))]
        if len({a.version for a in given}) != len(given) or not given:
            raise TopologyError(where, "name one address, or one a family")
        addresses = _other_family(given, families)
        if not addresses:
            raise TopologyError(where, "no address is of a family that spec.families names")
        names = tuple(_dns_names(item, (*here, "names")))
        yield ExternalSpec(_name(item.get("name"), (*here, "name")), addresses, here, names)


def _dns_names(item: Mapping[str, Any], path: Path) -> Iterator[str]:
    for index, value in enumerate(_sequence(item.get("names"), path)):
        flaw = dns1123_subdomain(str(value))
        if flaw:
            raise TopologyError((*path, index), f"{value!r} is no DNS name", flaw)
        yield str(value)


def _other_family(given: Sequence[IPAddress], families: Sequence[int]) -> tuple[IPAddress, ...]:
    """An external host named by its IPv4 address alone has an IPv6 address that reads like it."""
    by_version: dict[int, IPAddress] = {address.version: address for address in given}
    if 6 in families and 6 not in by_version:
        by_version[6] = documentation_ipv6(by_version[4])
    return tuple(by_version[version] for version in families if version in by_version)


def _links(spec: Mapping[str, Any]) -> Iterator[LinkSpec]:
    path: Path = ("spec", "links")
    for index, value in enumerate(_sequence(spec.get("links"), path)):
        here: Path = (*path, index)
        item = _mapping(value, here)
        _known(item, here, "ends seed " + " ".join(PARSERS))
        ends = _sequence(item.get("ends"), (*here, "ends"))
        if len(ends) != 2:
            raise TopologyError((*here, "ends"), "a link has two ends", "ends: [worker-1, fabric]")
        yield LinkSpec(
            ends=(_name(ends[0], (*here, "ends", 0)), _name(ends[1], (*here, "ends", 1))),
            impairment=_impairment(item, here),
            seed=_quantity(item, "seed", parse_seed, here) or 0,
            path=here,
        )


def _impairment(item: Mapping[str, Any], path: Path) -> Impairment:
    try:
        return read_impairment(item)
    except ImpairmentMistake as wrong:
        raise TopologyError((*path, wrong.field), str(wrong), wrong.hint) from None


def _check_names(topology: Topology) -> None:
    seen: dict[str, Path] = {}
    lists = {
        "nodes": [node.name for node in topology.nodes],
        "routers": [router.name for router in topology.routers],
        "external": [host.name for host in topology.external],
    }
    for field, names in lists.items():
        for index, name in enumerate(names):
            path: Path = ("spec", field, index, "name")
            if name in seen:
                raise TopologyError(path, f"{name!r} is already the name at {render_path(seen[name])}")
            seen[name] = path
    for link in topology.links:
        for index, end in enumerate(link.ends):
            if end not in seen:
                raise TopologyError((*link.path, "ends", index), f"{end!r} is not in this topology")
    for router in topology.routers:
        for route in router.routes:
            if route.via not in seen:
                raise TopologyError((*route.path, "via"), f"{route.via!r} is not in this topology")
