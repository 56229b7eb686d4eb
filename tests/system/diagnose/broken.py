"""What is broken on purpose beneath the manifests, how, and the pods that it is asked about."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from emulator import Cluster
from tests.system.diagnose.case import Case, Object
from tests.system.diagnose.objects import HTTP, UDP, namespace, pod, policy, ports_to, service
from tests.system.hygiene import inside

CLIENT = "lab/client"
POD_PORTS = (f"{HTTP}/tcp", f"{UDP}/udp")
STAYS = {"tolerations": [{"operator": "Exists"}]}
"""Its pods are not evicted from a node that is lost."""
GONE_PORT = 40404
BY_ITSELF = 0
"""The round of a case that has a test of its own: a change of endpoints would mend it."""
EGRESS = ("80/tcp", "7/udp")
"""What `ext/server` answers at."""


@dataclass(frozen=True)
class Broken(Case):
    """A case that something is broken for."""

    round: int = 1
    """Those of a round are broken at once."""
    faults: tuple[tuple[str, Mapping[str, str]], ...] = ()
    """Injected by name; cleared after the round."""
    mend: Callable[[Cluster], None] = field(default=lambda _: None)
    """Undoes what `prepare` did by hand."""


def by_hand(*commands: str) -> Callable[[Cluster], None]:
    """Run commands in the sandbox, as an operator's slip."""

    def run(cluster: Cluster) -> None:
        for command in commands:
            inside(cluster, *command.split())

    return run


def in_pod(name: str, *commands: str) -> Callable[[Cluster], None]:
    """Run commands in a pod's network namespace."""
    return by_hand(*(f"ip netns exec pod-lab.{name} {command}" for command in commands))


def remember_what_is_gone(cluster: Cluster) -> None:
    """A connection of connection tracking whose endpoint is nobody's, as a lost clean-up leaves it."""
    client = cluster.get("Pod", "client-s", "lab")["status"]["podIP"]
    virtual = cluster.get("Service", "server", "lab")["spec"]["clusterIP"]
    packet = udp_packet(client, virtual, GONE_PORT, 81).hex()
    action = f"ct(commit,zone=102,nat(dst=10.244.1.251:{UDP}))"
    inside(
        cluster,
        *("ovs-ofctl", "-O", "OpenFlow13", "packet-out", "n1"),
        f"in_port=controller packet={packet} actions={action}",
    )


def udp_packet(source: str, destination: str, source_port: int, port: int) -> bytes:
    """An Ethernet frame with an empty datagram."""
    datagram = struct.pack("!HHHH", source_port, port, 8, 0)
    ends = ip_address(source).packed + ip_address(destination).packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0) + ends
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    header = header[:10] + struct.pack("!H", checksum) + header[12:]
    return bytes(6) + bytes.fromhex("020000000001") + b"\x08\x00" + header + datagram


def late_service(cluster: Cluster) -> None:
    """A Service that comes when the proxy of worker-2 looks no more."""
    cluster.apply([service("lab", "late", {"app": "server-b"})])


def late_pod(cluster: Cluster) -> None:
    """A pod that comes when nobody computes flows."""
    cluster.apply([pod("lab", "late", nodeName="worker-1")], timeout=0.1)
    cluster.wait_for("Pod", "late", "lab", lambda found: bool((found or {}).get("status", {}).get("podIP")))


def hold_switch(cluster: Cluster) -> None:
    cluster.sandbox.hold("ovs-vswitchd")


def release_switch(cluster: Cluster) -> None:
    cluster.sandbox.release("ovs-vswitchd")
    cluster.sandbox.wait("ovs-vswitchd", 30)


IMPAIRMENTS: Mapping[str, Mapping[str, str]] = {
    "delay": {"delay": "20ms"},
    "jitter": {"delay": "20ms", "jitter": "10ms"},
    "loss": {"loss": "30%"},
    "duplicate": {"duplicate": "30%"},
    "reorder": {"delay": "20ms", "reorder": "30%"},
    "corrupt": {"corrupt": "30%"},
    "rate": {"rate": "1mbit"},
}
"""Each on the cable of a pod of its own."""


PROXY = {"name": "main", "image": "mininetes/ingress-controller", "ports": [{"containerPort": 80}]}

PODS: tuple[Object, ...] = (
    namespace("lab"),
    pod("lab", "client", nodeName="worker-1"),
    pod("lab", "server", nodeName="worker-1"),
    pod("lab", "client-o", nodeName="worker-1"),
    pod("lab", "client-r", nodeName="worker-1"),
    pod("lab", "client-s", nodeName="worker-1"),
    pod("lab", "client-2", nodeName="worker-2"),
    *(pod("lab", f"server-{n}", nodeName=f"worker-{n}", **STAYS) for n in (2, 3, 4, 5, 6, 8)),
    *(pod("lab", f"by-{effect}", nodeName="worker-1") for effect in IMPAIRMENTS),
    *(pod("lab", name, nodeName="worker-1") for name in ("unready", "crashing", "jailed")),
    *(service("lab", name, {"app": name}) for name in ("unready", "crashing")),
    pod("lab", "proxy", nodeName="worker-1", containers=[PROXY]),
    service("lab", "proxy", {"app": "proxy"}, ports=[{"port": 80}]),
    service("lab", "far", {"app": "server-5"}),
    pod("lab", "shut-5", nodeName="worker-5", **STAYS),
    policy("lab", "nothing-in", "shut-5", ingress=[]),
    policy("lab", "nothing-out", "jailed", policyTypes=["Egress"]),
    pod("lab", "client-7", nodeName="worker-7"),
    pod("lab", "server-b", nodeName="bypass-1"),
    pod("lab", "server-p", nodeName="private-1"),
    pod(
        "lab",
        "local",
        nodeName="worker-1",
        containers=[
            {
                "name": "main",
                "image": "python",
                "command": ["python3", "-m", "http.server", f"{HTTP}", "--bind", "127.0.0.1"],
                "readinessProbe": {"exec": {"command": ["sh", "-c", f"wget -qO- 127.0.0.1:{HTTP}"]}},
            }
        ],
    ),
    service("lab"),
    service(
        "lab",
        "greedy",
        externalIPs=["198.51.100.81", "2001:db8:198:51:100::81"],
        ports=ports_to(HTTP, UDP),
    ),
)
