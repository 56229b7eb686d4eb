"""The facts as they are: what the kernel says in each place's netns, and where Open vSwitch runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from emulator.network import netns, rtnl
from emulator.network.kernel import listing
from emulator.network.kernel.facts import DOWN, THERE, UP, Facts, Kind, Seat, Subject, Value
from emulator.network.names import NETNS_DIRECTORY, netns_name
from emulator.network.netlink import Netlink
from emulator.network.switchboard import PortState

Fact = tuple[Subject, Value]


def found(planned: Facts, ports: Mapping[str, PortState]) -> Facts:
    """What is there of the interfaces, places and settings that `planned` speaks of. Blocks; raises OSError.

    Of a place without a netns nothing is there.
    """
    at_hosts: dict[str, list[Subject]] = defaultdict(list)
    at_switch: list[Subject] = []
    for subject in planned:
        if subject.at_switch:
            at_switch.append(subject)
        else:
            at_hosts[subject.place].append(subject)
    existing = netns.existing()
    tasks = [
        (NETNS_DIRECTORY / netns_name(place), partial(_host, place, subjects))
        for place, subjects in at_hosts.items()
        if netns_name(place) in existing
    ]
    facts: dict[Subject, Value] = {}
    for some in netns.inside(tasks):
        facts.update(some)
    facts.update(_switch(at_switch, ports))
    return facts


def _host(place: str, subjects: Iterable[Subject]) -> dict[Subject, Value]:
    """Facts of the netns that the calling thread is in."""
    facts: dict[Subject, Value] = {}
    interfaces = {subject.interface for subject in subjects if subject.interface}
    with Netlink() as netlink:
        links = rtnl.links(netlink)
        names = {link.index: link.name for link in links.values()}
        for name in interfaces & links.keys():
            facts.update(_link(place, links[name], at_switch=False))
        for index, address in listing.addresses(netlink):
            name = names.get(index, "")
            if name in interfaces and name != "lo":
                facts[Subject(place, Kind.ADDRESS, name, address)] = THERE
        for key, way in listing.routes(netlink, names):
            facts[Subject(place, Kind.ROUTE, what=key)] = way
        for entry in listing.neighbours(netlink):
            if names.get(entry.index) in interfaces:
                facts[Subject(place, Kind.NEIGHBOUR, names[entry.index], entry.address)] = entry.mac
        for rule in listing.rules(netlink):
            facts[Subject(place, Kind.RULE, what=rule)] = THERE
    for subject in subjects:
        if subject.kind is Kind.SYSCTL:
            value = _sysctl(str(subject.what))
            if value is not None:
                facts[subject] = value
    return facts


def _switch(subjects: Iterable[Subject], ports: Mapping[str, PortState]) -> Iterator[Fact]:
    places = {subject.interface: subject.place for subject in subjects}
    tunnels = {subject.interface for subject in subjects if subject.kind is Kind.TUNNEL}
    with Netlink() as netlink:
        links = rtnl.links(netlink)
        names = {link.index: link.name for link in links.values()}
        for name, place in places.items():
            if name in links:
                yield from _link(place, links[name], at_switch=True)
            if name in ports:
                seat = Seat(ports[name].bridge, ports[name].ofport)
                yield Subject(place, Kind.PORT, name, at_switch=True), seat
        if tunnels:
            for entry in listing.tunnel_ends(netlink):
                name = names.get(entry.index, "")
                if name in tunnels:
                    subject = Subject(places[name], Kind.TUNNEL, name, entry.mac, at_switch=True)
                    yield subject, entry.address


def _link(place: str, link: rtnl.LinkState, *, at_switch: bool) -> Iterator[Fact]:
    yield Subject(place, Kind.LINK, link.name, at_switch=at_switch), UP if link.up else DOWN
    if link.name != "lo":
        yield Subject(place, Kind.MTU, link.name, at_switch=at_switch), link.mtu
        if not at_switch:
            yield Subject(place, Kind.MAC, link.name), link.mac


def _sysctl(key: str) -> str | None:
    try:
        with open(f"/proc/sys/{key}", encoding="ascii") as file:
            return " ".join(file.read().split())
    except OSError:
        return None
