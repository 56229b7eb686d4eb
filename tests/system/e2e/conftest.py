"""One cluster for the tests that Kubernetes' own e2e suite has about Services."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from emulator import Cluster
from tests.system.hygiene import assert_clean, inside
from tests.system.oracles.objects import namespace, pod


@pytest.fixture(scope="package")
def world() -> Iterator[Cluster]:
    """`client-N` and `web-N` on worker-N, `on-node-N` in its network; every test brings its own Services."""
    running = Cluster.up("three-node", name=f"e2e-{os.getpid()}")
    try:
        inside(running, "ovs-appctl", "vlog/disable-rate-limit")
        pods = [
            pod(name, f"worker-{number}", app=app)
            for number in (1, 2, 3)
            for name, app in ((f"client-{number}", ""), (f"web-{number}", "web"))
        ]
        nodes = [pod(f"on-node-{number}", f"worker-{number}", hostNetwork=True) for number in (1, 2)]
        applied = running.apply([namespace("shop"), *pods, *nodes])
        assert applied.ready.ready, applied.ready.missing
        yield running
        assert_clean(running)
    finally:
        running.down()
