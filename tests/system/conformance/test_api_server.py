"""[sig-network] API Server: its Service, its endpoints, and that it answers where they say."""

from __future__ import annotations

import json

import pytest

from emulator import Cluster
from tests.system.conformance.objects import address_of, server


def test_api_server_should_provide_secure_master_service(cluster: Cluster) -> None:
    """API Server should provide secure master service [Conformance]"""
    spec = cluster.get("Service", "kubernetes", "default")["spec"]
    assert [(p["name"], p["port"], p["protocol"]) for p in spec["ports"]] == [("https", 443, "TCP")]
    assert spec["clusterIP"] == "10.96.0.1"


def test_api_server_should_have_endpoints_and_endpoint_slices(cluster: Cluster) -> None:
    """API Server should have Endpoints and EndpointSlices pointing to API Server [Conformance]"""
    (subset,) = cluster.get("Endpoints", "kubernetes", "default")["subsets"]
    piece = cluster.get("EndpointSlice", "kubernetes", "default")
    internal = cluster.get("Node", "worker-1")["status"]["addresses"][0]["address"]
    assert [entry["ip"] for entry in subset["addresses"]] == [internal]
    assert [endpoint["addresses"] for endpoint in piece["endpoints"]] == [[internal]]
    assert [p["port"] for p in subset["ports"]] == [p["port"] for p in piece["ports"]] == [6443]


@pytest.mark.parametrize("node", ["worker-1", "worker-3"])
def test_pods_reach_the_api_server(cluster: Cluster, space: str, node: str) -> None:
    """Through the clusterIP and by name, from the server's own node and from another one."""
    cluster.apply([server(space, "client", node=node)])

    def ask(path: str, *options: str) -> str:
        command = ["curl", "-sk", "--max-time", "10", *options, f"https://kubernetes.default{path}"]
        return cluster.exec(f"{space}/client", command).stdout

    assert ask("/healthz") == "ok"
    assert json.loads(ask("/version"))["gitVersion"].endswith("+mininetes")
    refused = json.loads(ask("/api/v1/pods"))
    assert (refused["code"], refused["reason"]) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot get path "/api/v1/pods"' in refused["message"]
    report = cluster.probe(f"{space}/client", "svc/default/kubernetes", "443/tcp")
    assert (report["outcome"], report["endpoints"]) == ("connected", {"node/worker-1": 1})
    assert report["answers"][0]["source"] == "10.96.0.1"
    trusting = cluster.exec(f"{space}/client", ["curl", "-s", "https://kubernetes.default/healthz"])
    assert trusting.exit_code == 60, "its certificate is signed by nobody that the pod knows"
    assert address_of(cluster, space, "client")


def test_services_should_find_a_service_from_listing_all_namespaces(cluster: Cluster) -> None:
    """Services should find a service from listing all namespaces [Conformance]"""
    listed = {(s["metadata"]["namespace"], s["metadata"]["name"]) for s in cluster.get("Service")}
    assert ("default", "kubernetes") in listed
