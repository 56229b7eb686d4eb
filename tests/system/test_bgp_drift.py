"""What a BGP router has learned is compared with what its nodes should have told it."""

from __future__ import annotations

import pytest

from emulator import Cluster
from tests.system.hygiene import inside

pytestmark = pytest.mark.cluster(topology="on-prem-bgp")


def test_a_learned_route_that_is_gone_comes_back(cluster: Cluster) -> None:
    assert cluster.wait_ready().ready
    assert cluster.drift()["items"] == []
    (router,) = [line.split()[0] for line in inside(cluster, "ip", "netns").splitlines() if "router-" in line]
    known = inside(cluster, "ip", "-n", router, "route", "show", "proto", "bird").splitlines()
    gone = next(line.split()[0] for line in known if line[0].isdigit())
    inside(cluster, "ip", "-n", router, "route", "del", gone)
    (told,) = cluster.drift()["items"]
    assert (told["kind"], told["fault"], told["object"]) == ("bgp-route", "missing", gone)
    assert (told["place"], told["owner"]) == (router.replace("-", "/", 1), "Topology/on-prem-bgp")
    done = cluster.drift(heal=True)
    assert done["items"] == []
    assert done["healed"] == [told]
    assert inside(cluster, "ip", "-n", router, "route", "show", gone)
