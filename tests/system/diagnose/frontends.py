"""The cases whose cause is how a Service is reached: by which node, from where, by what name, over HTTP.

They share a cluster with the others: see `workloads`.
"""

from __future__ import annotations

from emulator import Cluster
from tests.system.diagnose.case import Case
from tests.system.diagnose.objects import in_namespace, ingress, pod, policy, ports_to, service
from tests.system.diagnose.workloads import CLIENT, SERVICE

IMPATIENT = {"options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "1"}]}
BALANCER = ("203.0.113.77", "2001:db8:113::77")
"""Addresses of a load balancer that stands elsewhere: only the nodes' part of it is here."""


def _balance(cluster: Cluster) -> None:
    """What a cloud would write on the Service."""
    addresses = [{"ip": address, "ipMode": "VIP"} for address in BALANCER]
    status = {"status": {"loadBalancer": {"ingress": addresses}}}
    cluster.patch("Service", "server", "ranges", status, subresource="status")


CASES = (
    Case(
        "internal-local",
        "internalTrafficPolicy is Local; the client is on worker-1, the only endpoint on worker-2",
        "internal-traffic-policy-local",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(
            pod("internal-local", nodeName="worker-2"),
            service("internal-local", internalTrafficPolicy="Local"),
        ),
    ),
    Case(
        "external-local",
        "externalTrafficPolicy is Local; worker-3 is asked, the only endpoint is on worker-2",
        "external-traffic-policy-local",
        "Service/{ns}/server",
        "ext/client",
        "node/worker-3",
        ("31080/tcp", "31081/udp"),
        (
            pod("external-local", nodeName="worker-2"),
            service(
                "external-local",
                type="NodePort",
                externalTrafficPolicy="Local",
                ports=ports_to(8080, 8081, tcp={"nodePort": 31080}, udp={"nodePort": 31081}),
            ),
        ),
        families=(4,),
    ),
    Case(
        "ranges",
        "loadBalancerSourceRanges lets a range in that the client is not of",
        "source-ranges",
        "Service/{ns}/server",
        CLIENT,
        BALANCER[0],
        objects=(
            pod("ranges"),
            service(
                "ranges",
                type="LoadBalancer",
                loadBalancerClass="example.com/elsewhere",
                loadBalancerSourceRanges=["198.51.100.0/24", "2001:db8:51::/64"],
            ),
        ),
        families=(4,),
        prepare=_balance,
    ),
    Case(
        "node-port",
        "a node is asked for the Service's port 8765 instead of its nodePort",
        "wrong-node-port",
        "Service/{ns}/server",
        CLIENT,
        "node/worker-3",
        ("8765/tcp",),
        (pod("node-port"), service("node-port", type="NodePort", ports=[{"port": 8765, "targetPort": 8080}])),
    ),
    Case(
        "not-exposed",
        "a node is asked for the port of a Service of type ClusterIP",
        "service-not-exposed",
        "Service/{ns}/server",
        CLIENT,
        "node/worker-3",
        ("8764/tcp",),
        (pod("not-exposed"), service("not-exposed", ports=[{"port": 8764, "targetPort": 8080}])),
    ),
    Case(
        "dns-blocked",
        "a NetworkPolicy allows the client to reach the server, and forgets the name server",
        "dns-blocked-by-policy",
        "NetworkPolicy/{ns}/server-only",
        "{ns}/asker",
        "//server.lab",
        objects=(
            pod("dns-blocked", "asker", dnsConfig=IMPATIENT),
            policy(
                "dns-blocked",
                "server-only",
                "asker",
                policyTypes=["Egress"],
                egress=[
                    {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "lab"}}}]}
                ],
            ),
        ),
    ),
    Case(
        "dns-denied",
        "an AdminNetworkPolicy denies the client port 53 of every network",
        "dns-blocked-by-policy",
        "AdminNetworkPolicy/{ns}",
        "{ns}/asker",
        "//server.lab",
        objects=(
            pod("dns-denied", "asker", dnsConfig=IMPATIENT),
            {
                "apiVersion": "policy.networking.k8s.io/v1alpha1",
                "kind": "AdminNetworkPolicy",
                "metadata": {"name": "dns-denied"},
                "spec": {
                    "priority": 50,
                    "subject": {"namespaces": in_namespace("dns-denied")},
                    "egress": [
                        {
                            "action": "Deny",
                            "to": [{"networks": ["0.0.0.0/0", "::/0"]}],
                            "ports": [{"portNumber": {"protocol": "UDP", "port": 53}}],
                        }
                    ],
                },
            },
        ),
    ),
    Case(
        "dns-namespace",
        "the client asks for the short name of a Service of another namespace",
        "wrong-dns-namespace",
        "Service/{ns}/unique",
        CLIENT,
        "//unique",
        objects=(pod("dns-namespace"), service("dns-namespace", "unique")),
    ),
    Case(
        "dns-name",
        "the client asks for server.NAMESPACE with a letter too many",
        "wrong-dns-name",
        "Service/{ns}/server",
        CLIENT,
        "//serverr.{ns}",
        objects=(pod("dns-name"), service("dns-name")),
    ),
    Case(
        "alias",
        "an ExternalName Service stands for a name that nobody has",
        "external-name-unknown",
        "Service/{ns}/server",
        CLIENT,
        "//server.{ns}",
        objects=(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "server", "namespace": "alias"},
                "spec": {"type": "ExternalName", "externalName": "nobody.has.this.example"},
            },
        ),
    ),
    Case(
        "ingress-class",
        "the Ingress names a class that does not exist",
        "ingress-class-missing",
        "Ingress/{ns}/site",
        "ext/client",
        "node/worker-1",
        ("30080/tcp",),
        (
            pod("ingress-class"),
            service("ingress-class"),
            ingress("ingress-class", "class.example", {"name": "server", "port": {"number": 80}}, "public"),
        ),
        families=(4,),
        http="http://class.example/",
    ),
    Case(
        "ingress-backend",
        "the Ingress sends to a Service that does not exist",
        "ingress-backend-missing",
        "Ingress/{ns}/site",
        "ext/client",
        "node/worker-1",
        ("30080/tcp",),
        (
            ingress(
                "ingress-backend", "backend.example", {"name": "sever", "port": {"number": 80}}, "haproxy"
            ),
        ),
        families=(4,),
        http="http://backend.example/",
    ),
    Case(
        "ingress-empty",
        "the Service behind the Ingress has no endpoint",
        "ingress-backend-missing",
        "Ingress/{ns}/site",
        "ext/client",
        "node/worker-1",
        ("30080/tcp",),
        (
            service("ingress-empty"),
            ingress("ingress-empty", "empty.example", {"name": "server", "port": {"number": 80}}, "haproxy"),
        ),
        families=(4,),
        http="http://empty.example/",
    ),
    Case(
        "ingress-rule",
        "no Ingress has a rule for the host that the client asks for",
        "ingress-rule-missing",
        "Name/nowhere.example",
        "ext/client",
        "node/worker-1",
        ("30080/tcp",),
        families=(4,),
        http="http://nowhere.example/",
    ),
)
