"""What Ingresses say of themselves: addresses, errors, events."""

from __future__ import annotations

from emulator.api.objects import JsonObject
from emulator.cluster.pods import node_name
from tests.unit.cluster.lab import service
from tests.unit.ingress.objects import IngressLab, ingress, ingress_class, rule

EVERYTHING = rule(None, ("Prefix", "/", "a"))


def addresses(lab: IngressLab, name: str = "x") -> list[JsonObject]:
    found: list[JsonObject] = lab.get("Ingress", name)["status"]["loadBalancer"].get("ingress") or []
    return found


def node_addresses(lab: IngressLab) -> list[JsonObject]:
    node = lab.wiring.node(node_name(lab.get("Pod", "controller")))
    return [{"ip": str(interface.ip)} for interface in node.addresses]


def front(**spec: object) -> JsonObject:
    return service("front", selector={"app": "controller"}, **spec)


def test_no_service_no_address() -> None:
    assert addresses(IngressLab(ingress("x", EVERYTHING))) == []


def test_behind_a_node_port_the_controllers_node() -> None:
    lab = IngressLab(ingress("x", EVERYTHING), front(type="NodePort"))
    assert addresses(lab) == node_addresses(lab)


def test_behind_a_cluster_ip_that() -> None:
    lab = IngressLab(ingress("x", EVERYTHING), front())
    assert addresses(lab) == [{"ip": lab.get("Service", "front")["spec"]["clusterIP"]}]


def test_behind_a_load_balancer_its_address() -> None:
    lab = IngressLab(ingress("x", EVERYTHING), front(type="LoadBalancer", loadBalancerClass="example.com/lb"))
    balancer = lab.get("Service", "front")
    status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9", "ipMode": "VIP"}]}}
    lab.store.replace_status({**balancer, "status": status})
    lab.settle()
    assert addresses(lab) == [{"ip": "203.0.113.9"}]


def test_addresses_go_with_the_controller() -> None:
    lab = IngressLab(ingress("x", EVERYTHING), front(type="NodePort"))
    assert addresses(lab)
    lab.delete("Pod", "controller", grace=0)
    assert addresses(lab) == []


def test_a_controller_that_is_not_ready_serves_nobody() -> None:
    lab = IngressLab(ingress("x", EVERYTHING), front(type="NodePort"))
    lab.set_ready(lab.get("Pod", "controller"), ready=False)
    lab.settle()
    assert addresses(lab) == []


def test_statuses_of_other_peoples_ingresses_are_theirs() -> None:
    lab = IngressLab(ingress_class("other", "example.com/other"))
    lab.apply(ingress("x", EVERYTHING, ingressClassName="other"))
    lab.apply(ingress("y", EVERYTHING, ingressClassName="missing"))
    for name in ("x", "y"):
        status = {"loadBalancer": {"ingress": [{"ip": "169.254.1.1"}]}}
        lab.store.replace_status({**lab.get("Ingress", name), "status": status})
        lab.settle()
        assert addresses(lab, name) == [{"ip": "169.254.1.1"}]


def test_what_is_not_served_stands_in_the_status_and_in_one_event() -> None:
    resource = {"apiGroup": "k8s.example.com", "kind": "Bucket", "name": "pictures"}
    path = {"path": "/", "pathType": "Prefix", "backend": {"resource": resource}}
    lab = IngressLab(front(type="NodePort"), ingress("x", {"http": {"paths": [path]}}))
    ports = [{"port": 80, "protocol": "TCP", "error": "mininetes.io/ResourceBackendNotSupported"}]
    assert addresses(lab) == [{**address, "ports": ports} for address in node_addresses(lab)]
    lab.settle()
    (event,) = lab.store.list("Event")
    assert (event["type"], event["reason"]) == ("Warning", "ResourceBackendNotSupported")
    assert event["involvedObject"]["kind"] == "Ingress"
    assert "Bucket pictures" in event["message"]


def test_a_mended_ingress_loses_its_errors() -> None:
    lab = IngressLab(front(type="NodePort"), ingress("x", rule(None, ("Prefix", "/", "later"))))
    assert "ports" in addresses(lab)[0]
    lab.apply(service("later", selector={"app": "a"}))
    assert addresses(lab) == node_addresses(lab)
