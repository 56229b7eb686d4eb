"""What is accepted, and still worth a word."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.api.remarks import remarks


def service(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "web", "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def remembered(seconds: int) -> dict[str, Any]:
    return service(
        sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": seconds}}
    )


def test_most_objects_are_not_remarkable() -> None:
    assert remarks({"kind": "Pod"}) == ()
    assert remarks(service()) == ()
    assert remarks(remembered(65_535)) == ()
    assert remarks(service({"service.kubernetes.io/topology-mode": "Disabled"})) == ()


def test_a_switch_remembers_18_hours() -> None:
    (remark,) = remarks(remembered(86_400))
    assert remark.startswith("Service web: spec.sessionAffinityConfig.clientIP.timeoutSeconds: ")


def test_topology_mode_is_told_to_have_no_effect() -> None:
    (remark,) = remarks(service({"service.kubernetes.io/topology-mode": "Auto"}))
    assert "has no effect here" in remark


@pytest.mark.parametrize(
    ("spec", "warnings"),
    [
        ({"ingress": [{}], "policyTypes": ["Ingress"]}, ()),
        ({"ingress": [{}], "egress": [{}]}, ()),
        ({"egress": [], "policyTypes": ["Ingress"]}, ()),
        (
            {"egress": [{}], "policyTypes": ["Ingress"]},
            ("NetworkPolicy p: spec.egress: has no effect: policyTypes does not name Egress",),
        ),
        (
            {"ingress": [{}], "policyTypes": ["Egress"]},
            ("NetworkPolicy p: spec.ingress: has no effect: policyTypes does not name Ingress",),
        ),
    ],
)
def test_rules_that_a_policy_does_not_mean(spec: dict[str, Any], warnings: tuple[str, ...]) -> None:
    assert remarks({"kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": spec}) == warnings


def test_source_ranges_of_a_family_that_the_service_has_not() -> None:
    spec = {"ipFamilies": ["IPv6"], "loadBalancerSourceRanges": ["2001:db8::/32", "10.0.0.0/8"]}
    found = remarks({"kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    where = "spec.loadBalancerSourceRanges[1]"
    assert found == (f"Service web: {where}: 10.0.0.0/8 has no effect: the Service is not IPv4",)
    assert (
        remarks({"kind": "Service", "metadata": {"name": "web"}, "spec": spec | {"ipFamilies": None}}) == ()
    )
