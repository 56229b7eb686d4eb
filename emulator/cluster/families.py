"""`ipFamilyPolicy`, `ipFamilies` and the shape of `clusterIPs` (KEP-563), as the API server settles them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from emulator.api.findings import Finding, duplicate, invalid
from emulator.api.objects import JsonObject, Path
from emulator.cluster.wiring import IPNetwork

_POLICY: Path = ("spec", "ipFamilyPolicy")
_FIELDS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
_DUAL = ("RequireDualStack", "PreferDualStack")
_ALL = ("IPv4", "IPv6")


def settle_families(
    service: JsonObject, old: JsonObject | None, ranges: Sequence[IPNetwork]
) -> list[Finding]:
    """Fill in families and policy, in place; `ranges` are the cluster's service ranges.

    The first range is the primary family's. Afterwards `ipFamilies` says how many cluster IPs there
    are to be. Returns what is wrong with the wishes. Source: `initIPFamilyFields` of Kubernetes' Service
    registry, and `ValidateServiceClusterIPsRelatedFields` before it.
    """
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        for field in _FIELDS:
            spec.pop(field, None)
        return []
    configured = [_family(network.version) for network in ranges]
    anywhere = spec.get("clusterIP") == "None" and not spec.get("selector")
    findings = _settle_cluster_ips(spec)
    if findings:
        return findings
    if not spec.get("ipFamilyPolicy"):
        spec["ipFamilyPolicy"] = "RequireDualStack" if anywhere else "SingleStack"
    findings = [
        *_check_form(spec),
        *(_check_release(spec, old["spec"]) if old else ()),
        *_check_policy(spec),
        *_infer_families(spec, _ALL if anywhere else configured),
    ]
    if findings:
        return findings
    if not anywhere:
        findings = _check_cluster(spec, configured)
    _complete(spec, _ALL if anywhere else configured, configured[0])
    return findings or (_check_kept(spec, old["spec"]) if old else [])


def _family(version: int) -> str:
    return f"IPv{version}"


def _settle_cluster_ips(spec: JsonObject) -> list[Finding]:
    """`clusterIP` is `clusterIPs[0]`; whoever gives the first alone means both."""
    first, listed = spec.get("clusterIP"), list(spec.get("clusterIPs") or ())
    path: Path = ("spec", "clusterIPs")
    if first and not listed:
        listed = [first]
    elif listed and not first:
        return [invalid(path, listed, "must be empty when `clusterIP` is not specified")]
    if listed and listed[0] != first:
        return [invalid(path, listed, "first value must match `clusterIP`")]
    if len(listed) > 2:
        return [invalid(path, listed, "may only hold up to 2 values")]
    for index, text in enumerate(listed):
        if text == "None":
            if len(listed) > 1:
                return [invalid(path, listed, "'None' must be the first and only value")]
            continue
        try:
            ip_address(text)
        except ValueError:
            why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            return [invalid((*path, index), text, why)]
    if len(listed) == 2 and len(_versions(listed)) == 1:
        return [invalid(path, listed, "may specify no more than one IP for each IP family")]
    if listed:
        spec["clusterIP"], spec["clusterIPs"] = first, listed
    return []


def _versions(addresses: Sequence[str]) -> set[int]:
    return {ip_address(text).version for text in addresses}


def _check_form(spec: JsonObject) -> list[Finding]:
    """Each family once, and addresses of the families that stand beside them."""
    families = spec.get("ipFamilies") or []
    if len(set(families)) != len(families):
        return [duplicate(("spec", "ipFamilies", 1), families[1])]
    for index, (text, family) in enumerate(zip(spec.get("clusterIPs") or (), families, strict=False)):
        if text != "None" and _family(ip_address(text).version) != family:
            why = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            return [invalid(("spec", "clusterIPs", index), text, why)]
    return []


def _check_release(spec: JsonObject, before: JsonObject) -> list[Finding]:
    """The second family goes by asking for SingleStack, not by leaving it out."""
    policy = spec["ipFamilyPolicy"]
    if policy == "SingleStack":
        return []
    return [
        invalid(_POLICY, policy, f"must be 'SingleStack' to release the secondary {what}")
        for field, what in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family"))
        if len(before.get(field) or ()) == 2 and len(spec.get(field) or ()) == 1
    ]


def _check_policy(spec: JsonObject) -> list[Finding]:
    if spec["ipFamilyPolicy"] != "SingleStack":
        return []
    why = "must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified"
    return [
        invalid(_POLICY, "SingleStack", why.format(what))
        for field, what in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families"))
        if len(spec.get(field) or ()) == 2
    ]


def _infer_families(spec: JsonObject, possible: Sequence[str]) -> list[Finding]:
    """Cluster IPs that stand beside no family tell their own."""
    listed, families = spec.get("clusterIPs") or [], list(spec.get("ipFamilies") or ())
    for index, text in enumerate(listed):
        if text == "None" or index < len(families):
            continue
        family = _family(ip_address(text).version)
        if family not in possible:
            path: Path = ("spec", "clusterIPs", index)
            return [invalid(path, listed, f"{family} is not configured on this cluster")]
        families.append(family)
    spec["ipFamilies"] = families
    return []


def _check_cluster(spec: JsonObject, configured: Sequence[str]) -> list[Finding]:
    findings = []
    if spec["ipFamilyPolicy"] == "RequireDualStack" and len(configured) < 2:
        why = "this cluster is not configured for dual-stack services"
        findings.append(invalid(_POLICY, "RequireDualStack", why))
    for index, family in enumerate(spec["ipFamilies"]):
        if family not in configured:
            findings.append(invalid(("spec", "ipFamilies", index), family, "not configured on this cluster"))
    return findings


def _complete(spec: JsonObject, possible: Sequence[str], default: str) -> None:
    families = spec["ipFamilies"] or [default]
    if spec["ipFamilyPolicy"] in _DUAL:
        families = [*families, *(family for family in possible if family not in families)]
    spec["ipFamilies"] = families


def _check_kept(spec: JsonObject, before: JsonObject) -> list[Finding]:
    """What an update may not change: both ways of being headless, each family and each address in its place.

    Source: `validateUpgradeDowngradeClusterIPs` and `validateUpgradeDowngradeIPFamilies`.
    """
    if before["type"] == "ExternalName":
        return []
    was, wants = before.get("clusterIPs") or [], spec.get("clusterIPs") or []
    once = "may not change once set"
    findings = [
        invalid(("spec", "clusterIPs", index), wants, once)
        for index, (had, wanted) in enumerate(zip(was, wants, strict=False))
        if had != wanted
    ]
    if "None" in (*was, *wants):
        return findings
    families = zip(before.get("ipFamilies") or (), spec["ipFamilies"], strict=False)
    if any(had != wanted for had, wanted in families):
        findings.append(invalid(("spec", "ipFamilies", 0), spec["ipFamilies"], once))
    return findings
