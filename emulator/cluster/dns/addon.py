"""The cluster DNS as objects: what a cluster has from its start, as a kubeadm cluster has its DNS.

From then on it is like anything else: it can be looked at, scaled, changed and deleted.
"""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject
from emulator.cluster.wiring import IPAddress, Wiring

NAMESPACE = "kube-system"
SERVICE = "kube-dns"
DEPLOYMENT = "coredns"
DOMAIN = "cluster.local"
ADDRESS_NUMBER = 10
"""The DNS has the tenth address of each service range."""
RESOLVER = "dns"
"""The host outside that knows the names of the emulated internet."""

_REPLICAS = 2
LABELS = {"k8s-app": "kube-dns"}
_IMAGE = "registry.k8s.io/coredns/coredns:v1.12.1"
_MOUNT = "/etc/coredns"
COREFILE = f"""\
.:53 {{
    errors
    health
    ready
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    forward . /etc/resolv.conf
    cache 30 {{
        disable success {DOMAIN}
        disable denial {DOMAIN}
    }}
    prometheus :9153
    loop
    reload
    loadbalance
}}
"""


def dns_addresses(wiring: Wiring) -> tuple[IPAddress, ...]:
    """The addresses of the cluster DNS, one a family, the primary one first."""
    return tuple(cidr[ADDRESS_NUMBER] for cidr in wiring.service_cidrs)


def internet_resolver_of(wiring: Wiring) -> str:
    """The host outside that answers for the emulated internet: `dns`, else the last one; empty if none."""
    names = [host.name for host in wiring.external]
    return RESOLVER if RESOLVER in names else next(reversed(names), "")


def resolver_addresses(wiring: Wiring) -> tuple[IPAddress, ...]:
    """The addresses of that host, the primary family's first: what nodes have in their resolv.conf."""
    name = internet_resolver_of(wiring)
    return tuple(a.ip for host in wiring.external if host.name == name for a in host.addresses)


def cluster_dns(wiring: Wiring) -> Iterator[JsonObject]:
    """Everything that the DNS of a new cluster consists of, in the order in which it has to be created."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": DEPLOYMENT, "namespace": NAMESPACE},
        "data": {"Corefile": COREFILE},
    }
    yield _service(wiring)
    yield _deployment()


def _service(wiring: Wiring) -> JsonObject:
    addresses = [str(address) for address in dns_addresses(wiring)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE, "labels": dict(LABELS)},
        "spec": {
            "selector": dict(LABELS),
            "clusterIP": addresses[0],
            "clusterIPs": addresses,
            "ipFamilyPolicy": "PreferDualStack" if len(addresses) > 1 else "SingleStack",
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                {"name": "metrics", "port": 9153, "protocol": "TCP"},
            ],
        },
    }


def _deployment() -> JsonObject:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": DEPLOYMENT, "namespace": NAMESPACE, "labels": dict(LABELS)},
        "spec": {
            "replicas": _REPLICAS,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "selector": {"matchLabels": dict(LABELS)},
            "template": {"metadata": {"labels": dict(LABELS)}, "spec": _pod()},
        },
    }


def _pod() -> JsonObject:
    control_plane = "node-role.kubernetes.io/control-plane"
    apart = {
        "weight": 100,
        "podAffinityTerm": {
            "labelSelector": {"matchLabels": dict(LABELS)},
            "topologyKey": "kubernetes.io/hostname",
        },
    }
    return {
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": control_plane, "effect": "NoSchedule"},
        ],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [apart]}},
        "containers": [_container()],
        "volumes": [{"name": "config", "configMap": {"name": DEPLOYMENT}}],
    }


def _container() -> JsonObject:
    return {
        "name": DEPLOYMENT,
        "image": _IMAGE,
        "args": ["-conf", f"{_MOUNT}/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": _MOUNT, "readOnly": True}],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 60},
    }
