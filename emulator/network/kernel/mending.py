"""What puts differences right, in the netns where they are; cables that are gone are laid elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from emulator.cluster.wiring import IPAddress, IPInterface
from emulator.network import netns, rtnl
from emulator.network.cables import Cable
from emulator.network.kernel.facts import (
    Difference,
    Fault,
    Kind,
    Lookup,
    RouteKey,
    Setting,
    Subject,
    Way,
)
from emulator.network.names import NETNS_DIRECTORY, netns_name
from emulator.network.netlink import Netlink, Request

Broken = frozenset[tuple[str, str]]
"""Interfaces that are gone, with their places; an empty place where Open vSwitch runs."""


def broken(differences: Iterable[Difference]) -> Broken:
    """The interfaces whose cables or ports have to be made again."""
    return frozenset(_wire(one.subject) for one in differences if _is_laid(one))


def concerns(found: Broken, cable: Cable) -> bool:
    """Whether a cable ends at one of them."""
    ends = {("", end.interface) for end in cable.bridge_ends()}
    if cable.host:
        ends.add((cable.host.place, cable.host.interface))
    return bool(ends & found)


def mend(differences: Iterable[Difference]) -> None:
    """Put everything else right. Blocks; raises OSError, NetlinkError among them."""
    of: dict[str, list[Difference]] = defaultdict(list)
    for one in differences:
        if not _is_laid(one):
            of[_wire(one.subject)[0]].append(one)
    _mend(of.pop("", []))
    existing = netns.existing()
    netns.inside(
        [
            (NETNS_DIRECTORY / netns_name(place), partial(_mend, some))
            for place, some in of.items()
            if netns_name(place) in existing
        ]
    )


def _is_laid(one: Difference) -> bool:
    gone = one.subject.kind is Kind.LINK and one.fault is Fault.MISSING
    return gone or one.subject.kind is Kind.PORT


def _wire(subject: Subject) -> tuple[str, str]:
    return ("" if subject.at_switch else subject.place), subject.interface


def _mend(differences: Iterable[Difference]) -> None:
    """Runs in the netns concerned."""
    told = list(differences)
    netns.settle(
        {str(one.subject.what): one.planned.values for one in told if isinstance(one.planned, Setting)}
    )
    with Netlink() as netlink:
        links = rtnl.links(netlink)
        for one in told:
            netlink.execute(list(_requests(one, links)))


def _requests(one: Difference, links: Mapping[str, rtnl.LinkState]) -> Iterator[Request]:
    subject, planned = one.subject, one.planned
    name, what = subject.interface, subject.what
    link = links.get(name)
    match subject.kind:
        case Kind.LINK if link:
            yield rtnl.set_up(name, up=True)
        case Kind.MTU if link and isinstance(planned, int):
            yield rtnl.set_mtu(name, planned)
        case Kind.MAC if link and isinstance(planned, str):
            yield rtnl.set_mac(name, planned)
        case Kind.ADDRESS if link and isinstance(what, IPInterface):
            extra = one.fault is Fault.EXTRA
            yield rtnl.delete_address(link.index, what) if extra else rtnl.add_address(link.index, what)
        case Kind.NEIGHBOUR if link and isinstance(what, IPAddress):
            if isinstance(planned, str):
                yield rtnl.add_neighbour(link.index, what, planned)
            else:
                yield rtnl.delete_neighbour(link.index, what)
        case Kind.TUNNEL if link and isinstance(what, str):
            yield rtnl.delete_fdb(link.index, what)
            if isinstance(planned, IPAddress):
                yield rtnl.add_fdb(link.index, what, planned)
        case Kind.ROUTE if isinstance(what, RouteKey):
            yield from _route(what, planned if isinstance(planned, Way) else None, links)
        case Kind.RULE:
            yield from _rule(one)


def _route(key: RouteKey, planned: Way | None, links: Mapping[str, rtnl.LinkState]) -> Iterator[Request]:
    yield rtnl.delete_route(key.destination, key.table, key.metric)
    if planned is None:
        return
    for hop in planned.hops:
        if hop.gateway is not None and hop.interface in links:
            index = links[hop.interface].index
            to = key.destination if key.destination.prefixlen else None
            yield rtnl.add_route(index, to, hop.gateway, planned.source, key.table)


def _rule(one: Difference) -> Iterator[Request]:
    extra, rule = one.fault is Fault.EXTRA, one.subject.what
    if isinstance(rule, rtnl.PortRule):
        yield rtnl.delete_port_rule(rule) if extra else rtnl.add_port_rule(rule)
    elif isinstance(rule, Lookup):
        change = rtnl.delete_rule if extra else rtnl.add_rule
        yield change(rule.version, rule.priority, rule.table)
