"""The proxy behind a cloud's load balancer: one public address, and the client's own address all the way."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from emulator import Cluster
from emulator.api.load import load
from emulator.api.objects import copy_json
from tests.system.hygiene import assert_clean
from tests.system.ingress.conftest import CONTROLLER
from tests.system.ingress.objects import backend, ingress, rule


@pytest.fixture(scope="module")
def vpc() -> Iterator[Cluster]:
    """Zones with private and public subnets; the controller's Service is a LoadBalancer, policy Local."""
    objects = [copy_json(one.object) for one in load([CONTROLLER]).objects]
    (front,) = [one for one in objects if one["kind"] == "Service"]
    front["spec"] |= {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    front["spec"]["ports"] = [
        {field: value for field, value in port.items() if field != "nodePort"}
        for port in front["spec"]["ports"]
    ]
    running = Cluster.up("two-zone-vpc", name=f"ingress-lb-{os.getpid()}")
    try:
        shop = ingress("shop", rule("shop.example", ("Prefix", "/", "one")))
        applied = running.apply([*objects, *backend("one"), shop])
        assert applied.ready.ready, applied.ready.missing
        yield running
        assert_clean(running)
    finally:
        running.down()


def addresses(cluster: Cluster) -> list[str]:
    """What the Ingress says it is served at."""
    entries = cluster.get("Ingress", "shop")["status"]["loadBalancer"]["ingress"]
    return [entry["ip"] for entry in entries]


def test_the_status_has_the_balancers_address(vpc: Cluster) -> None:
    balancer = vpc.get("Service", "controller", "ingress")["status"]["loadBalancer"]["ingress"]
    assert addresses(vpc) == [entry["ip"] for entry in balancer]


@pytest.mark.parametrize(("scheme", "port"), [("http", "80/tcp"), ("https", "443/tcp")])
def test_the_internet_reaches_a_pod_which_learns_who_asked(vpc: Cluster, scheme: str, port: str) -> None:
    assert addresses(vpc)
    for address in addresses(vpc):
        report = vpc.probe("ext/client", address, port, http=f"{scheme}://shop.example/", timeout=10)
        assert report["outcome"] == "connected", report
        assert next(iter(report["servedBy"])).startswith("default/one-")
        headers = json.loads(report["http"][0]["body"])["headers"]
        (source,) = report["sourceSeen"]
        assert headers["x-forwarded-for"] == source
        assert headers["x-forwarded-proto"] == scheme
        (place,) = {one["sourcePlace"] for one in report["seen"]}
        assert place == "ext/client"
        assert ip_address(source).version == ip_address(address).version
