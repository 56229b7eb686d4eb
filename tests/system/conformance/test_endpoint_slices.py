"""[sig-network] EndpointSlice, EndpointSliceMirroring, EndpointsController; packets where they matter."""

from __future__ import annotations

from emulator import Cluster
from tests.system.conformance.objects import (
    Object,
    address_of,
    endpoint_slice,
    endpoints,
    port,
    ready_addresses,
    server,
    service,
    slices_of,
)

MIRRORED = "endpointslicemirroring-controller.k8s.io"


def answered(cluster: Cluster, space: str, name: str, number: int, count: int = 1) -> set[str]:
    """Which pods answer at a Service's port."""
    report = cluster.probe(f"{space}/client", f"svc/{space}/{name}", f"{number}/tcp", count=count)
    assert report["outcome"] == "connected", report["outcomes"]
    return {place.removeprefix(f"{space}/") for place in report["endpoints"]}


def test_slices_for_pods_matching_a_service(cluster: Cluster, space: str) -> None:
    """EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service [Conformance]

    EndpointsController should create Endpoints for Pods matching a Service [Conformance]
    """
    labels = {"name": "e2e-endpointslice"}
    pods = [
        server(space, "pod1", ports={"example-name": 3000, "more": 4000}, **labels),
        server(space, "pod2", ports={"example-name": 3001, "more": 4000}, **labels),
    ]
    services = [
        service(space, "example-int-port", port(80, 3000), selector=labels),
        service(space, "example-named-port", port(80, "example-name"), selector=labels),
        service(space, "example-no-match", port(80, "example-name"), port(81, 4000, "more"), selector=labels),
    ]
    cluster.apply([*pods, *services])
    first, second = (address_of(cluster, space, name) for name in ("pod1", "pod2"))

    (by_number,) = slices_of(cluster, space, "example-int-port")
    assert ready_addresses(by_number) == {first, second}
    assert [p["port"] for p in by_number["ports"]] == [3000]
    assert {e["targetRef"]["name"] for e in by_number["endpoints"]} == {"pod1", "pod2"}

    by_name = slices_of(cluster, space, "example-named-port")
    assert {(p["port"], *ready_addresses(piece)) for piece in by_name for p in piece["ports"]} == {
        (3000, first),
        (3001, second),
    }

    two_ports = slices_of(cluster, space, "example-no-match")
    assert {
        (p["name"], p["port"], *ready_addresses(piece)) for piece in two_ports for p in piece["ports"]
    } == {
        ("http", 3000, first),
        ("more", 4000, first),
        ("http", 3001, second),
        ("more", 4000, second),
    }
    for piece in (by_number, *by_name, *two_ports):
        managed = piece["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
        assert managed == "endpointslice-controller.k8s.io"

    subsets = cluster.get("Endpoints", "example-named-port", space)["subsets"]
    assert {(s["ports"][0]["port"], s["addresses"][0]["ip"]) for s in subsets} == {
        (3000, first),
        (3001, second),
    }


def test_a_service_that_matches_no_pods(cluster: Cluster, space: str) -> None:
    """EndpointSlice should create and delete EndpointSlices for a Service with a selector matching no pods

    EndpointsController should create and delete Endpoints for a Service with a selector matching no pods
    """
    nobody = service(space, "example-empty-selector", selector={"does-not-match": "endpointslices"})
    cluster.apply([nobody])
    (piece,) = slices_of(cluster, space, "example-empty-selector")
    assert (piece["endpoints"], piece["ports"]) == ([], [])
    assert not cluster.get("Endpoints", "example-empty-selector", space).get("subsets")
    cluster.delete([nobody])
    assert slices_of(cluster, space, "example-empty-selector") == []
    assert cluster.get("Endpoints", namespace=space) == []


def test_several_addresses_in_several_slices(cluster: Cluster, space: str, family: int) -> None:
    """EndpointSlice should support a Service with multiple endpoint IPs in multiple EndpointSlices"""
    cluster.apply(
        [
            server(space, "pod1", ports={"web": 8090}, node="worker-1"),
            server(space, "pod2", ports={"web": 8090}, node="worker-2"),
            server(space, "client"),
            service(space, "multi", port(80, 8090, "a"), port(81, 8090, "b"), selector=None, **only(family)),
        ]
    )
    first, second = (address_of(cluster, space, name, family) for name in ("pod1", "pod2"))
    cluster.apply(
        [
            endpoint_slice(space, "multi-1", "multi", [first], {"a": 8090}),
            endpoint_slice(space, "multi-2", "multi", [second], {"b": 8090}),
        ]
    )
    assert answered(cluster, space, "multi", 80, 6) == {"pod1"}
    assert answered(cluster, space, "multi", 81, 6) == {"pod2"}


def test_several_ports_in_several_slices(cluster: Cluster, space: str, family: int) -> None:
    """EndpointSlice should support a Service with multiple ports in multiple EndpointSlices"""
    cluster.apply(
        [
            server(space, "pod1", ports={"a": 8090, "b": 9090}, node="worker-2"),
            server(space, "client"),
            service(space, "multi", port(80, 8090, "a"), port(81, 9090, "b"), selector=None, **only(family)),
        ]
    )
    address = address_of(cluster, space, "pod1", family)
    cluster.apply(
        [
            endpoint_slice(space, "multi-1", "multi", [address], {"a": 8090}),
            endpoint_slice(space, "multi-2", "multi", [address], {"b": 9090}),
        ]
    )
    for number, arrives_at in ((80, 8090), (81, 9090)):
        report = cluster.probe(f"{space}/client", f"svc/{space}/multi", f"{number}/tcp")
        assert (report["outcome"], report["endpoints"]) == ("connected", {f"{space}/pod1": 1})
        assert {seen["destinationPort"] for seen in report["seen"]} == {arrives_at}


def only(family: int) -> Object:
    return {"ipFamilies": [f"IPv{family}"], "ipFamilyPolicy": "SingleStack"}


def test_custom_endpoints_are_mirrored(cluster: Cluster, space: str, family: int) -> None:
    """EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete"""
    custom = service(space, "example-custom", selector=None, **only(family))
    cluster.apply(
        [
            server(space, "pod1", node="worker-1"),
            server(space, "pod2", node="worker-2"),
            server(space, "client"),
            custom,
        ]
    )
    first, second = (address_of(cluster, space, name, family) for name in ("pod1", "pod2"))
    cluster.apply([endpoints(space, "example-custom", [first], 8080)])
    (piece,) = slices_of(cluster, space, "example-custom")
    assert piece["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == MIRRORED
    assert ready_addresses(piece) == {first}
    assert answered(cluster, space, "example-custom", 80, 4) == {"pod1"}

    cluster.apply([endpoints(space, "example-custom", [second], 8080)])
    (piece,) = slices_of(cluster, space, "example-custom")
    assert ready_addresses(piece) == {second}
    assert answered(cluster, space, "example-custom", 80, 4) == {"pod2"}

    cluster.delete([endpoints(space, "example-custom", [second], 8080)])
    assert slices_of(cluster, space, "example-custom") == []
    report = cluster.probe(f"{space}/client", f"svc/{space}/example-custom", "80/tcp")
    assert report["outcome"] == "rejected"
