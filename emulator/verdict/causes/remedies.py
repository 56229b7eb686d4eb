"""Commands that mend what a cause names, where one is enough; to be pasted as they are.

Which faults are injected is looked at here only: a cause is found without, and this says how to end it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from emulator.cluster.faults.fault import Fault
from emulator.verdict.causes import (
    addresses,
    daemons,
    machinery,
    name_servers,
    pods,
    sockets,
    unexplained,
)
from emulator.verdict.diagnose.diagnosis import Cause
from emulator.verdict.diagnose.evidence import Evidence

HEAL = "mininetes diff --heal"


def with_command(cause: Cause, evidence: Evidence) -> Cause:
    """The cause with the command that mends it, if it has none and there is one."""
    if cause.command:
        return cause
    name = cause.code.name
    for kind in _FAULTS.get(name, ()):
        injected = [
            fault.name for fault in evidence.sights.faults if fault.kind == kind and _is_it(fault, cause)
        ]
        if injected:
            return replace(cause, command=f"mininetes fault clear {' '.join(injected)}")
    otherwise = _OTHERWISE.get(name)
    return replace(cause, command=otherwise(evidence)) if otherwise is not None else cause


def _is_it(fault: Fault, cause: Cause) -> bool:
    """Whether the fault speaks of the cause's object."""
    kind, _, name = cause.object.partition("/")
    if kind == "Node":
        return not {name, f"node/{name}"}.isdisjoint(map(str, fault.arguments.values()))
    words = name.split("/") if kind == "Link" else [name] if kind in ("Router", "Pod") else []
    return all(word in " ".join(fault.did) for word in words)


def _heal(_: Evidence) -> str:
    return HEAL


def _heal_if_followed(evidence: Evidence) -> str:
    return HEAL if evidence.sights.controller_follows else ""


def _dns_again(evidence: Evidence) -> str:
    """Start what is scaled away; restart what is stuck."""
    deployment = evidence.snapshot.get("Deployment", "kube-system", "coredns")
    if deployment is None:
        return ""
    if not deployment["spec"].get("replicas", 1):
        return "mininetes scale deploy/coredns --replicas 2 -n kube-system"
    return "mininetes rollout restart deploy/coredns -n kube-system"


_FAULTS: Mapping[str, tuple[str, ...]] = {
    machinery.NODE_DOWN.name: ("node-down",),
    machinery.NAT_DOWN.name: ("nat-gateway-down", "link-down"),
    machinery.INTERNET_DOWN.name: ("internet-gateway-down", "link-down"),
    machinery.ROUTER_DOWN.name: ("link-down",),
    machinery.LINK_DOWN.name: ("link-down",),
    machinery.LINK_IMPAIRED.name: ("link-impaired",),
    machinery.WRONG_VTEP.name: ("wrong-vtep",),
    machinery.BGP_DOWN.name: ("bird-down",),
    daemons.CONTROLLER_DOWN.name: ("controller-down",),
    daemons.PROXY_STALE.name: ("kube-proxy-stopped",),
    daemons.CONNTRACK_FULL.name: ("conntrack-full",),
    addresses.ROUTE_MISSING.name: ("vpc-route-removed",),
    name_servers.DNS_DOWN.name: ("dns-down",),
    sockets.INGRESS_PROXY_DOWN.name: ("proxy-down", "container-crash"),
    sockets.MTU_BLACK_HOLE.name: ("link-mtu",),
    pods.NOT_RUNNING.name: ("container-crash", "proxy-down", "dns-down"),
    pods.NOT_READY.name: ("readiness-failing",),
    unexplained.DRIFTED.name: ("flows-altered", "flows-deleted"),
}
"""The faults that do this, by code; the likeliest first."""
_OTHERWISE: Mapping[str, Callable[[Evidence], str]] = {
    machinery.NODE_DOWN.name: _heal,
    machinery.NAT_DOWN.name: _heal,
    machinery.INTERNET_DOWN.name: _heal,
    machinery.ROUTER_DOWN.name: _heal,
    machinery.LINK_DOWN.name: _heal,
    machinery.PEER_MISSING.name: _heal,
    machinery.WRONG_VTEP.name: _heal,
    sockets.MTU_BLACK_HOLE.name: _heal,
    addresses.NO_ROUTE.name: _heal,
    name_servers.DNS_DOWN.name: _dns_again,
    unexplained.DRIFTED.name: _heal_if_followed,
}
"""What mends it where it was no fault."""
