"""What `mininetes probe -o json` says, line by line of what was promised, through the command itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from emulator import Cluster
from tests.system.chance import assert_even
from tests.system.oracles.addresses import (
    bare,
    cluster_ip,
    external_address,
    masquerade,
    node_address,
    node_port,
    pod_address,
    public_address,
)
from tests.system.oracles.wire import recorded

pytestmark = pytest.mark.topologies("three-node")

LAUNCHER = Path(__file__).parents[3] / "mininetes"
FIELDS = {
    "apiVersion", "kind", "from", "to", "port", "outcome", "outcomes",
    "endpoints", "sourceSeen", "seen", "spec",
}  # fmt: skip
SEEN = {"at", "source", "sourcePort", "destination", "destinationPort", "ttl", "count"}
CONNECTIONS = pytest.mark.parametrize("protocol", ["tcp", "udp"])


def probe(cluster: Cluster, source: str, target: str, *options: str, exit_code: int = 0) -> dict[str, Any]:
    """Run the command; its report, which has every promised field."""
    command = [LAUNCHER, "probe", source, target, *options, "-o", "json", "--name", cluster.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, (done.returncode, done.stdout, done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report.keys() >= FIELDS
    assert (report["apiVersion"], report["kind"]) == ("mininetes.io/v1", "Probe")
    assert (report["from"], report["to"]) == (source, target)
    assert sum(report["outcomes"].values()) == sum(report["endpoints"].values()) + sum(
        count for outcome, count in report["outcomes"].items() if outcome != "connected"
    )
    wanted = SEEN - {"sourcePort", "destinationPort"} if report["protocol"] == "icmp" else SEEN
    assert all(seen.keys() >= wanted for seen in report["seen"])
    return report


@CONNECTIONS
def test_a_pod_on_another_node_sees_the_pod_itself_two_hops_away(
    shop: Cluster, family: int, protocol: str
) -> None:
    port = {"tcp": "8080/tcp", "udp": "8081/udp"}[protocol]
    with recorded(shop, ["n1-up"]) as tape:
        report = probe(shop, "shop/client", "shop/far", "--port", port, "--family", str(family))
        shop.probe("node/worker-1", "node/worker-3", "9/udp", family=4)
        frames = tape.until(lambda headers: headers.get("udp.dport") == 9)
    client = bare(pod_address(shop, "client", family))
    assert report["port"] == port
    assert (report["outcome"], report["outcomes"]) == ("connected", {"connected": 1})
    assert report["endpoints"] == {"shop/far": 1}
    assert report["sourceSeen"] == [client]
    (seen,) = report["seen"]
    assert (seen["at"], seen["source"], seen["ttl"], seen["count"]) == ("shop/far", client, 62, 1)
    assert seen["destination"] == bare(pod_address(shop, "far", family))
    assert seen["destinationPort"] == int(port.split("/")[0])
    nodes = {bare(node_address(shop, node, 4)) for node in ("worker-1", "worker-3")}
    carried = [frame["headers"] for frame in frames if f"inner.{protocol}.dport" in frame["headers"]]
    assert carried
    for headers in carried:
        assert headers["vxlan.vni"] == 1
        assert {headers["ip.src"], headers["ip.dst"]} == nodes


@CONNECTIONS
def test_a_service_shows_the_pod_and_the_target_port(shop: Cluster, family: int, protocol: str) -> None:
    port = {"tcp": "80/tcp", "udp": "81/udp"}[protocol]

    def endpoints() -> dict[str, int]:
        report = probe(shop, "shop/client", f"svc/shop/web-v{family}", "--port", port, "--count", "300")
        assert report["port"] == port
        assert report["outcomes"] == {"connected": 300}
        assert report["sourceSeen"] == [bare(pod_address(shop, "client", family))]
        assert {seen["destinationPort"] for seen in report["seen"]} == {8080 if protocol == "tcp" else 8081}
        counts: dict[str, int] = report["endpoints"]
        assert len(counts) == 3
        return counts

    assert_even(endpoints)


@CONNECTIONS
def test_external_traffic_policies(shop: Cluster, family: int, protocol: str) -> None:
    def knock(service: str, *options: str, exit_code: int = 0) -> dict[str, Any]:
        port = f"{node_port(shop, service, family, protocol.upper())}/{protocol}"
        asked = ("--port", port, "--family", str(family), *options)
        return probe(shop, "ext/client", "node/worker-2", *asked, exit_code=exit_code)

    through = knock("far")
    assert through["outcome"] == "connected"
    assert through["sourceSeen"] == [masquerade(shop, "worker-2", "far", family)]
    dropped = knock("local", "--expect", "dropped")
    assert (dropped["outcome"], dropped["seen"]) == ("dropped", [])
    assert "rejections" not in dropped, "silently"
    assert knock("local")["spec"]["outcome"] == "dropped", "spec expects that: exit code 0"
    knock("local", "--expect", "connected", exit_code=1)


@CONNECTIONS
def test_the_world_sees_the_nat_gateway(shop: Cluster, family: int, protocol: str) -> None:
    port = {"tcp": "80/tcp", "udp": "7/udp"}[protocol]
    asked = ("--port", port, "--family", str(family))
    out = probe(shop, "shop/client", "ext/server", *asked)
    assert (out["outcome"], out["sourceSeen"]) == ("connected", [public_address(family)])
    unsolicited = probe(shop, "ext/server", public_address(family), "--port", port, "--expect", "dropped")
    assert (unsolicited["outcome"], unsolicited["seen"]) == ("dropped", [])
    assert external_address("server", family) == out["answers"][0]["source"], "replies pass"


@CONNECTIONS
def test_no_endpoints_refuse_at_once(shop: Cluster, family: int, protocol: str) -> None:
    port = {"tcp": "80/tcp", "udp": "81/udp"}[protocol]
    service = f"svc/shop/nobody-v{family}"
    # With a deadline of two minutes, an answer in the time of a test came at once.
    asked = ("--port", port, "--timeout", "120s", "--expect", "rejected")
    report = probe(shop, "shop/client", service, *asked)
    assert (report["outcome"], report["endpoints"]) == ("rejected", {})
    assert report["rejections"][0]["name"] == "port-unreachable"
    assert report["rejections"][0]["quotes"]["destination"] == bare(cluster_ip(shop, "nobody", family))


def test_a_port_may_follow_a_colon(shop: Cluster) -> None:
    service = "svc/shop/web-v4"
    command = [LAUNCHER, "probe", "shop/client", f"{service}:81/udp", "-o", "json", "--name", shop.name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert (report["to"], report["port"], report["outcome"]) == (service, "81/udp", "connected")


def test_without_a_port_it_pings(shop: Cluster, family: int) -> None:
    report = probe(shop, "shop/client", "shop/far", "--family", str(family))
    assert (report["protocol"], report["outcome"]) == ("icmp", "connected")
    assert report["seen"][0]["ttl"] == 62


def test_what_cannot_be_asked_is_a_usage_error(shop: Cluster) -> None:
    for words in (["shop/client", "shop/absent"], ["shop/client", "shop/far", "--port", "0/tcp"]):
        command = [LAUNCHER, "probe", *words, "-o", "json", "--name", shop.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
        assert not done.stdout
        assert "Traceback" not in done.stderr
