"""The cases whose cause is a policy, what a Service selects, or a workload that does not run.

They share one cluster, in a namespace each. `lab/client` is a pod on worker-1 that nothing is wrong with.
"""

from __future__ import annotations

from collections.abc import Callable

from emulator import Cluster
from emulator.api.objects import JsonObject
from tests.system.diagnose.case import Case
from tests.system.diagnose.objects import (
    DEAD,
    cluster_policy,
    container,
    deployment,
    in_namespace,
    pod,
    policy,
    ports_to,
    service,
)

CLIENT = "lab/client"
SERVICE = "svc/{ns}/server"
POD_PORTS = ("8080/tcp", "8081/udp")
ALL_SYSTEMS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}


def _waiting(namespace: str, reason: str) -> Callable[[Cluster], None]:
    """Wait until the pod `server` cannot go on for that reason."""

    def stuck(found: JsonObject | None) -> bool:
        status = (found or {}).get("status") or {}
        states = [one["state"].get("waiting") or {} for one in status.get("containerStatuses") or ()]
        reasons = [state.get("reason") for state in states]
        reasons += [one.get("reason") for one in status.get("conditions") or () if one["status"] == "False"]
        return reason in [*reasons, status.get("reason")]

    def wait(cluster: Cluster) -> None:
        cluster.wait_for("Pod", "server", namespace, stuck, timeout=60)

    return wait


def _delete_slowly(cluster: Cluster) -> None:
    """The pod is told to end, and takes its time; it was never Ready."""
    _waiting("terminating", "ContainersNotReady")(cluster)
    gone = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server", "namespace": "terminating"}}
    cluster.delete([gone], timeout=0.1, grace_seconds=600)


UNREADY = {"exec": {"command": ["false"]}, "periodSeconds": 1}
LINGER = {"preStop": {"exec": {"command": ["sleep", "600"]}}}

