"""Objects and questions of the tests that let pods come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from emulator import Cluster
from emulator.api.objects import JsonObject
from emulator.network.names import netns_path
from tests.system.hygiene import inside

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.47"
ENOUGH = 30
"""Connections after which one of two endpoints that was never chosen has a probability of 1e-9."""


def apply(cluster: Cluster, *objects: JsonObject) -> None:
    done = cluster.apply(list(objects))
    assert done.ready.ready, done.ready.missing


def container(*more: str, **fields: Any) -> JsonObject:
    args = ["netexec", "--http-port=8080", "--udp-port=8081", *more]
    return {"name": "main", "image": AGNHOST, "args": args, **fields}


def pod(
    where: str, name: str, node: str, app: str = "", *, more: Sequence[str] = (), grace: int = 0, **spec: Any
) -> JsonObject:
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": grace,
        "containers": [container(*more)],
        **spec,
    }
    metadata = {"name": name, "namespace": where, "labels": {"app": app or name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(where: str, name: str, app: str = "", *ports: JsonObject, **spec: Any) -> JsonObject:
    """80/tcp and 81/udp unless said otherwise, in both families."""
    usual = (
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": 8081},
    )
    fields = {"selector": {"app": app or name}, "ipFamilyPolicy": "RequireDualStack"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": where},
        "spec": {**fields, "ports": list(ports) or [dict(port) for port in usual], **spec},
    }


def deployment(where: str, name: str, replicas: int, **spec: Any) -> JsonObject:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container()], **spec}}
    body = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    metadata = {"name": name, "namespace": where}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": body}


def answers(
    cluster: Cluster, source: str, target: str, port: str, *, count: int = ENOUGH, family: int = 4
) -> set[str]:
    """The names of the pods that answered; every request was answered."""
    report = cluster.probe(source, target, port, count=count, family=family, timeout=5)
    assert report["outcomes"] == {"connected": count}, report
    return {place.rpartition("/")[2] for place in report["endpoints"]}


def everywhere(cluster: Cluster, where: str, name: str, wanted: set[str]) -> None:
    """Both ports, in both families, are served by exactly these pods."""
    for family in (4, 6):
        for port in ("80/tcp", "81/udp"):
            found = answers(cluster, f"{where}/client", f"svc/{where}/{name}", port, family=family)
            assert found == wanted, (family, port)


def endpoints(cluster: Cluster, where: str, name: str, port: str = "") -> dict[str, list[int]]:
    """The ready addresses of the Service's slices of IPv4, by the pod's name, with their port numbers."""
    found: dict[str, list[int]] = {}
    for piece in cluster.get("EndpointSlice", None, where, f"kubernetes.io/service-name={name}"):
        if piece["addressType"] != "IPv4":
            continue
        ports = [p["port"] for p in piece.get("ports") or () if port in ("", p.get("name"))]
        for endpoint in piece["endpoints"] or () if ports else ():
            if endpoint["conditions"]["ready"]:
                found.setdefault(endpoint["targetRef"]["name"], []).extend(ports)
    return {name: sorted(ports) for name, ports in found.items()}


def gone(cluster: Cluster, *names: tuple[str, str]) -> None:
    objects = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": w, "name": n}} for w, n in names]
    done = cluster.delete(objects)
    assert done.ready.ready, done.ready.missing


def count_flows(cluster: Cluster, bridge: str) -> int:
    lines = inside(cluster, "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", bridge).splitlines()
    return sum("cookie=" in line for line in lines)


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Look again until `holds`. Each look asks a process, which is pause enough."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so after {seconds:g} s"


def netns_exists(cluster: Cluster, place: str) -> bool:
    """Whether the pod has a network namespace still."""
    return netns_path(place).name in inside(cluster, "ls", str(netns_path(place).parent)).split()


def announce_end(cluster: Cluster, where: str, name: str) -> None:
    """Delete a pod without waiting for its end."""
    cluster._client.delete("Pod", name, where)
    cluster.wait_for("Pod", name, where, lambda p: p is not None and "deletionTimestamp" in p["metadata"])


def is_running(cluster: Cluster, where: str, name: str) -> bool:
    return bool(cluster.get("Pod", name, where)["status"].get("phase") == "Running")


def pods_of(cluster: Cluster, where: str, app: str) -> set[tuple[str, str]]:
    found = cluster.get("Pod", None, where, f"app={app}")
    return {(one["metadata"]["name"], one["status"]["podIP"]) for one in found}
