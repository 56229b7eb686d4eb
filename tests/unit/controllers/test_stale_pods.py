"""What pods leave behind in connection tracking, and that it is forgotten once."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from controllers import unixctl
from controllers.conntrack_cleanup import Cleaner
from controllers.pipeline.stale import Frontends
from controllers.pipeline.stale_balanced import Balanced
from controllers.pipeline.stale_pods import left, owners, remains
from emulator.cluster.model import ClusterState

from .policy_lab import PLAN, XA, XB

CLIENT, VIP = "10.244.3.9", "10.96.0.20"
POD = str(XA.addresses[0])


def entry(protocol: str, source: str, destination: str, answering: str, zone: int = 102) -> str:
    """One line of `dpctl/dump-conntrack`."""
    ports, turned = ",sport=4000,dport=80", ",sport=8080,dport=4000"
    if protocol.startswith("icmp"):
        ports, turned = ",id=11,type=8,code=0", ",id=11,type=0,code=0"
    orig = f"orig=(src={source},dst={destination}{ports})"
    return f"{protocol},{orig},reply=(src={answering},dst={source}{turned}),zone={zone},mark=1"


@pytest.mark.parametrize(
    ("line", "flushed"),
    [
        (
            entry("udp", CLIENT, POD, POD),
            f"ct_nw_src={CLIENT},ct_nw_dst={POD},ct_nw_proto=17,ct_tp_src=4000,ct_tp_dst=80",
        ),
        (
            entry("tcp", POD, CLIENT, CLIENT),
            f"ct_nw_src={POD},ct_nw_dst={CLIENT},ct_nw_proto=6,ct_tp_src=4000,ct_tp_dst=80",
        ),
        (
            entry("tcp", CLIENT, VIP, POD),
            f"ct_nw_src={CLIENT},ct_nw_dst={VIP},ct_nw_proto=6,ct_tp_src=4000,ct_tp_dst=80",
        ),
        (entry("icmp", CLIENT, POD, POD), f"ct_nw_src={CLIENT},ct_nw_dst={POD},ct_nw_proto=1"),
        (entry("sctp", CLIENT, POD, POD), f"ct_nw_src={CLIENT},ct_nw_dst={POD},ct_nw_proto=132"),
        (
            entry("udp", "fd00::9", str(XA.addresses[1]), str(XA.addresses[1])),
            f"ct_ipv6_src=fd00::9,ct_ipv6_dst={XA.addresses[1]},ct_nw_proto=17,ct_tp_src=4000,ct_tp_dst=80",
        ),
        (entry("tcp", CLIENT, VIP, str(XB.addresses[0])), None),
    ],
)
def test_every_entry_with_the_address_is_found(line: str, flushed: str | None) -> None:
    found = list(remains(line, frozenset(XA.addresses)))
    assert [(one.zone, one.tuple) for one in found] == ([(102, flushed)] if flushed else [])


def test_a_pod_that_is_gone_or_another_one() -> None:
    before = owners(ClusterState(PLAN, pods=(XA, XB)))
    assert left(before, before) == set()
    assert left(before, owners(ClusterState(PLAN, pods=(XB,)))) == set(XA.addresses)
    anew = replace(XA, uid="another")
    assert left(before, owners(ClusterState(PLAN, pods=(anew, XB)))) == set(XA.addresses)
    on_host = replace(XA, host_network=True, addresses=(ip_address("192.168.50.11"),))
    assert owners(ClusterState(PLAN, pods=(on_host,))) == {}, "a node's address outlives its pods"


def test_who_speaks_on_is_forgotten_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other end's switch knows the connection again with the next packet."""
    asked: list[tuple[str, ...]] = []

    def command(name: str, *words: str) -> str:
        asked.append((name, *words))
        return entry("udp", CLIENT, POD, POD, zone=103) if name == "dpctl/dump-conntrack" else ""

    monkeypatch.setattr(unixctl, "command", command)
    cleaner, nothing = Cleaner(), (Frontends(), Balanced())
    there, gone = owners(ClusterState(PLAN, pods=(XA,))), owners(ClusterState(PLAN))
    assert cleaner.clean(*nothing, there) == 0
    asked.clear()
    assert cleaner.clean(*nothing, gone) == 1
    flushed = f"ct_nw_src={CLIENT},ct_nw_dst={POD},ct_nw_proto=17,ct_tp_src=4000,ct_tp_dst=80"
    assert asked.count(("dpctl/flush-conntrack", "zone=103", flushed)) == 1
    asked.clear()
    assert cleaner.clean(*nothing, gone) == 0
    assert asked == []
