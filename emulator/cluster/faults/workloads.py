"""Faults of what runs in pods and beside them."""

from __future__ import annotations

from emulator.cluster.faults.kind import FaultKind, Parameter, text

_POD = Parameter("pod", "The pod, as shop/web-0.", text, required=True, suggests="pods")

WORKLOADS: tuple[FaultKind, ...] = (
    FaultKind(
        "container-crash",
        "Kill a container, and each one that takes its place.",
        "CrashLoopBackOff: the pod is there and has its address, nobody listens, and Services leave it out.",
        (_POD, Parameter("container", "Which; the pod's first one without.", text)),
    ),
    FaultKind(
        "container-killed",
        "Kill a container once; its restartPolicy decides what becomes of it.",
        "A restart keeps the pod and its address; what was connected is cut off.",
        (_POD, Parameter("container", "Which; the pod's first one without.", text)),
        lasts=False,
    ),
    FaultKind(
        "readiness-failing",
        "Let a pod count as not ready, as if its readiness probe failed.",
        "The pod runs and answers at its own address, but Services send it nothing; without another one they "
        "refuse.",
        (_POD,),
    ),
    FaultKind(
        "dns-down",
        "Kill the cluster's DNS servers and keep them down.",
        "Addresses work and names do not. Most reports of a broken network are this.",
    ),
    FaultKind(
        "proxy-down",
        "Kill the ingress proxies and keep them down.",
        "Hosts and paths of Ingresses are refused, while the Services behind them are well.",
    ),
    FaultKind(
        "proxy-killed",
        "Kill the ingress proxies once; they are started again.",
        "Connections through them are cut off; new ones succeed a moment later.",
        lasts=False,
    ),
    FaultKind(
        "bird-down",
        "Kill the BGP speaker of a node or router and keep it down.",
        "The others withdraw what it advertised: a node that is well gets no traffic for Services any more.",
        (Parameter("place", "Whose: node/worker-1 or router/tor.", text, required=True),),
    ),
    FaultKind(
        "bird-killed",
        "Kill the BGP speaker of a node or router once; it is started again.",
        "Its sessions come back by themselves, and with them the routes.",
        (Parameter("place", "Whose: node/worker-1 or router/tor.", text, required=True),),
        lasts=False,
    ),
)
