"""The KubeNet of each shipped topology, before anything is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from emulator.cluster.ipam import pod_port
from emulator.cluster.plan import wire
from emulator.cluster.topology import parse_topology
from emulator.cluster.wiring import Mode, PortRole, Wiring
from emulator.network.cables import BridgeEnd, HostEnd
from emulator.network.errors import NetworkError
from emulator.network.kubenet import KubeNet
from emulator.network.network import PodAttachment, Settings, add_pod, sketch
from emulator.network.plumber import Plan

TOPOLOGIES = sorted((Path(__file__).resolve().parents[3] / "topologies").glob("*.yaml"))
SETTINGS = Settings(ovs=Path("/nowhere"))


class Clerk:
    """Stands in for a Plumber: writes down what it is asked to lay."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []

    def lay(self, plan: Plan) -> None:
        self.plans.append(plan)


def wiring(path: Path) -> Wiring:
    return wire(parse_topology(yaml.safe_load(path.read_text())))


def plan_of(net: KubeNet) -> Plan:
    clerk = Clerk()
    net.weave(clerk)  # type: ignore[arg-type]
    return clerk.plans[0]


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_every_port_of_the_wiring_gets_one_cable_or_tunnel(path: Path) -> None:
    plan = wiring(path)
    net = KubeNet()
    sketch(net, plan, SETTINGS)
    laid = plan_of(net)
    assert {bridge.name for bridge in laid.bridges} == {bridge.name for bridge in plan.bridges}
    ends = [(end.bridge, end.interface, end.ofport) for end in laid.bridge_ends()]
    assert sorted(ends) == sorted((b.name, p.name, p.ofport) for b in plan.bridges for p in b.ports)
    peer_mac = {port.name: port.peer_mac for bridge in plan.bridges for port in bridge.ports}
    hosts = {c.near.interface: c.far for c in laid.cables if isinstance(c.far, HostEnd)}
    assert {name: host.mac for name, host in hosts.items()} == {name: peer_mac[name] for name in hosts}
    has_tunnels = any(port.role is PortRole.TUNNEL for bridge in plan.bridges for port in bridge.ports)
    assert bool(laid.tunnels) is has_tunnels
    assert not any(host.has_shell for host in net.values())


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_nodes_speak_to_pods_as_their_gateway_only_through_tunnels(path: Path) -> None:
    plan = wiring(path)
    net = KubeNet()
    sketch(net, plan, SETTINGS)
    node = plan.nodes[0]
    routes = net[f"node/{node.name}"].end.routes
    sources = {r.source for r in routes if r.destination in plan.pod_cidrs}
    tunnelled = any(port.role is PortRole.TUNNEL for port in plan.bridge(node.bridge).ports)
    assert tunnelled is (plan.mode is Mode.OVERLAY)
    own = {interface.ip for interface in node.addresses}
    assert sources == (set(node.pod_gateways) if tunnelled else own)


def test_pods_know_their_gateway_and_take_no_room_in_the_table_that_all_namespaces_share() -> None:
    plan = wiring(TOPOLOGIES[0])
    net, node = KubeNet(), plan.nodes[0]
    sketch(net, plan, SETTINGS)
    pod = PodAttachment("shop/web", node.name, pod_port(plan, node.name, 2))
    routes = add_pod(net, plan, pod, offload=False).end.routes
    known = {(route.gateway, route.gateway_mac) for route in routes}
    assert known == {(gateway, node.gateway_mac) for gateway in node.pod_gateways}


def test_tunnels_know_all_other_ends() -> None:
    plan = wiring(next(path for path in TOPOLOGIES if path.stem == "three-node"))
    net = KubeNet()
    sketch(net, plan, SETTINGS)
    first, *_ = plan_of(net).tunnels
    assert first.mtu == plan.pod_mtu
    assert [(remote.mac, str(remote.address)) for remote in first.remotes] == [
        (node.vtep_mac, str(node.addresses[0].ip)) for node in plan.nodes[1:]
    ]


def test_pods_come_and_go_in_the_picture() -> None:
    plan = wiring(next(path for path in TOPOLOGIES if path.stem == "three-node"))
    net = KubeNet()
    sketch(net, plan, SETTINGS)
    plan_of(net)
    pod = PodAttachment("shop/web", plan.nodes[1].name, pod_port(plan, plan.nodes[1].name, 7))
    add_pod(net, plan, pod, offload=False)
    (cable,) = plan_of(net).cables
    assert cable.near == BridgeEnd(plan.nodes[1].bridge, "p2-7", 107)
    assert [str(address) for address in cable.far.addresses] == ["10.244.2.7/32", "fd00:10:244:2::7/128"]
    assert cable.mtu == 1450
    assert net["shop/web"] is net["pod/shop/web"]
    assert net["shop/web"].connectionsTo(net["n2"])
    assert net.forget(["shop/web", "shop/unknown"]) == [cable]
    assert "shop/web" not in net
    assert "pod/shop/web" not in net
    assert "p2-7" not in net["n2"].intfNames()
    assert plan_of(net) == Plan()


def test_routers_answer_to_their_place() -> None:
    plan = wiring(next(path for path in TOPOLOGIES if path.stem == "three-node"))
    net = KubeNet()
    sketch(net, plan, SETTINGS)
    assert net["router/fabric"].name == "fabric"
    assert net["node/worker-1"].name == "node/worker-1", "a node's place is its host, not its bridge"


def test_iperf_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Host:
        waiting = False

        def sendCmd(self, _command: str) -> None:
            pass

    with pytest.raises(NetworkError, match="iperf did not start"):
        KubeNet().iperf([Host(), Host()])
