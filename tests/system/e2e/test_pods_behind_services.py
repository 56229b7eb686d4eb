"""[sig-network] Services: upstream's e2e tests of pods that are not ready, on their way out, or elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest

from emulator import Cluster
from tests.system.e2e.framework import (
    A_WHILE,
    WAYS,
    answering,
    ask,
    dual,
    in_force,
    knock,
    patch,
    take_away,
    there,
    until,
)
from tests.system.oracles.objects import Object, pod
from tests.system.oracles.slices import forget_connections

NEVER = {"exec": {"command": ["/bin/false"]}, "periodSeconds": 1}
PUBLISHED = {"publishNotReadyAddresses": True}
LONG = 600
"""Seconds that a pod takes its time to end: longer than any test."""


def lingering(name: str, node: str, **container: object) -> Object:
    """A pod that goes on serving after it is told to end, as netexec does with --delay-shutdown."""
    made = pod(name, node, terminationGracePeriodSeconds=LONG)
    made["spec"]["containers"][0]["args"].append(f"--delay-shutdown={LONG}")
    made["spec"]["containers"][0].update(container)
    return made


@contextmanager
def running(cluster: Cluster, made: Object) -> Iterator[None]:
    """A pod that runs, ready or not, while the block does."""
    name = made["metadata"]["name"]
    try:
        cluster.apply([made], timeout=0.1)
        until(cluster, "Pod", name, lambda obj: obj["status"].get("phase") == "Running")
        yield
    finally:
        take_away(cluster, made)


def terminate(cluster: Cluster, made: Object) -> None:
    """Tell a pod to end; it does not, for the time being."""
    cluster.delete([made], timeout=0.1)
    in_force(cluster)
    found = cluster.get("Pod", made["metadata"]["name"], "shop")
    assert found["metadata"]["deletionTimestamp"]
    forget_connections(cluster)


# -- not ready -------------------------------------------------------------------------------------


def test_should_create_endpoints_for_unready_pods(world: Cluster) -> None:
    """should create endpoints for unready pods

    With publishNotReadyAddresses a pod that is not ready answers, also while it ends; without it does not.
    """
    unready = lingering("tolerated", "worker-1", readinessProbe=NEVER)

    def outcomes(**options: float) -> set[str]:
        return {ask(world, "client-2", "tolerant", way, **options)["outcome"] for way in WAYS}

    with running(world, unready), there_at_once(world, dual("tolerant", "tolerated", **PUBLISHED)):
        assert outcomes() == {"connected"}
        patch(world, "tolerant", {"publishNotReadyAddresses": False})
        forget_connections(world)
        assert outcomes(timeout=20) == {"rejected"}
        patch(world, "tolerant", PUBLISHED)
        assert outcomes() == {"connected"}
        terminate(world, unready)
        assert outcomes() == {"connected"}


@contextmanager
def there_at_once(cluster: Cluster, *objects: Object) -> Iterator[None]:
    """As `there`, beside pods that will not be ready."""
    try:
        cluster.apply(list(objects), timeout=0.1)
        in_force(cluster)
        yield
    finally:
        take_away(cluster, *objects)


def test_connections_to_terminating_and_unready_endpoints(world: Cluster) -> None:
    """should be able to connect to terminating and unready endpoints if PublishNotReadyAddresses is true, and
    should not be able to connect to terminating and unready endpoints if PublishNotReadyAddresses is false"""
    unready = lingering("ending", "worker-1", readinessProbe=NEVER)
    yes = dual("published", "ending", type="NodePort", **PUBLISHED)
    no = dual("silent", "ending", type="NodePort")
    with running(world, unready), there_at_once(world, yes, no):
        terminate(world, unready)
        for name, wanted in (("published", "connected"), ("silent", "rejected")):
            for way, number in product(WAYS, (1, 2)):
                client = f"client-{number}"
                assert ask(world, client, name, way, timeout=20)["outcome"] == wanted
                for node in (1, 2):
                    assert knock(world, client, node, name, way, timeout=20)["outcome"] == wanted


def test_should_be_rejected_for_evicted_pods(world: Cluster) -> None:
    """should be rejected for evicted pods (no endpoints exist)

    A pod that has failed keeps its address in its status and is no endpoint, whatever is published.
    """
    failed = pod("evicted", "worker-1", restartPolicy="Never")
    failed["spec"]["containers"][0].update(image="busybox", command=["false"], args=[])
    made = dual("evicted", "evicted", **PUBLISHED)
    try:
        world.apply([failed, made], timeout=0.1)
        until(world, "Pod", "evicted", lambda obj: obj["status"].get("phase") == "Failed")
        for way, source in product(WAYS, ("client-1", "client-2", "node/worker-3")):
            assert ask(world, source, "evicted", way, timeout=20)["outcome"] == "rejected"
    finally:
        take_away(world, failed, made)


# -- terminating -----------------------------------------------------------------------------------


def test_should_fallback_to_terminating_endpoints_with_policy_cluster(world: Cluster) -> None:
    """should fallback to terminating endpoints when there are no ready endpoints with
    internalTrafficPolicy=Cluster, and ... with externallTrafficPolicy=Cluster"""
    serving = lingering("last", "worker-1")
    with running(world, serving), there(world, dual("last", "last", type="NodePort")):
        terminate(world, serving)
        for way, number in product(WAYS, (1, 2)):
            assert answering(ask(world, f"client-{number}", "last", way)) == {"last"}
            for node in (1, 2):
                assert answering(knock(world, f"client-{number}", node, "last", way)) == {"last"}


def test_should_fallback_to_local_terminating_endpoints_with_policy_local(world: Cluster) -> None:
    """should fallback to local terminating endpoints when there are no ready endpoints with
    internalTrafficPolicy=Local, and ... with externalTrafficPolicy=Local"""
    serving = lingering("last", "worker-1")
    inner = dual("inner", "last", internalTrafficPolicy="Local")
    outer = dual("outer", "last", type="NodePort", externalTrafficPolicy="Local")
    with running(world, serving), there(world, inner, outer):
        terminate(world, serving)
        for way in WAYS:
            assert answering(ask(world, "client-1", "inner", way)) == {"last"}
            assert answering(ask(world, "node/worker-1", "inner", way)) == {"last"}
            assert ask(world, "client-2", "inner", way, timeout=A_WHILE)["outcome"] == "dropped"
            assert answering(knock(world, "ext/client", 1, "outer", way)) == {"last"}
            assert knock(world, "ext/client", 2, "outer", way, timeout=A_WHILE)["outcome"] == "dropped"


# -- near ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", ["PreferClose", "PreferSameZone", "PreferSameNode"])
def test_should_route_traffic_to_an_endpoint_that_is_close_by(world: Cluster, distribution: str) -> None:
    """Service has trafficDistribution=PreferClose, =PreferSameZone, =PreferSameNode

    Every node is a zone of its own. Backends are in two of three: clients there get ten in a row from their
    own, the third one gets any. Without the field all get any.
    """
    pods = [pod(f"near-{number}", f"worker-{number}", app="near") for number in (1, 2)]
    with there(world, *pods, dual("near", "near", trafficDistribution=distribution)):
        for way in WAYS:
            for number in (1, 2):
                report = ask(world, f"client-{number}", "near", way, count=10)
                assert answering(report) == {f"near-{number}"}
            report = ask(world, "client-3", "near", way, count=20)
            assert answering(report) == {"near-1", "near-2"}
        patch(world, "near", {"trafficDistribution": None})
        forget_connections(world)
        for way in WAYS:
            assert answering(ask(world, "client-1", "near", way, count=20)) == {"near-1", "near-2"}
