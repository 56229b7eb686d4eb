"""Pods and the pod templates of workloads."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.findings import Finding, forbidden, invalid, required
from emulator.api.names import dns1123_label, dns1123_subdomain, label_value, qualified_name
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import (
    address,
    has_form,
    items,
    label_selector,
    labels,
    not_negative,
    one_of,
    unique,
)
from emulator.api.rules.containers import containers_findings

RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_NODE_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
_LONGEST_SEARCH_LIST = 32
_MOST_SEARCH_CHARACTERS = 2048
_MOST_NAMESERVERS = 3


def pod_findings(pod: JsonObject) -> list[Finding]:
    """What is wrong with a Pod."""
    return list(pod_spec_findings(pod.get("spec") or {}, ("spec",)))


def pod_spec_findings(spec: JsonObject, path: Path) -> Iterator[Finding]:
    """What is wrong with a pod's `spec`, which stands at `path`."""
    yield from containers_findings(spec, path)
    yield from _volumes(spec, path)
    yield from one_of(spec, "restartPolicy", RESTART_POLICIES, path)
    yield from one_of(spec, "dnsPolicy", _DNS_POLICIES, path)
    yield from not_negative(spec, ("terminationGracePeriodSeconds",), path)
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and seconds < 1:
        yield invalid(
            (*path, "activeDeadlineSeconds"), seconds, "must be between 1 and 2147483647, inclusive"
        )
    for field, syntax in (
        ("hostname", dns1123_label),
        ("subdomain", dns1123_label),
        ("nodeName", dns1123_subdomain),
        ("serviceAccountName", dns1123_subdomain),
    ):
        yield from has_form(spec.get(field) or None, (*path, field), syntax)
    yield from labels(spec.get("nodeSelector"), (*path, "nodeSelector"))
    yield from _dns(spec, path)
    yield from _tolerations(spec, path)
    yield from _affinity(spec.get("affinity") or {}, (*path, "affinity"))
    yield from _spread(spec, path)
    for alias, here in items(spec, "hostAliases", path):
        yield from address(alias.get("ip"), (*here, "ip"))
        for index, name in enumerate(alias.get("hostnames") or ()):
            yield from has_form(name, (*here, "hostnames", index), dns1123_subdomain)
    for gate, here in items(spec, "readinessGates", path):
        yield from has_form(gate.get("conditionType"), (*here, "conditionType"), qualified_name)


def _volumes(spec: JsonObject, path: Path) -> Iterator[Finding]:
    volumes = list(items(spec, "volumes", path))
    for volume, here in volumes:
        if not volume.get("name"):
            yield required((*here, "name"))
        else:
            yield from has_form(volume["name"], (*here, "name"), dns1123_label)
        sources = [field for field in volume if field != "name"]
        for extra in sources[1:]:
            yield forbidden((*here, extra), "may not specify more than 1 volume type")
        for kind, field in (("configMap", "name"), ("secret", "secretName"), ("hostPath", "path")):
            if isinstance(volume.get(kind), dict) and not volume[kind].get(field):
                yield required((*here, kind, field))
        for kind in ("configMap", "secret"):
            for item, where in items(volume.get(kind) or {}, "items", (*here, kind)):
                yield from _projected_path(item, where)
    yield from unique((volume.get("name"), (*here, "name")) for volume, here in volumes)


def _projected_path(item: JsonObject, path: Path) -> Iterator[Finding]:
    text = item.get("path") or ""
    if not text:
        yield required((*path, "path"))
    elif text.startswith("/"):
        yield invalid((*path, "path"), text, "must be a relative path")
    elif ".." in text.split("/"):
        yield invalid((*path, "path"), text, "must not contain '..'")


