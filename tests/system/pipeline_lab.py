"""Programs on real switches without a controller, one case a process, reported as one line of JSON.

Run as `python pipeline_lab.py CASE [ARGUMENT...]` in a sandbox; the tests beside this file judge. The
programs are installed as text by ovs-ofctl, so a case can leave a flow out, share a zone or join bridges
by patch ports: the product has no switches for that.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from unit.controllers.cluster import endpoints, pod, service, wiring  # noqa: E402

from controllers.pipeline.compile import compile_cluster  # noqa: E402
from controllers.pipeline.flow import FlowProgram  # noqa: E402
from controllers.pipeline.tables import by_number  # noqa: E402
from emulator.cluster.model import ClusterState, Pod, Protocol  # noqa: E402
from emulator.cluster.wiring import Wiring  # noqa: E402
from emulator.network.names import netns_path  # noqa: E402
from emulator.network.network import Network, PodAttachment, Settings  # noqa: E402

Report = dict[str, Any]
NODE_PORT, PORT = 30080, 8080

_LISTEN = """
import socket, sys
kind, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if kind == "udp":
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("", port))
    print("listening", flush=True)
    for _ in range(count):
        print(listener.recvfrom(100)[1][0], flush=True)
else:
    listener = socket.create_server(("", port))
    print("listening", flush=True)
    for _ in range(count):
        peer, address = listener.accept()
        peer.sendall(address[0].encode())
        peer.close()
"""
_CONNECT = """
import socket, sys
# Less than the second after which TCP tries again: the first packet counts.
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.9) as peer:
    print(peer.recv(100).decode())
"""
_SEND = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("", 40000))
sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[4]))
for _ in range(int(sys.argv[3])):
    sender.sendto(b"?", (sys.argv[1], int(sys.argv[2])))
"""


def inside(place: str, *argv: str) -> list[str]:
    return ["nsenter", f"--net={netns_path(place)}", *argv]


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@contextmanager
def listening(place: str, kind: str, port: int, count: int) -> Iterator[IO[str]]:
    """A listener in a netns; gives what it prints."""
    argv = inside(place, sys.executable, "-c", _LISTEN, kind, str(port), str(count))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield process.stdout
        process.kill()


def connect(place: str, address: str, port: int) -> str:
    """What the server said, or nothing."""
    argv = inside(place, sys.executable, "-c", _CONNECT, address, str(port))
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout.strip()


def build(topology: str) -> tuple[Wiring, list[Pod]]:
    """The network with a pod on each node: `shop/pod-1`, `shop/pod-2`, …"""
    plan = wiring(topology)
    pods = [pod(plan, f"pod-{node.index}", node.name, 4) for node in plan.nodes]
    network = Network(plan, Settings(ovs=Path(os.environ["OVS_RUNDIR"])))
    network.build()
    network.attach([PodAttachment(f"shop/{p.ref.name}", p.node, p.port) for p in pods if p.port])
    return plan, pods


def install(programs: Mapping[str, FlowProgram]) -> None:
    for program in programs.values():
        for number, rate in program.meters.items():
            band = f"meter={number},pktps,burst,band=type=drop,rate={rate},burst_size={rate}"
            run("ovs-ofctl", "-O", "OpenFlow13", "add-meter", program.bridge, band)
        text = "".join(f"{flow.text(by_number)}\n" for flow in program)
        argv = ["ovs-ofctl", "-O", "OpenFlow13", "--bundle", "replace-flows", program.bridge, "-"]
        subprocess.run(argv, input=text, text=True, check=True)


def state(plan: Wiring, pods: list[Pod], protocol: Protocol = Protocol.TCP) -> ClusterState:
    """A service whose only endpoint is the second node's pod."""
    web = service("web", 20, endpoints(pods[1:2], PORT), node_port=NODE_PORT, protocol=protocol)
    return ClusterState(plan, pods=tuple(pods), services=(web,))


def recirculated_too_often() -> bool:
    """Whether the datapath has dropped a packet for that; its counter lags behind, its log does not."""
    log = Path(os.environ["OVS_RUNDIR"], "ovs-vswitchd.log").read_text()
    return "Max recirculation depth exceeded" in log


