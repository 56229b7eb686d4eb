from __future__ import annotations

from emulator.api.objects import JsonObject
from emulator.cluster.model import Protocol, Ref, TrafficPolicy
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import headless_services, state_of

from .lab import Lab, pod, service, wiring_of


def test_an_empty_snapshot_still_has_nodes() -> None:
    state = state_of(Snapshot({}, wiring_of()))
    assert [node.name for node in state.nodes] == ["worker-1", "worker-2", "worker-3"]
    assert (state.pods, state.services) == ((), ())


def test_every_cluster_starts_with_its_inventory() -> None:
    lab = Lab()
    assert [n["metadata"]["name"] for n in lab.store.list("Namespace")] == [
        "default",
        "kube-node-lease",
        "kube-system",
    ]
    node = lab.get("Node", "worker-2", namespace="")
    assert node["spec"]["podCIDRs"] == ["10.244.2.0/24", "fd00:10:244:2::/64"]
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "worker-2"
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "b"
    assert [a["address"] for a in node["status"]["addresses"]] == [
        "192.168.50.12",
        "fd00:192:168:50::12",
        "worker-2",
    ]
    (api,) = lab.state().services
    assert api.ref == Ref("Service", "default", "kubernetes")
    assert [(str(e.address), e.port) for e in api.ports[0].endpoints] == [("192.168.50.11", 6443)]


def test_an_inventory_that_somebody_deletes_comes_back() -> None:
    lab = Lab()
    lab.delete("Service", "kubernetes")
    assert lab.get("Service", "kubernetes")["spec"]["clusterIP"] == "10.96.0.1"


def test_a_node_that_lost_its_labels_gets_those_of_its_kubelet_back() -> None:
    lab = Lab()
    lab.change("Node", "worker-1", lambda n: n["metadata"].update(labels={"disk": "ssd"}), namespace="")
    labels = lab.get("Node", "worker-1", namespace="")["metadata"]["labels"]
    assert labels.items() >= {"disk": "ssd", "kubernetes.io/hostname": "worker-1"}.items()


def test_pods_are_read_with_their_ports() -> None:
    lab = Lab()
    lab.run(
        pod(
            "web",
            {"app": "web"},
            ports=[{"name": "http", "containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}],
        )
    )
    (read,) = lab.state().pods
    assert (read.ref, read.node, read.ready, read.terminating) == (
        Ref("Pod", "default", "web"), "worker-1", True, False,
    )  # fmt: skip
    assert read.port is not None
    assert tuple(a.ip for a in read.port.addresses) == read.addresses
    assert [(p.name, p.protocol, p.port) for p in read.container_ports] == [
        ("http", Protocol.TCP, 80),
        ("", Protocol.UDP, 53),
    ]


def test_pods_without_a_network_are_left_out() -> None:
    lab = Lab()
    lab.run(pod("done"), pod("waiting", nodeSelector={"no": "where"}), pod("host", hostNetwork=True))
    lab.finish(lab.get("Pod", "done"), "Succeeded")
    (read,) = lab.state().pods
    assert (read.ref.name, read.host_network, read.port) == ("host", True, None)


def test_a_service_is_read_whole() -> None:
    lab = Lab()
    lab.run(
        service(
            "web",
            [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080}],
            type="LoadBalancer",
            externalTrafficPolicy="Local",
            internalTrafficPolicy="Local",
            sessionAffinity="ClientIP",
            externalIPs=["203.0.113.250"],
            loadBalancerSourceRanges=["198.51.100.0/24"],
        ),
        pod("web", {"app": "web"}),
    )
    obj = lab.get("Service", "web")
    ingress = [{"ip": "203.0.113.9"}, {"ip": "203.0.113.10", "ipMode": "Proxy"}, {"hostname": "x"}]
    lab.store.replace_status({**obj, "status": {"loadBalancer": {"ingress": ingress}}})
    web = next(s for s in lab.state().services if s.ref.name == "web")
    assert (web.internal_traffic_policy, web.external_traffic_policy) == (
        TrafficPolicy.LOCAL,
        TrafficPolicy.LOCAL,
    )
    assert web.affinity_seconds == 10_800
    assert [str(a) for a in web.external_ips] == ["203.0.113.250"]
    assert [(str(a.address), a.proxy) for a in web.load_balancer] == [
        ("203.0.113.9", False),
        ("203.0.113.10", True),
    ]
    assert [str(n) for n in web.source_ranges] == ["198.51.100.0/24"]
    (port,) = web.ports
    assert (port.name, port.port, port.node_port) == ("http", 80, 30080)
    (endpoint,) = port.endpoints
    assert (endpoint.port, endpoint.ready, endpoint.target) == (8080, True, Ref("Pod", "default", "web"))


def test_labels_give_services_to_other_proxies() -> None:
    lab = Lab()
    other = service("web")
    other["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "mine"}
    lab.apply(other)
    assert [s.ref.name for s in lab.state().services] == ["kubernetes"]


def test_headless_services_are_read_apart() -> None:
    lab = Lab()
    lab.run(service("web", clusterIP="None"), pod("web", {"app": "web"}))
    lab.apply(service("alias", selector=None, type="ExternalName", externalName="db.example.com"))
    assert [s.ref.name for s in lab.state().services] == ["kubernetes"]
    (web,) = headless_services(lab.snapshot())
    assert (web.ref.name, web.cluster_ips) == ("web", ())
    (port,) = web.ports
    assert [endpoint.target for endpoint in port.endpoints] == [Ref("Pod", "default", "web")]


def test_services_that_passed_no_admission_have_ids_too() -> None:
    def raw(name: str, ip: str) -> JsonObject:
        return {
            "kind": "Service",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"clusterIP": ip, "ports": [{"port": 80}, {"name": "x", "port": 81}]},
        }

    services = {("shop", n): raw(n, ip) for n, ip in (("a", "10.96.1.1"), ("b", "10.96.1.2"))}
    state = state_of(Snapshot({"Service": services}, wiring_of()))
    assert [port.id for s in state.services for port in s.ports] == [1, 2, 3, 4]
