"""Places and their namespaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.network.names import netns_name, netns_path

labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("shop/web", "pod-shop.web"),
        ("pod/shop/web", "pod-shop.web"),
        ("node/worker-1", "node-worker-1"),
        ("ext/client", "ext-client"),
        ("router/bgp", "router-bgp"),
    ],
)
def test_places_have_readable_names(place: str, name: str) -> None:
    assert netns_name(place) == name
    assert str(netns_path(place)) == f"/run/netns/{name}"


@given(labels, labels, labels, labels)
def test_two_pods_never_share_a_name(ns1: str, pod1: str, ns2: str, pod2: str) -> None:
    if (ns1, pod1) != (ns2, pod2):
        assert netns_name(f"pod/{ns1}/{pod1}") != netns_name(f"pod/{ns2}/{pod2}")


def test_long_names_are_cut_and_stay_different() -> None:
    stem = "a" * 250
    names = {netns_name(f"shop/{stem}{n}") for n in (1, 2)}
    assert len(names) == 2
    assert all(len(name) <= 255 for name in names)


@pytest.mark.parametrize("place", ["", "web", "/web", "shop/", "svc/shop/db"])
def test_what_has_no_netns_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="network namespace"):
        netns_name(place)
