"""Services. What depends on the cluster (free addresses and ports, its families) is admission's."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.findings import Finding, duplicate, forbidden, invalid, required
from emulator.api.names import dns1123_label, dns1123_subdomain
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import (
    PROTOCOLS,
    address,
    has_form,
    items,
    labels,
    network,
    one_of,
    parsed_address,
    port_number,
    port_or_name,
    unique,
    word_of,
)

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_EXTERNAL = ("NodePort", "LoadBalancer")
_FAMILIES = ("IPv4", "IPv6")
_NODE_PORTS = range(30000, 32768)
_LONGEST_AFFINITY = 86_400  # seconds: a day
_PATH: Path = ("spec",)


def service_findings(service: JsonObject) -> list[Finding]:
    """What is wrong with a Service."""
    spec = service.get("spec") or {}
    kind = spec.get("type") or "ClusterIP"
    found = [*one_of(spec, "type", _TYPES, _PATH), *labels(spec.get("selector"), (*_PATH, "selector"))]
    if kind == "ExternalName":
        return [*found, *_external_name(spec), *_ports(spec, kind)]
    return [
        *found,
        *_ports(spec, kind),
        *_cluster_ips(spec, kind),
        *_families(spec),
        *_affinity(spec),
        *_policies(spec, kind),
        *_addresses(spec, kind),
    ]


def _is_headless(spec: JsonObject) -> bool:
    return spec.get("clusterIP") == "None" or spec.get("clusterIPs") == ["None"]


def _external_name(spec: JsonObject) -> Iterator[Finding]:
    name = (spec.get("externalName") or "").rstrip(".")
    if not name:
        yield required((*_PATH, "externalName"), "must be set for type ExternalName")
    else:
        yield from has_form(name, (*_PATH, "externalName"), dns1123_subdomain)
    if spec.get("clusterIP") not in (None, ""):
        yield forbidden((*_PATH, "clusterIP"), "may not be set for ExternalName services")


def _ports(spec: JsonObject, kind: str) -> Iterator[Finding]:
    ports = list(items(spec, "ports", _PATH))
    if not ports and not _is_headless(spec) and kind != "ExternalName":
        yield required((*_PATH, "ports"))
    for port, path in ports:
        yield from port_number(port, "port", path)
        yield from one_of(port, "protocol", PROTOCOLS, path)
        yield from port_or_name(port.get("targetPort"), (*path, "targetPort"))
        if port.get("name"):
            yield from has_form(port["name"], (*path, "name"), dns1123_label)
        elif len(ports) > 1:
            yield required((*path, "name"), "a Service with several ports names each of them")
        yield from _node_port(port, kind, path)
    yield from unique((port.get("name"), (*path, "name")) for port, path in ports)
    seen = set()
    for port, path in ports:
        pair = (port.get("protocol", "TCP"), port.get("port"))
        if pair in seen:
            yield duplicate(path, {"protocol": pair[0], "port": pair[1]})
        seen.add(pair)
    given = (
        ((p["nodePort"], p.get("protocol", "TCP")), (*path, "nodePort"))
        for p, path in ports
        if p.get("nodePort")
    )
    yield from unique(given)


def _node_port(port: JsonObject, kind: str, path: Path) -> Iterator[Finding]:
    number = port.get("nodePort")
    if not number:
        return
    if kind not in _EXTERNAL:
        yield forbidden((*path, "nodePort"), f"may not be used when `type` is '{kind}'", "set type: NodePort")
    elif number not in _NODE_PORTS:
        detail = "provided port is not in the valid range. The range of valid ports is 30000-32767"
        yield invalid((*path, "nodePort"), number, detail)


def _cluster_ips(spec: JsonObject, kind: str) -> Iterator[Finding]:
    first, several = spec.get("clusterIP"), spec.get("clusterIPs") or []
    if first not in (None, "", "None"):
        yield from _cluster_ip(first, (*_PATH, "clusterIP"))
    if first in (None, "") and several:
        yield invalid((*_PATH, "clusterIPs"), several, "must be empty when `clusterIP` is not specified")
    elif several and several[0] != first:
        yield invalid((*_PATH, "clusterIPs"), several, "first value must match `clusterIP`")
    if _is_headless(spec) and kind in _EXTERNAL:
        yield invalid((*_PATH, "clusterIP"), "None", f"may not be set to 'None' for {kind} services")
    if len(several) > 2:
        yield invalid((*_PATH, "clusterIPs"), several, "may only hold up to 2 values")
    for index, value in enumerate(several):
        if value == "None" and len(several) > 1:
            yield invalid((*_PATH, "clusterIPs", index), value, "'None' must be the first and only value")
        elif value != "None":
            yield from _cluster_ip(value, (*_PATH, "clusterIPs", index))
    parsed = [parsed_address(value) for value in several]
    if len(parsed) == 2 and all(parsed) and len({a.version for a in parsed if a}) == 1:
        detail = "may specify no more than one IP for each IP family"
        yield invalid((*_PATH, "clusterIPs"), several, detail)


def _cluster_ip(value: str, path: Path) -> Iterator[Finding]:
    hint = 'did you mean "None"?' if value.lower() == "none" else ""
    if parsed_address(value) is None:
        yield invalid(path, value, "must be empty, 'None', or a valid IP address", hint)


def _families(spec: JsonObject) -> Iterator[Finding]:
    path = (*_PATH, "ipFamilies")
    families = spec.get("ipFamilies") or []
    for index, family in enumerate(families):
        yield from word_of(family, _FAMILIES, (*path, index))
    yield from unique((family, (*path, index)) for index, family in enumerate(families))
    policies = ("PreferDualStack", "RequireDualStack", "SingleStack")
    yield from one_of(spec, "ipFamilyPolicy", policies, _PATH)
    if spec.get("ipFamilyPolicy") in (None, "SingleStack"):
        for field, what in (("ipFamilies", "IP families"), ("clusterIPs", "cluster IPs")):
            if len(spec.get(field) or ()) > 1:
                detail = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                policy = spec.get("ipFamilyPolicy") or "SingleStack"
                yield invalid((*_PATH, "ipFamilyPolicy"), policy, detail, "ipFamilyPolicy: PreferDualStack")
    yield from _of_their_family(spec, families)


def _of_their_family(spec: JsonObject, families: list[str]) -> Iterator[Finding]:
    """Cluster IPs are of the families that stand beside them."""
    given = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
    for index, (value, family) in enumerate(zip(given, families, strict=False)):
        parsed = parsed_address(value)
        if parsed is not None and family in _FAMILIES and f"IPv{parsed.version}" != family:
            path: Path = (*_PATH, "clusterIPs", index) if spec.get("clusterIPs") else (*_PATH, "clusterIP")
            yield invalid(path, value, f"expected an {family} value as indicated by `ipFamilies[{index}]`")


def _affinity(spec: JsonObject) -> Iterator[Finding]:
    yield from one_of(spec, "sessionAffinity", ("ClientIP", "None"), _PATH)
    path = (*_PATH, "sessionAffinityConfig")
    config = spec.get("sessionAffinityConfig")
    if config is None:
        return
    if spec.get("sessionAffinity", "None") == "None":
        yield forbidden(path, "must not be set when session affinity is None")
        return
    seconds = (config.get("clientIP") or {}).get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= _LONGEST_AFFINITY:
        detail = f"must be greater than 0 and less than {_LONGEST_AFFINITY}"
        yield invalid((*path, "clientIP", "timeoutSeconds"), seconds, detail)


def _policies(spec: JsonObject, kind: str) -> Iterator[Finding]:
    yield from one_of(spec, "internalTrafficPolicy", ("Cluster", "Local"), _PATH)
    yield from one_of(spec, "externalTrafficPolicy", ("Cluster", "Local"), _PATH)
    distributions = ("PreferClose", "PreferSameNode", "PreferSameZone")
    yield from one_of(spec, "trafficDistribution", distributions, _PATH)
    if spec.get("externalTrafficPolicy") and kind not in _EXTERNAL and not spec.get("externalIPs"):
        detail = "may only be set for externally-accessible services"
        hint = "set type: NodePort or type: LoadBalancer"
        yield invalid((*_PATH, "externalTrafficPolicy"), spec["externalTrafficPolicy"], detail, hint)
    if spec.get("healthCheckNodePort") and (kind, spec.get("externalTrafficPolicy")) != (
        "LoadBalancer",
        "Local",
    ):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid((*_PATH, "healthCheckNodePort"), spec["healthCheckNodePort"], detail)


def _addresses(spec: JsonObject, kind: str) -> Iterator[Finding]:
    for index, value in enumerate(spec.get("externalIPs") or ()):
        path = (*_PATH, "externalIPs", index)
        yield from address(value, path)
        parsed = parsed_address(value)
        if parsed and (
            parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified or parsed.is_multicast
        ):
            detail = "may not be an unspecified, loopback, link-local or multicast address"
            yield invalid(path, value, detail)
    for index, value in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        yield from network(value.strip(), (*_PATH, "loadBalancerSourceRanges", index))
    if spec.get("loadBalancerIP"):
        yield from address(spec["loadBalancerIP"], (*_PATH, "loadBalancerIP"))
    only_balanced = ("loadBalancerSourceRanges", "loadBalancerClass", "allocateLoadBalancerNodePorts")
    for field in only_balanced if kind != "LoadBalancer" else ():
        if spec.get(field) is not None:
            yield forbidden((*_PATH, field), "may only be used when `type` is 'LoadBalancer'")
