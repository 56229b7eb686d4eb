"""A small shop on three nodes, and the question whether every way to and from it is open."""

from __future__ import annotations

from collections.abc import Iterator

from emulator import Cluster
from tests.system.oracles.addresses import node_port
from tests.system.oracles.objects import HTTP, UDP, Object, namespace, pod, service

FAMILIES = (4, 6)
NODE_PORTS = {4: 30400, 6: 30600}
PUBLIC = {4: "203.0.113.1", 6: "2001:db8:203:0:113::1"}
"""The NAT gateway's addresses on the emulated internet."""


def shop() -> list[Object]:
    """A client, three web servers behind Services of either family, and a pod with a process of its own."""
    own = pod("own", "worker-2")
    command = {"command": ["httpd", "-f", "-p", str(HTTP)], "ports": [{"containerPort": HTTP}]}
    own["spec"]["containers"] = [{"name": "main", "image": "busybox", **command}]
    pods = [pod("client", "worker-1"), *(pod(f"web-{n}", f"worker-{n}", app="web") for n in (1, 2, 3)), own]
    return [namespace("shop"), *pods, *(_service(family) for family in FAMILIES)]


def _service(family: int) -> Object:
    first = NODE_PORTS[family]
    ports = [
        {"name": "http", "port": 80, "targetPort": HTTP, "nodePort": first},
        {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": UDP, "nodePort": first + 1},
    ]
    return service("web", "web", family=family, ports=ports, type="NodePort")


def ways(cluster: Cluster, family: int) -> Iterator[tuple[str, str, str]]:
    """Where from, where to and which port: all of them are open."""
    yield "shop/client", "shop/web-3", f"{HTTP}/tcp"
    yield "shop/client", "shop/web-3", f"{UDP}/udp"
    yield "shop/client", "shop/web-2", "icmp"
    yield "shop/client", "shop/own", f"{HTTP}/tcp"
    yield "shop/client", f"svc/shop/web-v{family}", "80/tcp"
    yield "shop/client", f"svc/shop/web-v{family}", "81/udp"
    yield "node/worker-2", f"svc/shop/web-v{family}", "80/tcp"
    for protocol in ("TCP", "UDP"):
        port = node_port(cluster, "web", family, protocol)
        yield "ext/client", "node/worker-2", f"{port}/{protocol.lower()}"
    yield "shop/client", "ext/server", "80/tcp"
    yield "node/worker-3", "ext/server", "icmp"


def closed_ways(cluster: Cluster) -> list[str]:
    """Every way that ought to be open and is not, with what happened to its packets."""

    def walk(way: tuple[int, str, str, str]) -> str:
        family, source, target, port = way
        wanted = None if target.startswith("svc/") else family
        report = cluster.probe(source, target, port, family=wanted)
        if report["outcome"] == "connected" and _is_translated(report, source, target, family):
            return ""
        return f"IPv{family} {source} → {target} {port}: {report['outcome']}, seen {report['seen']}"

    found = [(family, *way) for family in FAMILIES for way in ways(cluster, family)]
    return [problem for problem in map(walk, found) if problem]


def _is_translated(report: Object, source: str, target: str, family: int) -> bool:
    """Whether the internet's server saw the NAT gateway in the place of a pod."""
    if not (target == "ext/server" and source.startswith("shop/")):
        return True
    return {seen["source"] for seen in report["seen"]} == {PUBLIC[family]}


def assert_everything_passes(cluster: Cluster) -> None:
    """Every way is open now; nothing is tried twice."""
    problems = closed_ways(cluster)
    assert not problems, "\n".join(problems)
