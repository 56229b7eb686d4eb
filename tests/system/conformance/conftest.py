"""One cluster for all of these tests; each has a namespace of its own in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from emulator import Cluster
from emulator.api.client import Client
from tests.system.conformance.objects import namespace
from tests.system.hygiene import assert_clean, inside


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    running = Cluster.up("three-node", name=f"conformance-{os.getpid()}")
    try:
        # Every warning counts: none may hide behind "dropped 10 log messages".
        inside(running, "ovs-appctl", "vlog/disable-rate-limit")
        yield running
        assert_clean(running)
    finally:
        running.down()


@pytest.fixture(scope="package")
def client(cluster: Cluster) -> Client:
    """The REST front, as client libraries use it."""
    return Client(cluster.sandbox.socket)


@pytest.fixture
def space(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """The test's own namespace."""
    name, _, variant = request.node.name.removeprefix("test_").lower().partition("[")
    word = "-".join(re.sub(r"[^a-z0-9]+", "-", part).strip("-") for part in (name[:50], variant) if part)
    cluster.apply([namespace(word)])
    yield word
    cluster.delete([namespace(word)])


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def family(request: pytest.FixtureRequest) -> int:
    return int(request.param)