def node_address(plan: Wiring, node: int) -> str:
    return str(plan.nodes[node].addresses[0].ip)


# -- cases -----------------------------------------------------------------------------------------


def pings(topology: str) -> Report:
    """TTLs that the first pod sees, from the last pod and from outside, in both families."""
    plan, pods = build(topology)
    install(compile_cluster(state(plan, pods) if len(pods) > 1 else ClusterState(plan, pods=tuple(pods))))
    server = next(host for host in plan.external if host.name == "server")
    targets = {
        "pod": [str(address) for address in pods[-1].addresses],
        "server": [str(interface.ip) for interface in server.addresses],
        "gateway": [str(address) for address in plan.nodes[0].default_gateways],
    }
    seen = {}
    for name, addresses in targets.items():
        for address in addresses:
            output = run(*inside("shop/pod-1", "ping", "-n", "-c1", "-W2", address))
            found = re.search(r"ttl=(\d+)", output)
            seen[f"{name}/{6 if ':' in address else 4}"] = int(found[1]) if found else None
    return {"ttl": seen, "exhausted": recirculated_too_often()}


def retransmit(*without: str) -> Report:
    """Who an endpoint thinks its client is, that asks three times and gets no answer."""
    plan, pods = build("three-node")
    programs = compile_cluster(state(plan, pods, Protocol.UDP))
    install({name: p.without(*without) if without and name == "n1" else p for name, p in programs.items()})
    with listening("shop/pod-2", "udp", PORT, 3) as heard:
        address = node_address(plan, 0)
        run(*inside("ext/client", sys.executable, "-c", _SEND, address, str(NODE_PORT), "3", "64"))
        return {"sources": [heard.readline().strip() for _ in range(3)]}


def zones(*shared: str) -> Report:
    """Whether a pod reaches a remote endpoint; `shared` bridges use the first one's zones."""
    plan, pods = build("three-node")
    zone = plan.bridges[0].zone
    bridges = tuple(replace(b, zone=zone) if b.name in shared else b for b in plan.bridges)
    install(compile_cluster(state(replace(plan, bridges=bridges), pods)))
    with listening("shop/pod-2", "tcp", PORT, 1):
        return {"source": connect("shop/pod-1", "10.96.0.20", 80)}


def patches(*links: str) -> Report:
    """Whether a pod reaches another node's NodePort; `links` (`n1-up=fabric-1`) become patch ports."""
    plan, pods = build("three-node")
    for link in links:
        one, other = link.split("=")
        for name, peer in ((one, other), (other, one)):
            bridge = next(b for b in plan.bridges if any(p.name == name for p in b.ports))
            ofport = next(p.ofport for p in bridge.ports if p.name == name)
            settings = ["type=patch", f"options:peer={peer}", f"ofport_request={ofport}"]
            change = ["del-port", name, "--", "add-port", bridge.name, name]
            run("ovs-vsctl", "--timeout=5", *change, "--", "set", "interface", name, *settings)
    install(compile_cluster(state(plan, pods)))
    with listening("shop/pod-2", "tcp", PORT, 1):
        source = connect("shop/pod-1", node_address(plan, 1), NODE_PORT)
    return {"source": source, "exhausted": recirculated_too_often()}


def meters() -> Report:
    """What a meter of 20 packets a second lets through of 4000 packets with expired TTL."""
    plan, pods = build("single-node")
    install(compile_cluster(ClusterState(plan, pods=tuple(pods))))
    band = "meter=1,pktps,burst,band=type=drop,rate=20,burst_size=20"
    run("ovs-ofctl", "-O", "OpenFlow13", "mod-meter", "n1", band)
    run(*inside("shop/pod-1", sys.executable, "-c", _SEND, "198.51.100.80", "9", "4000", "1"))
    stats = run("ovs-ofctl", "-O", "OpenFlow13", "meter-stats", "n1")
    meter = re.search(r"meter:1 .*?packet_in_count:(\d+).*?0: packet_count:(\d+)", stats, re.S)
    assert meter, stats
    return {"arrived": int(meter[1]), "dropped": int(meter[2])}


CASES = {case.__name__: case for case in (pings, retransmit, zones, patches, meters)}

if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]](*sys.argv[2:])))
