"""One cluster with the shipped controller for all Ingress tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Cluster
from tests.system.hygiene import assert_clean
from tests.system.ingress.objects import SERVICES, backend

CONTROLLER = Path(__file__).parents[3] / "scenarios" / "ingress" / "ingress-controller.yaml"


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    """Three nodes, a controller, and the Services of `SERVICES` in the namespace `default`."""
    running = Cluster.up("three-node", name=f"ingress-{os.getpid()}")
    try:
        applied = running.apply([CONTROLLER, *(one for name in SERVICES for one in backend(name))])
        assert applied.ready.ready, applied.ready.missing
        yield running
        assert_clean(running)
    finally:
        running.down()
