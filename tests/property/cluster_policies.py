"""Random ClusterNetworkPolicies."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import strategies as st

from emulator.api.selectors import Operator, Requirement
from emulator.cluster.model import (
    ClusterNetworkPolicy,
    ClusterPolicyRule,
    PolicyAction,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
    Tier,
)

_KINDS = ("ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy")
_NETWORKS = (
    "10.244.0.0/16",
    "10.244.1.0/24",
    "198.51.100.0/24",
    "0.0.0.0/0",
    "192.168.50.11/32",
    "fd00::/8",
    "::/0",
)


def _in(key: str, *values: str) -> tuple[Requirement, ...]:
    return (Requirement(key, Operator.IN, values),)


_pods = st.sampled_from(((), *(_in("app", one) for one in "abc")))
_namespaces = st.sampled_from(
    ((), _in("team", "red"), _in("team", "blue"), (Requirement("team", Operator.NOT_IN, ("red",)),))
)
_nodes = st.sampled_from(((), _in("name", "worker-1")))
_chosen = st.one_of(
    st.builds(PolicyPeer, namespaces=_namespaces), st.builds(PolicyPeer, pods=_pods, namespaces=_namespaces)
)
_named = st.sampled_from(("web", "dns")).map(
    lambda name: tuple(PolicyPort(protocol, name) for protocol in Protocol)
)
_numbered = st.one_of(
    st.builds(PolicyPort, st.sampled_from(Protocol), st.sampled_from((None, 80, 81, 8080, 9000))),
    st.builds(PolicyPort, st.sampled_from(Protocol), st.just(80), st.sampled_from((81, 8080, 9000))),
).map(lambda port: (port,))
_away = st.one_of(
    st.builds(PolicyPeer, nodes=_nodes),
    st.sampled_from(_NETWORKS).map(lambda text: PolicyPeer(block=ip_network(text))),
)


@st.composite
def _rules(draw: st.DrawFn, *, outward: bool) -> tuple[ClusterPolicyRule, ...]:
    found = []
    for _ in range(draw(st.integers(0, 2))):
        peers = draw(st.lists(st.one_of(_chosen, _away) if outward else _chosen, min_size=1, max_size=2))
        beyond = any(peer.block is not None or peer.nodes is not None for peer in peers)
        ports = draw(st.lists(_numbered if beyond else st.one_of(_numbered, _named), max_size=2))
        traffic = PolicyRule(tuple(peers), tuple(port for some in ports for port in some))
        found.append(ClusterPolicyRule(draw(st.sampled_from(PolicyAction)), traffic))
    return tuple(found)


@st.composite
def cluster_policies(draw: st.DrawFn) -> tuple[ClusterNetworkPolicy, ...]:
    """Up to three, in both tiers, some of one priority and one name, of different kinds."""
    return tuple(
        ClusterNetworkPolicy(
            Ref(_KINDS[number], "", f"rules-{number // 2}"),
            draw(st.sampled_from(Tier)),
            draw(st.sampled_from((0, 1, 1000))),
            draw(_chosen),
            draw(_rules(outward=False)),
            draw(_rules(outward=True)),
        )
        for number in range(draw(st.integers(0, 3)))
    )
