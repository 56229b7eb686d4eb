"""What the e2e tests do over and over: bring Services and pods, ask them, and see who answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

from emulator import Cluster
from tests.system.oracles.addresses import of_family
from tests.system.oracles.objects import Object, service

WEB = {"web-1", "web-2", "web-3"}
OFTEN = 30
"""Connections that miss one of three endpoints with a probability of 2e-5."""
STICKY = 15
"""Requests in a row, as upstream's affinity tests make them."""
A_WHILE = 0.3
"""Seconds of silence that are enough where silence is expected."""
PATIENCE = 30.0

PORTS = {"http": "80/tcp", "udp": "81/udp"}
Way = tuple[int, str]
"""IP version and protocol."""
WAYS: tuple[Way, ...] = ((4, "http"), (4, "udp"), (6, "http"), (6, "udp"))


@contextmanager
def there(cluster: Cluster, *objects: Object) -> Iterator[None]:
    """These objects exist while the block runs."""
    try:
        applied = cluster.apply(list(objects))
        assert applied.ready.ready, applied.ready.missing
        yield
    finally:
        take_away(cluster, *objects)


def take_away(cluster: Cluster, *objects: Object) -> None:
    """Delete objects, pods without grace, and wait until that is in force."""
    cluster.delete(list(objects), timeout=0.1, grace_seconds=0)
    for obj in objects:
        if obj["kind"] == "Pod":
            cluster.wait_for("Pod", obj["metadata"]["name"], "shop", _is_gone, timeout=PATIENCE)
    in_force(cluster)


def _is_gone(obj: Object | None) -> bool:
    return obj is None


def in_force(cluster: Cluster) -> None:
    """Return when all that may be in force is: pods that are not meant to be ready are not waited for."""
    deadline = monotonic() + PATIENCE
    while True:
        missing = cluster.wait_ready(timeout=0.2).missing
        if all(one.startswith("pod ") for one in missing):
            return
        assert monotonic() < deadline, missing


def until(
    cluster: Cluster, kind: str, name: str, holds: Callable[[Object], bool], where: str = "shop"
) -> Object:
    """Wait until an object is as it should be, and that is in force."""
    found = cluster.wait_for(kind, name, where, lambda obj: obj is not None and holds(obj), timeout=PATIENCE)
    assert found is not None
    in_force(cluster)
    return found


def patch(cluster: Cluster, service: str, spec: Object) -> None:
    """Change a Service, and wait until that is in force."""
    cluster.patch("Service", service, "shop", {"spec": spec})
    in_force(cluster)


def dual(name: str, app: str, **spec: Any) -> Object:
    """A Service of both families over the pods of `app`: 80/tcp and 81/udp."""
    families = {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"}
    made = service(name, app, family=4, **{**families, **spec})
    made["metadata"]["name"] = name
    return made


def ask(cluster: Cluster, source: str, name: str, way: Way = WAYS[0], **options: Any) -> Any:
    """Probe a Service's cluster IP from a pod of `shop`, or from a place with a slash in it."""
    family, protocol = way
    return cluster.probe(_place(source), f"svc/shop/{name}", PORTS[protocol], family=family, **options)


def knock(cluster: Cluster, source: str, node: int, name: str, way: Way = WAYS[0], **options: Any) -> Any:
    """Probe a Service's NodePort."""
    family, protocol = way
    transport = PORTS[protocol].split("/")[1]
    port = f"{node_port(cluster, name, protocol)}/{transport}"
    return cluster.probe(_place(source), f"node/worker-{node}", port, family=family, **options)


def node_port(cluster: Cluster, name: str, protocol: str) -> int:
    found: Object = cluster.get("Service", name, "shop")
    return next(int(port["nodePort"]) for port in found["spec"]["ports"] if port["name"] == protocol)


def address(cluster: Cluster, name: str, family: int) -> str:
    """A Service's cluster IP of one family."""
    found: Object = cluster.get("Service", name, "shop")
    return of_family(found["spec"]["clusterIPs"], family)


def _place(source: str) -> str:
    return source if "/" in source else f"shop/{source}"


def answering(report: Mapping[str, Any]) -> set[str]:
    """The pods that answered; every connection has to."""
    assert report["outcome"] == "connected", report["outcomes"]
    return {place.removeprefix("shop/") for place in report["endpoints"]}
