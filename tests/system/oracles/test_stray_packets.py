"""Oracle 53: packets of connections that nobody began."""

from __future__ import annotations

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import node_port


@pytest.mark.parametrize("flags", ["SA", "SF"])
def test_53_a_stray_segment_goes_nowhere(shop: Cluster, family: int, flags: str) -> None:
    """A lone reset is let through: Open vSwitch takes it for the beginning of a connection."""
    stray = {"packet": "tcp", "flags": flags}
    report = shop.probe("shop/client", "shop/far", "8080/tcp", family=family, packet=stray)
    assert report["outcome"] == "dropped"
    assert not report["seen"]
    control = shop.probe("shop/client", "shop/far", "8080/tcp", family=family, packet={"packet": "tcp"})
    assert control["outcome"] == "connected"


def test_53_also_from_outside(shop: Cluster, family: int) -> None:
    port = f"{node_port(shop, 'far', family)}/tcp"
    stray = {"packet": "tcp", "flags": "SA"}
    report = shop.probe("ext/client", "node/worker-1", port, family=family, packet=stray)
    assert report["outcome"] == "dropped"
    assert not report["seen"]
