"""Brings links to what their impairments say: by the kernel where it can, else by the relay.

A rate alone is tc's token bucket, which every kernel has. Delay, jitter, loss, duplication, reordering and
corruption are netem's where the kernel has it; elsewhere the relay's, rate included. All of them hang at the
interface as its queueing discipline, and go with it. A small MTU and a cut cable are the state of the
interfaces at bridges: the host at the other end of the cable keeps its own, and is not told.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from emulator.cluster.impairments import SOUND, Impairment
from emulator.cluster.wiring import Link, LinkEnd
from emulator.network import ethtool, netns, rtnl, tc
from emulator.network.errors import NetemUnavailable, NetworkError
from emulator.network.names import netns_name
from emulator.network.netlink import Netlink, NetlinkError
from emulator.network.relay import orders
from emulator.network.relay.channel import LONGEST_QUEUE, MOST_FRAMES, burst
from emulator.network.relay.orders import Order
from emulator.network.switchboard import Switchboard

_PATIENCE = 30.0


class How(StrEnum):
    """What impairs packets that leave by an interface."""

    NOTHING = "nothing"
    TOKEN_BUCKET = "tbf"
    NETEM = "netem"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class RelayService:
    """How the relay is run. `start` returns when it has taken up its orders, whether it ran or not."""

    directory: Path
    start: Callable[[], None]


@dataclass
class Shaper:
    """The impaired links of a network. Methods block and raise NetworkError or OSError."""

    switchboard: Switchboard
    relay: RelayService | None
    _has_netem: bool | None = None
    _links: dict[tuple[LinkEnd, LinkEnd], Link] = field(default_factory=dict)
    """What is in force."""

    def how(self, impairment: Impairment) -> How:
        """What does it here."""
        if not impairment.needs_netem:
            return How.TOKEN_BUCKET if impairment.rate is not None else How.NOTHING
        if self._has_netem is None:
            self._has_netem = has_netem()
        return How.NETEM if self._has_netem else How.RELAY

    def refuse_impossible(self, links: Sequence[Link]) -> None:
        """Raise NetemUnavailable when a link is impaired as this kernel cannot."""
        for link in links:
            if self.how(link.impairment) is How.RELAY and (self.relay is None or not can_relay()):
                ends = " - ".join(end.place for end in link.ends)
                raise NetemUnavailable(
                    f"the link {ends} is to be impaired, but this kernel has neither sch_netem nor what the "
                    "relay needs (sch_htb, act_mirred and cls_u32 or cls_matchall, /dev/net/tun); take its "
                    "impairment out, or use a kernel that has them"
                )

    def shape(self, links: Sequence[Link]) -> None:
        """Make these the impaired links, and all others sound; cables of gone pods are passed over."""
        with Netlink() as netlink:
            present = rtnl.links(netlink)
        whole = (x for x in links if all(end.interface in present for end in x.ends if end.bridge))
        wanted = {link.ends: link for link in whole if link.impairment}
        before, self._links = self._links, wanted
        self._shape_packets(before, wanted)
        for ends, link in {**before, **wanted}.items():
            _set_interfaces(
                [end.interface for end in ends if end.bridge and end.interface in present],
                link.mtu,
                before[ends].impairment if ends in before else SOUND,
                wanted[ends].impairment if ends in wanted else SOUND,
            )

    def _shape_packets(
        self, before: Mapping[tuple[LinkEnd, LinkEnd], Link], wanted: Mapping[tuple[LinkEnd, LinkEnd], Link]
    ) -> None:
        old, new = self._ends(before), self._ends(wanted)
        changed = {end for end in old.keys() | new.keys() if old.get(end) != new.get(end)}
        left = {end for end in changed if end not in new or (end in old and old[end][0] is not new[end][0])}
        self.switchboard.leave_queues([end.interface for end in changed & new.keys() if end.bridge])
        for end in left:
            tc.clear(_netns_of(end), end.interface)
        for end in changed & new.keys():
            how, link = new[end]
            if how in (How.TOKEN_BUCKET, How.NETEM):
                tc.run(_netns_of(end), _lines(link.impairment, end))
        self._order([_order(link, end) for end, (how, link) in new.items() if how is How.RELAY])
        self.switchboard.take_queues([end.interface for end in changed - new.keys() if end.bridge])

    def _ends(self, links: Mapping[tuple[LinkEnd, LinkEnd], Link]) -> dict[LinkEnd, tuple[How, Link]]:
        return {
            end: (how, link)
            for link in links.values()
            if (how := self.how(link.impairment)) is not How.NOTHING
            for end in link.ends
        }

    def _order(self, wanted: Sequence[Order]) -> None:
        relay = self.relay
        if relay is None:
            return
        present = orders.read(relay.directory)
        if not wanted and not present:
            return
        kept = {order.key for order in wanted}
        for order in present:
            if order.key not in kept:
                # Also what an engine that died has left: frames would stop where the relay does not look.
                tc.clear(order.netns, order.interface)
        orders.write(relay.directory, wanted)
        failed = _carry_out(relay)
        if failed:
            raise NetworkError("; ".join(f"{name} cannot be impaired: {why}" for name, why in failed.items()))


def is_shaped(link: Link) -> bool:
    """Whether Open vSwitch has to keep away from the queueing disciplines of the link's ends."""
    return link.impairment.touches_packets


