"""Services whose endpoints are written by hand: every condition and hint at will, at the cost of a patch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emulator import Cluster
from tests.system.hygiene import inside
from tests.system.oracles.addresses import pod_address
from tests.system.oracles.objects import HTTP, UDP, Object, service

READY: Object = {"ready": True, "serving": True, "terminating": False}
DRAINING: Object = {"ready": False, "serving": True, "terminating": True}
GONE: Object = {"ready": False, "serving": False, "terminating": True}
UNREADY: Object = {"ready": False, "serving": False, "terminating": False}


def selectorless(name: str, family: int, **spec: Any) -> Object:
    """A Service that finds no endpoints by itself."""
    made = service(name, "", family=family, **spec)
    del made["spec"]["selector"]
    return made


def endpoint(
    cluster: Cluster,
    name: str,
    family: int,
    conditions: Object = READY,
    *,
    zones: Iterable[str] = (),
    nodes: Iterable[str] = (),
) -> Object:
    """A pod as an endpoint, with the hints that it is given."""
    found: Object = cluster.get("Pod", name, "shop")
    hints = {"forZones": [{"name": zone} for zone in zones], "forNodes": [{"name": node} for node in nodes]}
    given = {field: value for field, value in hints.items() if value}
    made = {
        "addresses": [pod_address(cluster, name, family)],
        "conditions": dict(conditions),
        "nodeName": found["spec"]["nodeName"],
    }
    return {**made, "hints": given} if given else made


def slice_of(name: str, family: int, endpoints: Iterable[Object]) -> Object:
    """The EndpointSlice of a Service made by `selectorless`."""
    ports = [
        {"name": "http", "port": HTTP, "protocol": "TCP"},
        {"name": "udp", "port": UDP, "protocol": "UDP"},
    ]
    label = {"kubernetes.io/service-name": f"{name}-v{family}"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-v{family}", "namespace": "shop", "labels": label},
        "addressType": f"IPv{family}",
        "endpoints": list(endpoints),
        "ports": ports,
    }


def put(cluster: Cluster, name: str, family: int, *endpoints: Object) -> None:
    """Give a Service exactly these endpoints, and wait until that is in force."""
    applied = cluster.apply([slice_of(name, family, endpoints)])
    assert applied.ready.ready, applied.ready.missing
    forget_connections(cluster)


def forget_connections(cluster: Cluster) -> None:
    """Let no old UDP connection answer in the place of a new one that has got its port again."""
    for _ in range(20):
        inside(cluster, "ovs-appctl", "dpctl/flush-conntrack")
        # Open vSwitch 3.1.0 may skip some.
        if "udp" not in inside(cluster, "ovs-appctl", "dpctl/dump-conntrack"):
            return
    raise AssertionError("connections cannot be forgotten")
