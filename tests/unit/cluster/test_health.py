"""Whom a node's health check counts, and when a node is fit for new traffic."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.cluster.health import HealthCheck, health_checks, is_eligible, local_endpoints, slices_of

from .lab import Lab, service

CHECK = HealthCheck("shop", "web", 31000)


def endpoints(*entries: JsonObject, version: int = 4, name: str = "web") -> JsonObject:
    return {
        "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "addressType": f"IPv{version}",
        "endpoints": list(entries),
    }


def one(address: str, node: str = "a", **conditions: bool) -> JsonObject:
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def test_ready_endpoints_of_the_node_count_once() -> None:
    slices = [
        endpoints(one("10.0.0.1"), one("10.0.0.2", ready=True), one("10.0.0.3", "b")),
        endpoints(one("10.0.0.1"), one("10.0.0.4", ready=False, serving=True, terminating=True)),
        endpoints(one("fd00::1"), version=6),
    ]
    assert local_endpoints(slices, "a", 4) == 2
    assert local_endpoints(slices, "b", 4) == 1
    assert local_endpoints(slices, "c", 4) == 0
    assert local_endpoints(slices, "a", 6) == 1


def test_slices_belong_to_their_services() -> None:
    mine, other = endpoints(one("10.0.0.1")), endpoints(one("10.0.0.2"), name="db")
    assert slices_of([CHECK], [mine, other]) == {CHECK: [mine]}
    assert slices_of([], [mine]) == {}


def balanced(name: str = "web", **spec: Any) -> JsonObject:
    return service(name, type="LoadBalancer", externalTrafficPolicy="Local", **spec)


def test_services_that_are_balanced_to_local_endpoints_have_a_port() -> None:
    lab = Lab()
    lab.apply(balanced(), service("plain"))
    (check,) = health_checks(lab.store.list("Service"))
    assert check.service == "web"
    ignored = {"service.kubernetes.io/service-proxy-name": "other"}
    lab.change("Service", "web", lambda obj: obj["metadata"].update(labels=ignored))
    assert list(health_checks(lab.store.list("Service"))) == []


def test_the_number_is_checked_kept_and_released() -> None:
    lab = Lab()
    with pytest.raises(ApiError, match="provided port is not in the valid range"):
        lab.apply(balanced(healthCheckNodePort=80))
    lab.apply(balanced(healthCheckNodePort=31000))
    with pytest.raises(ApiError, match="healthCheckNodePort: Forbidden: field is immutable"):
        lab.change("Service", "web", lambda obj: obj["spec"].update(healthCheckNodePort=31001))
    with pytest.raises(ApiError, match="provided port is already allocated"):
        lab.apply(balanced("b", healthCheckNodePort=31000))
    lab.change("Service", "web", lambda obj: obj["spec"].update(externalTrafficPolicy="Cluster"))
    assert "healthCheckNodePort" not in lab.get("Service", "web")["spec"]
    lab.apply(balanced("b", healthCheckNodePort=31000))
    assert lab.get("Service", "b")["spec"]["healthCheckNodePort"] == 31000


@pytest.mark.parametrize(
    ("metadata", "spec", "fit"),
    [
        ({}, {}, True),
        ({}, {"taints": [{"key": "node.kubernetes.io/unschedulable"}]}, True),
        ({}, {"taints": [{"key": "ToBeDeletedByClusterAutoscaler"}]}, False),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, {}, False),
    ],
)
def test_a_node_that_goes_is_not_eligible(metadata: JsonObject, spec: JsonObject, fit: bool) -> None:
    assert is_eligible({"metadata": metadata, "spec": spec}) is fit
    assert not is_eligible(None)
