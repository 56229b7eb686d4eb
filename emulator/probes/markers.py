"""Markers that follow probes, by which a drop is known before its time is up.

Every end has a capture. After a burst of probes, markers go the same way, each sent only when the one before
has been seen:

1. the source asks its gateway for its link-layer address (ARP, which no policy filters). One veth, one
   queue: when the answer is back, the source's switch has handled all that the source sent before;
2. the source's node pings the destination's node at its address on the pod network, by the link or tunnel
   that the probes took: when the answer is back, the probes ahead of it have reached that node;
3. the destination's node pings the destination (a node always reaches its own pods, whatever policies
   say). Its switch serves one queue into the pod, so all that came before is in the pod already.

That holds because one thread of Open vSwitch's userspace datapath serves all ports in turn, misses of its
flow tables included: a marker is a later turn than the probes behind which it was sent.

A probe that was seen to leave before 1 and is not in the destination's capture at 3 is lost, as long as that
capture has lost nothing itself, which the kernel counts, and no queue on the way was full, which is why one
sweep runs at a time and sends few packets at once; what seems lost is sent a second time. Where a marker
does not come (no IPv4 address, a node or an outside host as an end, a link that loses packets) there is no
early verdict, and the time is waited out. Packets that arrive after all, as over a link that reorders, still
change an early verdict until the sweep ends.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from os import urandom

from emulator.probes import bpf
from emulator.probes.glimpse import Sort, arp_request, echo_request
from emulator.probes.netns import inside
from emulator.probes.reactor import Reactor
from emulator.probes.sightings import Shot, Watch
from emulator.probes.swept import End, Relay, crossing, has_markers

PATIENCE = 0.5
"""Seconds for a marker; one that takes longer than that is taken to be lost."""
_SNAP = 128


class Markers:
    """Sends them, and says which probes they have followed all the way."""

    def __init__(self, reactor: Reactor, watches: Mapping[str, Watch]) -> None:
        self._reactor = reactor
        self._watches = watches
        self._raw: dict[tuple[str, int], socket.socket] = {}
        self._replies: set[object] = set()
        self._identifier = int.from_bytes(urandom(2), "big")
        self._number = 0

    def close(self) -> None:
        """Close all sockets."""
        for sock in self._raw.values():
            sock.close()

    def follow(self, shots: Sequence[Shot]) -> None:
        """Send markers after `shots`; those that they have overtaken nowhere are `passed`."""
        paths = [(shot, self._watches[shot.ask.source], self._watches[shot.ask.target]) for shot in shots]
        paths = [path for path in paths if has_markers(path[1].end, path[2].end, path[0].ask.version)]
        handled = self._ask_gateways({path[1].end.place: path[1] for path in paths}.values())
        paths = [path for path in paths if path[1].end.place in handled]
        crossed = self._cross([(path[1].end.relay, path[2].end, path[0].ask.version) for path in paths])
        paths = [path for path in paths if crossing(path[1].end, path[2].end, path[0].ask.version) in crossed]
        reached = self._enter([(path[2], path[0].ask.version) for path in paths])
        for shot, _, target in paths:
            shot.passed = (target.end.place, shot.ask.version) in reached

    def _ask_gateways(self, sources: Iterable[Watch]) -> set[str]:
        sources, wanted = tuple(sources), {}
        for watch in sources:
            gateway, own = watch.end.gateway, watch.end.address(4)
            assert gateway is not None
            with inside(watch.end.netns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind((watch.end.interface, 0))
                mac = raw.getsockname()[4]
                raw.send(arp_request(mac, str(own), str(gateway)))
            self._reactor.drain()
            wanted[watch.end.place] = watch.arp[Sort.ARP_REQUEST, gateway.packed]

        def answered(watch: Watch) -> bool:
            assert watch.end.gateway is not None
            replies = watch.arp[Sort.ARP_REPLY, watch.end.gateway.packed]
            return 0 < wanted[watch.end.place] <= replies

        self._reactor.pump(lambda: all(map(answered, sources)), PATIENCE)
        return {watch.end.place for watch in sources if answered(watch)}

    def _cross(self, wanted: Iterable[tuple[Relay | None, End, int]]) -> set[tuple[str, str, int]]:
        """Ping from node to node; (from, to, family) of the answered ones, and of nodes to themselves."""
        waiting: dict[tuple[str, str, int], object] = {}
        there: set[tuple[str, str, int]] = set()
        for relay, end, version in wanted:
            assert relay is not None
            assert end.relay is not None
            key = (relay.name, end.relay.name, version)
            if relay.name == end.relay.name:
                there.add(key)
            elif key not in waiting:
                address = next(one for one in end.relay.addresses if one.version == version)
                waiting[key] = self._ping(relay, str(address), version)
        self._reactor.pump(lambda: set(waiting.values()) <= self._replies, PATIENCE)
        return there | {key for key, token in waiting.items() if token in self._replies}

    def _enter(self, wanted: Iterable[tuple[Watch, int]]) -> set[tuple[str, int]]:
        """Ping pods from their own nodes; (pod, family) of those whose capture saw it come."""
        waiting: dict[tuple[str, int], tuple[Watch, object]] = {}
        for watch, version in wanted:
            key = (watch.end.place, version)
            if key not in waiting:
                assert watch.end.relay is not None
                token = self._ping(watch.end.relay, str(watch.end.address(version)), version)
                waiting[key] = (watch, token)

        def came(key: tuple[str, int]) -> bool:
            watch, token = waiting[key]
            return token in watch.echoes

        self._reactor.pump(lambda: all(map(came, waiting)), PATIENCE)
        return {key for key in waiting if came(key)}

    def _ping(self, relay: Relay, address: str, version: int) -> object:
        self._number += 1
        number = self._number & 0xFFFF
        protocol = bpf.ICMP if version == 4 else bpf.ICMPV6
        known = (relay.name, version)
        if known not in self._raw:
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            with inside(relay.netns):
                raw = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
            self._raw[known] = raw
            self._reactor.selector.register(raw, selectors.EVENT_READ, partial(self._pong, raw, version))
        try:
            self._raw[known].sendto(echo_request(version, self._identifier, number), (address, 0))
        except OSError:
            # No way to there: the marker never comes, so that the time is waited out.
            return None
        return (self._identifier, number)

    def _pong(self, raw: socket.socket, version: int) -> None:
        for data in _received(raw):
            message = data[(data[0] & 15) * 4 :] if version == 4 else data
            if message[0] == (0 if version == 4 else 129):
                self._replies.add(struct.unpack_from("!HH", message, 4))


def _received(raw: socket.socket) -> Iterable[bytes]:
    while True:
        try:
            yield raw.recv(_SNAP)
        except OSError:
            return