CASES = (
    Case(
        "egress-isolated",
        "a NetworkPolicy isolates the client for egress and allows nothing",
        "policy-isolates-source",
        "NetworkPolicy/{ns}/nothing-out",
        "{ns}/asker",
        "lab/server",
        POD_PORTS,
        (
            pod("egress-isolated", "asker"),
            policy("egress-isolated", "nothing-out", "asker", policyTypes=["Egress"]),
        ),
    ),
    Case(
        "ingress-isolated",
        "a NetworkPolicy isolates the server for ingress and allows another namespace only",
        "policy-isolates-destination",
        "NetworkPolicy/{ns}/system-only",
        CLIENT,
        SERVICE,
        objects=(
            pod("ingress-isolated"),
            service("ingress-isolated"),
            policy("ingress-isolated", "system-only", "server", ingress=[{"from": [ALL_SYSTEMS]}]),
        ),
    ),
    Case(
        "egress-denied",
        "a ClusterNetworkPolicy of the Admin tier denies what the client sends to a namespace, over a "
        "NetworkPolicy that allows it",
        "cluster-policy-denies-source",
        "ClusterNetworkPolicy/{ns}",
        "{ns}/asker",
        "lab/server",
        POD_PORTS,
        (
            pod("egress-denied", "asker"),
            policy("egress-denied", "all-out", "asker", policyTypes=["Egress"], egress=[{}]),
            cluster_policy(
                "egress-denied",
                "Admin",
                "asker",
                egress=[{"action": "Deny", "to": [{"namespaces": in_namespace("lab")}]}],
            ),
        ),
    ),
    Case(
        "ingress-denied",
        "a ClusterNetworkPolicy of the Baseline tier denies what a Service's pods are sent, and no "
        "NetworkPolicy selects them",
        "cluster-policy-denies-destination",
        "ClusterNetworkPolicy/{ns}",
        CLIENT,
        SERVICE,
        objects=(
            pod("ingress-denied"),
            service("ingress-denied"),
            cluster_policy(
                "ingress-denied",
                "Baseline",
                "server",
                ingress=[{"name": "nobody", "action": "Deny", "from": [{"namespaces": {}}]}],
            ),
        ),
    ),
    Case(
        "target-port",
        "the Service's targetPort is 9999; the container listens at 8080/tcp and 8081/udp",
        "wrong-target-port",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(pod("target-port"), service("target-port", ports=ports_to(DEAD, DEAD))),
    ),
    Case(
        "named-port",
        "the Service's targetPort is a name that no container port has",
        "named-port-missing",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(pod("named-port"), service("named-port", ports=ports_to("http", "dns"))),
    ),
    Case(
        "selector",
        "the Service selects app=sever, the pods are app=server",
        "selector-matches-nothing",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(pod("selector"), service("selector", selector={"app": "sever"})),
    ),
    Case(
        "no-selector",
        "the Service has no selector, and there is no EndpointSlice for it",
        "service-without-selector",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(service("no-selector", selector={}),),
    ),
    Case(
        "no-ports",
        "a headless Service lists no ports",
        "service-without-ports",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(pod("no-ports"), service("no-ports", clusterIP="None", ports=[])),
    ),
    Case(
        "service-port",
        "the Service has ports 80/tcp and 81/udp, the client asks for others",
        "no-service-port",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        ("8080/tcp", "80/udp"),
        (pod("service-port"), service("service-port")),
    ),
    Case(
        "headless-selector",
        "a headless Service selects no pod, and a client asks for its name",
        "selector-matches-nothing",
        "Service/{ns}/server",
        CLIENT,
        "//server.{ns}",
        objects=(service("headless-selector", selector={"app": "sever"}, clusterIP="None"),),
    ),
    Case(
        "no-service",
        "the client asks for a Service that is in another namespace",
        "no-such-service",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
    ),
    Case(
        "no-pod",
        "the client asks for a pod that does not exist",
        "no-such-pod",
        "Pod/{ns}/server",
        CLIENT,
        "{ns}/server",
        POD_PORTS,
    ),
    Case(
        "pending",
        "the Service's only pod waits for a node with a label that no node has",
        "pod-pending",
        "Pod/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(pod("pending", nodeSelector={"disk": "fast"}), service("pending")),
        prepare=_waiting("pending", "Unschedulable"),
        sick=True,
    ),
    Case(
        "host-port",
        "two pods want the same hostPort of the same node, and the second one stays Pending",
        "host-port-conflict",
        "Pod/{ns}/server",
        CLIENT,
        "{ns}/server",
        POD_PORTS,
        tuple(
            pod(
                "host-port",
                name,
                nodeSelector={"kubernetes.io/hostname": "worker-2"},
                containers=[container(ports=[{"containerPort": 8080, "hostPort": 8888}])],
            )
            for name in ("first", "server")
        ),
        prepare=_waiting("host-port", "Unschedulable"),
        sick=True,
    ),
    Case(
        "crash-loop",
        "the Service's only pod crashes as soon as it starts",
        "pod-not-running",
        "Pod/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(
            pod("crash-loop", containers=[{"name": "main", "image": "busybox", "command": ["false"]}]),
            service("crash-loop"),
        ),
        prepare=_waiting("crash-loop", "CrashLoopBackOff"),
        sick=True,
    ),
    Case(
        "unready",
        "the readiness probe of the Service's only pod fails",
        "pod-not-ready",
        "Pod/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(pod("unready", containers=[container(readinessProbe=UNREADY)]), service("unready")),
        prepare=_waiting("unready", "ContainersNotReady"),
        sick=True,
    ),
    Case(
        "terminating",
        "the Service's only pod is terminating and fails its readiness probe",
        "endpoints-only-terminating",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(
            pod("terminating", containers=[container(readinessProbe=UNREADY, lifecycle=LINGER)]),
            service("terminating"),
        ),
        prepare=_delete_slowly,
        sick=True,
    ),
    Case(
        "scaled-to-zero",
        "the client asks for a Deployment that is scaled to zero",
        "workload-without-pods",
        "Deployment/{ns}/server",
        CLIENT,
        "deploy/{ns}/server",
        POD_PORTS,
        (deployment("scaled-to-zero", "server", 0),),
    ),
)
