"""Send real traffic and say what both ends saw."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from emulator.probes import bpf
from emulator.probes.capture import HANDSHAKE_SNAP, Record, Tap
from emulator.probes.checks import Check, run_checks
from emulator.probes.clients import Attempt, Echo, connect, exchange, make_socket
from emulator.probes.crafted import probe_packet
from emulator.probes.evidence import Evidence, Handshakes, Key, Marks
from emulator.probes.headers import Datagram
from emulator.probes.judge import Judgement, judge
from emulator.probes.listeners import listens_on
from emulator.probes.lookups import LookupFailedError
from emulator.probes.netns import within
from emulator.probes.observation import Observation, failed
from emulator.probes.request import IPAddress, ProbeRequest, Protocol, RequestError, Site, Sites
from emulator.probes.session import CaptureSession
from emulator.probes.workshop import Workshop

_AT_ONCE = 6
"""Attempts that may be waiting for an answer that usually comes at once: the backlog of a modest server."""
_SOON = 0.05
"""Seconds after which an attempt is taken to be slow and makes room for the next one."""
_MOST_SOCKETS = 512
_SETTLE = 0.3
"""Seconds that packets may still take to where a claim looks, once the probe itself is over."""
_MOST_SHOWN = 1000
ANSWERS = "answers"
"""Where a claim about the answers to a crafted packet looks."""

_FILTERS: dict[Protocol, Callable[[int], bpf.Program]] = {
    Protocol.TCP: bpf.tcp_handshakes,
    Protocol.UDP: bpf.datagrams,
    Protocol.ICMP: bpf.echoes,
}


Completion = Callable[[ProbeRequest], Awaitable[ProbeRequest]]
"""Makes a request whole that still has a name for an address. Raises LookupFailedError."""


async def _whole(request: ProbeRequest) -> ProbeRequest:
    return request


async def probe(
    request: ProbeRequest,
    sites: Sites,
    workshop: Workshop | None = None,
    checks: Sequence[Check] = (),
    complete: Completion = _whole,
) -> Observation:
    """Send what `request` asks for and observe it at the source, at every candidate and where claims look.

    `complete` is called when the claims' places are watched already, so that its questions are seen there.

    A claim `at` `answers` is about what came back to a crafted packet, which needs the `workshop`.
    Never raises for what the network does: a source that cannot send is outcome `error`.
    Raises RequestError when the request names a place that does not exist.
    """
    about_places = [check for check in checks if check.at != ANSWERS]
    places = dict.fromkeys((*request.captures, *(check.at for check in about_places)))
    session = CaptureSession([sites[place] for place in places])
    try:
        await session.start()
    except OSError as error:
        return failed(request, str(error))
    answers: tuple[Record, ...] = ()
    try:
        observation, answers = await _observe(request, sites, workshop, complete)
        results = await session.until(about_places, _SETTLE) if about_places else ()
    finally:
        capture = session.stop()
    echoes = [replace(answer, at=ANSWERS) for answer in answers]
    seen = iter(results)
    results = tuple(run_checks([check], echoes)[0] if check.at == ANSWERS else next(seen) for check in checks)
    shown = [record for record in capture.records if record.at in request.captures][:_MOST_SHOWN]
    lost = tuple(f"the capture at {place} lost {count} packets" for place, count in capture.lost.items())
    return replace(
        observation,
        captured=tuple(record.as_json() for record in shown),
        checks=tuple(result.as_json() for result in results),
        notes=observation.notes + lost,
    )


async def _observe(
    request: ProbeRequest, sites: Sites, workshop: Workshop | None, complete: Completion
) -> tuple[Observation, tuple[Record, ...]]:
    """The probe itself; with a crafted packet also what came back to it."""
    try:
        request = await complete(request)
    except LookupFailedError as error:
        return failed(request, str(error)), ()
    if request.packet is None:
        return await _probe_by_sockets(request, sites), ()
    if workshop is None:
        raise RequestError("crafted packets need the packet worker")
    return await probe_packet(request, sites, workshop)


async def _probe_by_sockets(request: ProbeRequest, sites: Sites) -> Observation:
    source = sites[request.source]
    watched = {place: sites[place] for place in request.target.candidates}
    try:
        address = request.target.address(request.family)
    except RequestError as error:
        return failed(request, str(error))
    run = _Run(request, source, address)
    async with AsyncExitStack() as stack:
        try:
            taps = await run.arm(watched, stack)
            attempts = await run.send()
        except OSError as error:
            return failed(request, f"cannot probe from {source.place}: {error.strerror or error}")
        for tap in taps:
            tap.drain()
    lost = {tap.site.place: tap.lost for tap in taps if tap.lost}
    case = Judgement(request, str(address), attempts, run.evidence, run.blind, lost, run.sockets)
    return judge(case)


class _Run:
    """One probe under way."""

    def __init__(self, request: ProbeRequest, source: Site, address: IPAddress) -> None:
        self.request = request
        self.source = source
        self.address = address
        self.blind: set[str] = set()
        """Candidates that could not be watched."""
        self.sockets: set[tuple[str, str, int]] = set()
        """(place, address, port) of arrivals for which the place has a UDP socket."""
        self.marks = Marks(_padded(request), request.protocol)
        is_tcp = request.protocol is Protocol.TCP
        self.evidence = Evidence(
            Handshakes() if is_tcp else self.marks, source.place, self._arrived, self._refused
        )
        self._watched: dict[str, Site] = {}
        self._events = [asyncio.Event() for _ in range(0 if is_tcp else request.count)]
        self._refusals: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._reached = 0
        self._checks: dict[tuple[str, str, int], asyncio.Task[bool]] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def arm(self, watched: dict[str, Site], stack: AsyncExitStack) -> list[Tap]:
        """Open a tap at the source and at every candidate.

        All interfaces of a namespace are watched: what a place sends to itself passes by its loopback.
        """
        self._watched = watched
        program = _FILTERS[self.request.protocol](HANDSHAKE_SNAP)
        ends = (self.source, *(site for place, site in watched.items() if place != self.source.place))
        opening = [Tap.open(_all_of(site), program, self.evidence.add) for site in ends]
        opened = await asyncio.gather(*opening, return_exceptions=True)
        taps = [tap for tap in opened if isinstance(tap, Tap)]
        for tap in taps:
            stack.callback(tap.close)
        if isinstance(opened[0], BaseException):
            raise opened[0]
        seen = {tap.site.place for tap in taps}
        self.blind = set(watched) - seen
        return taps

    async def send(self) -> list[Attempt]:
        """Make every attempt, a bounded number at a time."""
        if self.request.protocol is Protocol.ICMP:
            attempts = await self._echo()
        else:
            attempts = await self._each_with_a_socket()
        await asyncio.gather(*self._background)
        return attempts

    async def _each_with_a_socket(self) -> list[Attempt]:
        kind = socket.SOCK_STREAM if self.request.protocol is Protocol.TCP else socket.SOCK_DGRAM
        make = partial(make_socket, self.request, self.address, kind)
        slots = Slots(_AT_ONCE, _MOST_SOCKETS)
        pace = Pace(self.request.interval if self.request.exchanges == 1 else 0)
        running: list[asyncio.Task[Attempt]] = []
        for first in range(0, self.request.count, _AT_ONCE):
            size = min(_AT_ONCE, self.request.count - first)
            await slots.room_for(size)
            sockets = await within(self.source.netns, partial(_several, make, size))
            for index, sock in enumerate(sockets, first):
                await pace.turn(index)
                running.append(await slots.start(self._attempt(index, sock)))
        return list(await asyncio.gather(*running))

    async def _attempt(self, index: int, sock: socket.socket) -> Attempt:
        if self.request.protocol is Protocol.TCP:
            return await connect(index, sock, self.address, self.request, self._refusals)
        payload = self.marks.payload(index)
        return await exchange(index, sock, self.address, self.request, payload, self._events[index])

    async def _echo(self) -> list[Attempt]:
        protocol = socket.IPPROTO_ICMP if self.address.version == 4 else socket.IPPROTO_ICMPV6
        make = partial(make_socket, self.request, self.address, socket.SOCK_RAW, protocol)
        echo = Echo(await within(self.source.netns, make), self.address)
        slots, pace = Slots(_AT_ONCE, _MOST_SOCKETS), Pace(self.request.interval)
        try:
            running: list[asyncio.Task[Attempt]] = []
            for index, refused in enumerate(self._events):
                await pace.turn(index)
                asking = echo.ask(index, self.marks.payload(index), self.request.timeout, refused)
                running.append(await slots.start(asking))
            return list(await asyncio.gather(*running))
        finally:
            echo.close()

    def _arrived(self, place: str, key: Key, packet: Datagram) -> None:
        if self.request.protocol is not Protocol.UDP or packet.destination_port is None:
            return
        note = self._note_arrival(place, key, packet.destination, packet.destination_port)
        self._background.add(asyncio.ensure_future(note))

    async def _note_arrival(self, place: str, key: Key, address: str, port: int) -> None:
        known = (place, address, port)
        if known not in self._checks:
            site = self.source if place == self.source.place else self._watched[place]
            check = within(site.netns, partial(listens_on, address, port))
            self._checks[known] = asyncio.ensure_future(check)
        if await self._checks[known]:
            self.sockets.add(known)
            self._reached += 1
            self._hint(key)

    def _refused(self, key: Key) -> None:
        sent = self.evidence.sent.get(key)
        if self.request.protocol is Protocol.ICMP:
            self._hint(key)
        elif self.request.protocol is Protocol.TCP and sent is not None and sent.source_port is not None:
            self._refusals[sent.source_port].set()

    def _hint(self, key: Key) -> None:
        """Tell an attempt that it need not wait any longer; all of them when they cannot be told apart."""
        if isinstance(key, int):
            self._events[key].set()
        elif self._reached >= self.request.count or self.request.count == 1:
            for event in self._events:
                event.set()


class Pace:
    """Lets attempts start one interval after another."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()

    async def turn(self, index: int) -> None:
        """Wait for the turn of attempt `index`."""
        if self._interval:
            due = asyncio.Event()
            self._loop.call_at(self._start + index * self._interval, due.set)
            await due.wait()


