"""hostPort: ports of a node that are its pods', and the conformance test that asks three of them."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from emulator import Cluster
from emulator.cluster.plan import wire
from emulator.cluster.topology import parse_topology
from tests.system.oracles.addresses import (
    bare,
    external_address,
    masquerade,
    node_address,
    pod_address,
    pod_gateway,
    pod_mac,
)
from tests.system.oracles.objects import HTTP, UDP, Object, pod
from tests.system.oracles.wire import inject, recorded

BOTH = pytest.mark.parametrize("protocol", ["TCP", "UDP"])
NODE, NODE_IP = "worker-1", "192.168.50.11"
CONFLICT = 54323
ANYWHERE = {"TCP": 8000, "UDP": 8001}


def claiming(name: str, port: int, protocol: str, **more: object) -> Object:
    """A pod on the node that has one of its ports."""
    found = pod(name, NODE)
    container = {"TCP": HTTP, "UDP": UDP}[protocol]
    found["spec"]["containers"][0]["ports"] = [
        {"containerPort": container, "hostPort": port, "protocol": protocol, **more}
    ]
    return found


@pytest.fixture(scope="module")
def ports(shop: Cluster) -> Cluster:
    both = claiming("anywhere", ANYWHERE["TCP"], "TCP")
    both["spec"]["containers"][0]["ports"] += [
        {"containerPort": UDP, "hostPort": ANYWHERE["UDP"], "protocol": "UDP"}
    ]
    objects = [
        claiming("pod1", CONFLICT, "TCP", hostIP="127.0.0.1"),
        claiming("pod2", CONFLICT, "TCP", hostIP=NODE_IP),
        claiming("pod3", CONFLICT, "UDP", hostIP=NODE_IP),
        both,
        pod("on-the-node", NODE, hostNetwork=True, containers=[PAUSE]),
    ]
    applied = shop.apply(objects)
    assert applied.ready.ready, applied.ready.missing
    assert not applied.ready.failing
    return shop


PAUSE = {"name": "main", "image": "registry.k8s.io/pause:3.10"}


def curl(cluster: Cluster, *arguments: str) -> str:
    done = cluster.exec("shop/on-the-node", ["curl", "-sg", "--connect-timeout", "5", *arguments])
    assert done.exit_code == 0, (done.exit_code, done.stderr)
    return done.stdout.strip()


def test_host_port_validates_that_there_is_no_conflict_between_pods_with_same_host_port_but_different_host_ip_and_protocol(  # noqa: E501
    ports: Cluster,
) -> None:
    """[sig-network] HostPort, conformance: from the node itself each (address, protocol) is another pod's."""
    assert curl(ports, "--interface", NODE_IP, f"http://127.0.0.1:{CONFLICT}/hostname") == "pod1"
    assert curl(ports, f"http://127.0.0.1:{CONFLICT}/hostname") == "pod1"
    assert curl(ports, f"http://{NODE_IP}:{CONFLICT}/hostname") == "pod2"
    report = ports.probe(f"node/{NODE}", NODE_IP, f"{CONFLICT}/udp")
    assert (report["outcome"], report["endpoints"]) == ("connected", {"shop/pod3": 1})


def test_what_is_at_the_loopback_address_is_the_nodes_own(ports: Cluster) -> None:
    for source in ("ext/client", "shop/client", "node/worker-2"):
        report = ports.probe(source, f"node/{NODE}", f"{CONFLICT}/tcp", family=4)
        assert report["endpoints"] == {"shop/pod2": 1}


@BOTH
@pytest.mark.parametrize(
    "source", ["ext/client", "shop/client", "shop/remote", "node/worker-2", "node/worker-1"]
)
def test_everyone_reaches_it_and_keeps_the_address_that_comes_to_the_node(
    ports: Cluster, family: int, protocol: str, source: str
) -> None:
    seen = {
        "ext/client": external_address("client", family),
        "shop/client": pod_address(ports, "client", family),
        # A pod comes to another node as its own node.
        "shop/remote": node_address(ports, "worker-2", family),
        "node/worker-2": node_address(ports, "worker-2", family),
        "node/worker-1": node_address(ports, "worker-1", family),
    }
    port = f"{ANYWHERE[protocol]}/{protocol.lower()}"
    report = ports.probe(source, f"node/{NODE}", port, family=family, count=3)
    assert report["outcomes"] == {"connected": 3}
    assert report["endpoints"] == {"shop/anywhere": 3}
    assert report["sourceSeen"] == [bare(seen[source])]
    assert {arrival["destinationPort"] for arrival in report["seen"]} == {{"TCP": HTTP, "UDP": UDP}[protocol]}
    node = bare(node_address(ports, NODE, family))
    answered = {(answer["source"], answer["sourcePort"]) for answer in report["answers"]}
    assert answered == {(node, ANYWHERE[protocol])}


