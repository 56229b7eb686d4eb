"""The cloud's service controller: an address of the load balancer's pool for every Service that asks for one.

On premises, where nodes advertise the addresses over BGP, the pool is what they advertise, and the address
leads straight to a node: MetalLB and Calico's IPAM give addresses in this way.

The addresses that Services hold stand in their status, so nothing is kept that could disagree with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Update, with_status
from emulator.cluster.events import News, told
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import BalancerMode, IPAddress, IPNetwork

MODE = "mininetes.io/load-balancer-mode"
"""Annotation of a Service: `vip` or `proxy`, where the topology's mode will not do."""
CLASS = "mininetes.io/load-balancer"
"""The `loadBalancerClass` that means this balancer, as leaving it out does."""
CLEANUP = "service.kubernetes.io/load-balancer-cleanup"
"""Finalizer of a Service that holds an address: it is given back before the Service goes."""
COMPONENT = "service-controller"

_IP_MODE = {BalancerMode.VIP: "VIP", BalancerMode.PROXY: "Proxy"}


class _PendingError(Exception):
    """Why a Service gets no address."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where addresses come from: `name` as messages call it."""

    name: str
    pool: tuple[IPNetwork, ...]
    mode: BalancerMode
    can_proxy: bool

    def ranges(self, family: str) -> tuple[IPNetwork, ...]:
        """The ranges of a family."""
        return tuple(network for network in self.pool if _family(network) == family)