class Slots:
    """Room for attempts: a few that are young, many that have proved slow."""

    def __init__(self, young: int, most: int) -> None:
        self._young = asyncio.Semaphore(young)
        self._running: set[asyncio.Task[Attempt]] = set()
        self._watchers: set[asyncio.Task[None]] = set()
        self._most = most

    async def room_for(self, size: int) -> None:
        """Wait until `size` more attempts keep the total within bounds."""
        while self._running and len(self._running) + size > self._most:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def start(self, attempt: Awaitable[Attempt]) -> asyncio.Task[Attempt]:
        """Begin an attempt as soon as there is room for it."""
        await self._young.acquire()
        task = asyncio.ensure_future(attempt)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        watcher = asyncio.ensure_future(self._release(task))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return task

    async def _release(self, task: asyncio.Task[Attempt]) -> None:
        await asyncio.wait({task}, timeout=_SOON)
        self._young.release()


def _all_of(site: Site) -> Site:
    return replace(site, interface="") if site.netns is not None else site


def _several(make: Callable[[], socket.socket], count: int) -> list[socket.socket]:
    made: list[socket.socket] = []
    try:
        for _ in range(count):
            made.append(make())
    except BaseException:
        for sock in made:
            sock.close()
        raise
    return made


def _padded(request: ProbeRequest) -> bytes | None:
    if request.size is None:
        return request.payload
    return (request.payload or b"")[: request.size].ljust(request.size, b".")
