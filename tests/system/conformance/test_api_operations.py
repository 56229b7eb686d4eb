"""[sig-network] API operations: what a client may do to objects, without a packet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from emulator import Cluster
from emulator.api.client import MERGE_PATCH, Client
from emulator.api.errors import ApiError
from emulator.api.kinds import kind_named
from tests.system.conformance.objects import Object, endpoint_slice, endpoints, port, service

LABEL = {"special-label": "conformance"}


def labelled(obj: Object) -> Object:
    obj["metadata"].setdefault("labels", {}).update(LABEL)
    return obj


def walk_through(client: Client, make: Callable[[str], Object], kind: str, where: str = "") -> None:
    """create, get, list, watch, patch, update, delete and deletecollection of one kind."""
    words = ",".join(f"{key}={value}" for key, value in LABEL.items())
    path = kind_named(kind).path(where)
    first, second, third = (labelled(make(name)) for name in ("first", "second", "third"))
    created = client.create(first)
    name = created["metadata"]["name"]
    assert created["metadata"]["uid"]
    version = created["metadata"]["resourceVersion"]
    with closing(client.watch(kind, where, since=version)) as events:
        client.create(second)
        client.create(third)
        assert client.get(kind, name, where) == created
        assert len(client.list(kind, where, labels=words)) == 3
        everywhere = client.request("GET", kind_named(kind).path() + f"?labelSelector={words}")
        assert len(everywhere["items"]) == 3

        patch = {"metadata": {"annotations": {"patched": "true"}}}
        patched = client.patch(kind, name, patch, where, content_type=MERGE_PATCH)
        assert patched["metadata"]["annotations"]["patched"] == "true"
        patched["metadata"]["annotations"]["updated"] = "true"
        assert client.replace(patched)["metadata"]["annotations"]["updated"] == "true"
        outdated = {**patched, "metadata": {**patched["metadata"], "resourceVersion": version}}
        with pytest.raises(ApiError) as conflict:
            client.replace(outdated)
        assert conflict.value.code == 409

        client.delete(kind, name, where)
        with pytest.raises(ApiError) as gone:
            client.get(kind, name, where)
        assert gone.value.code == 404
        seen = []
        for event in events:
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            if event["type"] == "DELETED":
                break
    assert seen[:2] == [("ADDED", n["metadata"]["name"]) for n in (second, third)]
    assert seen[-1] == ("DELETED", name)
    assert ("MODIFIED", name) in seen
    client.request("DELETE", f"{path}?labelSelector={words}")
    assert client.list(kind, where, labels=words) == []


def test_endpoint_slice_api_operations(client: Client, space: str) -> None:
    """EndpointSlice should support creating EndpointSlice API operations [Conformance]"""
    walk_through(
        client, lambda n: endpoint_slice(space, n, "none", ["10.1.2.3"], {"a": 80}), "EndpointSlice", space
    )


def test_the_lifecycle_of_an_endpoint(client: Client, space: str) -> None:
    """Endpoints should test the lifecycle of an Endpoint [Conformance]"""
    walk_through(client, lambda n: endpoints(space, n, ["10.0.0.24"], 8080), "Endpoints", space)


def test_ingress_api_operations(client: Client, space: str) -> None:
    """Ingress API should support creating Ingress API operations [Conformance]"""

    def make(name: str) -> Object:
        backend = {"service": {"name": "default-backend", "port": {"name": "http"}}}
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name, "namespace": space},
            "spec": {"ingressClassName": "nobody-s", "defaultBackend": backend},
        }

    walk_through(client, make, "Ingress", space)
    client.create(make("with-status"))
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "169.1.1.1"}]}}}
    patched = client.patch(
        "Ingress", "with-status", status, space, content_type=MERGE_PATCH, subresource="status"
    )
    assert patched["status"]["loadBalancer"]["ingress"] == [{"ip": "169.1.1.1"}]
    patched["status"]["loadBalancer"]["ingress"] = [{"ip": "169.1.1.2"}]
    assert client.replace_status(patched)["status"]["loadBalancer"]["ingress"] == [{"ip": "169.1.1.2"}]


def test_ingress_class_api_operations(client: Client) -> None:
    """IngressClass API should support creating IngressClass API operations [Conformance]"""

    def make(name: str) -> Object:
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": name},
            "spec": {"controller": "example.com/controller"},
        }

    walk_through(client, make, "IngressClass")


def test_service_cidr_api_operations(cluster: Cluster, client: Client) -> None:
    """ServiceCIDR and IPAddress API should support ServiceCIDR API operations [Conformance]"""
    numbers = {"first": 1, "second": 2, "third": 3}

    def make(name: str) -> Object:
        spec = {"cidrs": [f"10.97.{numbers[name]}.0/24"]}
        metadata = {"name": f"svc-cidr-{name}"}
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": metadata,
            "spec": spec,
        }

    assert client.get("ServiceCIDR", "kubernetes")["spec"]["cidrs"][0] == "10.96.0.0/16"
    created = client.create(make("first"))
    cluster.wait_ready()
    found = client.get("ServiceCIDR", created["metadata"]["name"])
    (ready,) = found["status"]["conditions"]
    assert (ready["type"], ready["status"]) == ("Ready", "True")
    more = {"status": {"conditions": [ready, {**ready, "type": "Another", "reason": "Test"}]}}
    patched = client.patch(
        "ServiceCIDR", "svc-cidr-first", more, "", content_type=MERGE_PATCH, subresource="status"
    )
    assert {one["type"] for one in patched["status"]["conditions"]} == {"Ready", "Another"}
    for other in ("second", "third"):
        client.create(labelled(make(other)))
    cluster.wait_ready()
    client.request("DELETE", f"{kind_named('ServiceCIDR').path()}?labelSelector=special-label=conformance")
    client.delete("ServiceCIDR", "svc-cidr-first", "")
    cluster.wait_ready()
    assert [one["metadata"]["name"] for one in client.list("ServiceCIDR")] == ["kubernetes"]


def test_ip_address_api_operations(client: Client) -> None:
    """ServiceCIDR and IPAddress API should support IPAddress API operations [Conformance]"""
    numbers = {"first": 1, "second": 2, "third": 3}

    def make(name: str) -> Object:
        parent = {"group": "", "resource": "services", "name": "test", "namespace": "nowhere"}
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {"name": f"fd00:10:96::beef:{numbers[name]}"},
            "spec": {"parentRef": parent},
        }

    walk_through(client, make, "IPAddress")


def test_services_delete_a_collection(client: Client, space: str) -> None:
    """Services should delete a collection of services [Conformance]"""
    for name in ("one", "two", "three"):
        obj = service(space, f"e2e-svc-{name}", port(8001, 12345))
        client.create(obj if name == "three" else labelled(obj))
    path = kind_named("Service").path(space)
    client.request("DELETE", f"{path}?labelSelector=special-label=conformance")
    assert [one["metadata"]["name"] for one in client.list("Service", space)] == ["e2e-svc-three"]


def test_services_complete_a_status_lifecycle(cluster: Cluster, client: Client, space: str) -> None:
    """Services should complete a service status lifecycle [Conformance]"""
    spec: dict[str, Any] = {"type": "LoadBalancer", "loadBalancerClass": "example.com/internal-vip"}
    created = client.create(labelled(service(space, "test-service", port(80, 80), **spec)))
    cluster.wait_ready()
    assert client.get("Service", "test-service", space)["status"] == {"loadBalancer": {}}, "nobody's class"
    version = created["metadata"]["resourceVersion"]
    with closing(client.watch("Service", space, since=version)) as events:
        status = {
            "metadata": {"annotations": {"patchedstatus": "true"}},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}},
        }
        path = {"content_type": MERGE_PATCH, "subresource": "status"}
        client.patch("Service", "test-service", status, space, **path)
        assert next(events)["object"]["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"
    current = client.get("Service", "test-service", space)
    moment = "2026-01-01T00:00:00Z"
    condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"}
    current["status"]["conditions"] = [{**condition, "lastTransitionTime": moment}]
    client.replace_status(current)
    patch = {"metadata": {"labels": {"test-service": "patched"}}}
    client.patch("Service", "test-service", patch, space, content_type=MERGE_PATCH)
    found = client.get("Service", "test-service", space)
    assert found["metadata"]["labels"]["test-service"] == "patched"
    assert found["status"]["conditions"][0]["type"] == "StatusUpdate"
    assert found["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"
    client.delete("Service", "test-service", space)
    assert client.find("Service", "test-service", space) is None