@BOTH
def test_a_pod_that_comes_to_itself_is_masqueraded(ports: Cluster, family: int, protocol: str) -> None:
    port = f"{ANYWHERE[protocol]}/{protocol.lower()}"
    report = ports.probe("shop/anywhere", f"node/{NODE}", port, family=family)
    assert (report["outcome"], report["endpoints"]) == ("connected", {"shop/anywhere": 1})
    assert report["sourceSeen"] == [bare(pod_gateway(ports, NODE, family))]


@BOTH
def test_it_answers_at_every_address_of_the_node_and_at_no_other_node(ports: Cluster, protocol: str) -> None:
    port = f"{ANYWHERE[protocol]}/{protocol.lower()}"
    for address in ("127.0.0.1", "127.8.9.10", pod_gateway(ports, NODE, 4), pod_gateway(ports, NODE, 6)):
        report = ports.probe(f"node/{NODE}", bare(address), port)
        assert report["endpoints"] == {"shop/anywhere": 1}, address
    assert ports.probe(f"node/{NODE}", "::1", port)["outcome"] == "rejected"
    assert ports.probe("ext/client", "node/worker-2", port)["outcome"] == "rejected"


@BOTH
def test_48_node_ports_answer_at_the_loopback_address(ports: Cluster, protocol: str) -> None:
    """IPv4 only, as in kube-proxy's iptables mode; the client sees nothing but the loopback address."""
    number = {"TCP": 30400, "UDP": 30401}[protocol]
    report = ports.probe(f"node/{NODE}", "127.0.0.1", f"{number}/{protocol.lower()}")
    assert (report["outcome"], report["endpoints"]) == ("connected", {"shop/far": 1})
    assert report["sourceSeen"] == [masquerade(ports, NODE, "far", 4)]
    assert {(a["source"], a["destination"]) for a in report["answers"]} == {("127.0.0.1", "127.0.0.1")}
    local = {"TCP": 30404, "UDP": 30405}[protocol]
    control = ports.probe("node/worker-2", "127.0.0.1", f"{local}/{protocol.lower()}")
    assert (control["outcome"], control["endpoints"]) == ("connected", {"shop/solo": 1})
    six = {"TCP": 30600, "UDP": 30601}[protocol]
    assert ports.probe(f"node/{NODE}", "::1", f"{six}/{protocol.lower()}")["outcome"] == "rejected"


def far_end(cluster: Cluster, interface: str) -> str:
    """The interface at the other end of a cable between two bridges."""
    (topology,) = cluster.get("Topology")
    ends = next(
        [end.interface for end in link.ends]
        for link in wire(parse_topology(topology)).links
        if interface in {end.interface for end in link.ends}
    )
    return next(name for name in ends if name != interface)


@pytest.mark.parametrize("entry", ["n1-up", "shop/client"])
@pytest.mark.parametrize("port", [30400, CONFLICT, 22])
def test_49_packets_from_outside_for_a_loopback_address_are_dropped(
    ports: Cluster, entry: str, port: int
) -> None:
    """They come to the node's own MAC address, so that nothing but their destination can stop them."""
    (node,) = (n for n in wire(parse_topology(ports.get("Topology")[0])).nodes if n.name == NODE)
    if entry == "n1-up":
        place, macs = far_end(ports, entry), (node.default_gateway_mac, node.mac)
        source = bare(node_address(ports, "worker-2", 4))
    else:
        place, macs = entry, (pod_mac(ports, "client"), node.gateway_mac)
        source = bare(pod_address(ports, "client", 4))
    syns = [
        Ether(src=macs[0], dst=macs[1]) / IP(src=source, dst=to) / TCP(sport=sport, dport=port)
        for to, sport in (("127.0.0.1", 41049), (NODE_IP, 41050))
    ]
    with recorded(ports, [entry, "n1-host", "shop/far", "shop/pod1", "shop/pod2"]) as tape:
        inject(ports, place, *syns)
        records = tape.until(lambda headers: headers.get("tcp.dport") == 41050)
    arrived = {record["at"] for record in records if record["headers"].get("tcp.sport") == 41049}
    assert arrived == {entry}


@pytest.mark.parametrize("port", [8000, 22])
def test_49_nor_may_anyone_outside_speak_as_the_nodes_loopback(ports: Cluster, port: int) -> None:
    (node,) = (n for n in wire(parse_topology(ports.get("Topology")[0])).nodes if n.name == NODE)
    syns = [
        Ether(src=node.default_gateway_mac, dst=node.mac)
        / IP(src=source, dst=NODE_IP)
        / TCP(sport=sport, dport=port)
        for source, sport in (("127.0.0.1", 41051), (bare(node_address(ports, "worker-2", 4)), 41052))
    ]
    with recorded(ports, ["n1-up", "n1-host", "shop/anywhere"]) as tape:
        inject(ports, far_end(ports, "n1-up"), *syns)
        records = tape.until(lambda headers: headers.get("tcp.dport") == 41052)
    arrived = {record["at"] for record in records if record["headers"].get("tcp.sport") == 41051}
    assert arrived == {"n1-up"}
