"""The addresses that a place sends from, read from the objects."""

from __future__ import annotations

from ipaddress import ip_network

from emulator.api.objects import JsonObject
from emulator.cluster.places import WORKLOADS, Place, PlaceKind
from emulator.scenario.cluster import LiveCluster
from emulator.scenario.pods import pods_of


def addresses_of(cluster: LiveCluster, place: Place) -> frozenset[str]:
    """Every address that packets from `place` may carry. Raises ApiError for what does not exist.

    A node has its own addresses and the first one of each of its pod ranges, which is what its
    pods see when it speaks for itself or masquerades.
    """
    match place.kind:
        case PlaceKind.POD:
            return _pod(cluster.get("Pod", place.name, place.namespace))
        case PlaceKind.NODE:
            return _node(cluster.get("Node", place.name))
        case PlaceKind.SERVICE:
            service = cluster.get("Service", place.name, place.namespace)
            return frozenset(service["spec"].get("clusterIPs") or ())
        case PlaceKind.EXTERNAL:
            return frozenset(
                address.partition("/")[0]
                for topology in cluster.get("Topology")
                for host in topology["spec"].get("external") or ()
                if host["name"] == place.name
                for address in host.get("addresses") or ()
            )
    if place.kind in WORKLOADS:
        return frozenset(address for pod in pods_of(cluster, place) for address in _pod(pod))
    return frozenset((place.name,))


def _pod(pod: JsonObject) -> frozenset[str]:
    status = pod.get("status") or {}
    return frozenset(entry["ip"] for entry in status.get("podIPs") or ())


def _node(node: JsonObject) -> frozenset[str]:
    own = [entry["address"] for entry in (node.get("status") or {}).get("addresses") or ()]
    gateways = [str(ip_network(cidr)[1]) for cidr in (node.get("spec") or {}).get("podCIDRs") or ()]
    return frozenset((*own, *gateways))
