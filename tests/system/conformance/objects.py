"""Objects for the conformance tests, and what they became."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from ipaddress import ip_address
from typing import Any

from emulator import Cluster
from emulator.api.client import Client
from tests.system.e2e.framework import in_force

Object = dict[str, Any]
AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.53"


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def server(
    where: str, name: str, /, *, ports: Mapping[str, int] | None = None, node: str = "", **labels: str
) -> Object:
    """A pod that tells its name over HTTP on each of `ports`, and over UDP on the port after."""
    containers = []
    for word, port in (ports or {"http": 8080}).items():
        containers.append(
            {
                "name": word,
                "image": AGNHOST,
                "args": ["netexec", f"--http-port={port}", f"--udp-port={port + 1}"],
                "ports": [
                    {"name": word, "containerPort": port},
                    {"name": f"{word[:11]}-udp", "containerPort": port + 1, "protocol": "UDP"},
                ],
            }
        )
    spec: Object = {"containers": containers, "terminationGracePeriodSeconds": 0}
    if node:
        spec["nodeName"] = node
    metadata = {"name": name, "namespace": where, "labels": labels or {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(where: str, name: str, *ports: Object, **spec: Any) -> Object:
    """A Service; port 80 leads to the container port `http` unless said otherwise."""
    listed = [dict(port) for port in ports] or [{"name": "http", "port": 80, "targetPort": "http"}]
    if spec.get("type") != "ExternalName":
        spec.setdefault("selector", {"app": name})
    if spec.get("selector") is None:
        spec.pop("selector", None)
    metadata = {"name": name, "namespace": where}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": listed, **spec}}


def port(number: int, target: int | str, name: str = "http", protocol: str = "TCP") -> Object:
    return {"name": name, "port": number, "targetPort": target, "protocol": protocol}


def endpoint_slice(where: str, name: str, of: str, addresses: list[str], ports: Mapping[str, int]) -> Object:
    """A slice by hand."""
    metadata = {"name": name, "namespace": where, "labels": {"kubernetes.io/service-name": of}}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": f"IPv{ip_address(addresses[0]).version}",
        "endpoints": [{"addresses": [address]} for address in addresses],
        "ports": [{"name": word, "port": number, "protocol": "TCP"} for word, number in ports.items()],
    }


def endpoints(where: str, name: str, addresses: list[str], number: int) -> Object:
    """Endpoints by hand."""
    subset = {
        "addresses": [{"ip": address} for address in addresses],
        "ports": [{"name": "http", "port": number, "protocol": "TCP"}],
    }
    metadata = {"name": name, "namespace": where}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [subset]}


def spec_of(cluster: Cluster, where: str, name: str) -> Object:
    found: Object = cluster.get("Service", name, where)["spec"]
    return found


def address_of(cluster: Cluster, where: str, name: str, version: int = 4) -> str:
    """A pod's address."""
    listed = [entry["ip"] for entry in cluster.get("Pod", name, where)["status"]["podIPs"]]
    return next(address for address in listed if ip_address(address).version == version)


def slices_of(cluster: Cluster, where: str, name: str) -> list[Object]:
    """The slices of a Service."""
    found: list[Object] = cluster.get(
        "EndpointSlice", namespace=where, selector=f"kubernetes.io/service-name={name}"
    )
    return found


def outcomes(cluster: Cluster, source: str, target: str, *ports: str) -> set[str]:
    """What becomes of a probe at each port, all at once: silence takes its time."""

    def probe(number: str) -> str:
        return str(Cluster(cluster.sandbox).probe(source, target, number)["outcome"])

    with ThreadPoolExecutor(len(ports)) as pool:
        return set(pool.map(probe, ports))


def ready_addresses(piece: Object) -> set[str]:
    return {
        address
        for endpoint in piece.get("endpoints") or ()
        if endpoint["conditions"].get("ready") is not False
        for address in endpoint["addresses"]
    }


def serve(cluster: Cluster, where: str, name: str, *pods: str) -> None:
    """Wait until the Service's slices have these pods ready, and no others, and that is in force."""
    wanted = {address_of(cluster, where, pod) for pod in pods}
    pieces: dict[str, set[str]] = {}
    with closing(
        Client(cluster.sandbox.socket).watch(
            "EndpointSlice", where, labels=f"kubernetes.io/service-name={name}"
        )
    ) as events:
        for event in events:
            gone = event["type"] == "DELETED"
            pieces[event["object"]["metadata"]["name"]] = set() if gone else ready_addresses(event["object"])
            if set().union(*pieces.values()) == wanted:
                break
    in_force(cluster)
