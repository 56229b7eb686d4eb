"""Probes made of crafted packets: sent as frames, answers and arrivals read from captures."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from typing import Any

from emulator.cluster.outcome import Outcome
from emulator.probes import bpf
from emulator.probes.capture import FULL_SNAP, Direction, Record, Tap
from emulator.probes.checks import Predicate, predicates
from emulator.probes.evidence import rejection_of
from emulator.probes.netns import within
from emulator.probes.observation import (
    UNKNOWN_ENDPOINT,
    Observation,
    Rejection,
    Seen,
    failed,
    grouped,
    rejections_grouped,
    tally,
)
from emulator.probes.packets import KINDS, packet_of
from emulator.probes.request import IPAddress, ProbeRequest, Site, Sites
from emulator.probes.routes import Route, mac_of, route_to
from emulator.probes.workshop import CraftedPacket, Origin, Workshop, WorkshopError

_LINGER = 0.1
"""Seconds to go on listening once every packet has its first answer: a second one would be news."""
_RESOLUTION = 1.0
_BROADCAST = "ff:ff:ff:ff:ff:ff"
_MOST_SHOWN = 100


@dataclass
class Fate:
    """One crafted packet, and everything that was captured of it."""

    packet: CraftedPacket
    key: Mapping[str, Predicate]
    wanted: tuple[Mapping[str, Predicate], ...]
    left: Record | None = None
    arrivals: list[Record] = field(default_factory=list)
    answers: list[Record] = field(default_factory=list)

    def is_same(self, record: Record) -> bool:
        """Whether a captured frame is this packet, bare or inside VXLAN."""
        return any(
            all(holds(record.headers.get(prefix + name)) for name, holds in self.key.items())
            for prefix in ("", "inner.")
        )

    def is_answered_by(self, record: Record) -> bool:
        """Whether a captured frame answers this packet."""
        return any(
            all(holds(record.headers.get(name)) for name, holds in wanted.items()) for wanted in self.wanted
        )

    @property
    def refusal(self) -> Rejection | None:
        """The first answer, where it is a refusal. Later ones may be the end of a half-open connection:
        the source's kernel knows nothing of what was crafted in its name."""
        return rejection_of(self.answers[0]) if self.answers else None

    @property
    def outcome(self) -> Outcome:
        """Refused, else answered or arrived, else dropped; an error when it was not seen to leave."""
        if self.refusal is not None:
            return Outcome.REJECTED
        if self.answers or self.arrivals:
            return Outcome.CONNECTED
        return Outcome.DROPPED if self.left is not None else Outcome.ERROR


