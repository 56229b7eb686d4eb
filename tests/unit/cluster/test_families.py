"""`ipFamilyPolicy`, `ipFamilies` and `clusterIPs`: what the API server fills in, keeps and refuses."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.api.requests import Target, WriteOptions
from emulator.api.resources import Resources
from emulator.cluster.plan import wire
from emulator.cluster.topology import parse_topology

from .lab import Lab, service
from .test_admission import refusal, spec_of


def single_stack() -> Lab:
    spec = {"families": ["IPv4"], "nodes": [{"name": "worker-1"}]}
    return Lab(wire(parse_topology({"metadata": {"name": "four"}, "spec": spec})))


@pytest.mark.parametrize(
    ("wishes", "families", "policy"),
    [
        ({}, ["IPv4"], "SingleStack"),
        ({"ipFamilies": ["IPv6"]}, ["IPv6"], "SingleStack"),
        ({"clusterIP": "fd00:10:96::77"}, ["IPv6"], "SingleStack"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"], "PreferDualStack"),
        (
            {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]},
            ["IPv6", "IPv4"],
            "RequireDualStack",
        ),
        ({"clusterIP": "None"}, ["IPv4"], "SingleStack"),
        ({"clusterIP": "None", "selector": None}, ["IPv4", "IPv6"], "RequireDualStack"),
    ],
)
def test_families(wishes: JsonObject, families: list[str], policy: str) -> None:
    lab = Lab()
    lab.apply(service("web", **wishes))
    spec = spec_of(lab, "web")
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (families, policy)
    if spec["clusterIP"] != "None":
        versions = [ip_address(ip).version for ip in spec["clusterIPs"]]
        assert versions == [4 if family == "IPv4" else 6 for family in families]
        assert spec["clusterIP"] == spec["clusterIPs"][0]
    else:
        assert spec["clusterIPs"] == ["None"]


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (
            {"ipFamilies": ["IPv4", "IPv6"]},
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families",
        ),
        (
            {"clusterIPs": ["10.96.1.1", "fd00:10:96::1"], "clusterIP": "10.96.1.1"},
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs",
        ),
        (
            {"clusterIP": "10.96.1.1", "ipFamilies": ["IPv6"]},
            "expected an IPv6 value as indicated by `ipFamilies[0]`",
        ),
        ({"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.2"]}, "first value must match `clusterIP`"),
        ({"clusterIPs": ["10.96.1.1"]}, "must be empty when `clusterIP` is not specified"),
        ({"ipFamilies": ["IPv6", "IPv6"]}, 'spec.ipFamilies[1]: Duplicate value: "IPv6"'),
        (
            {"clusterIP": "None", "clusterIPs": ["None", "10.96.1.1"]},
            "'None' must be the first and only value",
        ),
        (
            {"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1", "10.96.1.2"]},
            "may specify no more than one IP for each IP family",
        ),
        (
            {"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1", "fd00:10:96::1", "10.96.1.2"]},
            "may only hold up to 2 values",
        ),
    ],
)
def test_contradictory_families_are_refused(wishes: JsonObject, words: str) -> None:
    assert words in refusal(Lab(), service("web", **wishes))


def test_a_single_stack_cluster_offers_one_family() -> None:
    lab = single_stack()
    why = "this cluster is not configured for dual-stack services"
    assert why in refusal(lab, service("web", ipFamilyPolicy="RequireDualStack"))
    assert 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster' in refusal(
        lab, service("web", ipFamilies=["IPv6"])
    )
    lab.apply(
        service("web", ipFamilyPolicy="PreferDualStack"), service("all", clusterIP="None", selector=None)
    )
    assert spec_of(lab, "web")["ipFamilies"] == ["IPv4"]
    assert spec_of(lab, "all")["ipFamilies"] == ["IPv4", "IPv6"]


def change(lab: Lab, name: str, **fields: Any) -> JsonObject:
    """Replace a Service with `fields` of its spec changed (None: left out)."""

    def edit(obj: JsonObject) -> None:
        obj["spec"].update(fields)
        for field in [field for field, value in fields.items() if value is None]:
            del obj["spec"][field]

    lab.change("Service", name, edit)
    return spec_of(lab, name)


def test_a_single_stack_cluster_says_which_address_it_cannot_give() -> None:
    why = 'spec.clusterIPs[0]: Invalid value: ["fd00:10:96::5"]: IPv6 is not configured on this cluster'
    assert why in refusal(single_stack(), service("web", clusterIP="fd00:10:96::5"))


def test_both_addresses_may_be_chosen() -> None:
    lab = Lab()
    wanted = ["fd00:10:96::99", "10.96.0.99"]
    lab.apply(service("web", clusterIP=wanted[0], clusterIPs=wanted, ipFamilyPolicy="PreferDualStack"))
    spec = spec_of(lab, "web")
    assert (spec["clusterIPs"], spec["ipFamilies"]) == (wanted, ["IPv6", "IPv4"])
    again = service(
        "two", clusterIP="10.96.1.9", clusterIPs=["10.96.1.9", wanted[0]], ipFamilyPolicy="RequireDualStack"
    )
    assert "failed to allocate IP fd00:10:96::99: provided IP is already allocated" in refusal(lab, again)


def test_one_chosen_address_is_completed_by_the_other_family() -> None:
    lab = Lab()
    lab.apply(service("web", clusterIP="fd00:10:96::99", ipFamilyPolicy="RequireDualStack"))
    spec = spec_of(lab, "web")
    assert spec["ipFamilies"] == ["IPv6", "IPv4"]
    assert (spec["clusterIPs"][0], ip_address(spec["clusterIPs"][1]).version) == ("fd00:10:96::99", 4)


def test_the_second_family_comes_and_goes_and_the_first_stays() -> None:
    lab = Lab()
    lab.apply(service("web"))
    first = spec_of(lab, "web")["clusterIP"]
    both = change(lab, "web", ipFamilyPolicy="PreferDualStack")["clusterIPs"]
    assert (both[0], len(both)) == (first, 2)
    assert change(lab, "web", ipFamilyPolicy="RequireDualStack")["clusterIPs"] == both
    spec = change(lab, "web", ipFamilyPolicy="SingleStack")
    assert (spec["clusterIPs"], spec["ipFamilies"]) == ([first], ["IPv4"])
    lab.apply(service("late", clusterIP=both[1]))  # the released address can be had again


def test_the_second_address_may_be_chosen_later() -> None:
    lab = Lab()
    lab.apply(service("web"))
    wanted = [spec_of(lab, "web")["clusterIP"], "fd00:10:96::42"]
    spec = change(lab, "web", ipFamilyPolicy="RequireDualStack", clusterIPs=wanted)
    assert (spec["clusterIPs"], spec["ipFamilies"]) == (wanted, ["IPv4", "IPv6"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ipFamilies": ["IPv4"]}, "must be 'SingleStack' to release the secondary IP family"),
        ({"ipFamilies": ["IPv6", "IPv4"]}, "expected an IPv6 value as indicated by `ipFamilies[0]`"),
        ({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}, "expected an IPv6 value"),
    ],
)
def test_families_do_not_change_otherwise(fields: JsonObject, words: str) -> None:
    lab = Lab()
    lab.apply(service("web", ipFamilyPolicy="PreferDualStack"))
    with pytest.raises(ApiError) as caught:
        change(lab, "web", **fields)
    assert words in caught.value.message


def test_addresses_do_not_change() -> None:
    lab = Lab()
    lab.apply(service("web", ipFamilyPolicy="PreferDualStack"))
    four, six = spec_of(lab, "web")["clusterIPs"]
    for wanted, words in (
        (["10.96.0.77", six], f'spec.clusterIPs[0]: Invalid value: ["10.96.0.77", "{six}"]: may not change'),
        ([four, "fd00:10:96::77"], "spec.clusterIPs[1]: Invalid value"),
        ([four], "must be 'SingleStack' to release the secondary cluster IP"),
        (["None"], "may not change once set"),
    ):
        with pytest.raises(ApiError) as caught:
            change(lab, "web", clusterIP=wanted[0], clusterIPs=wanted)
        assert words in caught.value.message
    assert spec_of(lab, "web")["clusterIPs"] == [four, six]


def test_who_names_no_policy_keeps_the_one_there_was() -> None:
    lab = Lab()
    lab.apply(service("web", ipFamilyPolicy="PreferDualStack"))
    before = spec_of(lab, "web")
    lab.store.replace(service("web", [{"port": 81}]))
    after = spec_of(lab, "web")
    assert [after[f] for f in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")] == [
        before[f] for f in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
    ]


def test_a_headless_service_may_change_its_families() -> None:
    lab = Lab()
    lab.apply(service("web", clusterIP="None"))
    assert change(lab, "web", ipFamilies=["IPv6"])["ipFamilies"] == ["IPv6"]
    assert change(lab, "web", ipFamilyPolicy="PreferDualStack")["ipFamilies"] == ["IPv6", "IPv4"]
    with pytest.raises(ApiError, match="may not change once set"):
        change(lab, "web", clusterIP="10.96.0.78", clusterIPs=["10.96.0.78"])


def test_a_patch_of_the_policy_alone_is_enough() -> None:
    """What `kubectl patch` sends: nothing but the policy."""
    lab = Lab()
    lab.apply(service("web", ipFamilyPolicy="PreferDualStack"))
    first = spec_of(lab, "web")["clusterIP"]
    target = Target.from_path("/api/v1/namespaces/default/services/web")
    body = {"spec": {"ipFamilyPolicy": "SingleStack"}}
    Resources(lab.store).patch(target, "application/merge-patch+json", body, WriteOptions())
    assert spec_of(lab, "web")["clusterIPs"] == [first]
