"""Oracle 19: a topology with kube-proxy's `masqueradeAll`, whose pods hide behind their nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Cluster
from tests.system.hygiene import assert_clean, inside
from tests.system.oracles.addresses import bare, masquerade, pod_address
from tests.system.oracles.objects import namespace, pod, service

TOPOLOGY = """\
apiVersion: mininetes.io/v1
kind: Topology
metadata: {name: masquerade-all}
spec:
  masqueradeAll: true
  nodes: [{name: worker-1}, {name: worker-2}]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    file = tmp_path_factory.mktemp("topology") / "masquerade-all.yaml"
    file.write_text(TOPOLOGY)
    pods = [pod("client", "worker-1"), pod("near", "worker-1"), pod("far", "worker-2")]
    services = [service(name, name, family=family) for name in ("near", "far") for family in (4, 6)]
    with Cluster.up(str(file), [namespace("shop"), *pods, *services], name="masquerade-all") as running:
        inside(running, "ovs-appctl", "vlog/disable-rate-limit")
        yield running
        assert_clean(running)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("port", ["80/tcp", "81/udp"])
@pytest.mark.parametrize("where", ["near", "far"])
def test_19_pods_come_to_cluster_ips_as_their_node(
    cluster: Cluster, where: str, port: str, family: int
) -> None:
    report = cluster.probe("shop/client", f"svc/shop/{where}-v{family}", port)
    assert report["outcome"] == "connected"
    assert report["endpoints"] == {f"shop/{where}": 1}
    assert report["sourceSeen"] == [masquerade(cluster, "worker-1", where, family)]
    direct = cluster.probe("shop/client", f"shop/{where}", "icmp", family=family)
    assert direct["sourceSeen"] == [bare(pod_address(cluster, "client", family))]
