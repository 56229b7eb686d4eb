"""What follows from a change to a Service, before anything is checked or allocated.

Source: `dropTypeDependentFields`, `normalizeClusterIPs` and the first part of `initIPFamilyFields` of
Kubernetes' Service registry.
"""

from __future__ import annotations

from emulator.api.objects import JsonObject

_NODE_PORT_TYPES = frozenset({"NodePort", "LoadBalancer"})


def settled_update(old: JsonObject, new: JsonObject) -> JsonObject:
    """`new` without what `old` needed and it must not have, where nobody changed that; and with
    `clusterIPs` that follow a changed `clusterIP`. Gives `new` itself where there is nothing to do, as
    for every other kind.
    """
    if new["kind"] != "Service" or not isinstance(new.get("spec"), dict):
        return new
    before, after = old.get("spec") or {}, dict(new["spec"])
    _drop_outgrown(before, after)
    _follow_cluster_ip(before, after)
    _keep_policy(before, after)
    return new if after == new["spec"] else {**new, "spec": after}


def _drop_outgrown(before: JsonObject, after: JsonObject) -> None:
    had, has = before.get("type"), after.get("type") or "ClusterIP"
    if had in _NODE_PORT_TYPES and has not in _NODE_PORT_TYPES:
        given = {port.get("nodePort") for port in before.get("ports") or ()}
        if after.get("ports"):
            after["ports"] = [_without_node_port(port, given) for port in after["ports"]]
        _drop_unchanged(before, after, ("externalTrafficPolicy",))
    if had == "LoadBalancer" and has != "LoadBalancer":
        _drop_unchanged(before, after, ("allocateLoadBalancerNodePorts", "loadBalancerClass"))
    if (has, after.get("externalTrafficPolicy")) != ("LoadBalancer", "Local"):
        _drop_unchanged(before, after, ("healthCheckNodePort",))
    if after.get("sessionAffinity") in (None, "None"):
        _drop_unchanged(before, after, ("sessionAffinityConfig",))
    if has == "ExternalName" and had != "ExternalName":
        _drop_unchanged(before, after, ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"))
        _drop_unchanged(before, after, ("internalTrafficPolicy",))


def _without_node_port(port: JsonObject, given: set[int | None]) -> JsonObject:
    return {f: v for f, v in port.items() if f != "nodePort"} if port.get("nodePort") in given else port


def _drop_unchanged(before: JsonObject, after: JsonObject, fields: tuple[str, ...]) -> None:
    for field in fields:
        if field in after and after[field] == before.get(field):
            del after[field]


def _follow_cluster_ip(before: JsonObject, after: JsonObject) -> None:
    """Clients that know `clusterIP` alone change it and leave `clusterIPs` as they read it."""
    if after.get("clusterIP") == before.get("clusterIP") or not before.get("clusterIPs"):
        return
    if after.get("clusterIPs") != before["clusterIPs"]:
        return
    if after.get("clusterIP"):
        after["clusterIPs"] = [after["clusterIP"], *after["clusterIPs"][1:]]
    else:
        del after["clusterIPs"]


def _keep_policy(before: JsonObject, after: JsonObject) -> None:
    """Who names no policy keeps the one there was; who asks for SingleStack gives up the second family."""
    if "ExternalName" in (before.get("type"), after.get("type")):
        return
    if not after.get("ipFamilyPolicy") and before.get("ipFamilyPolicy"):
        after["ipFamilyPolicy"] = before["ipFamilyPolicy"]
    if after.get("ipFamilyPolicy") == "SingleStack":
        for field in ("clusterIPs", "ipFamilies"):
            if after.get(field) and after[field] == before.get(field):
                after[field] = after[field][:1]
