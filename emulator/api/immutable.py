"""What an update may not change, per kind, in the API server's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from emulator.api.findings import Finding, forbidden, invalid
from emulator.api.objects import JsonObject, Path

_FIXED = "field is immutable"


def changes_forbidden(old: JsonObject, new: JsonObject) -> list[Finding]:
    """The findings against replacing `old` by `new`, both with defaults filled in."""
    rule = _BY_KIND.get(new["kind"])
    return rule(old, new) if rule else []


def _at(obj: JsonObject, path: Path) -> Any:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _fixed(*paths: str) -> Callable[[JsonObject, JsonObject], list[Finding]]:
    """A rule under which the fields at `paths` (dotted) keep their values."""
    places: list[Path] = [tuple(path.split(".")) for path in paths]

    def rule(old: JsonObject, new: JsonObject) -> list[Finding]:
        return [invalid(path, _at(new, path), _FIXED) for path in places if _at(old, path) != _at(new, path)]

    return rule


def _service(old: JsonObject, new: JsonObject) -> list[Finding]:
    before, after = old.get("spec", {}), new.get("spec", {})
    had, wants = before.get("clusterIP"), after.get("clusterIP")
    if "ExternalName" in (before.get("type"), after.get("type")):
        return []
    if had and wants and had != wants:
        listed = after.get("clusterIPs") or [wants]
        return [invalid(("spec", "clusterIPs", 0), listed, "may not change once set")]
    number = before.get("healthCheckNodePort")
    if number and after.get("healthCheckNodePort") not in (None, 0, number) and _has_health_checks(after):
        return [forbidden(("spec", "healthCheckNodePort"), _FIXED)]
    return []


def _has_health_checks(spec: JsonObject) -> bool:
    return (spec.get("type"), spec.get("externalTrafficPolicy")) == ("LoadBalancer", "Local")


_POD_MAY_CHANGE = frozenset(
    {"activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "nodeName"}
)
_POD_RULE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _pod(old: JsonObject, new: JsonObject) -> list[Finding]:
    before, after = _frozen_pod_spec(old["spec"]), _frozen_pod_spec(new["spec"])
    assigned = old["spec"].get("nodeName")
    if before != after or (assigned and new["spec"].get("nodeName") != assigned):
        return [forbidden(("spec",), _POD_RULE, "delete the pod and create it anew")]
    return []


def _frozen_pod_spec(spec: JsonObject) -> JsonObject:
    frozen = {field: value for field, value in spec.items() if field not in _POD_MAY_CHANGE}
    for field in ("containers", "initContainers"):
        if field in frozen:
            frozen[field] = [{k: v for k, v in c.items() if k != "image"} for c in frozen[field]]
    return frozen


_STATEFUL_SET_MAY_CHANGE = frozenset(
    {
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    }
)


def _stateful_set(old: JsonObject, new: JsonObject) -> list[Finding]:
    def frozen(obj: JsonObject) -> JsonObject:
        return {f: v for f, v in obj["spec"].items() if f not in _STATEFUL_SET_MAY_CHANGE}

    if frozen(old) == frozen(new):
        return []
    allowed = ", ".join(f"'{field}'" for field in sorted(_STATEFUL_SET_MAY_CHANGE))
    return [
        forbidden(("spec",), f"updates to statefulset spec for fields other than {allowed} are forbidden")
    ]


def _config(old: JsonObject, new: JsonObject) -> list[Finding]:
    """ConfigMaps and Secrets: `immutable: true` freezes the contents; a Secret's type never changes."""
    findings = []
    if old["kind"] == "Secret" and old.get("type") != new.get("type"):
        findings.append(invalid(("type",), new.get("type"), _FIXED))
    if old.get("immutable"):
        why = "field is immutable when `immutable` is set"
        fields = ("immutable", "data", "binaryData")
        findings += [forbidden((field,), why) for field in fields if old.get(field) != new.get(field)]
    return findings


def _job(old: JsonObject, new: JsonObject) -> list[Finding]:
    fixed = _fixed(
        "spec.selector", "spec.completionMode", "spec.podFailurePolicy", "spec.backoffLimitPerIndex"
    )
    findings = fixed(old, new)
    if _at(old, ("spec", "completionMode")) != "Indexed":
        findings += _fixed("spec.completions")(old, new)
    if not _at(old, ("spec", "suspend")):
        findings += _fixed("spec.template")(old, new)
    return findings


def _node(old: JsonObject, new: JsonObject) -> list[Finding]:
    had, wants = _at(old, ("spec", "podCIDRs")), _at(new, ("spec", "podCIDRs"))
    if had and had != wants:
        return [forbidden(("spec", "podCIDRs"), "node updates may not change podCIDRs once set")]
    return []


_BY_KIND: Mapping[str, Callable[[JsonObject, JsonObject], list[Finding]]] = {
    "ConfigMap": _config,
    "DaemonSet": _fixed("spec.selector"),
    "Deployment": _fixed("spec.selector"),
    "EndpointSlice": _fixed("addressType"),
    "IngressClass": _fixed("spec.controller"),
    "IPAddress": _fixed("spec.parentRef"),
    "Job": _job,
    "Node": _node,
    "Pod": _pod,
    "ReplicaSet": _fixed("spec.selector"),
    "Secret": _config,
    "Service": _service,
    "ServiceCIDR": _fixed("spec.cidrs"),
    "StatefulSet": _stateful_set,
    "Topology": _fixed("spec"),
}
