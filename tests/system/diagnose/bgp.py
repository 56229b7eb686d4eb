"""The cases whose cause is a routing daemon: an address that only one node has an endpoint for."""

from __future__ import annotations

from tests.system.diagnose.broken import Broken

ADDRESS = "the address of a LoadBalancer"
TOR, WORKER = "router/tor", "node/worker-1"
PORTS = ("80/tcp", "81/udp")

CASES = (
    Broken(
        "speaker-down",
        "BIRD of the only node with an endpoint does not run",
        "bgp-down",
        "Node/worker-1",
        "ext/client",
        ADDRESS,
        PORTS,
        faults=(("bird-down", {"place": WORKER}),),
    ),
    Broken(
        "session-down",
        "the router has its IPv4 session with that node disabled",
        "bgp-session-down",
        "Router/tor",
        "ext/client",
        ADDRESS,
        PORTS,
        families=(4,),
    ),
)