async def probe_packet(
    request: ProbeRequest, sites: Sites, workshop: Workshop
) -> tuple[Observation, tuple[Record, ...]]:
    """Send the crafted packet of `request`; the observation, and the answers as captured at the source.

    Connected means that an answer came or that the packet arrived at a candidate. Raises RequestError.
    """
    spec = packet_of(request.packet or {})
    source = sites[request.source]
    destination = _destination(spec, request)
    try:
        return await _Sending(request, spec, source, sites, workshop).run(destination)
    except (OSError, WorkshopError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return failed(request, f"cannot send from {source.place}: {text}"), ()


def _destination(spec: Mapping[str, Any], request: ProbeRequest) -> IPAddress:
    given = (spec.get("destination") or {}).get("ip") or spec.get("target")
    return ip_address(given) if given else request.target.address(request.family)


class _Sending:
    """One probe of crafted packets under way."""

    def __init__(
        self, request: ProbeRequest, spec: Mapping[str, Any], source: Site, sites: Sites, workshop: Workshop
    ) -> None:
        self._request = request
        self._spec = spec
        self._source = source
        self._sites = sites
        self._workshop = workshop
        self._fates: list[Fate] = []
        self._news = asyncio.Event()

    async def run(self, destination: IPAddress) -> tuple[Observation, tuple[Record, ...]]:
        """Resolve, build, arm, send, listen, judge."""
        is_link_local = KINDS[self._spec["packet"]].is_link_local
        route = await self._route(destination)
        next_hop = _BROADCAST if is_link_local else await self._next_hop(destination, route)
        origin = _origin(route, next_hop, destination, self._request.target.port)
        self._fates = await self._build(self._spec, origin, self._request.count)
        site = replace(self._source, interface=route.interface)
        async with AsyncExitStack() as stack:
            blind = await self._arm(site, stack)
            await self._send(site, self._fates)
            await self._listen(self._request.timeout)
        return self._observation(str(destination), blind), tuple(
            answer for fate in self._fates for answer in fate.answers
        )

    async def _route(self, destination: IPAddress) -> Route:
        try:
            route = await within(self._source.netns, partial(route_to, destination))
        except OSError:
            if not self._source.interface:
                raise
            mac = await within(self._source.netns, partial(mac_of, self._source.interface))
            return Route(self._source.interface, mac, None, None, is_local=False)
        if route.is_local:
            raise OSError(f"{destination} is {self._source.place}'s own address: no frame would leave it")
        return route

    async def _next_hop(self, destination: IPAddress, route: Route) -> str:
        """The MAC to send to, asked for by ARP or ND as the kernel would. Raises OSError."""
        if given := (self._spec.get("destination") or {}).get("mac"):
            return str(given)
        hop = route.gateway or destination
        kind = "arp-request" if hop.version == 4 else "neighbor-solicitation"
        origin = _origin(route, _BROADCAST, hop, None)
        self._fates = await self._build({"packet": kind}, origin, 1)
        site = replace(self._source, interface=route.interface)
        tap = await Tap.open(site, bpf.everything(FULL_SNAP), self._receive, FULL_SNAP)
        try:
            await self._send(site, self._fates)
            await self._listen(_RESOLUTION, linger=0)
        finally:
            tap.close()
        for answer in self._fates[0].answers:
            found = (
                answer.headers.get("arp.hwsrc") or answer.headers.get("nd.tll") or answer.headers["eth.src"]
            )
            return str(found)
        raise OSError(f"nobody answered {self._source.place} asking for the link-layer address of {hop}")

    async def _build(self, spec: Mapping[str, Any], origin: Origin, count: int) -> list[Fate]:
        packets = await self._workshop.craft(spec, origin, count)
        return [
            Fate(packet, predicates(packet.key), tuple(map(predicates, packet.answers))) for packet in packets
        ]

    async def _arm(self, site: Site, stack: AsyncExitStack) -> list[str]:
        """Watch the source and every candidate; the places that could not be watched."""
        program = bpf.everything(FULL_SNAP)
        stack.callback((await Tap.open(site, program, self._receive, FULL_SNAP)).close)
        others = [place for place in self._request.target.candidates if place != site.place]
        opening = [Tap.open(self._sites[place], program, self._receive, FULL_SNAP) for place in others]
        opened = await asyncio.gather(*opening, return_exceptions=True)
        for tap in opened:
            if isinstance(tap, Tap):
                stack.callback(tap.close)
        return [place for place, tap in zip(others, opened, strict=True) if isinstance(tap, BaseException)]

    async def _send(self, site: Site, fates: Sequence[Fate]) -> None:
        with await within(site.netns, partial(_sender, site.interface)) as sock:
            for fate in fates:
                for frame in fate.packet.frames:
                    sock.send(frame)

    async def _listen(self, timeout: float, linger: float = _LINGER) -> None:
        """Until every packet has an answer and a moment more, or for the time given."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        is_answered = False
        waiting_for = [fate for fate in self._fates if fate.wanted]
        while (left := deadline - loop.time()) > 0:
            self._news.clear()
            if not is_answered and waiting_for and all(fate.answers for fate in waiting_for):
                is_answered = True
                deadline = min(deadline, loop.time() + linger)
                continue
            waiting = asyncio.ensure_future(self._news.wait())
            await asyncio.wait({waiting}, timeout=left)
            waiting.cancel()

    def _receive(self, record: Record) -> None:
        is_source = record.at == self._source.place
        for fate in self._fates:
            if record.direction is Direction.OUT:
                if is_source and fate.left is None and fate.is_same(record):
                    fate.left = record
            elif is_source and fate.is_answered_by(record):
                fate.answers.append(record)
                self._news.set()
            elif record.at in self._request.target.candidates and fate.is_same(record):
                fate.arrivals.append(record)
                self._news.set()

    def _observation(self, address: str, blind: Sequence[str]) -> Observation:
        request, fates = self._request, self._fates
        outcomes = [_ladder(fates, address)] if _is_ladder(fates) else [fate.outcome for fate in fates]
        unsent = sum(1 for fate in fates if fate.outcome is Outcome.ERROR)
        reached = [fate for fate in fates if fate.outcome is Outcome.CONNECTED]
        endpoints = Counter(fate.arrivals[0].at if fate.arrivals else UNKNOWN_ENDPOINT for fate in reached)
        return Observation(
            request.source,
            request.target.name,
            request.target.port,
            request.protocol,
            tally(outcomes),
            dict(endpoints.most_common()),
            grouped([seen for fate in fates for seen in _seen(fate.arrivals[:1])], "source_port"),
            grouped([seen for fate in fates for seen in _seen(fate.answers)], "destination_port"),
            rejections_grouped([fate.refusal for fate in fates if fate.refusal is not None]),
            {"the packet was not seen to leave": unsent} if unsent else {},
            tuple(f"{place} could not be watched" for place in blind),
            address=address,
            crafted=_crafted(self._spec, fates),
        )


def _origin(route: Route, next_hop: str, destination: IPAddress, port: int | None) -> Origin:
    own = route.source or ("0.0.0.0" if destination.version == 4 else "::")
    return Origin(route.mac, str(own), next_hop, str(destination), port)


def _sender(interface: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        sock.bind((interface, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _is_ladder(fates: Sequence[Fate]) -> bool:
    return bool(fates) and fates[0].packet.ttl is not None


def _ladder(fates: Sequence[Fate], address: str) -> Outcome:
    """A traceroute connects when the destination itself said anything at all."""
    answers = [answer for fate in fates for answer in fate.answers if answer.datagram is not None]
    if any(answer.datagram is not None and answer.datagram.source == address for answer in answers):
        return Outcome.CONNECTED
    if any(fate.outcome is Outcome.CONNECTED for fate in fates):
        return Outcome.CONNECTED
    if answers:
        return Outcome.REJECTED
    return Outcome.DROPPED if any(fate.left for fate in fates) else Outcome.ERROR


def _seen(records: Sequence[Record]) -> list[Seen]:
    return [
        Seen(
            record.at,
            packet.source,
            packet.destination,
            packet.ttl,
            packet.source_port,
            packet.destination_port,
        )
        for record in records
        if (packet := record.datagram) is not None
    ]


def _crafted(spec: Mapping[str, Any], fates: Sequence[Fate]) -> dict[str, Any]:
    """What was sent, what came back, and where it arrived, header by header."""
    answers = [
        {"packet": index, "milliseconds": _milliseconds(fate, answer), "headers": answer.headers}
        for index, fate in enumerate(fates)
        for answer in fate.answers
    ]
    body: dict[str, Any] = {
        "packet": spec["packet"],
        "sent": [fate.left.headers for fate in fates if fate.left][:_MOST_SHOWN],
        "answers": answers[:_MOST_SHOWN],
        "arrived": [
            {"at": record.at, "packet": index, "headers": record.headers}
            for index, fate in enumerate(fates)
            for record in fate.arrivals
        ][:_MOST_SHOWN],
    }
    if _is_ladder(fates):
        body["hops"] = [_hop(fate) for fate in fates]
    return body


def _hop(fate: Fate) -> dict[str, Any]:
    if not fate.answers:
        return {"ttl": fate.packet.ttl, "from": None}
    answer = fate.answers[0]
    refusal = rejection_of(answer)
    body: dict[str, Any] = {
        "ttl": fate.packet.ttl,
        "from": str(answer.datagram.source) if answer.datagram else None,
    }
    body["milliseconds"] = _milliseconds(fate, answer)
    said = refusal.as_json() if refusal else {"name": "reply"}
    return body | {
        name: value for name, value in said.items() if name in ("kind", "type", "code", "name", "quotes")
    }


def _milliseconds(fate: Fate, answer: Record) -> float | None:
    return round((answer.time - fate.left.time) / 1e6, 3) if fate.left else None
