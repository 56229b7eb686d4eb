"""What connection tracking still knows of pods that are gone.

An address goes to another pod one day, and no policy judges a known connection: whoever spoke with the old
pod, and speaks on, would speak with the new one. So a pod's connections end with the pod, as Calico has it
(Felix forgets every entry with the address of a workload that is removed).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from emulator.cluster.model import ClusterState
from emulator.cluster.wiring import IPAddress

Owners = Mapping[IPAddress, str]
"""The uid of the pod at each address."""

_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
_LINE = re.compile(
    r"^(\w+),orig=\(src=([^,]+),dst=([^,)]+)(?:,sport=(\d+),dport=(\d+))?[^)]*\),"
    r"reply=\(src=([^,]+),dst=([^,)]+)[^)]*\),(?:id=\d+,)?zone=(\d+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Remains:
    """An entry of connection tracking with one end that is nobody any more."""

    zone: int
    tuple: str
    """Its original direction as `dpctl/flush-conntrack` reads it; without ports it means all there are."""


def owners(state: ClusterState) -> Owners:
    """Pods with a network of their own by address."""
    pods = (pod for pod in state.pods if not pod.host_network)
    return {address: pod.uid for pod in pods for address in pod.addresses}


def left(before: Owners, now: Owners) -> frozenset[IPAddress]:
    """The addresses whose pod is gone, or is another one."""
    return frozenset(address for address, uid in before.items() if now.get(address) != uid)


def remains(dump: str, gone: frozenset[IPAddress]) -> Iterator[Remains]:
    """The entries in the text of `dpctl/dump-conntrack` that one of these addresses takes part in."""
    for found in _LINE.finditer(dump):
        protocol, source, destination, source_port, port, answering, asking, zone = found.groups()
        ends = {ip_address(end) for end in (source, destination, answering, asking)}
        if ends.isdisjoint(gone):
            continue
        kind = "nw" if ip_address(source).version == 4 else "ipv6"
        number = _NUMBERS.get(protocol) or int(protocol)
        words = [f"ct_{kind}_src={source}", f"ct_{kind}_dst={destination}", f"ct_nw_proto={number}"]
        if protocol in ("tcp", "udp"):
            words += [f"ct_tp_src={source_port}", f"ct_tp_dst={port}"]
        yield Remains(int(zone), ",".join(words))