def load_balancers(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """Give addresses out and take them back."""
    services = _services(snapshot)
    taken = _taken(services)
    for service in services:
        spec, metadata = service["spec"], service["metadata"]
        if spec.get("type") != "LoadBalancer" or "deletionTimestamp" in metadata:
            yield from _release(snapshot, service, now)
        elif is_ours(service):
            yield from _sync(snapshot, service, taken, now)


def pending(snapshot: Snapshot) -> tuple[str, ...]:
    """What a user would want to know who has just applied a Service that gets no address."""
    services = _services(snapshot)
    taken = _taken(services)
    found = []
    for service in services:
        if service["spec"].get("type") != "LoadBalancer" or held(service):
            continue
        why = f"nobody here serves loadBalancerClass {service['spec'].get('loadBalancerClass')}"
        if is_ours(service):
            try:
                source = _source(snapshot)
                _mode(service, source)
                _addresses(service, source, taken)
                continue
            except _PendingError as reason:
                why = str(reason)
        found.append(f"Service {_name(service)} has no external address: {why}")
    return tuple(found)


def _services(snapshot: Snapshot) -> tuple[JsonObject, ...]:
    """In the order of their creation: who came first is served first."""
    return tuple(snapshot.objects.get("Service", {}).values())


def _taken(services: Iterable[JsonObject]) -> dict[IPAddress, str]:
    return {address: _name(service) for service in services for address in held(service)}


def is_ours(service: JsonObject) -> bool:
    """Whether the topology's balancer is meant; of another class, the Service is somebody else's to serve."""
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") in (None, "", CLASS)


def held(service: JsonObject) -> tuple[IPAddress, ...]:
    """The addresses in a Service's status."""
    entries = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    found = []
    for entry in entries:
        with suppress(ValueError):
            found.append(ip_address(entry.get("ip", "")))
    return tuple(found)


def _ports(service: JsonObject) -> Sequence[JsonObject]:
    return service["spec"].get("ports") or ()


def _name(service: JsonObject) -> str:
    return f"{service['metadata'].get('namespace', '')}/{service['metadata']['name']}"


# -- giving out ------------------------------------------------------------------------------------


def _sync(
    snapshot: Snapshot, service: JsonObject, taken: dict[IPAddress, str], now: datetime
) -> Iterator[Change]:
    try:
        source = _source(snapshot)
        mode = _mode(service, source)
        addresses = _addresses(service, source, taken)
    except _PendingError as reason:
        for address in held(service):
            taken.pop(address, None)
        yield from with_status(service, {"loadBalancer": {}})
        message = f"Error syncing load balancer: {reason}"
        yield from _news(snapshot, News(service, "SyncLoadBalancerFailed", message, COMPONENT), now)
        return
    for address in held(service):
        if address not in addresses:
            taken.pop(address, None)
    taken.update(dict.fromkeys(addresses, _name(service)))
    yield from _with_finalizer(service)
    ports = [{"port": port["port"], "protocol": port.get("protocol", "TCP")} for port in _ports(service)]
    ingress = [{"ip": str(address), "ipMode": _IP_MODE[mode], "ports": ports} for address in addresses]
    yield from with_status(service, {"loadBalancer": {"ingress": ingress}})
    if held(service) != addresses:
        message = "Ensured load balancer: " + ", ".join(map(str, addresses))
        yield from _news(snapshot, News(service, "EnsuredLoadBalancer", message, COMPONENT, "Normal"), now)
    yield from _unserved(snapshot, service, source, now)


def _source(snapshot: Snapshot) -> _Source:
    balancer, advertising = snapshot.wiring.balancer, snapshot.wiring.advertising
    if balancer is not None:
        return _Source(f"load balancer {balancer.name}", balancer.pool, balancer.mode, can_proxy=True)
    if advertising is not None and advertising.load_balancer_ips:
        return _Source("BGP", advertising.load_balancer_ips, BalancerMode.VIP, can_proxy=False)
    raise _PendingError(
        f"topology {snapshot.wiring.name} has no load balancer; two-zone-vpc has one, and a topology "
        "file gets one by a router of kind lb with a pool"
    )


def _mode(service: JsonObject, source: _Source) -> BalancerMode:
    wish = (service["metadata"].get("annotations") or {}).get(MODE, source.mode)
    if wish not in tuple(BalancerMode):
        raise _PendingError(f"annotation {MODE} is {wish!r}; it may be " + " or ".join(BalancerMode))
    mode = BalancerMode(wish)
    if mode is BalancerMode.PROXY and not source.can_proxy:
        raise _PendingError(
            f"annotation {MODE} is proxy, and addresses of {source.name} lead straight to nodes"
        )
    proxied = [port for port in _ports(service) if port.get("protocol") == "SCTP"]
    if mode is BalancerMode.PROXY and proxied:
        raise _PendingError(f"mode proxy carries TCP and UDP, and port {proxied[0]['port']} is SCTP")
    unreachable = [port for port in _ports(service) if not port.get("nodePort")]
    if mode is BalancerMode.PROXY and unreachable:
        raise _PendingError(
            f"mode proxy reaches nodes at node ports, and port {unreachable[0]['port']} has none "
            "(allocateLoadBalancerNodePorts is false)"
        )
    return mode


def _addresses(service: JsonObject, source: _Source, taken: Mapping[IPAddress, str]) -> tuple[IPAddress, ...]:
    """One address for each of the Service's families that the pool knows."""
    families = service["spec"].get("ipFamilies") or [_family(source.pool[0])]
    pools = [source.ranges(family) for family in families if source.ranges(family)]
    if not pools:
        raise _PendingError(f"the pool of {source.name} has no {families[0]} range")
    asked = service["spec"].get("loadBalancerIP")
    wanted = ip_address(asked) if asked else None
    if wanted is not None and not any(_within(wanted, pool) for pool in pools):
        ranges = ", ".join(str(network) for pool in pools for network in pool)
        raise _PendingError(f"spec.loadBalancerIP {wanted} is not in the pool ({ranges})")
    return tuple(_address(service, pool, wanted, taken) for pool in pools)


def _within(address: IPAddress, pool: Sequence[IPNetwork]) -> bool:
    return any(address.version == network.version and address in network for network in pool)


def _address(
    service: JsonObject,
    pool: Sequence[IPNetwork],
    wanted: IPAddress | None,
    taken: Mapping[IPAddress, str],
) -> IPAddress:
    """The address asked for, the one that the Service has, or the lowest that nobody has."""
    own = _name(service)
    if wanted is not None and wanted.version == pool[0].version:
        if taken.get(wanted, own) != own:
            raise _PendingError(f"spec.loadBalancerIP {wanted} is the address of {taken[wanted]} already")
        return wanted
    for address in held(service):
        if _within(address, pool) and taken.get(address) == own:
            return address
    for network in pool:
        for free in network.hosts():
            if free not in taken:
                return free
    ranges = ", ".join(map(str, pool))
    raise _PendingError(f"the pool {ranges} is exhausted: every address has its Service")


def _unserved(snapshot: Snapshot, service: JsonObject, source: _Source, now: datetime) -> Iterator[Change]:
    """Families that the Service has and the pool has not."""
    for family in service["spec"].get("ipFamilies") or ():
        if not source.ranges(family):
            message = f"No {family} address: the pool of {source.name} has no such range"
            yield from _news(snapshot, News(service, "SyncLoadBalancerFailed", message, COMPONENT), now)


def _family(network: IPNetwork) -> str:
    return f"IPv{network.version}"


# -- taking back -----------------------------------------------------------------------------------


def _release(snapshot: Snapshot, service: JsonObject, now: datetime) -> Iterator[Change]:
    """What is no load balancer's Service (any more) has no ingress, as the API server sees to as well."""
    had = held(service)
    yield from with_status(service, {"loadBalancer": {}}) if had else ()
    if had:
        message = "Deleted load balancer: " + ", ".join(map(str, had))
        yield from _news(snapshot, News(service, "DeletedLoadBalancer", message, COMPONENT, "Normal"), now)
    finalizers: Sequence[str] = service["metadata"].get("finalizers") or ()
    if CLEANUP in finalizers:
        rest = [finalizer for finalizer in finalizers if finalizer != CLEANUP]
        yield Update({**service, "metadata": {**service["metadata"], "finalizers": rest}})


def _with_finalizer(service: JsonObject) -> Iterator[Change]:
    metadata = service["metadata"]
    finalizers: Sequence[str] = metadata.get("finalizers") or ()
    if CLEANUP not in finalizers:
        yield Update({**service, "metadata": {**metadata, "finalizers": [*finalizers, CLEANUP]}})


def _news(snapshot: Snapshot, news: News, now: datetime) -> Iterator[Change]:
    """Tell it, unless that very thing has been told: the loops come here again and again."""
    metadata, key = news.about["metadata"], news.key
    home = snapshot.get("Namespace", "", key.namespace)
    is_going = "deletionTimestamp" in metadata or home is None or "deletionTimestamp" in home["metadata"]
    if not is_going and snapshot.get("Event", key.namespace, key.name) is None:
        yield told(news, None, now)
