"""One cluster for all DNS tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from emulator import Cluster
from tests.system.hygiene import assert_clean
from tests.system.naming.objects import everything

CLIENT = "names/client"


@pytest.fixture(scope="package")
def names() -> Iterator[Cluster]:
    """A cluster with a Service of every kind in the namespace `names`."""
    running = Cluster.up("three-node", name=f"dns-{os.getpid()}")
    try:
        applied = running.apply(everything())
        assert applied.ready.ready, applied.ready.missing
        yield running
        assert_clean(running)
    finally:
        running.down()
