"""Netlink messages, byte by byte where it matters, and against this machine's own kernel for reading."""

from __future__ import annotations

import errno
import struct
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from emulator.network import datapath, rtnl
from emulator.network.errors import KernelDatapathUnavailable
from emulator.network.netlink import Netlink, NetlinkError, attribute, attributes


def test_attributes_are_padded_and_read_back() -> None:
    data = attribute(3, b"eth0\0") + attribute(0x8000 | 4, b"\1\2\3\4")
    assert len(data) == 12 + 8
    assert list(attributes(data)) == [(3, b"eth0\0"), (4, b"\1\2\3\4")]


def test_broken_attributes_end_the_reading() -> None:
    assert list(attributes(struct.pack("=HH", 2, 1))) == []


def test_addresses_of_both_families() -> None:
    four = rtnl.add_address(5, ip_interface("10.244.1.2/32")).payload
    assert four[:8] == struct.pack("=BBBBI", 2, 32, 0, 0, 5)
    assert (2, b"\x0a\xf4\x01\x02") in list(attributes(four[8:]))
    six = rtnl.add_address(5, ip_interface("fd00::2/64"))
    assert six.payload[:3] == bytes([10, 64, 2]), "usable at once: no duplicate address detection"
    assert six.tolerate == (errno.EEXIST,)


def test_default_routes_have_no_destination() -> None:
    route = rtnl.add_route(2, None, ip_address("10.244.1.1"))
    assert dict(attributes(route.payload[12:])).keys() == {4, 5}
    assert route.purpose == "route 0.0.0.0/0 through 10.244.1.1"
    sourced = rtnl.add_route(2, ip_network("10.244.0.0/16"), ip_address("10.0.0.1"), ip_address("10.0.0.2"))
    assert dict(attributes(sourced.payload[12:]))[7] == b"\x0a\0\0\x02"


def test_a_known_neighbour_stays_known() -> None:
    request = rtnl.add_neighbour(2, ip_address("10.244.1.1"), "0a:58:0a:f4:01:01")
    assert struct.unpack_from("=BxxxiHBB", request.payload) == (2, 2, 0x80, 0, 0), "NUD_PERMANENT"
    assert dict(attributes(request.payload[12:])) == {1: b"\x0a\xf4\1\1", 2: b"\x0a\x58\x0a\xf4\1\1"}


def test_the_kernel_lists_loopback() -> None:
    with Netlink() as netlink:
        loopback = rtnl.links(netlink)["lo"]
    assert (loopback.index, loopback.mac) == (1, "00:00:00:00:00:00")


def test_a_refusal_says_what_was_wanted() -> None:
    with Netlink() as netlink, pytest.raises(NetlinkError, match="set no-such-link up") as refusal:
        netlink.execute([rtnl.set_up("no-such-link", up=True)])
    assert refusal.value.errno in (errno.ENODEV, errno.EPERM)


def test_deleting_what_is_not_there_is_no_error() -> None:
    request = rtnl.delete_link("no-such-link")
    or_not_ours_to_delete = replace(request, tolerate=(*request.tolerate, errno.EPERM))
    with Netlink() as netlink:
        netlink.execute([or_not_ours_to_delete] * 200)


def test_the_kernel_says_whether_it_has_a_datapath() -> None:
    assert datapath.has_kernel_datapath() in (True, False)


def test_a_missing_datapath_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datapath, "has_kernel_datapath", lambda: False)
    with pytest.raises(KernelDatapathUnavailable, match="--datapath netdev"):
        datapath.refuse_without_kernel_datapath()
    monkeypatch.setattr(datapath, "has_kernel_datapath", lambda: True)
    datapath.refuse_without_kernel_datapath()
