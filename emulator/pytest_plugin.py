"""A pytest plugin: the fixture `cluster` is a running cluster, shared by the tests of a module.

    pytestmark = pytest.mark.cluster(topology="three-node", manifests=["shop/"])

    def test_the_database_answers(cluster):
        report = cluster.probe("shop/web", "svc/shop/db", "5432/tcp")
        assert report["outcome"] == "connected"

Every module gets a cluster of its own, under a name that no other run uses.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from emulator.engine.client import Cluster


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "cluster(topology=..., manifests=[...], nodes=..., timeout=...): what the module's `cluster` runs; "
        "manifests are files and directories beside the test module",
    )


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The module's cluster, ready; it ends with the module's last test."""
    from emulator.api.load import load
    from emulator.engine.client import Cluster

    marker = request.node.get_closest_marker("cluster")
    wishes = dict(marker.kwargs) if marker else {}
    here = Path(request.path).parent
    paths = [str(here / path) for path in wishes.pop("manifests", ())]
    timeout = float(wishes.pop("timeout", 60.0))
    running = Cluster.up(name=_name(request.path), **wishes)
    try:
        if paths:
            running.apply(load(paths).objects, timeout=timeout)
        readiness = running.wait_ready(timeout)
        if not readiness.ready:
            pytest.fail(f"the cluster is not ready after {timeout:g} s: " + "; ".join(readiness.missing))
        yield running
    finally:
        running.down()


def _name(path: Path) -> str:
    """A cluster name for a test module: a DNS label that two runs at once do not share."""
    stem = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    return f"{stem[:40]}-{os.getpid()}"
