"""[sig-network] Networking Granular Checks: Services: upstream's networking.go, by its names."""

from __future__ import annotations

from itertools import product

import pytest

from emulator import Cluster
from tests.system.e2e.framework import (
    OFTEN,
    PORTS,
    STICKY,
    WAYS,
    WEB,
    answering,
    ask,
    dual,
    knock,
    node_port,
    there,
)
from tests.system.oracles.addresses import pod_address
from tests.system.oracles.objects import pod
from tests.system.oracles.slices import forget_connections

LARGE = 2000
"""Bytes: more than a packet holds, of the overlay or of the wire."""
_ASK_AT_LENGTH = """
import socket, sys
line = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
line.settimeout(20)
line.sendto(b"echo " + b"42" * (int(sys.argv[2]) // 2), (sys.argv[1], 8081))
print(len(line.recv(65535)))
"""


@pytest.mark.parametrize(
    "source",
    ["client-1", "node/worker-1", "web-1"],
    ids=["pod-Service", "node-Service", "endpoint-Service"],
)
def test_should_function_for_services(world: Cluster, source: str) -> None:
    """should function for pod-Service: http, udp; node-Service: http, udp; endpoint-Service: http, udp

    By the cluster IP and by the own and another node's port every backend is reached.
    """
    with there(world, dual("granular", "web", type="NodePort")):
        for way in WAYS:
            assert answering(ask(world, source, "granular", way, count=OFTEN)) == WEB
            for node in (1, 2):
                assert answering(knock(world, source, node, "granular", way, count=OFTEN)) == WEB


def test_should_function_for_client_ip_based_session_affinity(world: Cluster) -> None:
    """should function for client IP based session affinity: http, udp [LinuxOnly]"""
    with there(world, dual("affine", "web", sessionAffinity="ClientIP")):
        for way in WAYS:
            assert len(answering(ask(world, "client-1", "affine", way, count=STICKY))) == 1


def test_should_update_endpoints(world: Cluster) -> None:
    """should update endpoints: http, udp"""
    pods = [pod(f"changing-{number}", f"worker-{number}", app="changing") for number in (1, 2)]

    def endpoints() -> set[str]:
        found = set()
        for way in WAYS:
            found |= answering(ask(world, "client-1", "changing", way, count=OFTEN))
            found |= answering(knock(world, "client-1", 2, "changing", way, count=OFTEN))
        return found

    with there(world, *pods, dual("changing", "changing", type="NodePort")):
        assert endpoints() == {"changing-1", "changing-2"}
        assert world.delete(pods[:1], grace_seconds=0).ready.ready
        forget_connections(world)
        assert endpoints() == {"changing-2"}


def test_should_update_node_port(world: Cluster) -> None:
    """should update nodePort: http, udp [Slow]"""
    with there(world, dual("ported", "web", type="NodePort")):
        numbers = {protocol: node_port(world, "ported", protocol) for protocol in PORTS}
        for way in WAYS:
            assert answering(knock(world, "client-1", 2, "ported", way, count=OFTEN)) == WEB
    forget_connections(world)
    for (family, protocol), source in product(WAYS, ("shop/client-1", "ext/client")):
        port = f"{numbers[protocol]}/{PORTS[protocol].split('/')[1]}"
        gone = world.probe(source, "node/worker-2", port, family=family)
        assert gone["outcome"] == "rejected", "the node's own kernel answers now"


def test_should_be_able_to_handle_large_requests(world: Cluster) -> None:
    """should be able to handle large requests: http, udp

    To a pod of the same node and of another one. Over UDP in fragments, both ways: the answer is as long as
    the question.
    """
    message = "42" * (LARGE // 2)
    for family, target in product((4, 6), ("web-1", "web-2")):
        url = f"http://web/echo?msg={message}"
        report = world.probe("shop/client-1", f"shop/{target}", "8080/tcp", http=url, family=family)
        assert answering(report) == {target}
        assert message in str(report)
        address = pod_address(world, target, family)
        done = world.exec("shop/client-1", ["python3", "-c", _ASK_AT_LENGTH, address, str(LARGE)])
        assert (done.exit_code, done.stdout.strip()) == (0, str(LARGE)), done.stderr
