"""Oracle 7: what a pod sends in another's name leaves nothing behind, anywhere."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import (
    bare,
    external_address,
    gateway_mac,
    node_address,
    pod_address,
    pod_gateway,
    pod_mac,
)
from tests.system.oracles.wire import L3, bare_or_inside, recorded

pytestmark = pytest.mark.topologies("three-node", "three-node-routed")

ELSEWHERE = ["n1-up", "n2-up", "n3-up", "n1-host", "shop/neighbour", "shop/far"]
TRUTH = 40000
SOON = 0.2
"""Seconds to wait for what must not come; the packet that may pass comes behind it in any case."""


def lies(cluster: Cluster, family: int) -> list[Mapping[str, str]]:
    """Sources that are not the client's own."""
    return [
        {"ip": bare(pod_address(cluster, "neighbour", family))},
        {"ip": bare(pod_address(cluster, "remote", family))},
        {"ip": bare(pod_gateway(cluster, "worker-1", family))},
        {"ip": bare(node_address(cluster, "worker-1", family))},
        {"ip": external_address("server", family)},
        {"mac": pod_mac(cluster, "neighbour")},
        {"mac": pod_mac(cluster, "neighbour"), "ip": bare(pod_address(cluster, "neighbour", family))},
    ]


@pytest.mark.parametrize("packet", ["tcp", "udp"])
def test_7_packets_in_anothers_name_go_nowhere(shop: Cluster, family: int, packet: str) -> None:
    port = "8080/tcp" if packet == "tcp" else "8081/udp"
    false = {TRUTH + number: lie for number, lie in enumerate(lies(shop, family), start=1)}

    def send(source: Mapping[str, object], timeout: float | None = None) -> str:
        crafted = {"packet": packet, "source": source, "payload": "echo hello"}
        report = shop.probe("shop/client", "shop/far", port, family=family, packet=crafted, timeout=timeout)
        return str(report["outcome"])

    with recorded(shop, ELSEWHERE) as tape:
        for number, lie in false.items():
            assert send({**lie, "port": number}, SOON) == "dropped", lie
        assert send({"port": TRUTH}) == "connected"
        records = tape.until(lambda headers: bare_or_inside(headers, **{f"{packet}_dport": TRUTH}))
    ports = {
        headers.get(prefix + f"{packet}.sport")
        for headers in (record["headers"] for record in records)
        for prefix in ("", "inner.")
    }
    assert TRUTH in ports
    assert not ports & set(false), {number: false[number] for number in ports & set(false)}


@pytest.mark.parametrize("packet", ["icmp-echo", "fragments"])
def test_7_neither_do_pings_and_fragments(shop: Cluster, family: int, packet: str) -> None:
    other = bare(pod_address(shop, "half-live", family))
    checks = [
        {"at": place, "match": {f"{prefix}{L3[family]}.src": other}, "count": "0"}
        for place in ELSEWHERE
        for prefix in ("", "inner.")
    ]
    false = {"packet": packet, "source": {"ip": other}}
    report = shop.probe(
        "shop/client", "shop/far", "icmp", family=family, packet=false, timeout=SOON, checks=checks
    )
    assert report["outcome"] == "dropped"
    assert all(check["ok"] for check in report["checks"]), report["checks"]
    true = {"packet": packet, "protocol": "icmp"} if packet == "fragments" else {"packet": packet}
    control = shop.probe("shop/client", "shop/far", "icmp", family=family, packet=true)
    assert control["outcome"] == "connected"


@pytest.mark.parametrize(
    ("packet", "family"),
    [
        ("arp-announce", 4),
        ("arp-reply", 4),
        ("neighbor-advertisement", 6),
        ("router-advertisement", 6),
    ],
)
def test_7_a_pod_cannot_claim_the_gateway(shop: Cluster, packet: str, family: int) -> None:
    """Neither the neighbour nor the node hears of it."""
    before = gateway_mac(shop, "neighbour", family)
    false = {"packet": packet, "source": {"ip": bare(pod_gateway(shop, "worker-1", family))}}
    if packet == "router-advertisement":
        false = {"packet": packet}
    own = pod_mac(shop, "client")
    checks = [
        {"at": place, "match": {"eth.src": own}, "count": "0"}
        for place in ("shop/neighbour", "n1-host", "n1-up")
    ]
    target = "shop/neighbour"
    report = shop.probe(
        "shop/client", target, "icmp", family=family, packet=false, timeout=SOON, checks=checks
    )
    assert report["outcome"] == "dropped"
    assert all(check["ok"] for check in report["checks"]), report["checks"]
    control = shop.probe("shop/client", target, "icmp", family=family)
    assert control["outcome"] == "connected"
    assert gateway_mac(shop, "neighbour", family) == before
