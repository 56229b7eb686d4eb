"""A cluster's objects by hand, in a few words, and the names that are asked of it."""

from __future__ import annotations

from typing import Any

from emulator.api.objects import JsonObject
from emulator.cluster.dns.model import Answer, PodMode, Question, Settings
from emulator.cluster.dns.records import answer
from emulator.cluster.dns.view import View
from tests.unit.workloads.manifests import Objects

KUBEADM = Settings(pods=PodMode.INSECURE, ttl=30, reverse=("in-addr.arpa.", "ip6.arpa."))
SOA = "ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30"


def service(name: str, *addresses: str, ports: Any = (("http", 80),), **spec: Any) -> JsonObject:
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": addresses[0] if addresses else "None",
            "clusterIPs": list(addresses or ("None",)),
            "ports": [{"name": port, "port": number, "protocol": "TCP"} for port, number in ports],
            **spec,
        },
    }


def endpoint(address: str, *, hostname: str = "", pod: str = "", **conditions: bool) -> JsonObject:
    found: JsonObject = {"addresses": [address], "conditions": conditions}
    if hostname:
        found["hostname"] = hostname
    return {**found, "targetRef": {"kind": "Pod", "name": pod}} if pod else found


def slice_of(service: str, *endpoints: JsonObject, ports: Any = (("http", 8080),)) -> JsonObject:
    family = "IPv6" if ":" in endpoints[0]["addresses"][0] else "IPv4"
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-{family}",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": [{"name": port, "port": number, "protocol": "TCP"} for port, number in ports],
    }


def cluster(*objects: JsonObject) -> View:
    """These objects, in a cluster with the namespaces shop and kube-system."""
    namespaces = [{"kind": "Namespace", "metadata": {"name": name}} for name in ("shop", "kube-system")]
    return View(Objects(*namespaces, *objects))


def ask(view: View, name: str, kind: str, settings: Settings = KUBEADM) -> Answer:
    return answer(view, settings, Question(name, kind), serial=7)


def said(found: Answer) -> list[str]:
    """The records of an answer as `TYPE data`."""
    return [f"{record.type} {record.data}" for record in found.records]