def has_netem() -> bool:
    """Whether the kernel has the netem queueing discipline; tried in a netns made for it."""
    return netns.in_threads([_try_netem])[0]


def can_relay() -> bool:
    """Whether the kernel has what redirects frames to the relay; tried in a netns made for it."""
    return netns.in_threads([_try_redirection])[0]


def _try_netem() -> bool:
    netns.leave()
    try:
        with Netlink() as netlink:
            netlink.execute([rtnl.add_qdisc(rtnl.LOOPBACK_INDEX, "netem")])
    except NetlinkError as error:
        # An unknown discipline is not found; a known one misses its parameters.
        return error.errno not in (errno.ENOENT, errno.EOPNOTSUPP)
    return True


def _try_redirection() -> bool:
    netns.leave()
    for lines in tc.redirections("lo", "1:", "lo"):
        try:
            tc.run(None, lines)
        except NetworkError:
            continue
        return Path("/dev/net/tun").exists()
    return False


def _carry_out(relay: RelayService) -> Mapping[str, str]:
    deadline = time.monotonic() + _PATIENCE
    while True:
        relay.start()
        try:
            failed: Mapping[str, str] = orders.carry_out(relay.directory, _PATIENCE)["failed"]
        except OSError:
            # It has just died, and who supervises it does not know yet.
            if time.monotonic() > deadline:
                raise
        else:
            return failed


def _netns_of(end: LinkEnd) -> str | None:
    return None if end.bridge else netns_name(end.place)


def _order(link: Link, end: LinkEnd) -> Order:
    return Order(_netns_of(end), end.interface, link.impairment, f"{link.seed}/{end.place}/{end.interface}")


def _lines(impairment: Impairment, end: LinkEnd) -> Iterator[str]:
    parent = "root handle 1:"
    if (rate := impairment.rate) is not None:
        limits = f"rate {rate}bit burst {burst(rate)} latency {LONGEST_QUEUE * 1000:g}ms"
        yield f"qdisc replace dev {end.interface} {parent} tbf {limits}"
        parent = "parent 1: handle 10:"
    if impairment.needs_netem:
        effects = " ".join(_effects(impairment))
        yield f"qdisc replace dev {end.interface} {parent} netem limit {MOST_FRAMES} {effects}"


def _effects(impairment: Impairment) -> Iterator[str]:
    if impairment.delay:
        yield f"delay {impairment.delay}us" + (f" {impairment.jitter}us" if impairment.jitter else "")
    for effect in ("loss", "duplicate", "corrupt", "reorder"):
        if share := getattr(impairment, effect):
            yield f"{effect} {share * 100:.6f}%"


def _set_interfaces(names: Sequence[str], mtu: int, before: Impairment, after: Impairment) -> None:
    """The MTU and the state of a link's interfaces at bridges, where they change."""
    with Netlink() as netlink:
        if after.mtu or before.mtu:
            netlink.execute([rtnl.set_mtu(name, after.mtu or mtu) for name in names])
        if after.down or before.down:
            # Also when it is down already: Open vSwitch sets its ports up when it starts.
            netlink.execute([rtnl.set_up(name, up=not after.down) for name in names])
    if before.down and not after.down:
        ethtool.settle_links(names)
