"""What Kubernetes says and what packets do, side by side: the spec of a probe against the probe itself.

Every row is a packet on the wire. What is expected stands here as well, so that two that are wrong in the
same way do not agree in peace.
"""

from __future__ import annotations

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import node_port
from tests.system.oracles.objects import Object

C, D, R = "connected", "dropped", "rejected"
PATIENCE = {C: 10.0, R: 10.0, D: 0.5}
"""Seconds: what answers may take its time on a busy machine, silence is soon believed."""


def policy(name: str, app: str, **spec: object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, **spec},
    }


FROM_CLIENT = [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}]
TO_WEB = [{"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 8080}]}]
GUARD, FENCE = "NetworkPolicy/shop/guard", "NetworkPolicy/shop/fence"


@pytest.fixture(scope="module")
def guarded(shop: Cluster) -> Cluster:
    """`far` hears the client alone, `neighbour` speaks to `web` over HTTP alone."""
    guard = policy("guard", "far", policyTypes=["Ingress"], ingress=FROM_CLIENT)
    fence = policy("fence", "neighbour", policyTypes=["Egress"], egress=TO_WEB)
    applied = shop.apply([guard, fence])
    assert applied.ready.ready, applied.ready.missing
    return shop


PAIRS = [
    ("shop/client", "svc/shop/web-vF", "80/tcp", C, "service"),
    ("shop/client", "svc/shop/web-vF", "81/udp", C, "service"),
    ("shop/web-1", "svc/shop/web-vF", "80/tcp", C, "service"),
    ("shop/client", "svc/shop/web-vF", "icmp", D, "no-service-port"),
    ("shop/client", "svc/shop/web-vF", "9/tcp", D, "no-service-port"),
    ("node/worker-2", "svc/shop/web-vF", "80/tcp", C, "masqueraded"),
    ("shop/client", "svc/shop/nobody-vF", "80/tcp", R, "no-endpoints"),
    ("shop/client", "svc/shop/nobody-vF", "81/udp", R, "no-endpoints"),
    ("shop/solo", "svc/shop/solo-vF", "80/tcp", C, "masqueraded"),
    ("ext/client", "node/worker-2", "near/tcp", C, "masqueraded"),
    ("ext/client", "node/worker-2", "local/tcp", D, "no-local-endpoint"),
    ("ext/client", "node/worker-2", "local/udp", D, "no-local-endpoint"),
    ("ext/client", "node/worker-1", "local/tcp", C, "service"),
    ("ext/client", "node/worker-1", "local/udp", C, "service"),
    ("ext/client", "node/worker-1", "local-nobody/tcp", R, "no-endpoints"),
    ("shop/neighbour", "node/worker-1", "22/tcp", R, ""),
    ("shop/remote", "node/worker-2", "local/tcp", C, "service"),
    ("shop/remote", "node/worker-3", "local/tcp", D, "no-local-endpoint"),
    ("shop/client", "ext/server", "80/tcp", C, "masqueraded"),
    ("shop/client", "ext/server", "icmp", C, "masqueraded"),
    ("node/worker-1", "ext/server", "80/tcp", C, "masqueraded"),
    ("node/worker-1", "shop/web-2", "icmp", C, "delivered"),
    ("shop/client", "shop/far", "8080/tcp", C, GUARD),
    ("shop/client", "svc/shop/far-vF", "81/udp", C, GUARD),
    ("shop/remote", "shop/far", "8080/tcp", D, GUARD),
    ("shop/remote", "svc/shop/far-vF", "80/tcp", D, GUARD),
    ("shop/remote", "shop/far", "icmp", D, "ingress-isolated"),
    ("node/worker-3", "shop/far", "8080/tcp", C, "delivered"),
    ("node/worker-1", "shop/far", "8080/tcp", D, GUARD),
    ("ext/client", "node/worker-3", "far/tcp", D, GUARD),
    ("shop/neighbour", "svc/shop/web-vF", "80/tcp", C, FENCE),
    ("shop/neighbour", "svc/shop/web-vF", "81/udp", D, FENCE),
    ("shop/neighbour", "ext/server", "80/tcp", D, "egress-isolated"),
]


@pytest.mark.parametrize(("source", "target", "port", "outcome", "because"), PAIRS)
def test_spec_says_what_packets_do(
    source: str, target: str, port: str, outcome: str, because: str, guarded: Cluster, family: int
) -> None:
    word, _, protocol = port.partition("/")
    if word in ("near", "far", "local", "local-nobody"):
        port = f"{node_port(guarded, word, family, protocol.upper())}/{protocol}"
    report = guarded.probe(
        source, target.replace("vF", f"v{family}"), port, family=family, timeout=PATIENCE[outcome]
    )
    spec = report["spec"]
    assert report["outcome"] == outcome, (report, spec)
    if not because:  # nobody listens there, which is not the network's matter
        assert spec["outcome"] == C
        return
    assert spec["outcome"] == outcome, spec
    assert because in spec["because"], spec
    assert set(report["endpoints"]) <= set(spec["endpoints"]), spec
    assert set(report["sourceSeen"]) <= set(spec["sources"]), spec
