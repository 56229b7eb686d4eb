"""Oracle 53: packets of connections that nobody began."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from emulator import Cluster
from tests.system.oracles.addresses import (
    bare,
    cluster_ip,
    gateway_mac,
    node_port,
    pod_address,
    pod_mac,
)
from tests.system.oracles.held import held
from tests.system.oracles.wire import L3, inject, recorded


@pytest.mark.parametrize("flags", ["SA", "SF", "R", "RA"])
def test_53_a_stray_segment_goes_nowhere(shop: Cluster, family: int, flags: str) -> None:
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


@pytest.mark.parametrize("name", ["far", "near"], ids=["remote", "local"])
def test_53_should_drop_invalid_conntrack_entries(shop: Cluster, family: int, name: str) -> None:
    """[sig-network] Conntrack: what lies beside the window must not reach the client untranslated.

    The client would not know the pod that it comes from, and answer with a reset that ends the connection.
    """
    server = "far" if name == "far" else "solo"
    source, port = bare(pod_address(shop, server, family)), 8080
    client = bare(pod_address(shop, "client", family))
    macs = pod_mac(shop, server), gateway_mac(shop, server, family)
    with (
        held(shop, "shop/client", cluster_ip(shop, name, family), 80) as connection,
        recorded(shop, [f"shop/{server}", "shop/client"]) as tape,
    ):
        assert connection.ask() == server
        (*_, request) = tape.through(lambda headers: headers.get("tcp.dport") == port)
        answered = request["headers"]
        ip = {4: IP, 6: IPv6}[family](src=source, dst=client)
        tcp = TCP(sport=port, dport=answered["tcp.sport"], flags="A", ack=answered["tcp.seq"])
        for step in (1, 2, 3):
            tcp.seq = (answered["tcp.ack"] + step * 1_000_000_000) % 2**32
            inject(shop, f"shop/{server}", Ether(src=macs[0], dst=macs[1]) / ip / tcp / Raw(b"boom"))
        assert connection.ask() == server
        ping = {"packet": "tcp", "source": {"port": 41053}}
        assert shop.probe(f"shop/{server}", client, "8080/tcp", packet=ping)["outcome"] == "connected"
        records = tape.until(lambda headers: headers.get("tcp.dport") == 41053)
    strays = [r for r in records if r["headers"].get("payload") == "boom"]
    assert {r["at"] for r in strays} == {f"shop/{server}"}
    assert len(strays) == 3
    to_server = [r for r in records if r["headers"].get(f"{L3[family]}.dst") == source]
    assert not [r for r in to_server if "R" in str(r["headers"].get("tcp.flags"))]
