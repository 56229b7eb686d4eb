"""UDP through the load balancer: which entries of connection tracking are to be forgotten."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from controllers.pipeline.stale_balanced import balanced, stale_balanced
from emulator.cluster.model import ClusterState, LoadBalancerAddress, Protocol

from .cluster import service, state

ZONE = state("two-zone-vpc").wiring.bridge("lb").zone
VIP, PROXY = "203.0.113.70", "203.0.113.71"


def cluster(*targets: str) -> ClusterState:
    """A UDP Service in each mode; those are the healthy nodes."""
    made = [
        replace(
            service(name, number, (), port=53, protocol=Protocol.UDP, node_port=30000 + number),
            load_balancer=(LoadBalancerAddress(ip_address(address), name == "proxy"),),
            targets=targets,
        )
        for number, (name, address) in enumerate((("vip", VIP), ("proxy", PROXY)), start=40)
    ]
    return replace(state("two-zone-vpc"), services=tuple(made))


def entry(address: str, answers: str, node: int, zone: int = ZONE, port: int = 53) -> str:
    """One line of `dpctl/dump-conntrack`: a client, and the node that it was given."""
    host, number = answers.rsplit(":", 1)
    return (
        f"udp,orig=(src=198.51.100.7,dst={address},sport=40000,dport={port}),"
        f"reply=(src={host},dst=198.51.100.7,sport={number},dport=40000),zone={zone},mark={node << 16 | 1}"
    )


@pytest.mark.parametrize(
    ("line", "forgotten"),
    [
        (entry(VIP, f"{VIP}:53", 3), False),
        (entry(VIP, f"{VIP}:53", 4), True),
        (entry(VIP, f"{VIP}:53", 4, zone=102), False),
        (entry(PROXY, "192.168.52.11:30041", 3), False),
        (entry(PROXY, "192.168.52.11:30999", 3), True),
        (entry(PROXY, "192.168.53.11:30041", 4), True),
        (entry(VIP, f"{VIP}:54", 3, port=54), True),
        (entry("203.0.113.99", "203.0.113.99:53", 3), True),
        (entry("198.51.100.80", "198.51.100.80:53", 0), False),
        (entry(VIP, f"{VIP}:53", 4).replace("udp,", "tcp,"), False),
    ],
)
def test_what_leads_astray_is_forgotten(line: str, forgotten: bool) -> None:
    found = list(stale_balanced(line, balanced(cluster("worker-1"))))
    assert [connection.zone for connection in found] == ([ZONE] if forgotten else [])


def test_where_no_other_way_is_open_nothing_is_forgotten() -> None:
    assert not list(stale_balanced(entry(VIP, f"{VIP}:53", 4), balanced(cluster())))


def test_nothing_where_there_is_no_balancer() -> None:
    assert not list(stale_balanced(entry(VIP, f"{VIP}:53", 4, zone=0), balanced(state("three-node"))))
