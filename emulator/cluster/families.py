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


def settle_families(
    service: JsonObject, old: JsonObject | None, ranges: Sequence[IPNetwork]
) -> list[Finding]:
    """Fill in families and policy, in place; `ranges` are the cluster's service ranges.

    The first range is the primary family's. Afterwards `ipFamilies` says how many cluster IPs there
    are to be. Returns what is wrong with the wishes.
    """
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        for field in _FIELDS:
            spec.pop(field, None)
        return []
    findings = _settle_cluster_ips(spec)
    if findings:
        return findings
    configured = [_family(network.version) for network in ranges]
    anywhere = spec.get("clusterIP") == "None" and not spec.get("selector")
    if spec.get("ipFamilyPolicy") is None:
        spec["ipFamilyPolicy"] = "RequireDualStack" if anywhere else "SingleStack"
    findings = _check_policy(spec, configured, old, anywhere=anywhere)
    if findings:
        return findings
    families = list(spec.get("ipFamilies") or _families_of(spec.get("clusterIPs") or ()) or configured[:1])
    possible = [*configured, *(f for f in ("IPv4", "IPv6") if anywhere and f not in configured)]
    if spec["ipFamilyPolicy"] in _DUAL:
        families += [family for family in possible if family not in families]
    spec["ipFamilies"] = families[:2]
    return _check_families(spec, possible, old)


def _family(version: int) -> str:
    return f"IPv{version}"


def _families_of(cluster_ips: Sequence[str]) -> list[str]:
    return [_family(ip_address(text).version) for text in cluster_ips if text != "None"]


def _settle_cluster_ips(spec: JsonObject) -> list[Finding]:
    """`clusterIP` is `clusterIPs[0]`; whoever gives one means both."""
    first, listed = spec.get("clusterIP"), list(spec.get("clusterIPs") or ())
    if first and not listed:
        listed = [first]
    elif listed and not first:
        first = listed[0]
    if listed and listed[0] != first:
        return [invalid(("spec", "clusterIPs", 0), listed[0], "must match `clusterIP`")]
    for index, text in enumerate(listed):
        if text == "None":
            if len(listed) > 1:
                return [invalid(("spec", "clusterIPs", 0), text, "'None' must be the first and only value")]
            continue
        try:
            ip_address(text)
        except ValueError:
            why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            return [invalid(("spec", "clusterIPs", index), text, why)]
    if listed:
        spec["clusterIP"], spec["clusterIPs"] = first, listed
    return []


def _check_policy(
    spec: JsonObject, configured: Sequence[str], old: JsonObject | None, *, anywhere: bool
) -> list[Finding]:
    policy = spec["ipFamilyPolicy"]
    if policy == "SingleStack" and _was_dual(spec, old):
        for field in ("clusterIPs", "ipFamilies"):  # asking for SingleStack drops the secondary
            spec[field] = spec[field][:1]
    for field, what in (("ipFamilies", "IP families"), ("clusterIPs", "clusterIPs")):
        if policy == "SingleStack" and len(spec.get(field) or ()) > 1:
            why = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
            return [invalid(_POLICY, policy, why)]
    if policy == "RequireDualStack" and len(configured) < 2 and not anywhere:
        return [invalid(_POLICY, policy, "this cluster is not configured for dual-stack services")]
    return []


def _was_dual(spec: JsonObject, old: JsonObject | None) -> bool:
    before = (old or {}).get("spec", {})
    return before.get("ipFamilyPolicy") in _DUAL and all(
        len(spec.get(field) or ()) == 2 and spec[field] == before.get(field)
        for field in ("clusterIPs", "ipFamilies")
    )


def _check_families(spec: JsonObject, possible: Sequence[str], old: JsonObject | None) -> list[Finding]:
    families = spec["ipFamilies"]
    if len(set(families)) != len(families):
        return [duplicate(("spec", "ipFamilies", 1), families[1])]
    for index, family in enumerate(families):
        if family not in possible:
            return [invalid(("spec", "ipFamilies", index), family, "not configured on this cluster")]
    before = (old or {}).get("spec", {}).get("ipFamilies")
    if before and before[0] != families[0]:
        return [invalid(("spec", "ipFamilies", 0), families[0], "may not change once set")]
    for index, text in enumerate(spec.get("clusterIPs") or ()):
        if text != "None" and (
            index >= len(families) or _family(ip_address(text).version) != families[index]
        ):
            expected = families[index] if index < len(families) else "no"
            why = f"expected an {expected} value as indicated by `ipFamilies[{index}]`"
            return [invalid(("spec", "clusterIPs", index), text, why)]
    return []