def _dns(spec: JsonObject, path: Path) -> Iterator[Finding]:
    config = spec.get("dnsConfig") or {}
    here = (*path, "dnsConfig")
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if spec.get("dnsPolicy") == "None" and not servers:
        yield required(
            (*here, "nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None"
        )
    if len(servers) > _MOST_NAMESERVERS:
        yield invalid(
            (*here, "nameservers"), servers, f"must not have more than {_MOST_NAMESERVERS} nameservers"
        )
    for index, server in enumerate(servers):
        yield from address(server, (*here, "nameservers", index))
    if len(searches) > _LONGEST_SEARCH_LIST:
        yield invalid(
            (*here, "searches"), searches, f"must not have more than {_LONGEST_SEARCH_LIST} search paths"
        )
    if len(" ".join(searches)) > _MOST_SEARCH_CHARACTERS:
        limit = f"{_MOST_SEARCH_CHARACTERS} characters (including spaces)"
        yield invalid((*here, "searches"), searches, f"must not have more than {limit} in the search list")
    for option, where in items(config, "options", here):
        if not option.get("name"):
            yield required((*where, "name"))


def _tolerations(spec: JsonObject, path: Path) -> Iterator[Finding]:
    for toleration, here in items(spec, "tolerations", path):
        yield from has_form(toleration.get("key") or None, (*here, "key"), qualified_name)
        yield from one_of(toleration, "operator", ("Equal", "Exists", "Gt", "Lt"), here)
        if toleration.get("effect"):
            yield from one_of(toleration, "effect", _EFFECTS, here)
        operator = toleration.get("operator") or "Equal"
        if not toleration.get("key") and operator != "Exists":
            detail = (
                'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            )
            yield invalid((*here, "operator"), toleration.get("operator", ""), detail)
        if operator == "Exists" and toleration.get("value"):
            yield invalid(
                (*here, "value"), toleration["value"], "value must be empty when `operator` is 'Exists'"
            )
        yield from has_form(toleration.get("value"), (*here, "value"), label_value)
        if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield invalid((*here, "effect"), toleration.get("effect", ""), detail)


def _affinity(affinity: JsonObject, path: Path) -> Iterator[Finding]:
    node = affinity.get("nodeAffinity") or {}
    must = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    here = (*path, "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if isinstance(must, dict):
        if not must.get("nodeSelectorTerms"):
            yield required((*here, "nodeSelectorTerms"), "must have at least one node selector term")
        for term, where in items(must, "nodeSelectorTerms", here):
            yield from _node_term(term, where)
    likes = "preferredDuringSchedulingIgnoredDuringExecution"
    for weighted, where in items(node, likes, (*path, "nodeAffinity")):
        yield from _weight(weighted, where)
        yield from _node_term(weighted.get("preference") or {}, (*where, "preference"))
    for kind in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(kind) or {}
        for term, where in items(pods, "requiredDuringSchedulingIgnoredDuringExecution", (*path, kind)):
            yield from _pod_term(term, where)
        for weighted, where in items(pods, likes, (*path, kind)):
            yield from _weight(weighted, where)
            yield from _pod_term(weighted.get("podAffinityTerm") or {}, (*where, "podAffinityTerm"))


def _weight(weighted: JsonObject, path: Path) -> Iterator[Finding]:
    weight = weighted.get("weight")
    if isinstance(weight, int) and not 1 <= weight <= 100:
        yield invalid((*path, "weight"), weight, "must be in the range 1-100")


def _node_term(term: JsonObject, path: Path) -> Iterator[Finding]:
    for expression, here in items(term, "matchExpressions", path):
        yield from has_form(expression.get("key"), (*here, "key"), qualified_name)
        yield from one_of(expression, "operator", _NODE_OPERATORS, here)
        operator, values = expression.get("operator"), expression.get("values") or []
        if operator in ("In", "NotIn") and not values:
            yield required((*here, "values"), "must be specified when `operator` is 'In' or 'NotIn'")
        if operator in ("Exists", "DoesNotExist") and values:
            yield forbidden(
                (*here, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            )
        if operator in ("Gt", "Lt") and len(values) != 1:
            yield required(
                (*here, "values"), "must be specified single value when `operator` is 'Lt' or 'Gt'"
            )


def _pod_term(term: JsonObject, path: Path) -> Iterator[Finding]:
    if not term.get("topologyKey"):
        yield required((*path, "topologyKey"), "can not be empty")
    else:
        yield from has_form(term["topologyKey"], (*path, "topologyKey"), qualified_name)
    yield from label_selector(term.get("labelSelector"), (*path, "labelSelector"))
    yield from label_selector(term.get("namespaceSelector"), (*path, "namespaceSelector"))


def _spread(spec: JsonObject, path: Path) -> Iterator[Finding]:
    for constraint, here in items(spec, "topologySpreadConstraints", path):
        skew = constraint.get("maxSkew")
        if isinstance(skew, int) and skew < 1:
            yield invalid((*here, "maxSkew"), skew, "must be greater than zero")
        if not constraint.get("topologyKey"):
            yield required((*here, "topologyKey"), "can not be empty")
        yield from one_of(constraint, "whenUnsatisfiable", ("DoNotSchedule", "ScheduleAnyway"), here)
        yield from label_selector(constraint.get("labelSelector"), (*here, "labelSelector"))
