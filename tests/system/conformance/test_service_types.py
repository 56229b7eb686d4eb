"""[sig-network] Services whose type changes: what is released, what is allocated, and where it answers."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from emulator import Cluster
from emulator.api.client import Client
from emulator.api.errors import ApiError
from tests.system.conformance.objects import Object, outcomes, port, server, service, spec_of

RANGE = ip_network("10.96.0.0/16")
NODES = ("worker-1", "worker-2", "worker-3")


def both(where: str, name: str, *, app: str = "backend", **spec: object) -> Object:
    """A Service of port 80 over TCP and 81 over UDP, over the pods of `app`."""
    ports = (port(80, "http"), port(81, "http-udp", "udp", "UDP"))
    return service(where, name, *ports, selector={"app": app}, **spec)


def alias(where: str, name: str, of: str) -> Object:
    """The name alone, for the name of another Service."""
    return service(where, name, type="ExternalName", externalName=f"{of}.{where}.svc.cluster.local")


@pytest.fixture
def backed(cluster: Cluster, space: str) -> str:
    """The namespace with two backends, a client, and the Service `externalsvc`."""
    pods = [server(space, f"backend-{n}", node=f"worker-{n}", app="backend") for n in (1, 2)]
    cluster.apply([*pods, server(space, "client", node="worker-3"), both(space, "externalsvc")])
    return space


def by_name(cluster: Cluster, where: str, name: str) -> str:
    """Who answers when a pod asks by name."""
    done = cluster.exec(f"{where}/client", ["curl", "-s", "--max-time", "10", f"http://{name}/hostname"])
    return done.stdout


def cname(cluster: Cluster, where: str, name: str) -> str:
    """What the name of a Service stands for."""
    question = ["dig", "+short", f"{name}.{where}.svc.cluster.local", "CNAME"]
    return cluster.exec(f"{where}/client", question).stdout.strip()


def expect_answers(cluster: Cluster, where: str, target: str, tcp: int, udp: int, **options: object) -> None:
    for number in (f"{tcp}/tcp", f"{udp}/udp"):
        report = cluster.probe(f"{where}/client", target, number, count=30, **options)  # type: ignore[arg-type]
        assert report["outcomes"] == {"connected": 30}
        assert set(report["endpoints"]) == {f"{where}/backend-1", f"{where}/backend-2"}


def expect_cluster_ip(cluster: Cluster, where: str, name: str) -> Object:
    """The Service has a clusterIP, which answers, and so does its name; gives its spec."""
    spec = spec_of(cluster, where, name)
    assert ip_address(spec["clusterIP"]) in RANGE
    assert cluster.get("IPAddress", spec["clusterIP"])["spec"]["parentRef"]["name"] == name
    expect_answers(cluster, where, spec["clusterIP"], 80, 81)
    assert by_name(cluster, where, name).startswith("backend-")
    assert cname(cluster, where, name) == ""
    return spec


def expect_alias(cluster: Cluster, where: str, name: str) -> None:
    """The Service has no address and no port of a node; its name leads to `externalsvc`, which answers."""
    spec = spec_of(cluster, where, name)
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} & set(spec)
    assert not any(p.get("nodePort") for p in spec["ports"])
    assert cname(cluster, where, name) == f"externalsvc.{where}.svc.cluster.local."
    assert by_name(cluster, where, name).startswith("backend-")


def expect_silence(cluster: Cluster, where: str, address: str) -> None:
    """Nobody has the clusterIP any more, neither on the wire nor in the API."""
    assert outcomes(cluster, f"{where}/client", address, "80/tcp", "81/udp") == {"dropped"}
    with pytest.raises(ApiError, match="not found"):
        cluster.get("IPAddress", address)


def test_from_cluster_ip_to_external_name(cluster: Cluster, backed: str) -> None:
    """Services should be able to change the type from ClusterIP to ExternalName [Conformance]"""
    cluster.apply([both(backed, "clusterip-service")])
    before = expect_cluster_ip(cluster, backed, "clusterip-service")
    cluster.apply([alias(backed, "clusterip-service", "externalsvc")])
    expect_alias(cluster, backed, "clusterip-service")
    expect_silence(cluster, backed, before["clusterIP"])


def test_from_external_name_to_cluster_ip(cluster: Cluster, backed: str) -> None:
    """Services should be able to change the type from ExternalName to ClusterIP [Conformance]"""
    cluster.apply([alias(backed, "externalname-service", "externalsvc")])
    expect_alias(cluster, backed, "externalname-service")
    cluster.apply([both(backed, "externalname-service")])
    expect_cluster_ip(cluster, backed, "externalname-service")


def test_from_external_name_to_node_port(cluster: Cluster, backed: str) -> None:
    """Services should be able to change the type from ExternalName to NodePort [Conformance]"""
    cluster.apply([alias(backed, "externalname-service", "externalsvc")])
    expect_alias(cluster, backed, "externalname-service")
    cluster.apply([both(backed, "externalname-service", type="NodePort")])
    spec = expect_cluster_ip(cluster, backed, "externalname-service")
    tcp, udp = (p["nodePort"] for p in spec["ports"])
    assert all(30086 <= number <= 32767 for number in (tcp, udp)), "of the dynamic band"
    for node in NODES:
        expect_answers(cluster, backed, f"node/{node}", tcp, udp)


def test_from_node_port_to_external_name(cluster: Cluster, backed: str) -> None:
    """Services should be able to change the type from NodePort to ExternalName [Conformance]"""
    cluster.apply([both(backed, "nodeport-service", type="NodePort")])
    before = expect_cluster_ip(cluster, backed, "nodeport-service")
    tcp, udp = (p["nodePort"] for p in before["ports"])
    expect_answers(cluster, backed, "node/worker-3", tcp, udp)
    cluster.apply([alias(backed, "nodeport-service", "externalsvc")])
    expect_alias(cluster, backed, "nodeport-service")
    expect_silence(cluster, backed, before["clusterIP"])
    for number in (f"{tcp}/tcp", f"{udp}/udp"):
        assert cluster.probe(f"{backed}/client", "node/worker-3", number)["outcome"] == "rejected"
    other = service(backed, "next", port(80, "http") | {"nodePort": tcp}, type="NodePort")
    cluster.apply([other])  # the number can be had again


def test_functioning_node_port_service(cluster: Cluster, backed: str) -> None:
    """Services should be able to create a functioning NodePort service [Conformance]"""
    cluster.apply([both(backed, "nodeport-test", type="NodePort")])
    spec = expect_cluster_ip(cluster, backed, "nodeport-test")
    tcp, udp = (p["nodePort"] for p in spec["ports"])
    for node in NODES:
        expect_answers(cluster, backed, f"node/{node}", tcp, udp)


def test_to_node_port_with_one_port_number_for_two_protocols(cluster: Cluster, backed: str) -> None:
    """Services should be able to update service type to NodePort listening on same port number but different
    protocols
    """
    selector = {"app": "backend"}
    tcp, udp = port(80, "http", "tcp-port"), port(80, "http-udp", "udp-port", "UDP")
    cluster.apply([service(backed, "nodeport-update-service", tcp, selector=selector)])
    assert by_name(cluster, backed, "nodeport-update-service").startswith("backend-")
    changed = service(backed, "nodeport-update-service", tcp, udp, selector=selector, type="NodePort")
    cluster.apply([changed])
    numbers = [p["nodePort"] for p in spec_of(cluster, backed, "nodeport-update-service")["ports"]]
    assert all(numbers)
    assert len(set(numbers)) == 2
    expect_answers(cluster, backed, "node/worker-3", *numbers)
    born = service(backed, "born-so", tcp, udp, selector=selector, type="NodePort")
    cluster.apply([born])
    (number,) = {p["nodePort"] for p in spec_of(cluster, backed, "born-so")["ports"]}
    expect_answers(cluster, backed, "node/worker-3", number, number)


def test_node_port_collisions_ranges_and_release(cluster: Cluster, client: Client, backed: str) -> None:
    """should prevent NodePort collisions; check NodePort out-of-range; release NodePorts on delete"""

    def exposed(name: str, number: int, where: str = backed) -> Object:
        wanted = port(80, "http") | {"nodePort": number}
        return service(where, name, wanted, selector={"app": "backend"}, type="NodePort")

    cluster.apply([exposed("first", 30042)])
    taken = r"spec\.ports\[0\]\.nodePort: Invalid value: 30042: provided port is already allocated"
    with pytest.raises(ApiError, match=taken):
        client.create(exposed("second", 30042))
    far = "provided port is not in the valid range. The range of valid ports is 30000-32767"
    with pytest.raises(ApiError, match=far) as refused:
        client.create(exposed("second", 30000 + 32768))
    assert refused.value.code == 422
    with pytest.raises(ApiError, match=far):
        client.patch("Service", "first", exposed("first", 8080), backed)
    report = cluster.probe(f"{backed}/client", "node/worker-3", "30042/tcp")
    assert report["outcome"] == "connected"
    cluster.delete([exposed("first", 30042)])
    assert cluster.probe(f"{backed}/client", "node/worker-3", "30042/tcp")["outcome"] == "rejected"
    cluster.apply([exposed("second", 30042)])
    assert cluster.probe(f"{backed}/client", "node/worker-3", "30042/tcp")["outcome"] == "connected"


def test_services_go_up_and_down(cluster: Cluster, backed: str) -> None:
    """should be able to up and down services; should work after the service has been recreated"""
    one, two, three = (both(backed, f"up-down-{n}") for n in (1, 2, 3))
    cluster.apply([one, two])
    addresses = [spec_of(cluster, backed, f"up-down-{n}")["clusterIP"] for n in (1, 2)]
    for address in addresses:
        expect_answers(cluster, backed, address, 80, 81)
    cluster.delete([one])
    expect_silence(cluster, backed, addresses[0])
    expect_answers(cluster, backed, addresses[1], 80, 81)
    cluster.apply([three])
    third = spec_of(cluster, backed, "up-down-3")["clusterIP"]
    assert third not in addresses, "an address is not given again at once"
    expect_answers(cluster, backed, addresses[1], 80, 81)
    expect_answers(cluster, backed, third, 80, 81)
    cluster.apply([one])
    expect_cluster_ip(cluster, backed, "up-down-1")
