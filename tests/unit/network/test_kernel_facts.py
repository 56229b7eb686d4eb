"""Planned facts and differences, as values."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from emulator.network.cables import BridgeEnd, Cable, HostEnd, HostRoute, RemoteEnd, Tunnel
from emulator.network.kernel.facts import (
    DOWN,
    Facts,
    Fault,
    Hop,
    Kind,
    RouteKey,
    Setting,
    Subject,
    Value,
    Way,
    differences,
)
from emulator.network.kernel.planned import planned

GATEWAY = ip_address("10.244.1.1")
POD = HostEnd(
    "shop/web",
    "02:01:00:00:00:05",
    (ip_interface("10.244.1.5/32"),),
    (HostRoute(None, GATEWAY, gateway_mac="02:01:00:00:00:01"),),
)
CABLE = Cable(BridgeEnd("n1", "p1-5", 105), POD, 1450)
TUNNEL = Tunnel(
    BridgeEnd("n1", "n1-tun", 3),
    "node/worker-1",
    1,
    ip_address("192.168.50.11"),
    (RemoteEnd("02:04:00:00:00:02", ip_address("192.168.50.12")),),
    1450,
)
PLANNED: Facts = planned([CABLE], [TUNNEL], {}, {"n1": "node/worker-1"})
DEFAULT = Subject("shop/web", Kind.ROUTE, what=RouteKey(ip_network("0.0.0.0/0")))
ETH0 = Subject("shop/web", Kind.LINK, "eth0")


def as_found() -> dict[Subject, Value]:
    return {s: v.values[-1] if isinstance(v, Setting) else v for s, v in PLANNED.items()}


def test_what_is_as_planned_does_not_differ() -> None:
    assert differences(PLANNED, as_found()) == ()


@pytest.mark.parametrize("subject", [s for s in PLANNED if s.kind not in (Kind.SYSCTL, Kind.LINK)], ids=str)
def test_whatever_is_missing_is_told(subject: Subject) -> None:
    found = as_found()
    del found[subject]
    (one,) = differences(PLANNED, found)
    assert (one.subject, one.fault, one.planned, one.found) == (
        subject,
        Fault.MISSING,
        PLANNED[subject],
        None,
    )


@pytest.mark.parametrize("subject", PLANNED, ids=str)
def test_whatever_is_altered_is_told(subject: Subject) -> None:
    found = as_found() | {subject: "something else"}
    (one,) = differences(PLANNED, found)
    assert (one.subject, one.fault, one.found) == (subject, Fault.ALTERED, "something else")


def test_what_is_there_without_a_plan() -> None:
    foreign = replace(DEFAULT, what=RouteKey(ip_network("192.0.2.0/24")))
    way = Way((Hop("eth0", GATEWAY),))
    (one,) = differences(PLANNED, as_found() | {foreign: way})
    assert (one.subject, one.fault, str(one.subject), str(one.found)) == (
        foreign,
        Fault.EXTRA,
        "192.0.2.0/24",
        "via 10.244.1.1 dev eth0",
    )


def test_a_missing_interface_is_told_once() -> None:
    found = {s: v for s, v in as_found().items() if s.at_switch or s.interface != "eth0"}
    del found[DEFAULT]
    assert [one.subject for one in differences(PLANNED, found)] == [ETH0]


def test_routes_that_went_with_a_link_are_not_told() -> None:
    found = as_found() | {ETH0: DOWN}
    del found[DEFAULT]
    assert [(one.subject, one.fault) for one in differences(PLANNED, found)] == [(ETH0, Fault.ALTERED)]


def test_a_setting_that_this_kernel_has_not() -> None:
    found = {s: v for s, v in as_found().items() if s.kind is not Kind.SYSCTL}
    assert differences(PLANNED, found) == ()
