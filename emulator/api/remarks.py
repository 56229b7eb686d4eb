"""What a user should know about an object that is accepted: the warnings of an API server."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject

LONGEST_MEMORY = 65_535
"""Seconds: how long a switch can remember a client. OpenFlow counts idle time in 16 bits."""
_TOPOLOGY_MODES = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")


def remarks(obj: JsonObject) -> tuple[str, ...]:
    """Warnings about an object, with its defaults or without; none for most."""
    name = obj.get("metadata", {}).get("name", "")
    match obj.get("kind"):
        case "Service":
            found = (*_affinity(obj), *_hints(obj), *_strange_ranges(obj))
        case "NetworkPolicy":
            found = tuple(_idle_rules(obj))
        case "ClusterNetworkPolicy" | "AdminNetworkPolicy":
            found = tuple(_idle_names(obj))
        case _:
            return ()
    return tuple(f"{obj['kind']} {name}: {remark}" for remark in found)


def _idle_rules(policy: JsonObject) -> Iterator[str]:
    spec = policy.get("spec") or {}
    for field, direction in (("ingress", "Ingress"), ("egress", "Egress")):
        # Left out, they follow from the rules.
        if spec.get(field) and direction not in (spec.get("policyTypes") or (direction,)):
            yield f"spec.{field}: has no effect: policyTypes does not name {direction}"


def _idle_names(policy: JsonObject) -> Iterator[str]:
    for n, rule in enumerate((policy.get("spec") or {}).get("egress") or ()):
        for m, peer in enumerate(rule.get("to") or ()):
            if peer.get("domainNames"):
                why = "has no effect: addresses of names are not watched here; networks choose hosts"
                yield f"spec.egress[{n}].to[{m}].domainNames: {why}"


def _affinity(service: JsonObject) -> Iterator[str]:
    config = service.get("spec", {}).get("sessionAffinityConfig") or {}
    seconds = (config.get("clientIP") or {}).get("timeoutSeconds") or 0
    if seconds > LONGEST_MEMORY:
        field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        yield f"{field}: clients are remembered for {LONGEST_MEMORY} seconds here, not {seconds}"


def _strange_ranges(service: JsonObject) -> Iterator[str]:
    spec = service.get("spec") or {}
    families = spec.get("ipFamilies") or ("IPv4", "IPv6")
    for n, network in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        family = "IPv6" if ":" in network else "IPv4"
        if family not in families:
            why = f"{network} has no effect: the Service is not {family}"
            yield f"spec.loadBalancerSourceRanges[{n}]: {why}"


def _hints(service: JsonObject) -> Iterator[str]:
    annotations = service["metadata"].get("annotations") or {}
    for name in _TOPOLOGY_MODES:
        if str(annotations.get(name, "Disabled")).lower() != "disabled":
            other = "spec.trafficDistribution: PreferSameZone keeps traffic in its zone"
            yield f"metadata.annotations[{name}] has no effect here; {other}"
