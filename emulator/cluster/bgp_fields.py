"""`bgp` of a topology, and the routers that speak it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emulator.api.objects import Path
from emulator.cluster.fields import known, mapping, network, quantity, sequence
from emulator.cluster.quantities import parse_delay
from emulator.cluster.specs import BgpSpec, RouterKind, TopologyError
from emulator.cluster.wiring import IPNetwork

NODES_ASN, ROUTERS_ASN = 64512, 64513
"""Private autonomous systems (RFC 6996): the one that Calico gives to nodes by default, and the next."""
HOLD_TIME = 3
"""Seconds; the least that BGP knows (RFC 4271, section 4.2)."""

_BGP: Path = ("spec", "bgp")
_LONGEST_HOLD_TIME = 65_535
_RESERVED = frozenset({0, 23_456, 65_535, 0xFFFFFFFF})
"""Numbers that nobody may use (RFC 7607, RFC 6793, RFC 7300)."""


def read_bgp(spec: Mapping[str, Any], families: Sequence[int]) -> BgpSpec | None:
    """`spec.bgp` with its defaults; None where no router is of kind `bgp`. Raises TopologyError."""
    kinds = [
        item.get("kind", item.get("name")) for item in spec.get("routers") or () if isinstance(item, Mapping)
    ]
    if RouterKind.BGP not in kinds:
        if spec.get("bgp") is not None:
            hint = "routers: [{name: tor, kind: bgp}]"
            raise TopologyError(_BGP, "there is no router of kind bgp to speak to", hint)
        return None
    item = mapping(spec.get("bgp"), _BGP)
    known(item, _BGP, "asn holdTime advertise")
    where: Path = (*_BGP, "advertise")
    advertise = mapping(item.get("advertise"), where)
    known(advertise, where, "clusterIPs externalIPs loadBalancerIPs")
    cluster_ips = advertise.get("clusterIPs", True)
    if not isinstance(cluster_ips, bool):
        raise TopologyError((*where, "clusterIPs"), f"{cluster_ips!r} is neither true nor false")
    return BgpSpec(
        asn=_asn(item, NODES_ASN, _BGP),
        hold_time=_hold_time(item),
        cluster_ips=cluster_ips,
        external_ips=_ranges(advertise, "externalIPs", where, families),
        load_balancer_ips=_ranges(advertise, "loadBalancerIPs", where, families),
    )


def read_router_asn(item: Mapping[str, Any], kind: RouterKind, path: Path) -> int | None:
    """`asn` of a router; None for the kinds that speak no BGP. Raises TopologyError."""
    if kind is RouterKind.BGP:
        return _asn(item, ROUTERS_ASN, path)
    if "asn" in item:
        raise TopologyError((*path, "asn"), f"a router of kind {kind} speaks no BGP", "kind: bgp")
    return None


def _asn(item: Mapping[str, Any], default: int, path: Path) -> int:
    value = item.get("asn", default)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or not 0 < value < 1 << 32 or value in _RESERVED:
        hint = "64512 to 65534 are for private use"
        raise TopologyError((*path, "asn"), f"{value!r} is no number of an autonomous system", hint)
    return int(value)


def _hold_time(item: Mapping[str, Any]) -> int:
    microseconds = quantity(item, "holdTime", parse_delay, _BGP)
    if microseconds is None:
        return HOLD_TIME
    seconds, rest = divmod(microseconds, 1_000_000)
    if rest or not HOLD_TIME <= seconds <= _LONGEST_HOLD_TIME:
        what = f"{item['holdTime']!r} is no hold time"
        raise TopologyError((*_BGP, "holdTime"), what, f"whole seconds, {HOLD_TIME}s at least")
    return seconds


def _ranges(
    item: Mapping[str, Any], field: str, path: Path, families: Sequence[int]
) -> tuple[IPNetwork, ...]:
    where: Path = (*path, field)
    found = []
    for index, value in enumerate(sequence(item.get(field), where)):
        one = network(value, (*where, index))
        if one.version not in families:
            raise TopologyError((*where, index), f"{one} is of a family that spec.families does not name")
        found.append(one)
    return tuple(found)
