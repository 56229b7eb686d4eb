"""The cases whose cause lies beneath the manifests: cables, routers, tunnels, daemons, sockets, connections.

They share one cluster. All of a round are brought about at once, asked about at once, and undone at once;
each has a client, a node or a router of its own, so that none stands in another's way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from emulator import Cluster
from tests.system.diagnose.case import Case, Object
from tests.system.diagnose.objects import HTTP, UDP, namespace, pod, ports_to, service
from tests.system.hygiene import inside

CLIENT = "lab/client"
POD_PORTS = (f"{HTTP}/tcp", f"{UDP}/udp")
STAYS = {"tolerations": [{"operator": "Exists"}]}
"""Its pods are not evicted from a node that is lost."""
GONE_PORT = 40404
EGRESS = ("80/tcp", "7/udp")
"""What `ext/server` answers at."""


@dataclass(frozen=True)
class Broken(Case):
    """A case that something is broken for."""

    round: int = 1
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


def _fill(cluster: Cluster) -> None:
    """There is room for one connection, and somebody takes it."""
    for family in (4, 6):
        cluster.probe("lab/client-7", "svc/lab/server", "81/udp", family=family)


def _remember_what_is_gone(cluster: Cluster) -> None:
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


def _late_service(cluster: Cluster) -> None:
    """A Service that comes when the proxy of worker-2 looks no more."""
    cluster.apply([service("lab", "late", {"app": "server-b"})])


def _late_pod(cluster: Cluster) -> None:
    """A pod that comes when nobody computes flows."""
    cluster.apply([pod("lab", "late", nodeName="worker-1")], timeout=1)


PODS: tuple[Object, ...] = (
    namespace("lab"),
    pod("lab", "client", nodeName="worker-1"),
    pod("lab", "server", nodeName="worker-1"),
    pod("lab", "client-o", nodeName="worker-1"),
    pod("lab", "client-r", nodeName="worker-1"),
    pod("lab", "client-s", nodeName="worker-1"),
    pod("lab", "client-2", nodeName="worker-2"),
    *(pod("lab", f"server-{n}", nodeName=f"worker-{n}", **STAYS) for n in (2, 3, 4, 5, 6)),
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

CASES = (
    Broken(
        "wrong-vtep",
        "worker-1's VXLAN device has a wrong address for worker-2",
        "wrong-vtep",
        "Node/worker-1",
        CLIENT,
        "lab/server-2",
        POD_PORTS,
        faults=(("wrong-vtep", {"node": "worker-1", "peer": "worker-2"}),),
    ),
    Broken(
        "peer-missing",
        "worker-1's VXLAN device has no address for worker-3",
        "overlay-peer-missing",
        "Node/worker-1",
        CLIENT,
        "lab/server-3",
        POD_PORTS,
        prepare=by_hand("bridge fdb del 02:04:00:00:00:03 dev n1-tun dst 192.168.50.13"),
        mend=by_hand("bridge fdb replace 02:04:00:00:00:03 dev n1-tun dst 192.168.50.13"),
    ),
    Broken(
        "small-mtu",
        "the link of worker-4 takes packets of 1400 bytes, and pods send up to 1450 in VXLAN",
        "mtu-black-hole",
        "Link/worker-4/fabric",
        CLIENT,
        "lab/server-4",
        POD_PORTS,
        prepare=by_hand("ip link set n4-up mtu 1400"),
        mend=by_hand("ip link set n4-up mtu 1500"),
    ),
    Broken(
        "link-down",
        "the cable between worker-5 and the fabric is cut",
        "link-down",
        "Link/worker-5/fabric",
        CLIENT,
        "lab/server-5",
        POD_PORTS,
        prepare=by_hand("ip link set n5-up down"),
        mend=by_hand("ip link set n5-up up"),
    ),
    Broken(
        "node-down",
        "worker-6 is off, with everything on it",
        "node-down",
        "Node/worker-6",
        CLIENT,
        "lab/server-6",
        POD_PORTS,
        faults=(("node-down", {"node": "worker-6"}),),
    ),
    Broken(
        "conntrack-full",
        "worker-7 may track one connection more",
        "conntrack-full",
        "Node/worker-7",
        "lab/client-7",
        "svc/lab/server",
        prepare=_fill,
        faults=(("conntrack-full", {"node": "worker-7"}),),
    ),
    Broken(
        "nat-gateway-down",
        "the NAT gateway is off",
        "nat-gateway-down",
        "Router/nat",
        CLIENT,
        "ext/server",
        EGRESS,
        faults=(("nat-gateway-down", {}),),
    ),
    Broken(
        "no-nat",
        "the subnet's routes lead to the internet gateway, past the NAT gateway",
        "no-nat",
        "Router/bypass",
        "lab/server-b",
        "ext/server",
        EGRESS,
    ),
    Broken(
        "route-missing",
        "the private subnet's table has lost its default routes",
        "route-missing",
        "Router/private",
        "lab/server-p",
        "ext/server",
        EGRESS,
        faults=tuple(("vpc-route-removed", {"router": "private", "to": to}) for to in ("0.0.0.0/0", "::/0")),
    ),
    Broken(
        "kube-proxy-stopped",
        "kube-proxy of worker-2 has stopped, and a Service has come since",
        "kube-proxy-not-syncing",
        "Node/worker-2",
        "lab/client-2",
        "svc/lab/late",
        faults=(("kube-proxy-stopped", {"node": "worker-2"}),),
        prepare=_late_service,
    ),
    Broken(
        "not-listening",
        "the pod runs, and nothing listens at the port that is asked for",
        "not-listening",
        "Pod/lab/server",
        CLIENT,
        "lab/server",
        ("9999/tcp", "9999/udp"),
    ),
    Broken(
        "localhost",
        "the server listens on 127.0.0.1",
        "listening-on-localhost",
        "Pod/lab/local",
        CLIENT,
        "lab/local",
        (f"{HTTP}/tcp",),
        families=(4,),
    ),
    Broken(
        "ephemeral-v4",
        "a client keeps the address of a pod that was replaced",
        "ephemeral-pod-address",
        "Address/10.244.1.250",
        CLIENT,
        "10.244.1.250",
        POD_PORTS,
        families=(4,),
    ),
    Broken(
        "ephemeral-v6",
        "the same with an IPv6 address",
        "ephemeral-pod-address",
        "Address/fd00:10:244:1::fa",
        CLIENT,
        "fd00:10:244:1::fa",
        POD_PORTS,
        families=(6,),
    ),
    Broken(
        "overlap-in-pod",
        "a program in the pod (a VPN, a bridge) has taken a range that pods of another node have",
        "overlapping-ranges",
        "Pod/lab/client-o",
        "lab/client-o",
        "lab/server-p",
        POD_PORTS,
        prepare=in_pod(
            "client-o", "ip addr add 10.244.9.250/24 dev lo", "ip addr add fd00:10:244:9::fa/64 dev lo"
        ),
    ),
    Broken(
        "overlap-of-service",
        "a Service's externalIPs hold the address of a host outside",
        "overlapping-ranges",
        "Service/lab/greedy",
        CLIENT,
        "ext/taken",
    ),
    Broken(
        "no-route",
        "the pod's default route is gone",
        "no-route",
        "Pod/lab/client-r",
        "lab/client-r",
        "lab/server-p",
        POD_PORTS,
        prepare=in_pod("client-r", "ip -4 route del default", "ip -6 route del default"),
    ),
    Broken(
        "dns-server-down",
        "no pod of the cluster's DNS runs",
        "dns-server-down",
        "Service/kube-system/kube-dns",
        CLIENT,
        "//server.lab",
        faults=(("dns-down", {}),),
    ),
    Broken(
        "internet-gateway-down",
        "the internet gateway is off",
        "internet-gateway-down",
        "Router/igw",
        CLIENT,
        "ext/server",
        EGRESS,
        faults=(("internet-gateway-down", {"router": "igw"}),),
        round=2,
    ),
    Broken(
        "stale-conntrack",
        "connection tracking remembers an endpoint that is gone for a UDP client that goes on from its port",
        "stale-conntrack",
        "Service/lab/server",
        "lab/client-s",
        "svc/lab/server",
        ("81/udp",),
        families=(4,),
        prepare=_remember_what_is_gone,
        round=2,
    ),
    Broken(
        "dns-upstream-down",
        "the internet's name server cannot be reached, and a name of the internet is asked for",
        "dns-upstream-down",
        "Name/server.example.com",
        CLIENT,
        "//server.example.com",
        families=(4,),
        ports=("80/tcp",),
        round=2,
    ),
    Broken(
        "controller-down",
        "the controller is down, and a pod has come since",
        "controller-down",
        "Controller/openflow",
        CLIENT,
        "lab/late",
        POD_PORTS,
        faults=(("controller-down", {}),),
        prepare=_late_pod,
        round=3,
    ),
)
