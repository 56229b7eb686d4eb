"""Builds networks inside a sandbox and reports what is there, one case a process, as one line of JSON.

Run as `python network_lab.py CASE [ARGUMENT...]`. The test beside this file starts it and judges.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from emulator.cluster.impairments import Impairment
from emulator.cluster.ipam import pod_port
from emulator.cluster.plan import wire
from emulator.cluster.topology import parse_topology
from emulator.cluster.wiring import Mode, Wiring
from emulator.network import netns, shaping
from emulator.network.cli import PlaceCLI, print_to_stdout
from emulator.network.errors import NetemUnavailable
from emulator.network.names import netns_path
from emulator.network.network import Network, PodAttachment, Settings

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings(ovs=Path(os.environ["OVS_RUNDIR"]), offload="offload" in sys.argv)
Report = dict[str, Any]


def wiring(topology: str = "three-node", nodes: int | None = None) -> Wiring:
    text = (ROOT / "topologies" / f"{topology}.yaml").read_text()
    return wire(parse_topology(yaml.safe_load(text), nodes=nodes))


def pods(plan: Wiring, each: int) -> list[PodAttachment]:
    return [
        PodAttachment(f"shop/web-{node.index}-{k}", node.name, pod_port(plan, node.name, k + 2))
        for node in plan.nodes
        for k in range(each)
    ]


def output(*argv: str, place: str | None = None) -> str:
    enter = ["nsenter", f"--net={netns_path(place)}"] if place else []
    return subprocess.run([*enter, *argv], check=True, capture_output=True, text=True).stdout


def succeeds(*argv: str, place: str) -> bool:
    enter = ["nsenter", f"--net={netns_path(place)}"]
    return subprocess.run([*enter, *argv], check=False, capture_output=True).returncode == 0


def transfers(source: str, destination: str, address: str) -> bool:
    """Whether a megabyte arrives over TCP: lost checksums and outsized segments show here, not in a ping."""
    data = os.urandom(1 << 20)
    (listener,) = netns.inside([(netns_path(destination), lambda: socket.create_server((address, 0)))])
    (client,) = netns.inside([(netns_path(source), lambda: socket.socket())])
    with listener, client:
        for end in (listener, client):
            end.settimeout(10)
        try:
            client.connect((address, listener.getsockname()[1]))
            sending = threading.Thread(target=client.sendall, args=(data,), daemon=True)
            sending.start()
            server, _ = listener.accept()
            with server:
                server.settimeout(10)
                received = b""
                while len(received) < len(data) and (piece := server.recv(1 << 16)):
                    received += piece
        except TimeoutError:
            return False
    return received == data


def ip_json(*argv: str, place: str | None = None) -> Any:
    return json.loads(output("ip", "-json", *argv, place=place) or "[]")


def flows(bridge: str, *lines: str) -> None:
    text = "\n".join(lines)
    subprocess.run(
        ["ovs-ofctl", "-O", "OpenFlow13", "replace-flows", bridge, "-"], input=text, text=True, check=True
    )


def ofports() -> Mapping[str, int]:
    rows = json.loads(output("ovs-vsctl", "-f", "json", "--columns=name,ofport", "list", "Interface"))["data"]
    return {name: number for name, number in rows if isinstance(number, int)}


def built(topology: str = "three-node", each: int = 2, nodes: int | None = None) -> tuple[Network, Wiring]:
    plan = wiring(topology, nodes)
    network = Network(plan, SETTINGS)
    network.build()
    network.attach(pods(plan, each))
    return network, plan


# -- cases -----------------------------------------------------------------------------------------


def describe() -> Report:
    """Everything that can be seen of a network without a packet."""
    _, plan = built()
    first = plan.nodes[0]
    return {
        "wanted": {port.name: port.ofport for bridge in plan.bridges for port in bridge.ports}
        | {pod.port.interface: pod.port.ofport for pod in pods(plan, 2)},
        "ofports": ofports(),
        "bridges": json.loads(
            output(
                "ovs-vsctl",
                "-f",
                "json",
                "--columns=name,datapath_type,fail_mode,protocols",
                "list",
                "Bridge",
            )
        )["data"],
        "types": sorted(set(output("ovs-vsctl", "--bare", "--columns=type", "list", "Interface").split())),
        "switch_addresses": [
            f"{link['ifname']} {a['local']}" for link in ip_json("address") for a in link["addr_info"]
        ],
        "pod": ip_json("address", place="shop/web-1-0"),
        "pod_routes": [ip_json(f, "route", place="shop/web-1-0") for f in ("-4", "-6")],
        "node": ip_json("address", place=f"node/{first.name}"),
        "node_routes": [ip_json(f, "route", place=f"node/{first.name}") for f in ("-4", "-6")],
        "pod_offload": output("ethtool", "-k", "eth0", place="shop/web-1-0"),
        "tunnel": ip_json("-d", "link", "show", "n1-tun"),
        "fdb": json.loads(output("bridge", "-json", "fdb", "show", "dev", "n1-tun")),
        "sysctls": {
            key: output("cat", f"/proc/sys/{key}", place="shop/web-1-0").split() for key in netns.SYSCTLS
        },
    }


def build(topology: str) -> Report:
    """Any topology, with a pod on each node."""
    network, plan = built(topology, each=1)
    wanted = {port.name: port.ofport for bridge in plan.bridges for port in bridge.ports}
    return {
        "missing": sorted(wanted.items() - ofports().items()),
        "down": [str(strand) for strand in network.net.links if strand.status() != "(OK OK)"],
        "places": sorted(host.name for host in network.net.hosts),
    }


def connect(topology: str) -> Report:
    """Real packets over hand-written flows: nodes through the fabric, pods through bridges and tunnels."""
    _, plan = built(topology, each=1)
    one, two = plan.nodes[:2]
    here, there = pods(plan, 1)[:2]
    flows("fabric", "actions=NORMAL")
    for node, pod in ((one, here), (two, there)):
        overlay = [
            f"priority=9,in_port={pod.port.ofport},ip,actions=set_field:{other.vtep_mac}->eth_dst,output:3"
            for other in (one, two)
            if other is not node
        ]
        arriving = [
            f"priority=9,in_port=3,actions=set_field:{pod.port.mac}->eth_dst,output:{pod.port.ofport}"
        ]
        flows(
            node.bridge,
            "priority=10,in_port=2,udp,udp_dst=4789,actions=output:1",
            "priority=5,in_port=1,actions=output:2",
            "priority=5,in_port=2,actions=output:1",
            *(overlay + arriving if plan.mode is Mode.OVERLAY else ()),
        )
    target = str(there.port.addresses[0].ip)
    report = {
        "nodes": succeeds("ping", "-c2", "-i0.1", "-W2", str(two.addresses[0].ip), place=f"node/{one.name}"),
        "nodes_ipv6": succeeds(
            "ping", "-c2", "-i0.1", "-W2", str(two.addresses[1].ip), place=f"node/{one.name}"
        ),
    }
    report["nodes_tcp"] = transfers(f"node/{one.name}", f"node/{two.name}", str(two.addresses[0].ip))
    if plan.mode is Mode.OVERLAY:
        report["pods_tcp"] = transfers(here.place, there.place, target)
        report["pods"] = succeeds("ping", "-c2", "-i0.1", "-W2", target, place=here.place)
        report["largest"] = succeeds("ping", "-c1", "-Mdo", "-s1422", "-W2", target, place=here.place)
        report["too_large"] = succeeds("ping", "-c1", "-Mdo", "-s1423", "-W2", target, place=here.place)
        dump = output("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", one.bridge, "in_port=2,udp,udp_dst=4789")
        report["encapsulated"] = int(dump.partition("n_packets=")[2].partition(",")[0])
    return report


def adopt() -> Report:
    """A second engine finds a network of which parts are missing, broken or left over."""
    _, plan = built()
    wanted = pods(plan, 2)
    left_over, cut, misconnected, *_ = wanted
    output("ip", "link", "delete", cut.port.interface)
    output("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99", place=misconnected.place)
    kept = wanted[-1]
    before = ip_json("link", "show", kept.port.interface)[0]["ifindex"]
    netns.remove([netns_path(wanted[3].place).name])
    fresh = Network(plan, SETTINGS)
    fresh.build()
    fresh.adopt(wanted[1:])
    return {
        "left_over": left_over.port.interface in ofports() or netns_path(left_over.place).exists(),
        "ofports": {pod.port.interface: ofports().get(pod.port.interface) for pod in wanted[1:]},
        "wanted": {pod.port.interface: pod.port.ofport for pod in wanted[1:]},
        "macs": [ip_json("link", "show", "eth0", place=pod.place)[0]["address"] for pod in wanted[1:]],
        "wanted_macs": [pod.port.mac for pod in wanted[1:]],
        "up": [ip_json("link", "show", pod.port.interface)[0]["operstate"] for pod in wanted[1:]],
        "untouched": ip_json("link", "show", kept.port.interface)[0]["ifindex"] == before,
    }


def detach() -> Report:
    """Pods go and come back under the same names."""
    network, plan = built()
    some = pods(plan, 2)[:3]
    network.detach(some)
    report: Report = {
        "ports": sorted(set(ofports()) & {pod.port.interface for pod in some}),
        "netns": [pod.place for pod in some if netns_path(pod.place).exists()],
        "links": sorted({link["ifname"] for link in ip_json("link")} & {pod.port.interface for pod in some}),
        "shown": sorted(set(network.net.keys()) & {pod.place for pod in some}),
    }
    network.detach(some)
    network.attach(some)
    report["back"] = {
        pod.port.interface: ofports().get(pod.port.interface) == pod.port.ofport for pod in some
    }
    flows("n1", "actions=NORMAL")
    for pod, other in (some[:2], some[1::-1]):
        output("ip", "route", "add", str(other.port.addresses[0].ip), "dev", "eth0", place=pod.place)
    target = str(some[1].port.addresses[0].ip)
    report["forwards"] = succeeds("ping", "-c1", "-W2", target, place=some[0].place)
    return report


def shape() -> Report:
    """Rates, before and after the death of ovs-vswitchd; and what this kernel says of delays."""
    plan = wiring()
    limited = tuple(replace(link, impairment=Impairment(rate=10_000_000)) for link in plan.links)
    network = Network(replace(plan, links=limited), SETTINGS)
    network.build()
    flows("fabric", "actions=NORMAL")
    interfaces = [end.interface for link in limited for end in link.ends if end.bridge]
    numbers = ofports()
    report: Report = {"before": _disciplines(interfaces)}
    report["external"] = "tbf" in output("tc", "qdisc", "show", "dev", "eth0", place="ext/client")
    os.kill(int((SETTINGS.ovs / "ovs-vswitchd.pid").read_text()), signal.SIGKILL)
    output("ovs-vsctl", "--timeout=30", "set", "Open_vSwitch", ".", "external_ids:seen=yes")
    report["after"] = _disciplines(interfaces)
    report["same_ofports"] = numbers == ofports()
    delayed = replace(
        plan, links=tuple(replace(link, impairment=Impairment(delay=1000)) for link in plan.links)
    )
    try:
        Network(delayed, SETTINGS).build()
    except NetemUnavailable as error:
        report["netem"] = str(error)
    report["has_netem"] = shaping.has_netem()
    return report


def _disciplines(interfaces: list[str]) -> list[str]:
    kinds = {entry["dev"]: entry["kind"] for entry in json.loads(output("tc", "-json", "qdisc", "show"))}
    return sorted({kinds.get(name, "none") for name in interfaces})


def redial() -> Report:
    """Bridges that gave up on their controller find it at once, and keep their flows."""
    network, plan = built(each=0)
    flows("n1", "actions=NORMAL")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 6653))
        listener.listen()
        listener.settimeout(10)
        network.reconnect([bridge.name for bridge in plan.bridges])
        start = time.monotonic()
        heard = []
        for _ in range(len(network.net.switches)):
            connection, _ = listener.accept()
            heard.append(connection)
        seconds = time.monotonic() - start
    return {"seconds": seconds, "flows": output("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "n1")}


def scale() -> Report:
    """How long ten nodes and 200 pods take."""
    plan = wiring(nodes=10)
    network = Network(plan, SETTINGS)
    start = time.monotonic()
    network.build()
    middle = time.monotonic()
    network.attach(pods(plan, 20))
    end = time.monotonic()
    network.attach(pods(plan, 20))
    again = time.monotonic()
    network.detach(pods(plan, 20))
    return {
        "build": middle - start,
        "attach": end - middle,
        "again": again - end,
        "detach": time.monotonic() - again,
    }


def mininet() -> Report:
    """Mininet's interface to the network."""
    network, _ = built(each=1)
    host = network.net.get("shop/web-1-0")
    report: Report = {
        "shell_before": host.has_shell,
        "address": host.cmd("ip -4 -br address show eth0").split()[-1],
        "shell_after": host.has_shell,
        "others": [node.name for node in network.net.values() if node is not host and node.has_shell],
        "pexec": host.pexec("ip link show dev eth0")[2],
        "same": network.net["pod/shop/web-1-0"] is host,
        "ip": host.IP(),
        "popen": host.popen(["ip", "-br", "link"]).communicate()[0].decode(),
    }
    host.terminate()
    return report


def prompt() -> Report:
    """Mininet's prompt, fed by a pipe."""
    network, plan = built(each=2)
    for bridge in ("n1", "fabric"):
        flows(bridge, "actions=NORMAL")
    here, there = pods(plan, 2)[:2]
    for pod, other in ((here, there), (there, here)):
        output("ip", "route", "add", str(other.port.addresses[0].ip), "dev", "eth0", place=pod.place)
    read, write = os.pipe()
    os.write(write, sys.argv[2].encode())
    os.close(write)
    os.dup2(read, 0)
    held, sys.stdout = sys.stdout, io.StringIO()
    try:
        print_to_stdout()
        PlaceCLI(network.net, lambda: None)
        said = sys.stdout.getvalue()
    finally:
        sys.stdout = held
    for node in network.net.values():
        node.terminate()
    return {"said": said}


CASES: Mapping[str, Callable[..., Report]] = {
    case.__name__: case
    for case in (describe, build, connect, adopt, detach, shape, redial, scale, mininet, prompt)
}

if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]](*(sys.argv[2:3] if sys.argv[1] in ("build", "connect") else ()))))
